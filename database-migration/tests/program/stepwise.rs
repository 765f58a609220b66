//! Migrations without a transaction: statement by statement, and on from where they were interrupted.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{directory, migrate, program, table_exists, versions, write};
use test_postgres::{Database, Server};
use test_process::{run, start};

const HEAD: &str = "-- Transaction: none\n";

fn stepwise(sql: &str) -> String {
    format!("{HEAD}{sql}")
}

async fn is_valid(database: &Database<'_>, index: &str) -> bool {
    database
        .value(&format!(
            "SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}')), false)"
        ))
        .await
        == "t"
}

async fn steps(database: &Database<'_>) -> Vec<String> {
    database
        .values(
            "SELECT concat_ws(' ', version, direction, statement, finished_at IS NOT NULL)
             FROM refinery_schema_history_steps ORDER BY version, statement",
        )
        .await
}

/// What a killed run leaves: the statement is begun, and whatever it has done by then.
async fn interrupted(database: &Database<'_>, version: i64, statement: i32, sql: &str) {
    database
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS refinery_schema_history_steps (
                 version int8, direction text, statement int4, sql text NOT NULL,
                 started_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz,
                 PRIMARY KEY (version, direction, statement));
             INSERT INTO refinery_schema_history_steps VALUES ({version}, 'up', {statement}, $${sql}$$)"
        ))
        .await;
}

/// Marks an index as an interrupted build leaves it.
async fn invalidate(database: &Database<'_>, index: &str) {
    database
        .execute(&format!(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass"
        ))
        .await;
}

#[tokio::test]
async fn indexes_are_built_concurrently_and_recorded() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a (b int, c int);"),
        (
            "2_i.sql",
            &stepwise(
                "CREATE INDEX CONCURRENTLY i ON a (b);\nCREATE UNIQUE INDEX CONCURRENTLY j ON a (c);\nVACUUM a;",
            ),
        ),
        ("3_c.sql", "CREATE TABLE c ();"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    assert!(is_valid(&database, "i").await && is_valid(&database, "j").await);
    assert_eq!(steps(&database).await, [""; 0]);
    let ended = migrate(&database, files.path());
    assert!(ended.stdout.contains("nothing to do"), "{ended:?}");
}

#[tokio::test]
async fn what_is_for_all_tables_or_for_a_subscription_runs_without_a_transaction() {
    let database = Server::shared().database().await;
    let sql = "CLUSTER;\nDROP SUBSCRIPTION IF EXISTS other;";
    let files = directory(&[("1_a.sql", sql)]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in [
        "1_a.sql:2: CLUSTER cannot run in a transaction",
        "1_a.sql:3: DROP SUBSCRIPTION IF EXISTS other cannot run in a transaction",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    write(files.path(), "1_a.sql", &stepwise(sql));
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn after_a_failure_the_next_run_goes_on_with_the_same_statement() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        &stepwise(
            "CREATE TABLE a (b int);\nINSERT INTO a VALUES (1), (1);\n\
             CREATE UNIQUE INDEX CONCURRENTLY i ON a (b);\nINSERT INTO a VALUES (2);",
        ),
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "1_a.sql:5:1: could not create unique index \"i\" (SQLSTATE 23505)",
        "detail: Key (b)=(1) is duplicated.",
        "5 | CREATE UNIQUE INDEX CONCURRENTLY i ON a (b);",
        "done: the first 2 of the 4 statements, which run without a transaction",
        "state: no migration is applied",
        "run again: it goes on with that statement",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    // The broken index is gone at once.
    assert_eq!(
        database
            .value("SELECT count(*) FROM pg_class WHERE relname = 'i'")
            .await,
        "0"
    );

    database
        .execute("DELETE FROM a WHERE ctid = (SELECT min(ctid) FROM a)")
        .await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(is_valid(&database, "i").await);
    // Neither INSERT ran twice.
    assert_eq!(
        database.values("SELECT b FROM a ORDER BY b").await,
        ["1", "2"]
    );
    assert_eq!(versions(&database).await, ["1"]);
}

#[tokio::test]
async fn an_invalid_index_is_built_again() {
    let database = Server::shared().database().await;
    let statement = "CREATE INDEX CONCURRENTLY i ON a (b);";
    database
        .execute("CREATE TABLE a (b int); CREATE INDEX i ON a (b)")
        .await;
    invalidate(&database, "i").await;
    interrupted(&database, 1, 0, statement).await;
    let files = directory(&[("1_a.sql", &stepwise(statement))]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains(
            "i is invalid, as an interrupted build leaves an index; it is dropped and built again"
        ),
        "{ended:?}"
    );
    assert!(is_valid(&database, "i").await);
}

#[tokio::test]
async fn if_not_exists_is_not_content_with_an_invalid_index() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE a (b int); CREATE INDEX i ON a (b)")
        .await;
    invalidate(&database, "i").await;
    // In a transaction it is refused, since it cannot be dropped there without keeping everybody waiting.
    let files = directory(&[("1_a.sql", "CREATE INDEX IF NOT EXISTS i ON a (b);")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("1_a.sql:2:1: the index i exists, but is invalid"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("hint: DROP INDEX i,"), "{ended:?}");

    write(
        files.path(),
        "1_a.sql",
        &stepwise("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);"),
    );
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(is_valid(&database, "i").await);
}

#[tokio::test]
async fn an_index_that_the_server_has_finished_alone_counts_as_done() {
    let database = Server::shared().database().await;
    let statement = "CREATE INDEX CONCURRENTLY \"I\" ON a (b DESC) INCLUDE (c) WHERE b > 1;";
    database
        .execute(
            "CREATE TABLE a (b int, c int); CREATE INDEX \"I\" ON a (b DESC) INCLUDE (c) WHERE b > 1",
        )
        .await;
    interrupted(&database, 1, 0, statement).await;
    let files = directory(&[("1_a.sql", &stepwise(statement))]);
    let before = database
        .value("SELECT oid FROM pg_class WHERE relname = 'I'")
        .await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let after = database
        .value("SELECT oid FROM pg_class WHERE relname = 'I'")
        .await;
    assert_eq!(before, after);
    assert_eq!(versions(&database).await, ["1"]);
    assert!(!table_exists(&database, "refinery_schema_history_copy").await);
}

#[tokio::test]
async fn an_index_is_compared_by_the_role_that_the_migration_has_set() {
    let database = Server::shared().database().await;
    let role = format!("{}_owner", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {role}; CREATE SCHEMA \"S\" AUTHORIZATION {role};
             CREATE TABLE \"S\".a (b int); CREATE INDEX i ON \"S\".a (b); ALTER TABLE \"S\".a OWNER TO {role}"
        ))
        .await;
    let files = directory(&[(
        "1_a.sql",
        &stepwise(&format!(
            "SET ROLE {role};\nSET search_path = \"S\";\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);"
        )),
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1"]);
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn an_index_of_another_definition_is_never_taken_for_ours() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE a (b int, c int); CREATE INDEX i ON a (c)")
        .await;
    for (statement, is_begun) in [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);", false),
        ("CREATE INDEX CONCURRENTLY i ON a (b);", true),
    ] {
        if is_begun {
            interrupted(&database, 1, 0, statement).await;
        }
        let files = directory(&[("1_a.sql", &stepwise(statement))]);
        let ended = migrate(&database, files.path());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains("there is another index of this name"),
            "{ended:?}"
        );
        assert!(
            ended
                .stderr
                .contains("existing: CREATE INDEX i ON public.a USING btree (c)"),
            "{ended:?}"
        );
    }
    // One that nobody has begun to build is the server's to refuse.
    database
        .execute("DELETE FROM refinery_schema_history_steps")
        .await;
    let files = directory(&[(
        "1_a.sql",
        &stepwise("CREATE INDEX CONCURRENTLY i ON a (c);"),
    )]);
    for _ in 0..2 {
        let ended = migrate(&database, files.path());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("SQLSTATE 42P07"), "{ended:?}");
    }
}

#[tokio::test]
async fn an_index_of_another_table_is_neither_taken_for_ours_nor_dropped() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE a (b int); CREATE TABLE other (b int); CREATE INDEX i ON other (b)")
        .await;
    let statement = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);";
    let files = directory(&[("1_a.sql", &stepwise(statement))]);
    let refused = async || {
        let ended = migrate(&database, files.path());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains(
                "there is another index of this name; drop it, or give the new one another name\n  \
                 existing: CREATE INDEX i ON public.other USING btree (b)"
            ),
            "{ended:?}"
        );
        assert!(table_exists(&database, "i").await);
        assert_eq!(versions(&database).await, [""; 0]);
    };
    refused().await;
    invalidate(&database, "i").await;
    refused().await;
    interrupted(&database, 1, 0, "CREATE INDEX CONCURRENTLY i ON a (b);").await;
    write(
        files.path(),
        "1_a.sql",
        &stepwise("CREATE INDEX CONCURRENTLY i ON a (b);"),
    );
    refused().await;

    // One that nobody has begun to build is the server's to refuse, which leaves the other in peace.
    database
        .execute("DELETE FROM refinery_schema_history_steps")
        .await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("SQLSTATE 42P07"), "{ended:?}");
    assert!(table_exists(&database, "i").await);
}

#[tokio::test]
async fn other_interrupted_statements_are_recovered() {
    let database = Server::shared().database().await;
    database
        .execute(
            "CREATE TABLE a (b int); CREATE INDEX i ON a (b); CREATE INDEX i_ccnew ON a (b);
             CREATE TABLE p (b int) PARTITION BY LIST (b); CREATE TABLE q PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE r PARTITION OF p FOR VALUES IN (2)",
        )
        .await;
    invalidate(&database, "i_ccnew").await;
    database
        .execute("UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'q'::regclass; ALTER TABLE p DETACH PARTITION r")
        .await;
    let statements = [
        "DROP INDEX CONCURRENTLY gone;",
        "REINDEX INDEX CONCURRENTLY i;",
        "ALTER TABLE p DETACH PARTITION q CONCURRENTLY;",
        "ALTER TABLE p DETACH PARTITION r CONCURRENTLY;",
    ];
    for (version, statement) in (1..).zip(statements) {
        interrupted(&database, version, 0, statement).await;
    }
    let files = directory(&[]);
    for (version, statement) in (1..).zip(statements) {
        write(
            files.path(),
            &format!("{version}_a.sql"),
            &stepwise(statement),
        );
    }
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("i_ccnew is left over from an interrupted REINDEX; it is dropped"),
        "{ended:?}"
    );
    assert_eq!(
        database
            .values("SELECT inhrelid::regclass FROM pg_inherits")
            .await,
        [""; 0]
    );
    assert_eq!(
        database
            .values("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'a'::regclass")
            .await,
        ["i"]
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_in_each_run_until_it_is_corrected() {
    for (refused, problem, corrected) in [
        (
            "DROP INDEX CONCURRENTLY misspelt;",
            "index \"misspelt\" does not exist",
            "DROP INDEX CONCURRENTLY i;",
        ),
        (
            "ALTER TABLE p DETACH PARTITION misspelt CONCURRENTLY;",
            "relation \"misspelt\" does not exist",
            "ALTER TABLE p DETACH PARTITION q CONCURRENTLY;",
        ),
        (
            "REINDEX INDEX CONCURRENTLY misspelt;",
            "relation \"misspelt\" does not exist",
            "REINDEX INDEX CONCURRENTLY i;",
        ),
        (
            "VACUUM misspelt;",
            "relation \"misspelt\" does not exist",
            "VACUUM a;",
        ),
        (
            "DO $$ BEGIN PERFORM 1 / 0; END $$;",
            "division by zero",
            "DO $$ BEGIN PERFORM 1; END $$;",
        ),
    ] {
        let database = Server::shared().database().await;
        database
            .execute(
                "CREATE TABLE a (b int); CREATE INDEX i ON a (b);
                 CREATE TABLE p (b int) PARTITION BY LIST (b); CREATE TABLE q PARTITION OF p FOR VALUES IN (1)",
            )
            .await;
        let files = directory(&[("1_a.sql", &stepwise(refused))]);
        for _ in 0..2 {
            let ended = migrate(&database, files.path());
            assert_eq!(ended.code, Some(1), "{refused}: {ended:?}");
            assert!(ended.stderr.contains(problem), "{refused}: {ended:?}");
            assert_eq!(versions(&database).await, [""; 0], "{refused}");
        }
        write(files.path(), "1_a.sql", &stepwise(corrected));
        let ended = migrate(&database, files.path());
        assert_eq!(ended.code, Some(0), "{corrected}: {ended:?}");
    }
}

#[tokio::test]
async fn a_detachment_that_the_server_has_begun_and_then_refused_is_finished_by_the_next_run() {
    let database = Server::shared().database().await;
    database
        .execute(
            "CREATE TABLE p (b int) PARTITION BY LIST (b); CREATE TABLE q PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE r PARTITION OF p FOR VALUES IN (2)",
        )
        .await;
    let mut reader = database.client().await;
    let transaction = reader.transaction().await.unwrap();
    transaction.batch_execute("SELECT FROM p").await.unwrap();
    let files = directory(&[(
        "1_a.sql",
        &stepwise("ALTER TABLE p DETACH PARTITION q CONCURRENTLY;"),
    )]);
    let ended = run(program(&database)
        .env("MIGRATION_STATEMENT_TIMEOUT", "300ms")
        .args(["--migrations".as_ref(), files.path().as_os_str()]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    transaction.commit().await.unwrap();
    assert_eq!(
        database
            .value("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'q'::regclass")
            .await,
        "t"
    );

    // It is in the way of another partition, which is not taken for it.
    let other = directory(&[(
        "1_a.sql",
        &stepwise("ALTER TABLE p DETACH PARTITION r CONCURRENTLY;"),
    )]);
    let ended = migrate(&database, other.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("partition \"q\" already pending detach"),
        "{ended:?}"
    );

    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database
            .values("SELECT inhrelid::regclass FROM pg_inherits")
            .await,
        ["r"]
    );
}

#[tokio::test]
async fn a_refused_reindex_leaves_nothing_behind() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE a (b int); CREATE INDEX i ON a (b)")
        .await;
    let mut reader = database.client().await;
    let transaction = reader.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let files = directory(&[("1_a.sql", &stepwise("REINDEX INDEX CONCURRENTLY i;"))]);
    let running = start(program(&database).arg("--migrations").arg(files.path()));
    database
        .until("SELECT count(*) > 0 FROM pg_class WHERE relname = 'i_ccnew'")
        .await;
    database
        .execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'REINDEX%'",
        )
        .await;
    transaction.commit().await.unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(steps(&database).await, [""; 0]);
    assert_eq!(
        database
            .values("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'a'::regclass")
            .await,
        ["i"]
    );
}

#[tokio::test]
async fn a_statement_that_was_interrupted_is_kept_and_the_way_out_is_named() {
    let database = Server::shared().database().await;
    let statement = "DO 'BEGIN PERFORM 1 / 0; END';";
    interrupted(&database, 1, 0, statement).await;
    let files = directory(&[("1_a.sql", &stepwise(statement))]);
    for sql in [statement, "SELECT 1;"] {
        write(files.path(), "1_a.sql", &stepwise(sql));
        let ended = migrate(&database, files.path());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in [
            "next: keep the statement as it was when an earlier run began it",
            "database-migration repair --forget-unfinished 1",
        ] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
    let ended = run(program(&database)
        .args(["repair", "--forget-unfinished", "1", "--migrations"])
        .arg(files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(migrate(&database, files.path()).code, Some(0));
}

#[tokio::test]
async fn what_is_set_holds_for_later_statements_and_later_runs_but_not_for_our_own() {
    let database = Server::shared().database().await;
    let role = format!("{}_owner", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {role}; CREATE SCHEMA s AUTHORIZATION {role}; CREATE TABLE s.a (b int);
             ALTER TABLE s.a OWNER TO {role}"
        ))
        .await;
    let files = directory(&[(
        "1_a.sql",
        &stepwise(&format!(
            "SET ROLE {role};\nSET search_path = s;\nCREATE INDEX CONCURRENTLY i ON a (b);\n\
             SELECT 1 / count(*) FROM a;\nCREATE TABLE c ();"
        )),
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("division by zero"), "{ended:?}");
    database.execute("INSERT INTO s.a VALUES (1)").await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database
            .value("SELECT relowner::regrole FROM pg_class WHERE oid = 's.c'::regclass")
            .await,
        role
    );
    assert!(is_valid(&database, "s.i").await);
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_role_that_is_reset_is_not_taken_again() {
    let database = Server::shared().database().await;
    let role = format!("{}_owner", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {role}; CREATE SCHEMA s AUTHORIZATION {role}"
        ))
        .await;
    let files = directory(&[(
        "1_a.sql",
        &stepwise(&format!(
            "SET ROLE {role};\nCREATE TABLE s.a ();\nRESET ROLE;\nCREATE TABLE s.b ();"
        )),
    )]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database
            .values(&format!(
                "SELECT relname FROM pg_class WHERE relowner = '{role}'::regrole AND relkind = 'r'"
            ))
            .await,
        ["a"]
    );
    database
        .execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_file_that_is_half_done_must_not_change() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", &stepwise("CREATE TABLE a ();\nSELECT 1 / 0;"))]);
    assert_eq!(migrate(&database, files.path()).code, Some(1));
    write(
        files.path(),
        "1_a.sql",
        &stepwise("CREATE TABLE other ();\nSELECT 1;"),
    );
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("statement 1 was begun by an earlier run, and is another one now"),
        "{ended:?}"
    );
    // What has not run yet may be corrected.
    write(
        files.path(),
        "1_a.sql",
        &stepwise("CREATE TABLE a ();\nSELECT 1;"),
    );
    assert_eq!(migrate(&database, files.path()).code, Some(0));
}

#[tokio::test]
async fn what_has_no_place_without_a_transaction_is_found_before_anything_runs() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_b.sql",
            &stepwise(
                "BEGIN;\nCREATE INDEX CONCURRENTLY ON a (b);\nCOPY a FROM STDIN;\nCOMMIT;\nDISCARD ALL;",
            ),
        ),
        ("3_c.sql", &stepwise("this is no SQL;")),
        ("4_d.sql", "COPY a FROM STDIN;"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in [
        "2_b.sql:3: BEGIN has no place in a migration that runs statement by statement",
        "2_b.sql:4: CREATE INDEX CONCURRENTLY ON a (b) names no index; give it a name",
        "2_b.sql:5: COPY a FROM STDIN wants data from the client",
        "2_b.sql:6: COMMIT has no place",
        "2_b.sql:7: DISCARD ALL would give up the lock that keeps other runs out",
        "3_c.sql:2: it runs without a transaction, so its statements have to be told apart",
        "4_d.sql:2: COPY a FROM STDIN wants data from the client",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(!table_exists(&database, "a").await);
}

#[tokio::test]
async fn a_long_reader_delays_a_concurrent_index_without_breaking_it() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE a (b int)").await;
    let mut reader = database.client().await;
    let transaction = reader
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await
        .unwrap();
    transaction.batch_execute("SELECT FROM a").await.unwrap();
    let files = directory(&[(
        "1_a.sql",
        &stepwise("CREATE INDEX CONCURRENTLY i ON a (b);"),
    )]);
    let mut running = program(&database)
        .env("MIGRATION_LOCK_TIMEOUT", "100ms")
        .args(["--migrations".as_ref(), files.path().as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(running.stdout.take().unwrap());
    // Longer than the lock timeout, which would have left an invalid index.
    let told = tokio::task::spawn_blocking(move || {
        output
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("has been running for"))
    });
    let told = told.await.unwrap().expect("it tells what it is at");
    assert!(
        told.starts_with("1 a: CREATE INDEX CONCURRENTLY i has been running for"),
        "{told}"
    );
    assert!(told.contains("waiting for"), "{told}");
    transaction.commit().await.unwrap();
    let status = tokio::task::spawn_blocking(move || running.wait().unwrap());
    assert_eq!(status.await.unwrap().code(), Some(0));
    assert!(is_valid(&database, "i").await);
}

#[tokio::test]
async fn a_finished_index_is_waited_for_while_its_table_is_locked() {
    let database = Server::shared().database().await;
    let statement = "CREATE INDEX CONCURRENTLY i ON a (b);";
    database
        .execute("CREATE TABLE a (b int); CREATE INDEX i ON a (b)")
        .await;
    interrupted(&database, 1, 0, statement).await;
    let files = directory(&[("1_a.sql", &stepwise(statement))]);
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE a").await.unwrap();
    let running = start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "100ms")
            .args(["--migrations".as_ref(), files.path().as_os_str()]),
    );
    database
        .until(
            "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
    // Longer than the lock timeout, shorter than the pause before the next attempt.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    holder.rollback().await.unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("a lock was not granted in time"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn an_older_program_says_what_a_newer_one_has_left_half_done() {
    let database = Server::shared().database().await;
    let older = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let newer = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", &stepwise("CREATE TABLE b ();\nSELECT 1 / 0;")),
    ]);
    assert_eq!(migrate(&database, newer.path()).code, Some(1));
    let ended = migrate(&database, older.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "warning: version 2 was being applied when that was interrupted, after 1 of its statements, and there is \
             no file for it; database-migration up of the program that has the file finishes it"
        ),
        "{ended:?}"
    );
    let ended = run(program(&database)
        .args(["status", "--format", "json", "--exit-code", "--migrations"])
        .arg(older.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let left = &document["migrations"][1];
    assert_eq!(left["version"], 2);
    assert_eq!(left["state"], "interrupted");
    assert_eq!(left["finished_statements"], 1);

    let ended = migrate(&database, newer.path());
    assert!(!ended.stderr.contains("there is no file"), "{ended:?}");
}
