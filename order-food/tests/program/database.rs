//! What happens while the database is away, or when it comes back.

use std::time::{Duration, Instant};

use axum::http::Request;
use futures_util::future::join_all;
use test_postgres::{Database, Server};
use test_process::free_port;

use crate::support::{
    Api, PRODUCTS, api_behind_proxy, database, migrate, order, program, until_waiting,
};

const ORDER: &str = r#"{"items": [{"productId": "1", "quantity": 1}]}"#;

/// Makes the server open two connections at once.
async fn open_two_connections(api: &Api, database: &Database<'_>) {
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK products IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let gets = join_all([api.get("/api/product"), api.get("/api/product")]);
    let (answers, ()) = tokio::join!(gets, async {
        until_waiting(database, 2).await;
        transaction.commit().await.unwrap();
    });
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
}

#[tokio::test]
async fn without_a_database_the_server_lives_and_says_so() {
    let database = Server::shared().database().await;
    let mut command = program(&database);
    let api = Api::start(command.env("DB_PORT", free_port().to_string())).await;
    assert_eq!(api.get("/health").await.status, 200);
    for request in [
        Request::get("/ready").body(String::new()).unwrap(),
        Request::get("/api/product").body(String::new()).unwrap(),
        Request::get("/api/product/1").body(String::new()).unwrap(),
        order(ORDER).map(|_| ORDER.to_owned()),
    ] {
        let answer = api.send(request.map(Into::into)).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
        assert!(
            answer.message().contains("the database is not available"),
            "{answer:?}"
        );
    }
    // Also before it has ever been ready, a server ends well when it is asked to.
    let ended = api.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("GET /api/product answered with 503 Service Unavailable: no connection to the database: "), "{ended:?}");
}

#[tokio::test]
async fn a_database_that_is_never_reached_is_exit_code_5() {
    let database = Server::shared().database().await;
    let api = Api::start(
        program(&database)
            .env("DB_PORT", free_port().to_string())
            .env("DB_WAIT_TIMEOUT", "200ms"),
    )
    .await;
    let ended = api.end().await;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("was not reached within"), "{ended:?}");
}

#[tokio::test]
async fn a_database_that_refuses_is_exit_code_2() {
    let database = Server::shared().database().await;
    let api = Api::start(program(&database).env("DB_PASSWORD", "wrong-and-hush")).await;
    let ended = api.end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("check DB_USER, DB_PASSWORD"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hush"), "{ended:?}");
}

#[tokio::test]
async fn it_stays_ready_while_a_table_is_locked() {
    let database = database().await;
    let api = Api::on(&database).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute(
            "LOCK products, orders, order_items, load_run, coupons IN ACCESS EXCLUSIVE MODE",
        )
        .await
        .unwrap();
    assert_eq!(api.get("/ready").await.status, 200);
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn it_is_ready_once_all_tables_are_there() {
    let database = Server::shared().database().await;
    let api = Api::start(&mut program(&database)).await;
    let answer = api.get("/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.message(),
        "not ready: a table is missing; run database-migration"
    );

    let answer = api.get("/api/product").await;
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.message(),
        "the request could not be answered; the server's log says why"
    );

    migrate(&database).await;
    let answer = api.get("/ready").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.message(), "ready");
    assert_eq!(api.get("/api/product").await.body, "[]");

    let ended = api.stop().await;
    let lines = ended.stderr.lines();
    let logged = lines.filter(|line| line.contains("GET /api/product answered with 500"));
    let logged: Vec<_> = logged.collect();
    assert_eq!(logged.len(), 1, "{ended:?}");
    assert!(
        logged[0].contains("relation \"products\" does not exist (SQLSTATE 42P01)"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn it_is_not_ready_without_all_that_its_statements_name() {
    let database = database().await;
    let api = Api::on(&database).await;
    for (kind, taken_away, put_back) in [
        ("table", "products RENAME TO a", "a RENAME TO products"),
        ("table", "orders RENAME TO a", "a RENAME TO orders"),
        (
            "table",
            "order_items RENAME TO a",
            "a RENAME TO order_items",
        ),
        ("table", "load_run RENAME TO a", "a RENAME TO load_run"),
        ("table", "coupons RENAME TO a", "a RENAME TO coupons"),
        (
            "column",
            "products RENAME removed_at TO a",
            "products RENAME a TO removed_at",
        ),
    ] {
        database.execute(&format!("ALTER TABLE {taken_away}")).await;
        let answer = api.get("/ready").await;
        assert_eq!(answer.status, 503, "{taken_away}");
        assert_eq!(
            answer.message(),
            format!("not ready: a {kind} is missing; run database-migration")
        );
        database.execute(&format!("ALTER TABLE {put_back}")).await;
        assert_eq!(api.get("/ready").await.status, 200, "{put_back}");
    }
}

#[tokio::test]
async fn readiness_asks_the_database_for_a_second_at_most() {
    let database = database().await;
    let (api, proxy) = api_behind_proxy(&database).await;
    proxy.hold_requests();
    let started = Instant::now();
    let answer = api.get("/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.message(), "not ready: the database is not available");
    let waited = started.elapsed();
    assert!(
        waited > Duration::from_millis(900) && waited < Duration::from_secs(2),
        "{waited:?}"
    );
    // A connection that the proxy keeps from logging in would keep its database from being dropped for a minute.
    api.stop().await;
}

#[tokio::test]
async fn terminated_connections_are_replaced() {
    let database = database().await;
    let api = Api::on(&database).await;
    open_two_connections(&api, &database).await;
    for _ in 0..5 {
        let terminated = database
            .values(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'order-food%'",
            )
            .await;
        assert!(!terminated.is_empty());
        assert_eq!(api.get("/api/product/1").await.status, 200);
        assert_eq!(api.order(ORDER).await.status, 200);
    }
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "5");
}

#[tokio::test]
async fn connections_that_turn_out_to_be_lost_cost_no_request() {
    let database = database().await;
    let (api, proxy) = api_behind_proxy(&database).await;
    open_two_connections(&api, &database).await;
    proxy.lose_connections();
    assert_eq!(api.get("/api/product").await.status, 200);

    open_two_connections(&api, &database).await;
    proxy.lose_connections();
    assert_eq!(api.order(ORDER).await.status, 200);
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "1");
}

#[tokio::test]
async fn an_order_whose_outcome_is_lost_is_stored_once() {
    let database = database().await;
    let (api, proxy) = api_behind_proxy(&database).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK orders IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let (answer, ()) = tokio::join!(api.order(ORDER), async {
        // The statement has arrived; its answer will not.
        until_waiting(&database, 1).await;
        proxy.lose_answer();
        transaction.commit().await.unwrap();
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        database.values("SELECT order_id FROM order_items").await,
        [answer.json()["id"].as_str().unwrap()]
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let database = database().await;
    let mut command = program(&database);
    let api = Api::start(command.env("DB_STATEMENT_TIMEOUT", "100ms")).await;
    api.until_ready().await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK orders IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let answer = api.order(ORDER).await;
    assert_eq!(answer.status, 503);
    assert!(answer.message().contains("the database is not available"));
    assert!(api.stop().await.stderr.contains("(SQLSTATE 57014)"));
}

#[tokio::test]
async fn a_request_waits_for_a_connection_for_a_while() {
    let database = database().await;
    let api = Api::start(program(&database).env("DB_POOL_SIZE", "1")).await;
    api.until_ready().await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK products IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let (first, second) = tokio::join!(api.get("/api/product"), async {
        until_waiting(&database, 1).await;
        let second = api.get("/api/product").await;
        transaction.commit().await.unwrap();
        second
    });
    assert_eq!(first.status, 200);
    assert_eq!(second.status, 503);
    assert!(
        api.stop()
            .await
            .stderr
            .contains("none became free within 3 s; DB_POOL_SIZE")
    );
}

#[tokio::test]
async fn a_migration_under_a_running_server_does_no_harm() {
    let database = database().await;
    let api = Api::on(&database).await;
    assert_eq!(api.get("/api/product/1").await.status, 200);
    // A prepared statement would fail from here on: its result's type has changed.
    database
        .execute("ALTER TABLE products ALTER price TYPE numeric(12, 3), ALTER name TYPE text")
        .await;
    let answer = api.get("/api/product/1").await;
    assert!(answer.body.contains("\"price\":12.990"), "{answer:?}");
    database.execute("TRUNCATE products CASCADE").await;
    database.execute(PRODUCTS).await;
    assert_eq!(api.get("/api/product/1").await.status, 200);
}
