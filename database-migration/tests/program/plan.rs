//! `plan`, which only looks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};

use crate::support::{
    assert_golden, directory, last_lines, migrate, program, table_exists, versions, write,
};

/// A role that may look, and nothing else.
async fn reader(database: &Database<'_>) -> String {
    let role = format!("reader_of_{}", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'reader';
             REVOKE ALL ON SCHEMA public FROM PUBLIC;
             GRANT USAGE ON SCHEMA public TO {role};
             DO $$ BEGIN
                 IF to_regclass('refinery_schema_history') IS NOT NULL THEN
                     GRANT SELECT ON refinery_schema_history TO {role};
                 END IF;
             END $$"
        ))
        .await;
    role
}

/// The program, as a role that may only look, in the directory of the migrations.
async fn plan(database: &Database<'_>, directory: &Path, arguments: &[&str]) -> Ended {
    let role = reader(database).await;
    run(plan_as(database, &role, directory).args(arguments))
}

fn plan_as(database: &Database<'_>, role: &str, directory: &Path) -> Command {
    let mut command = program(database);
    command
        .current_dir(directory)
        .env("DB_USER", role)
        .env("DB_PASSWORD", "reader")
        .args(["plan", "--migrations", "."]);
    command
}

/// A database at version 1, and a little of everything that may come next.
async fn some_pending(database: &Database<'_>) -> TempDir {
    let files = directory(&[(
        "1_tables.sql",
        "CREATE TABLE orders (id bigint PRIMARY KEY, total int, note varchar(20));\n\
         CREATE TABLE carts (id bigint);\n\
         CREATE SCHEMA menu;\n\
         CREATE TABLE menu.dishes (id bigint) PARTITION BY LIST (id);\n\
         CREATE TABLE menu.dish PARTITION OF menu.dishes FOR VALUES IN (1);",
    )]);
    let ended = migrate(database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    database
        .execute(
            "INSERT INTO orders SELECT number FROM generate_series(1, 3) AS number;
             INSERT INTO menu.dishes VALUES (1);
             ANALYZE orders; ANALYZE menu.dishes",
        )
        .await;
    write(
        files.path(),
        "2_types.sql",
        "ALTER TABLE orders ALTER COLUMN note TYPE varchar(40);\n\
         ALTER TABLE orders\n    ALTER COLUMN total TYPE bigint;\n\
         ALTER TABLE \"orders\" ALTER COLUMN note TYPE varchar(60);\n\
         TRUNCATE carts, menu.dishes;\n\
         -- +++++ DOWN\nSELECT 1;",
    );
    write(
        files.path(),
        "3_new.sql",
        "CREATE TABLE coupons (code text);\n\
         CREATE INDEX coupons_code ON coupons (code);\n\
         CREATE TABLE IF NOT EXISTS carts (id bigint);\n\
         ALTER TABLE public.coupons ADD COLUMN order_id bigint REFERENCES orders;\n\
         DROP TABLE carts;\n\
         CREATE TABLE carts (id bigint);\n\
         CREATE TABLE draft (id bigint);\n\
         DROP TABLE draft;\n\
         TRUNCATE draft;\n\
         -- +++++ DOWN\nDROP TABLE coupons;",
    );
    write(
        files.path(),
        "4_outside.sql",
        "-- Transaction: none\n\
         CREATE INDEX CONCURRENTLY coupons_id ON coupons (order_id);\n\
         DROP INDEX CONCURRENTLY coupons_id;\n\
         ALTER TABLE nowhere ADD COLUMN a int;\n\
         GRANT SELECT ON carts TO PUBLIC;\n\
         -- lint-ignore not-repeatable: it does nothing\n\
         DO $$ BEGIN END $$;",
    );
    write(files.path(), "5_newer.sql", "MAKE TABLE orders GREAT;");
    files
}

#[tokio::test]
async fn what_up_would_do_is_told_to_a_role_that_may_only_look() {
    let database = Server::shared().database().await;
    let files = some_pending(&database).await;
    let ended = plan(&database, files.path(), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines();
    let document: String = lines
        .filter(|line| !line.starts_with('✓'))
        .map(|line| line.replace(database.name(), "DATABASE") + "\n")
        .collect();
    assert_golden("plan.txt", &document);
    assert!(
        last_lines(&ended).contains("\n✓ database-migration: 4 migrations pending ("),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1"]);
    assert!(!table_exists(&database, "coupons").await);
}

#[tokio::test]
async fn for_programs_standard_output_is_one_document() {
    let database = Server::shared().database().await;
    let files = some_pending(&database).await;
    let ended = plan(&database, files.path(), &["--format", "json"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document = ended.stdout.replace(database.name(), "DATABASE");
    assert_golden("plan.json", &document);
    assert!(
        ended.stderr.contains("✓ connected to PostgreSQL "),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_database_without_a_history_stays_without() {
    let database = Server::shared().database().await;
    let role = reader(&database).await;
    let ended = run(program(&database)
        .env("DB_USER", &role)
        .env("DB_PASSWORD", "reader")
        .arg("plan"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let headline = format!(
        "{} has no migrations; 6 migrations pending\n",
        database.name()
    );
    assert!(ended.stdout.contains(&headline), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("    orders: ACCESS EXCLUSIVE, created (new, nobody waits for it)\n"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[tokio::test]
async fn nothing_pending_and_a_database_that_is_ahead_are_told() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let role = reader(&database).await;
    let headline = |ended: &Ended| {
        let headline = ended.stdout.lines().find(|line| line.contains(" pending"));
        headline.unwrap().replace(database.name(), "DATABASE")
    };
    let ended = run(&mut plan_as(&database, &role, files.path()));
    assert_eq!(
        headline(&ended),
        "DATABASE is at version 2 b; 0 migrations pending"
    );

    std::fs::remove_file(files.path().join("2_b.sql")).unwrap();
    let ended = run(&mut plan_as(&database, &role, files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        headline(&ended),
        "DATABASE is at version 2 b, ahead of this program by 1 migration; 0 migrations pending"
    );
}

#[tokio::test]
async fn files_that_disagree_with_the_history_are_an_error() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(files.path(), "1_a.sql", "CREATE TABLE other ();");
    let ended = plan(&database, files.path(), &["--format", "json"]).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("changed after it was applied"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_role_that_may_not_read_the_history_is_told_so() {
    let database = Server::shared().database().await;
    let role = reader(&database).await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = run(&mut plan_as(&database, &role, files.path()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("permission denied"), "{ended:?}");
}

#[tokio::test]
async fn a_table_that_somebody_has_locked_is_told_without_its_size() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "ALTER TABLE a ADD COLUMN b int;")]);
    database.execute("CREATE TABLE a ()").await;
    let role = reader(&database).await;
    let mut other = database.client().await;
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE a").await.unwrap();
    let mut command = plan_as(&database, &role, files.path());
    command.env("MIGRATION_LOCK_TIMEOUT", "100ms");
    let ended = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("    a: ACCESS EXCLUSIVE\n"),
        "{ended:?}"
    );
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_name_without_a_schema_is_that_of_the_visible_table() {
    let database = Server::shared().database().await;
    let name = database.name();
    database
        .execute(&format!(
            "CREATE SCHEMA menu; GRANT USAGE ON SCHEMA menu TO PUBLIC; CREATE TABLE a (); CREATE TABLE menu.a (b varchar(20));
             INSERT INTO menu.a VALUES ('c');
             CREATE TABLE d AS SELECT 1 AS e; ALTER DATABASE {name} SET search_path = menu, public"
        ))
        .await;
    let sql = "ALTER TABLE a ALTER COLUMN b TYPE varchar(40);\nTRUNCATE public.a;\nTRUNCATE d;\n\
               CREATE TABLE new ();\nALTER TABLE menu.new ADD COLUMN b text;\nALTER TABLE public.new ADD COLUMN b text;";
    let files = directory(&[("1_a.sql", sql)]);
    let ended = plan(&database, files.path(), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "a: ACCESS EXCLUSIVE (8192 bytes)",
        "public.a: ACCESS EXCLUSIVE, emptied (0 bytes)",
        "d: ACCESS EXCLUSIVE, emptied (8192 bytes)",
        "menu.new: ACCESS EXCLUSIVE (new, nobody waits for it)",
        "public.new: ACCESS EXCLUSIVE (not there now)",
    ] {
        assert!(
            ended.stdout.contains(&format!("    {line}\n")),
            "{line}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_run_of_somebody_else_is_not_waited_for() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "SELECT pg_sleep(60);")]);
    let role = reader(&database).await;
    let mut running = program(&database)
        .env("MIGRATIONS_DIR", files.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sleeping = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while database.value(sleeping).await == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database
        .execute(&format!(
            "GRANT SELECT ON refinery_schema_history TO {role}"
        ))
        .await;
    let ended = run(&mut plan_as(&database, &role, files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("; 1 migration pending\n"),
        "{ended:?}"
    );
    assert!(running.try_wait().unwrap().is_none());
    running.kill().unwrap();
    running.wait().unwrap();
}
