//! What HTTP itself asks for.

use axum::body::Body;
use axum::http::Request;

use crate::support::{Api, Client, database, program, send_half_an_order};

fn request(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn methods_and_paths_that_are_not_known() {
    let database = database().await;
    let api = Api::on(&database).await;
    for (method, path, allow) in [
        ("POST", "/api/product", "GET,HEAD"),
        ("DELETE", "/api/product/1", "GET,HEAD"),
        ("GET", "/api/order", "POST"),
        ("OPTIONS", "/api/order", "POST"),
        ("WAFFLE", "/api/order", "POST"),
        ("POST", "/health", "GET,HEAD"),
        ("PUT", "/ready", "GET,HEAD"),
    ] {
        let answer = api.send(request(method, path)).await;
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        assert!(answer.message().contains("Allow"), "{answer:?}");
    }
    for path in ["/", "/api", "/api/orders", "/metrics", "/api/product/1/2"] {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(
            answer.message().contains("/api/product/{productId}"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let database = database().await;
    let api = Api::on(&database).await;
    for path in [
        "/api/product",
        "/api/product/1",
        "/api/product/11",
        "/health",
        "/ready",
    ] {
        let get = api.get(path).await;
        let head = api.send(request("HEAD", path)).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.header("content-length"),
            get.header("content-length"),
            "{path}"
        );
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        assert_eq!(head.body, "", "{path}");
    }
}

#[tokio::test]
async fn a_body_has_a_limit_and_needs_no_content_type() {
    let database = database().await;
    let api = Api::on(&database).await;
    let body = r#"{"items": [{"productId": "1", "quantity": 1}]}"#;
    let of_length = |length: usize| body.to_owned() + &" ".repeat(length - body.len());
    assert_eq!(api.order(of_length(64 * 1024)).await.status, 200);
    let answer = api.order(of_length(64 * 1024 + 1)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.message(), "the body is longer than 65536 bytes");

    let mut request = crate::support::order(body);
    let headers = request.headers_mut();
    headers.insert(
        "content-type",
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    assert_eq!(api.send(request).await.status, 200);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let database = database().await;
    let api = Api::on(&database).await;
    let mut client = Client::connect(api.port()).await;
    for path in [
        "/api/product",
        "/nowhere",
        "/api/product/x",
        "/api/product/1",
        "/health",
    ] {
        client.send(request("GET", path)).await;
        assert!(client.is_open(), "{path}");
    }
}

#[tokio::test]
async fn a_request_has_a_limit_of_time() {
    let database = database().await;
    let mut command = program(&database);
    let api = Api::start(command.env("REQUEST_TIMEOUT", "200ms")).await;
    api.until_ready().await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK products IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let answer = api.get("/api/product").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(
        answer.message().contains("no answer within 0.2 s"),
        "{answer:?}"
    );

    // A client that does not send what it promised is not waited for either.
    let answer = send_half_an_order(api.port(), "apitest").await;
    assert_eq!(answer, "HTTP/1.1 503 Service Unavailable");
}
