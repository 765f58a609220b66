//! Locks, other runs, and being stopped.

use std::time::Duration;

use crate::support::{directory, migrate, program, table_exists, versions};
use test_postgres::Server;
use test_process::{run, start};

fn is_running(statement: &str) -> String {
    format!(
        "SELECT count(*) > 0 FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
           AND query LIKE '{statement}%'"
    )
}

#[tokio::test]
async fn a_run_waits_for_another_and_says_for_whom() {
    let database = Server::shared().database().await;
    let slow = directory(&[("1_a.sql", "SELECT pg_sleep(2);\nCREATE TABLE a ();")]);
    let mut first = program(&database);
    let first = start(
        first
            .env("HOSTNAME", "pod-one")
            .arg("--migrations")
            .arg(slow.path()),
    );
    database.until(&is_running("SELECT pg_sleep")).await;

    let mut second = program(&database);
    let second = start(second.arg("--migrations").arg(slow.path()));
    let (first, second) = (first.end(), second.end());
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(
        second
            .stdout
            .contains("it is held by database-migration pod-one at 127.0.0.1"),
        "{second:?}"
    );
    assert!(second.stdout.contains("nothing to do"), "{second:?}");
    assert_eq!(versions(&database).await, ["1"]);
}

#[tokio::test]
async fn waiting_for_another_run_can_be_limited() {
    let database = Server::shared().database().await;
    let slow = directory(&[("1_a.sql", "SELECT pg_sleep(3);")]);
    let first = start(program(&database).arg("--migrations").arg(slow.path()));
    database.until(&is_running("SELECT pg_sleep")).await;

    let second = run(program(&database)
        .env("MIGRATION_RUNNER_WAIT", "500ms")
        .arg("--migrations")
        .arg(slow.path()));
    assert_eq!(second.code, Some(6), "{second:?}");
    assert!(
        second.stderr.contains("was not obtained within"),
        "{second:?}"
    );
    assert_eq!(first.end().code, Some(0));
}

#[tokio::test]
async fn services_of_one_database_do_not_wait_for_each_other() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE SCHEMA one; CREATE SCHEMA other")
        .await;
    let slow = directory(&[("1_a.sql", "SELECT pg_sleep(3);")]);
    let first = start(
        program(&database)
            .env("MIGRATION_TABLE", "one.history")
            .arg("--migrations")
            .arg(slow.path()),
    );
    database.until(&is_running("SELECT pg_sleep")).await;
    let quick = directory(&[("1_a.sql", "SELECT 1;")]);
    let second = run(program(&database)
        .env("MIGRATION_TABLE", "other.history")
        .env("MIGRATION_RUNNER_WAIT", "0s")
        .arg("--migrations")
        .arg(quick.path()));
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(first.end().code, Some(0));
}

#[tokio::test]
async fn a_lock_that_is_not_granted_is_tried_again_without_holding_up_others() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE a (id int)").await;
    let mut reader = database.client().await;
    let transaction = reader.transaction().await.unwrap();
    transaction.batch_execute("SELECT * FROM a").await.unwrap();

    let files = directory(&[("1_b.sql", "ALTER TABLE a ADD COLUMN b int;")]);
    let migration = start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "200ms")
            .arg("--migrations")
            .arg(files.path()),
    );
    database.until(&is_running("ALTER TABLE a")).await;
    // A query that comes after the ALTER queues behind it, but only until the lock timeout.
    let queued = database.value("SELECT count(*) FROM a");
    tokio::time::timeout(Duration::from_secs(30), queued)
        .await
        .expect("the query gets through while the reader is still there");
    tokio::time::sleep(Duration::from_millis(500)).await;
    transaction.commit().await.unwrap();

    let ended = migration.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("1_b.sql: a lock was not granted in time"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1"]);
}

#[tokio::test]
async fn trying_again_ends_when_its_time_is_over() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE a (id int)").await;
    let mut reader = database.client().await;
    let transaction = reader.transaction().await.unwrap();
    transaction.batch_execute("SELECT * FROM a").await.unwrap();

    let files = directory(&[("1_b.sql", "ALTER TABLE a ADD COLUMN b int;")]);
    let ended = run(program(&database)
        .env("MIGRATION_LOCK_TIMEOUT", "100ms")
        .env("MIGRATION_LOCK_RETRY", "1s")
        .arg("--migrations")
        .arg(files.path()));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("canceling statement due to lock timeout (SQLSTATE 55P03)"),
        "{ended:?}"
    );
    transaction.commit().await.unwrap();
}

/// The program promises two seconds; a busy machine gets twice as much.
const STOPPING: Duration = Duration::from_secs(4);

#[tokio::test]
async fn the_time_for_trying_again_begins_with_the_first_refusal() {
    for head in ["", "-- Transaction: none\n"] {
        let database = Server::shared().database().await;
        database.execute("CREATE TABLE a (id int)").await;
        let mut reader = database.client().await;
        let transaction = reader.transaction().await.unwrap();
        transaction.batch_execute("SELECT * FROM a").await.unwrap();

        // What comes before takes longer than the time for trying again.
        let sql = format!("{head}SELECT pg_sleep(1.2);\nALTER TABLE a ADD COLUMN b int;");
        let files = directory(&[("1_b.sql", &sql)]);
        let running = start(
            program(&database)
                .env("MIGRATION_LOCK_TIMEOUT", "100ms")
                .env("MIGRATION_LOCK_RETRY", "1s")
                .arg("--migrations")
                .arg(files.path()),
        );
        database
            .until(
                "SELECT count(*) > 0 FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        transaction.commit().await.unwrap();
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{head}: {ended:?}");
        assert!(
            ended.stderr.contains("attempt 2 follows"),
            "{head}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn the_record_of_a_migration_without_a_transaction_is_tried_again() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder
        .batch_execute("LOCK TABLE refinery_schema_history IN SHARE MODE")
        .await
        .unwrap();
    crate::support::write(
        files.path(),
        "2_b.sql",
        "-- Transaction: none\nCREATE TABLE b ();",
    );
    let running = start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "100ms")
            .arg("--migrations")
            .arg(files.path()),
    );
    database
        .until(
            "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    holder.rollback().await.unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("attempt 2 follows"), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2"]);
}

#[tokio::test]
async fn a_lock_that_a_migration_gives_up_is_told() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "SELECT pg_advisory_unlock_all();")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("another run may have been at work at the same time"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_lock_that_may_not_be_asked_for_is_told_in_the_words_of_the_server() {
    let database = Server::shared().database().await;
    let role = format!("{}_plain", database.name());
    database
        .execute(&format!(
            "REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(int8) FROM PUBLIC;
             CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT ALL ON SCHEMA public TO {role}"
        ))
        .await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = run(program(&database)
        .env("DB_USER", &role)
        .env("DB_PASSWORD", "secret")
        .arg("--migrations")
        .arg(files.path()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "could not be asked for: permission denied for function pg_try_advisory_lock (SQLSTATE 42501)"
        ),
        "{ended:?}"
    );
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn sigterm_cancels_the_statement_and_rolls_back() {
    a_signal_cancels_the_statement_and_rolls_back("TERM").await;
}

#[tokio::test]
async fn sigint_cancels_the_statement_and_rolls_back() {
    a_signal_cancels_the_statement_and_rolls_back("INT").await;
}

async fn a_signal_cancels_the_statement_and_rolls_back(signal: &str) {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();\nSELECT pg_sleep(60);"),
    ]);
    let mut process = start(program(&database).arg("--migrations").arg(files.path()));
    database.until(&is_running("SELECT pg_sleep")).await;

    process.signal(signal);
    let ended = process.end_within(STOPPING);
    assert_eq!(ended.code, Some(143), "{ended:?}");
    assert!(ended.stderr.contains("stopped as asked"), "{ended:?}");

    // The lock is free and the statement gone, so the next run does not wait for the sleep to end.
    assert_eq!(database.value(&is_running("SELECT pg_sleep")).await, "f");
    assert_eq!(versions(&database).await, ["1"]);
    assert!(!table_exists(&database, "b").await);
    crate::support::write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let ended = run(program(&database)
        .env("MIGRATION_RUNNER_WAIT", "10s")
        .arg("--migrations")
        .arg(files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_run_that_waits_is_stopped_as_fast() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "SELECT pg_sleep(60);")]);
    let mut first = start(program(&database).arg("--migrations").arg(files.path()));
    database.until(&is_running("SELECT pg_sleep")).await;
    let mut second = start(program(&database).arg("--migrations").arg(files.path()));
    let is_waiting = "SELECT count(*) > 0 FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND (query LIKE 'SELECT pg_try_advisory_lock%' OR query LIKE '%FROM pg_locks AS held%')";
    database.until(is_waiting).await;
    second.signal("TERM");
    let second = second.end_within(STOPPING);
    assert_eq!(second.code, Some(143), "{second:?}");
    first.signal("INT");
    assert_eq!(first.end_within(STOPPING).code, Some(143));
}

#[tokio::test]
async fn after_a_kill_the_next_run_goes_on() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();\nSELECT pg_sleep(1);"),
    ]);
    let mut process = start(program(&database).arg("--migrations").arg(files.path()));
    database.until(&is_running("SELECT pg_sleep")).await;
    process.signal("KILL");
    process.end();

    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2"]);
}

#[tokio::test]
async fn runners_wait_for_a_connection_that_the_server_cannot_spare_just_now() {
    let database = Server::shared().database().await;
    let role = format!("{}_two", database.name());
    database
        .execute(&format!(
            "CREATE SCHEMA one; CREATE SCHEMA other;
             CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 2;
             GRANT ALL ON SCHEMA public, one, other TO {role}"
        ))
        .await;
    let slow = directory(&[("1_a.sql", "SELECT pg_sleep(2);")]);
    let with_role = |table: &str| {
        let mut command = program(&database);
        command
            .env("DB_USER", &role)
            .env("DB_PASSWORD", "secret")
            .env("MIGRATION_TABLE", table)
            .env("MIGRATIONS_DIR", slow.path());
        command
    };
    let first = start(&mut with_role("one.history"));
    database.until(&is_running("SELECT pg_sleep")).await;
    // It has one connection, and needs another for a moment to see whether it goes through a pooler.
    let second = run(&mut with_role("other.history"));
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(first.end().code, Some(0));
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_migration_that_is_being_undone_is_waited_for() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a ();\n-- +++++ DOWN\n-- Transaction: none\nDROP TABLE a;\nSELECT pg_sleep(2);",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let undoing = start(program(&database).args(["down", "--steps", "1", "--allow-data-loss"]));
    database.until(&is_running("SELECT pg_sleep")).await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(undoing.end().code, Some(0));
    assert!(table_exists(&database, "a").await);
}

#[tokio::test]
async fn a_run_that_is_killed_before_it_keeps_the_description_leaves_none_of_an_older_schema() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a ();\nCREATE VIEW v AS SELECT FROM a;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE a").await.unwrap();
    crate::support::write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let mut killed = start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "100ms")
            .arg("--migrations")
            .arg(files.path()),
    );
    // To describe the view it waits for its table, for longer than the lock timeout.
    database.until(&is_running("INSERT INTO")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    killed.signal("KILL");
    let killed = killed.end();
    assert!(killed.stdout.contains("✓ 2 b applied"), "{killed:?}");
    // The server notices that the client has gone.
    database
        .until(&format!("SELECT NOT ({})", is_running("INSERT INTO")))
        .await;
    holder.rollback().await.unwrap();

    let verify = || {
        run(program(&database)
            .arg("verify")
            .arg("--migrations")
            .arg(files.path()))
    };
    let verdict = verify();
    assert_eq!(verdict.code, Some(0), "{verdict:?}");
    assert!(
        verdict.stdout.contains("is not known before"),
        "{verdict:?}"
    );
    let ended = migrate(&database, files.path());
    assert!(ended.stdout.contains("nothing to do"), "{ended:?}");
    let verdict = verify();
    assert_eq!(verdict.code, Some(0), "{verdict:?}");
    assert!(
        verdict.stdout.contains("✓ nothing was changed by hand"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_description_that_cannot_be_kept_in_time_is_made_up_for_later() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a ();\nCREATE VIEW v AS SELECT FROM a;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE a").await.unwrap();
    crate::support::write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let ended = start(
        program(&database)
            .env("MIGRATION_STATEMENT_TIMEOUT", "500ms")
            .arg("--migrations")
            .arg(files.path()),
    )
    .end_within(Duration::from_mins(1));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 applied"), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "warning: what is changed by hand will not be known until a later run has kept the description: \
             keeping the description of the schema failed: canceling statement due to lock timeout (SQLSTATE 55P03)"
        ),
        "{ended:?}"
    );
    holder.rollback().await.unwrap();
    let is_kept = "SELECT to_regclass('refinery_schema_history_catalog') IS NOT NULL";
    assert_eq!(database.value(is_kept).await, "f");
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(database.value(is_kept).await, "t");
}
