//! `wait`, which charts use to test that a database can be reached.

use crate::support::{bare_program, last_lines, program, table_exists};
use test_postgres::Server;
use test_process::{free_port, run};

#[tokio::test]
async fn a_database_that_is_there_is_told_and_left_alone() {
    let database = Server::shared().database().await;
    let ended = run(program(&database).arg("wait"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let verdict = format!("✓ database-migration: {} lets ", database.name());
    assert!(last_lines(&ended).contains(&verdict), "{ended:?}");
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[tokio::test]
async fn a_wrong_password_is_told_at_once() {
    let database = Server::shared().database().await;
    let ended = run(program(&database).arg("wait").env("DB_PASSWORD", "wrong"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_server_that_does_not_come_is_given_up() {
    let ended = run(bare_program()
        .arg("wait")
        .env("DB_PORT", free_port().to_string())
        .env("DB_WAIT_TIMEOUT", "200ms"));
    assert_eq!(ended.code, Some(5), "{ended:?}");
}
