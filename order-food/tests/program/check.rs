//! `check`, which charts use to test a running API.

use crate::support::{Api, bare_program, database, program};
use test_postgres::Server;
use test_process::{Ended, run};

fn check(address: &str) -> Ended {
    run(bare_program().args(["check", address]))
}

#[tokio::test]
async fn an_api_that_works_is_told_with_what_was_looked_at() {
    let database = database().await;
    let api = Api::on(&database).await;
    let address = format!("http://127.0.0.1:{}", api.port());
    let ended = check(&address);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = format!("{}{}", ended.stdout, ended.stderr);
    for part in [
        "✓ GET /health answers 200",
        "✓ GET /ready answers 200",
        "✓ GET /api/product answers 200",
        "✓ POST /api/order answers 401",
        &format!("✓ order-food: {address} works and offers 10 products ("),
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "0");
}

#[tokio::test]
async fn an_api_without_its_tables_does_not_work() {
    let database = Server::shared().database().await;
    let api = Api::start(&mut program(&database)).await;
    let ended = check(&format!("http://127.0.0.1:{}/", api.port()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("/ready: expected 200, got 503 Service Unavailable: {"),
        "{ended:?}"
    );
}

#[test]
fn a_name_that_is_not_known_is_no_answer() {
    let ended = check("http://order-food.invalid");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("GET http://order-food.invalid/health: no answer: "),
        "{ended:?}"
    );
}

#[test]
fn what_is_no_address_is_bad_usage() {
    for address in ["order-food:8080", "https://order-food", "http://a/b", "a b"] {
        let ended = check(address);
        assert_eq!(ended.code, Some(2), "{address}: {ended:?}");
        assert!(
            ended.stderr.contains("is not the address of an API"),
            "{ended:?}"
        );
    }
}
