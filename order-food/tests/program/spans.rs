//! The spans that arrive at a collector.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use test_collector::{Collector, Span};
use test_postgres::{Database, Server};

use crate::support::{Api, COUPONS, coupon, database, order, program, until};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const UNSET: i32 = 0;
const ERROR: i32 = 2;
const NO_PARENT: &str = "";

const POD: &str = "5b8efff7-98b4-4b13-9a46-6d1e6e8d7f11";
const POD_TRACE: &str = "5b8efff798b44b139a466d1e6e8d7f11";
const REMOTE_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const REMOTE_SPAN: &str = "b7ad6b7169203331";

/// A server that exports its spans without delay; returns when that of its start has arrived.
async fn traced(database: &Database<'_>, collector: &Collector) -> Api {
    let api = Api::start(
        program(database)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("POD_UID", POD),
    )
    .await;
    until("the span of the start has arrived", async || {
        collector
            .spans()
            .iter()
            .any(|span| span.name == "order-food")
    })
    .await;
    api
}

/// The only span of this name.
fn only<'spans>(spans: &'spans [Span], name: &str) -> &'spans Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found.as_slice() else {
        panic!("{} spans named {name} in {spans:#?}", found.len());
    };
    span
}

fn attributes(span: &Span) -> BTreeMap<&str, &str> {
    let attributes = span.attributes.iter();
    attributes
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

#[tokio::test]
async fn the_start_is_a_span_that_ends_while_the_server_runs() {
    let database = database().await;
    let collector = Collector::start().await;
    let _api = traced(&database, &collector).await;
    let spans = collector.spans();
    let start = only(&spans, "order-food");
    assert_eq!(
        (start.trace_id.as_str(), start.parent_id.as_str()),
        (POD_TRACE, NO_PARENT)
    );
    for child in ["connect", "SELECT current_schema"] {
        assert_eq!(only(&spans, child).parent_id, start.span_id);
    }
}

#[tokio::test]
async fn a_start_that_fails_shows_in_its_span() {
    let database = database().await;
    let collector = Collector::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = program(&database);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("LISTEN_ADDRESS", "127.0.0.1")
        .env("PORT", port.to_string());
    let ended = tokio::task::spawn_blocking(move || test_process::run(&mut command))
        .await
        .unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let spans = collector.spans();
    let start = only(&spans, "order-food");
    assert_eq!(start.status, ERROR);
    assert_eq!(start.attributes["error.type"], "Failed");
    assert_eq!(start.numbers["process.exit.code"], 1);
}

#[tokio::test]
async fn each_request_is_a_trace_of_its_own() {
    let database = database().await;
    let collector = Collector::start().await;
    let api = traced(&database, &collector).await;
    let get = Request::get("/api/product/10?key=hush").header("user-agent", "waffle/1");
    api.send(get.body(Body::empty()).unwrap()).await;
    api.get("/health").await;
    api.get("/ready").await;
    api.get("/nowhere").await;
    api.send(
        Request::builder()
            .method("WAFFLE")
            .uri("/api/order")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    let port = api.port().to_string();
    api.stop().await;

    let spans = collector.spans();
    let request = only(&spans, "GET /api/product/{productId}");
    assert_eq!((request.kind, request.status), (SERVER, UNSET));
    assert_eq!(request.parent_id, NO_PARENT);
    assert_ne!(request.trace_id, POD_TRACE);
    assert_eq!(
        attributes(request),
        BTreeMap::from([
            ("client.address", "127.0.0.1"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.route", "/api/product/{productId}"),
            ("network.protocol.version", "1.1"),
            ("server.address", "localhost"),
            ("server.port", &port),
            ("url.path", "/api/product/10"),
            ("url.scheme", "http"),
            ("user_agent.original", "waffle/1"),
        ])
    );

    let query = only(&spans, "SELECT products");
    assert_eq!((query.kind, query.status), (CLIENT, UNSET));
    assert_eq!(query.trace_id, request.trace_id);
    assert_eq!(query.parent_id, request.span_id);
    assert_eq!(
        attributes(query),
        BTreeMap::from([
            (
                "db.namespace",
                format!("{}|public", database.name()).as_str()
            ),
            ("db.query.summary", "SELECT products"),
            (
                "db.query.text",
                "SELECT id, name, price, category FROM products WHERE id = $1 AND removed_at IS NULL"
            ),
            ("db.system.name", "postgresql"),
            ("server.address", "127.0.0.1"),
            ("server.port", &Server::shared().port().to_string()),
        ])
    );

    let nowhere = only(&spans, "GET");
    assert_eq!(nowhere.attributes["http.response.status_code"], "404");
    assert_eq!(nowhere.status, UNSET);
    let unknown_method = only(&spans, "HTTP /api/order");
    assert_eq!(unknown_method.attributes["http.request.method"], "_OTHER");
    assert_eq!(
        unknown_method.attributes["http.response.status_code"],
        "405"
    );

    // The start and these three requests; probes leave no spans.
    let roots = spans.iter().filter(|span| span.parent_id == NO_PARENT);
    assert_eq!(roots.count(), 4, "{spans:#?}");
}

#[tokio::test]
async fn a_request_goes_on_with_the_trace_of_its_client() {
    let database = database().await;
    database.execute(COUPONS).await;
    let collector = Collector::start().await;
    let api = traced(&database, &collector).await;
    let mut request = order(coupon(r#""HAPPYHRS""#));
    let traceparent = format!("00-{REMOTE_TRACE}-{REMOTE_SPAN}-01");
    request
        .headers_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    assert_eq!(api.send(request).await.status, 200);
    let malformed = Request::get("/api/product").header("traceparent", "waffle");
    api.send(malformed.body(Body::empty()).unwrap()).await;
    api.stop().await;

    let spans = collector.spans();
    let request = only(&spans, "POST /api/order");
    assert_eq!(
        (request.trace_id.as_str(), request.parent_id.as_str()),
        (REMOTE_TRACE, REMOTE_SPAN)
    );
    // One round trip to look up products and coupon, and one for the transaction.
    let queries: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_id == request.span_id)
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(queries, ["SELECT products coupons", "INSERT orders"]);
    assert_eq!(only(&spans, "GET /api/product").parent_id, NO_PARENT);
    let texts = spans.iter().flat_map(|span| span.attributes.values());
    assert!(
        texts.into_iter().all(|text| !text.contains("apitest")),
        "{spans:#?}"
    );
}

#[tokio::test]
async fn what_fails_is_marked() {
    let database = database().await;
    let collector = Collector::start().await;
    let api = traced(&database, &collector).await;
    database.execute("DROP TABLE order_items").await;
    assert_eq!(api.get("/api/product/x").await.status, 400);
    assert_eq!(
        api.order(r#"{"items": [{"productId": "1", "quantity": 1}]}"#)
            .await
            .status,
        500
    );
    api.stop().await;

    let spans = collector.spans();
    let refused = only(&spans, "GET /api/product/{productId}");
    assert_eq!(refused.status, UNSET);
    assert!(
        !refused.attributes.contains_key("error.type"),
        "{refused:#?}"
    );
    let failed = only(&spans, "POST /api/order");
    assert_eq!(
        (failed.status, failed.attributes["error.type"].as_str()),
        (ERROR, "500")
    );
    let insert = only(&spans, "INSERT orders");
    assert_eq!(insert.status, ERROR);
    assert_eq!(insert.attributes["db.response.status_code"], "42P01");
    assert_eq!(insert.attributes["error.type"], "42P01");
}
