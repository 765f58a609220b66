//! Start and end of the program, and what it says.

use std::net::TcpListener;

use axum::body::Body;
use axum::http::Request;
use test_process::{Ended, free_port, run};
use tokio::net::TcpStream;

use crate::support::{
    Api, Client, api_behind_proxy, bare_program, database, order, program, until, until_waiting,
};

const ORDER: &str = r#"{"items": [{"productId": "1", "quantity": 1}]}"#;

/// The last ten lines, as `kubectl logs` shows them.
fn last_lines(ended: &Ended) -> String {
    let lines: Vec<_> = ended.stdout.lines().chain(ended.stderr.lines()).collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[test]
fn the_help_text_tells_all_variables_and_exit_codes() {
    let ended = run(bare_program().arg("--help"));
    assert_eq!(ended.code, Some(0));
    for text in [
        "  PORT                port to listen on [8080]\n",
        "  LISTEN_ADDRESS ",
        "  API_KEY ",
        "  API_KEY_FILE ",
        "  REQUEST_TIMEOUT ",
        "  DRAIN_TIMEOUT ",
        "  DB_POOL_SIZE ",
        "  DB_STATEMENT_TIMEOUT\n",
        "  DB_HOST ",
        "  LOG_FORMAT ",
        "--env-prefix",
        "  0  stopped as asked",
        "  1  ",
        "  2  ",
        "  5  ",
    ] {
        assert!(ended.stdout.contains(text), "{text:?} in {}", ended.stdout);
    }
}

#[test]
fn the_version_is_told() {
    let ended = run(bare_program().arg("--version"));
    assert_eq!(
        ended.stdout,
        format!("order-food {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn bad_usage_and_settings_are_exit_code_2() {
    assert_eq!(run(bare_program().arg("--waffles")).code, Some(2));
    for (variable, value) in [
        ("PORT", "http"),
        ("LISTEN_ADDRESS", "everywhere"),
        ("REQUEST_TIMEOUT", "0s"),
        ("DB_POOL_SIZE", "none"),
        ("DB_PORT", "tcp://10.0.0.1:5432"),
        ("LOG_FORMAT", "xml"),
    ] {
        let ended = run(bare_program().env(variable, value));
        assert_eq!(ended.code, Some(2), "{variable}: {ended:?}");
        assert!(
            ended
                .stderr
                .contains(&format!("{variable}={value:?}: expected ")),
            "{ended:?}"
        );
    }
    let ended = run(bare_program().env("API_KEY", "hush hush"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("API_KEY: expected a key"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hush"), "{ended:?}");
}

#[test]
fn a_taken_port_is_exit_code_1() {
    let port = free_port();
    let _other = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let ended = run(bare_program().env("PORT", port.to_string()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last_lines = last_lines(&ended);
    assert!(
        last_lines.contains(&format!("0.0.0.0:{port} cannot be listened on: ")),
        "{last_lines}"
    );
    assert!(
        last_lines.contains("next: set PORT to a free port"),
        "{last_lines}"
    );
}

#[tokio::test]
async fn a_prefix_keeps_services_apart() {
    let database = database().await;
    let mut command = program(&database);
    command
        .args(["--env-prefix", "MENU_"])
        .env("DB_PORT", free_port().to_string())
        .env("API_KEY", "of-another-service");
    for (variable, value) in program(&database).get_envs() {
        if let (Some(variable), Some(value)) = (variable.to_str(), value) {
            command.env(format!("MENU_{variable}"), value);
        }
    }
    let api = Api::start_with_prefix(&mut command, "MENU_").await;
    api.until_ready().await;
    assert_eq!(api.order(ORDER).await.status, 200);
}

#[tokio::test]
async fn a_good_life_is_told_in_four_lines() {
    let database = database().await;
    let api = Api::on(&database).await;
    let port = api.port();
    assert_eq!(api.order(ORDER).await.status, 200);
    let ended = api.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [listens, connected, stopped] = lines.as_slice() else {
        panic!("{ended:?}");
    };
    assert_eq!(
        *listens,
        format!(
            "✓ order-food {} listens on http://127.0.0.1:{port}",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert!(
        connected.starts_with("✓ connected to PostgreSQL "),
        "{connected}"
    );
    assert_eq!(
        *stopped,
        "✓ order-food: stopped as asked, every request was finished"
    );
    assert_eq!(
        ended.stderr,
        "warning: the API's key is the documented one for development: set API_KEY or API_KEY_FILE\n"
    );
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished_after_sigterm() {
    let database = database().await;
    let api = Api::on(&database).await;
    let port = api.port();
    // Neither a connection that was never used nor one that waits for its next request holds up the end.
    let _unused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut idle = Client::connect(port).await;
    idle.send(Request::get("/health").body(Body::empty()).unwrap())
        .await;

    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK order_items IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let (answer, ()) = tokio::join!(api.order(ORDER), async {
        until_waiting(&database, 1).await;
        api.terminate();
        until("the server takes no more connections", async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_err()
        })
        .await;
        until("the idle connection is closed", async || !idle.is_open()).await;
        transaction.commit().await.unwrap();
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(
        database.value("SELECT count(*) FROM order_items").await,
        "1"
    );
    let ended = api.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last_lines = last_lines(&ended);
    assert!(
        last_lines.contains("✓ order-food: stopped as asked, every request was finished"),
        "{last_lines}"
    );
}

#[tokio::test]
async fn a_request_that_does_not_finish_in_time_is_cut_off() {
    let database = database().await;
    let api = Api::start(program(&database).env("DRAIN_TIMEOUT", "200ms")).await;
    api.until_ready().await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK order_items IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut connection = Client::connect(api.port()).await;
    let request = tokio::spawn(async move { connection.send(order(ORDER)).await });
    until_waiting(&database, 1).await;
    let ended = api.stop().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last_lines = last_lines(&ended);
    assert!(
        last_lines.contains("requests cut off after 0.2 s: 1"),
        "{last_lines}"
    );
    assert!(
        last_lines.contains("next: allow more time in DRAIN_TIMEOUT"),
        "{last_lines}"
    );
    assert!(request.await.is_err(), "the request was answered");
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let database = database().await;
    let (api, proxy) = api_behind_proxy(&database).await;
    proxy.hold_requests();
    let (answer, ()) = tokio::join!(api.get("/ready"), async {
        until("the database is asked", async || proxy.held() > 0).await;
        api.terminate();
    });
    assert_eq!(answer.status, 503);
    assert_eq!(answer.message(), "not ready: the server is stopping");
    assert_eq!(api.end().await.code, Some(0));
}
