//! Locks, other runs, and being stopped.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{directory, program, table_exists, versions};
use test_postgres::{Database, Server};
use test_process::Ended;

/// Starts the program and returns while it runs.
fn start(command: &mut Command) -> std::process::Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(process: std::process::Child) -> Ended {
    process.wait_with_output().unwrap().into()
}

/// Waits until a query returns `t`, for ten seconds at most.
async fn until(database: &Database<'_>, condition: &str) {
    let started = Instant::now();
    while database.value(condition).await != "t" {
        assert!(started.elapsed() < Duration::from_secs(10), "{condition}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

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
    until(&database, &is_running("SELECT pg_sleep")).await;

    let mut second = program(&database);
    let second = start(second.arg("--migrations").arg(slow.path()));
    let (first, second) = (end(first), end(second));
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
    until(&database, &is_running("SELECT pg_sleep")).await;

    let second = end(start(
        program(&database)
            .env("MIGRATION_RUNNER_WAIT", "500ms")
            .arg("--migrations")
            .arg(slow.path()),
    ));
    assert_eq!(second.code, Some(6), "{second:?}");
    assert!(
        second.stderr.contains("was not obtained within"),
        "{second:?}"
    );
    assert_eq!(end(first).code, Some(0));
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
    until(&database, &is_running("SELECT pg_sleep")).await;
    let quick = directory(&[("1_a.sql", "SELECT 1;")]);
    let second = end(start(
        program(&database)
            .env("MIGRATION_TABLE", "other.history")
            .env("MIGRATION_RUNNER_WAIT", "0s")
            .arg("--migrations")
            .arg(quick.path()),
    ));
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(end(first).code, Some(0));
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
    until(&database, &is_running("ALTER TABLE a")).await;
    // A query that comes after the ALTER queues behind it, but only until the lock timeout.
    let queued = database.value("SELECT count(*) FROM a");
    tokio::time::timeout(Duration::from_secs(30), queued)
        .await
        .expect("the query gets through while the reader is still there");
    tokio::time::sleep(Duration::from_millis(500)).await;
    transaction.commit().await.unwrap();

    let ended = end(migration);
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
    let ended = end(start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "100ms")
            .env("MIGRATION_LOCK_RETRY", "1s")
            .arg("--migrations")
            .arg(files.path()),
    ));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("canceling statement due to lock timeout (SQLSTATE 55P03)"),
        "{ended:?}"
    );
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn sigterm_cancels_the_statement_and_rolls_back() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();\nSELECT pg_sleep(60);"),
    ]);
    let process = start(program(&database).arg("--migrations").arg(files.path()));
    until(&database, &is_running("SELECT pg_sleep")).await;

    let status = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let ended = end(process);
    assert_eq!(ended.code, Some(143), "{ended:?}");
    assert!(ended.stderr.contains("stopped as asked"), "{ended:?}");

    // The lock is free and the statement gone, so the next run does not wait for the sleep to end.
    assert_eq!(database.value(&is_running("SELECT pg_sleep")).await, "f");
    assert_eq!(versions(&database).await, ["1"]);
    assert!(!table_exists(&database, "b").await);
    crate::support::write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let ended = end(start(
        program(&database)
            .env("MIGRATION_RUNNER_WAIT", "10s")
            .arg("--migrations")
            .arg(files.path()),
    ));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn after_a_kill_the_next_run_goes_on() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();\nSELECT pg_sleep(1);"),
    ]);
    let mut process = start(program(&database).arg("--migrations").arg(files.path()));
    until(&database, &is_running("SELECT pg_sleep")).await;
    process.kill().unwrap();
    process.wait().unwrap();

    let ended = end(start(
        program(&database).arg("--migrations").arg(files.path()),
    ));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2"]);
}
