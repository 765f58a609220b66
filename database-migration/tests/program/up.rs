//! Bringing a database to the newest version.

use std::time::{Duration, Instant};

use crate::support::{
    bare_program, directory, last_lines, migrate, program, table_exists, versions, write,
};
use test_postgres::{Database, Server};
use test_process::{Ended, run};

const VERSIONS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

/// The schema exactly as the requirements print it, with what later migrations add, read back from the catalog.
const COLUMNS: &str = "\
coupons.code character varying(10) NOT NULL
load_reject.run_id bigint NOT NULL
load_reject.position integer NOT NULL
load_reject.file text NOT NULL
load_reject.line bigint NOT NULL
load_reject.column_name text
load_reject.reason text NOT NULL
load_reject.value text
load_reject.record bytea
load_run.id bigint NOT NULL
load_run.data_set text NOT NULL
load_run.table_name text NOT NULL
load_run.outcome text NOT NULL
load_run.source_hash text
load_run.mapping_hash text
load_run.table_state text
load_run.checksum text
load_run.rows_read bigint NOT NULL DEFAULT 0
load_run.rows_valid bigint NOT NULL DEFAULT 0
load_run.rows_rejected bigint NOT NULL DEFAULT 0
load_run.rows_inserted bigint NOT NULL DEFAULT 0
load_run.rows_updated bigint NOT NULL DEFAULT 0
load_run.rows_unchanged bigint NOT NULL DEFAULT 0
load_run.rows_marked bigint NOT NULL DEFAULT 0
load_run.rows_deleted bigint NOT NULL DEFAULT 0
load_run.rows_kept bigint NOT NULL DEFAULT 0
load_run.bytes_read bigint NOT NULL DEFAULT 0
load_run.duration_ms bigint NOT NULL DEFAULT 0
load_run.trace_id text
load_run.problem text
load_run.started_at timestamp with time zone NOT NULL
load_run.finished_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
order_items.id integer NOT NULL DEFAULT nextval('order_items_id_seq'::regclass)
order_items.order_id character varying(50) NOT NULL
order_items.product_id character varying(50) NOT NULL
order_items.quantity integer NOT NULL
order_items.created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP
orders.id character varying(50) NOT NULL
orders.coupon_code character varying(50)
orders.created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP
orders.updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP
products.id character varying(50) NOT NULL
products.name character varying(255) NOT NULL
products.price numeric(10,2) NOT NULL
products.category character varying(100)
products.created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP
products.updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP
products.removed_at timestamp with time zone";

const CONSTRAINTS: &str = "\
coupons coupons_code_check CHECK (((char_length((code)::text) >= 8) AND (char_length((code)::text) <= 10)))
coupons coupons_pkey PRIMARY KEY (code)
load_reject load_reject_pkey PRIMARY KEY (run_id, \"position\")
load_reject load_reject_run_id_fkey FOREIGN KEY (run_id) REFERENCES load_run(id) ON DELETE CASCADE
load_run load_run_outcome_check CHECK ((outcome = ANY (ARRAY['loaded'::text, 'unchanged'::text, 'failed'::text])))
load_run load_run_pkey PRIMARY KEY (id)
order_items fk_order FOREIGN KEY (order_id) REFERENCES orders(id) ON DELETE CASCADE
order_items fk_product FOREIGN KEY (product_id) REFERENCES products(id) ON DELETE RESTRICT
order_items order_items_order_id_product_id_key UNIQUE (order_id, product_id)
order_items order_items_pkey PRIMARY KEY (id)
order_items order_items_quantity_check CHECK ((quantity > 0))
orders orders_pkey PRIMARY KEY (id)
products products_pkey PRIMARY KEY (id)
products products_price_check CHECK ((price >= (0)::numeric))";

const INDEXES: &str = "\
idx_load_run_data_set: load_run USING btree (data_set, id)
idx_order_items_order_id: order_items USING btree (order_id)
idx_order_items_product_id: order_items USING btree (product_id)
idx_orders_created_at: orders USING btree (created_at)
idx_products_category: products USING btree (category)";

#[tokio::test]
async fn the_schema_is_that_of_the_requirements() {
    let database = Server::shared().database().await;
    let ended = run(&mut program(&database));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(columns(&database).await, COLUMNS);
    assert_eq!(constraints(&database).await, CONSTRAINTS);
    assert_eq!(indexes(&database).await, INDEXES);
}

async fn columns(database: &Database<'_>) -> String {
    database
        .values(
            "SELECT format('%s.%s %s%s%s', relname, attname, format_type(atttypid, atttypmod),
                           CASE WHEN attnotnull THEN ' NOT NULL' END,
                           ' DEFAULT ' || pg_get_expr(adbin, adrelid))
             FROM pg_attribute
             JOIN pg_class ON pg_class.oid = attrelid
             LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                   AND relname NOT LIKE 'refinery_schema_history%' AND attnum > 0 AND NOT attisdropped
             ORDER BY relname COLLATE \"C\", attnum",
        )
        .await
        .join("\n")
}

async fn constraints(database: &Database<'_>) -> String {
    database
        .values(
            "SELECT format('%s %s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
             FROM pg_constraint
             JOIN pg_class ON pg_class.oid = conrelid
             WHERE connamespace = 'public'::regnamespace
                   AND relname NOT LIKE 'refinery_schema_history%' AND contype <> 'n'
             ORDER BY relname COLLATE \"C\", conname COLLATE \"C\"",
        )
        .await
        .join("\n")
}

async fn indexes(database: &Database<'_>) -> String {
    database
        .values(
            "SELECT format('%s: %s %s', indexname, tablename, substring(indexdef FROM 'USING.*'))
             FROM pg_indexes WHERE indexname LIKE 'idx%' ORDER BY indexname COLLATE \"C\"",
        )
        .await
        .join("\n")
}

#[tokio::test]
async fn each_migration_can_be_undone_and_applied_again() {
    let database = Server::shared().database().await;
    for below in (0..VERSIONS.len()).rev() {
        assert_eq!(run(&mut program(&database)).code, Some(0));
        let ended = run(program(&database).args(["down", "--to", &below.to_string()]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(versions(&database).await, VERSIONS[..below]);
    }
    assert_eq!(columns(&database).await, "");
    assert_eq!(run(&mut program(&database)).code, Some(0));
    assert_eq!(columns(&database).await, COLUMNS);
}

/// Whoever loads a table that other migrations make has the loader make its history.
#[tokio::test]
async fn a_load_history_that_the_loader_has_made_is_kept() {
    let database = Server::shared().database().await;
    let load_history = include_str!("../../migrations/004_create_load_history.sql");
    let (up, _down) = load_history.split_once("-- +++++ DOWN").unwrap();
    database.execute(up).await;
    database
        .execute(
            "INSERT INTO load_run (data_set, table_name, outcome, started_at)
             VALUES ('countries', 'countries', 'loaded', now())",
        )
        .await;
    let ended = run(&mut program(&database));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, VERSIONS);
    assert_eq!(columns(&database).await, COLUMNS);
    assert_eq!(constraints(&database).await, CONSTRAINTS);
    assert_eq!(
        database.value("SELECT data_set FROM load_run").await,
        "countries"
    );
}

#[tokio::test]
async fn each_step_and_the_verdict_are_said() {
    let database = Server::shared().database().await;
    let ended = run(&mut program(&database));
    let steps: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with('✓'))
        .collect();
    assert_eq!(steps.len(), 8, "{ended:?}");
    assert!(steps[0].starts_with("✓ connected to PostgreSQL "));
    assert!(steps[1].starts_with("✓ 1 create_products applied ("));
    assert!(last_lines(&ended).contains(&format!(
        "✓ database-migration: {} is at version 6 create_coupons, 6 applied (",
        database.name()
    )));

    let again = run(&mut program(&database));
    assert_eq!(again.code, Some(0));
    assert!(
        last_lines(&again).contains("is at version 6 create_coupons, nothing to do ("),
        "{again:?}"
    );
    assert_eq!(versions(&database).await, VERSIONS);
}

#[tokio::test]
async fn the_history_begins_with_refinerys_columns() {
    let database = Server::shared().database().await;
    run(&mut program(&database));
    let columns = database
        .values(
            "SELECT attname FROM pg_attribute
             WHERE attrelid = 'refinery_schema_history'::regclass AND attnum > 0 ORDER BY attnum",
        )
        .await;
    assert_eq!(
        columns[..4],
        ["version", "name", "applied_on", "checksum"].map(str::to_owned)
    );
    let rows = database
        .values(
            "SELECT concat_ws('|', version, name, checksum, applied_by, program_version, down_sql,
                              applied_on::timestamptz > now() - interval '1 hour', duration_ms >= 0)
             FROM refinery_schema_history ORDER BY version",
        )
        .await;
    assert_eq!(
        rows[0],
        format!(
            "1|create_products|9975141719147575869|postgres@127.0.0.1|{}|DROP TABLE products;|t|t",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[tokio::test]
async fn twenty_at_once_apply_each_migration_once() {
    let database = Server::shared().database().await;
    let running: Vec<_> = (0..20)
        .map(|_| {
            program(&database)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut applied = 0;
    for process in running {
        let ended: Ended = process.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        applied += ended.stdout.matches(" applied (").count()
            - ended.stdout.matches(", 6 applied (").count();
    }
    assert_eq!(applied, VERSIONS.len());
    assert_eq!(versions(&database).await, VERSIONS);
}

#[tokio::test]
async fn a_migration_that_would_leave_its_transaction_is_found_before_anything_runs() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();\nCOMMIT;\nSELECT nope;"),
        ("3_c.sql", "CREATE INDEX CONCURRENTLY i ON a (b);"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for problem in [
        "2_b.sql:3: COMMIT would end the transaction",
        "3_c.sql:2: CREATE INDEX CONCURRENTLY i ON a (b) cannot run in a transaction",
    ] {
        assert!(ended.stderr.contains(problem), "{problem}: {ended:?}");
    }
    assert!(!table_exists(&database, "a").await);
    assert!(!table_exists(&database, "b").await);
}

#[tokio::test]
async fn a_failed_migration_is_shown_in_its_place_and_rolled_back() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_b.sql",
            "CREATE TABLE b ();\n\nALTER TABLE b\n    ADD COLUMN id nosuchtype;",
        ),
        ("3_c.sql", "CREATE TABLE c ();"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = "2_b.sql:5:19: type \"nosuchtype\" does not exist (SQLSTATE 42704)\n\
                    \x20 5 |     ADD COLUMN id nosuchtype;\n\
                    \x20   |                   ^\n\
                    \x20 state: the database is at version 1 a\n\
                    \x20 next: the migration was rolled back; correct it and run again\n\
                    ✗ database-migration ended with exit code 1: the work failed\n";
    assert!(ended.stderr.ends_with(expected), "{}", ended.stderr);
    assert_eq!(versions(&database).await, ["1"]);
    assert!(!table_exists(&database, "b").await);

    write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn the_marker_stands_below_its_place_in_a_line_with_tabs() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a (\n\tid\tnosuchtype);")]);
    let ended = migrate(&database, files.path());
    let expected = "1_a.sql:3:5: type \"nosuchtype\" does not exist (SQLSTATE 42704)\n\
                    \x20 3 | \tid\tnosuchtype);\n\
                    \x20   | \t  \t^\n";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[tokio::test]
async fn it_is_told_how_far_a_long_copy_is() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a (b int);\nCOPY a FROM PROGRAM 'echo 1; sleep 7';",
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = ended
        .stdout
        .lines()
        .find(|line| line.contains("has been running for"));
    assert!(
        told.is_some_and(|line| line.contains("rows copied")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_open_what_was_committed() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_b.sql",
            "CREATE TABLE b ();\nSELECT pg_terminate_backend(pg_backend_pid());",
        ),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "2_b.sql:3:1: terminating connection due to administrator command (SQLSTATE 57P01)",
        "state: the database is at version 1 a, unless 2 b was applied after all\n",
        "next: run again; it finds out how far the migration came",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stderr.contains("rolled back"), "{ended:?}");

    // One of many statements is not the migration.
    write(
        files.path(),
        "2_b.sql",
        "-- Transaction: none\nCREATE TABLE b ();\nSELECT pg_terminate_backend(pg_backend_pid());",
    );
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "done: the first of the 2 statements",
        "state: the database is at version 1 a\n",
        "next: run again; it finds out how far the migration came",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[tokio::test]
async fn a_file_that_the_parser_does_not_understand_is_not_said_to_be_rolled_back_as_a_whole() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();\nCOMMIT;\nthis is no SQL;")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("has no COMMIT of its own; look what is there"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_a_migration_sets_for_its_session_does_not_reach_the_next() {
    let database = Server::shared().database().await;
    let files = directory(&[
        (
            "1_dump.sql",
            "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.a ();",
        ),
        ("2_b.sql", "CREATE TABLE b ();"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(table_exists(&database, "public.b").await);
}

#[tokio::test]
async fn the_history_may_be_in_a_schema_of_its_own() {
    let database = Server::shared().database().await;
    database.execute("CREATE SCHEMA menu").await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = run(program(&database)
        .env("MIGRATION_TABLE", "menu.schema_migrations")
        .arg("--migrations")
        .arg(files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database
            .values("SELECT name FROM menu.schema_migrations")
            .await,
        ["a"]
    );
}

#[tokio::test]
async fn a_prefix_reads_the_settings_of_one_service() {
    let database = Server::shared().database().await;
    let mut command = bare_program();
    for (name, value) in program(&database).get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value)
            && name.starts_with("DB_")
        {
            command.env(format!("MENU_{name}"), value);
        }
    }
    let ended = run(command
        .env("DB_HOST", "host.invalid")
        .args(["--env-prefix", "MENU_"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_server_that_comes_up_later_is_waited_for() {
    let database = Server::shared().database().await;
    let server_port = Server::shared().port();
    let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = placeholder.local_addr().unwrap().port();
    drop(placeholder);

    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .unwrap();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", server_port))
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let mut command = program(&database);
    command.env("DB_PORT", port.to_string());
    let started = Instant::now();
    let ended = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    late.abort();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert!(
        ended
            .stdout
            .contains("waiting for PostgreSQL at 127.0.0.1:"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn an_error_for_which_the_server_has_no_position_names_its_statement() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a (id int PRIMARY KEY);\n-- a comment; with a semicolon\n\
         ALTER TABLE a\n    ADD COLUMN b int REFERENCES nowhere;\nCREATE TABLE c ();",
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = "1_a.sql:4:1: relation \"nowhere\" does not exist (SQLSTATE 42P01)\n\
                    \x20 4 | ALTER TABLE a\n\
                    \x20   | ^\n";
    assert!(ended.stderr.contains(expected), "{ended:?}");
    assert!(!table_exists(&database, "a").await);
}

#[tokio::test]
async fn data_for_a_copy_that_only_the_server_understands_is_no_reason_to_hang() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE a (b int)").await;
    // The parser does not know this old form, so the text is not split, and the COPY is not found before.
    let files = directory(&[("1_a.sql", "COPY a FROM STDIN USING DELIMITERS ',';")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("1_a.sql"), "{ended:?}");
    assert_eq!(versions(&database).await, [""; 0]);
}

#[tokio::test]
async fn a_failed_statement_is_not_forgotten_by_a_return_to_a_savepoint() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a ();\nSAVEPOINT s;\nSELECT 1 / 0;\nROLLBACK TO SAVEPOINT s;\nCREATE TABLE b ();",
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("the migration was rolled back"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
    assert_eq!(versions(&database).await, [""; 0]);

    write(
        files.path(),
        "1_a.sql",
        "CREATE TABLE a ();\nSAVEPOINT s;\nCREATE TABLE c ();\nROLLBACK TO SAVEPOINT s;\nCREATE TABLE b ();",
    );
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert!(table_exists(&database, "b").await && !table_exists(&database, "c").await);
}

#[tokio::test]
async fn what_the_commit_refuses_is_not_blamed_on_the_last_statement() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a (id int PRIMARY KEY, other int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\n\
         INSERT INTO a VALUES (1, 2);",
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("1_a.sql:2: insert or update"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
    assert_eq!(versions(&database).await, [""; 0]);
}

#[tokio::test]
async fn however_the_last_statement_ends_its_migration_is_recorded() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a () -- without a semicolon"),
        ("2_b.sql", "CREATE TABLE b (); -- 'one quote"),
        ("3_c.sql", "CREATE TABLE c (d text DEFAULT '\\'); /* ; */"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    for table in ["a", "b", "c"] {
        assert!(table_exists(&database, table).await);
    }
}
