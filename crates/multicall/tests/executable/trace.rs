//! One trace of a pod's whole start, received by a real OTLP server.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use test_collector::{Collector, Span};
use test_postgres::{Database, Server};
use test_process::{Ended, run};

use crate::support::{Api, program};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID: &str = "00f067aa0ba902b7";
const POD_UID: &str = "0f9b2c1d-5e6f-4a7b-8c9d-0e1f2a3b4c5d";

const LOAD_SPANS: [&str; 9] = [
    "ANALYZE coupons",
    "ANALYZE products",
    "COPY coupons",
    "COPY products",
    "connect",
    "database-load",
    "load coupons",
    "load products",
    "lock",
];

/// Runs a program that ends by itself without holding up the receiver.
async fn run_traced(mut command: Command) -> Ended {
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap()
}

/// Migration, load, start of the API and one request to it, all with the given variables.
async fn whole_start(
    database: &Database<'_>,
    collector: &Collector,
    variables: &[(&'static str, String)],
) -> Vec<Span> {
    let command = |name: &str| {
        let mut command = program(name, database);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .envs(variables.iter().cloned());
        command
    };
    for name in ["database-migration", "database-load"] {
        let ended = run_traced(command(name)).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "", "an export that succeeds says nothing");
    }
    let mut api = command("order-food");
    tokio::task::spawn_blocking(move || {
        let api = Api::start(&mut api);
        assert!(api.get("/api/product").starts_with("HTTP/1.1 200"));
        assert_eq!(api.stop().code, Some(0));
    })
    .await
    .unwrap();
    collector.spans()
}

fn of_service<'spans>(spans: &'spans [Span], service: &str) -> BTreeMap<&'spans str, &'spans Span> {
    spans
        .iter()
        .filter(|span| span.service == service)
        .map(|span| (span.name.as_str(), span))
        .collect()
}

fn names<'spans>(spans: &BTreeMap<&'spans str, &Span>) -> Vec<&'spans str> {
    spans.keys().copied().collect()
}

/// A number that arrives as text cannot be compared or summed up by whoever reads the trace.
fn assert_numbers_are_numbers(spans: &[Span]) {
    for span in spans {
        for (name, value) in &span.attributes {
            assert_eq!(
                span.numbers.contains_key(name),
                value.parse::<i64>().is_ok(),
                "{name}={value} of {}",
                span.name
            );
        }
    }
}

/// The first migration and its statement, as their spans tell.
fn assert_migration(migration: &BTreeMap<&str, &Span>, database: &str) {
    let first = migration["migration 1 create_products"];
    assert_eq!(first.parent_id, migration["database-migration"].span_id);
    assert_eq!(first.kind, CLIENT);
    for (name, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", &format!("{database}|public")),
        ("database.migration.direction", "up"),
        ("database.migration.version", "1"),
        ("database.migration.name", "create_products"),
        ("database.migration.attempts", "1"),
    ] {
        assert_eq!(first.attributes[name], value);
    }
    let statement = migration["CREATE TABLE products"];
    assert_eq!(statement.parent_id, first.span_id);
    assert_eq!(statement.kind, CLIENT);
    assert_eq!(
        statement.attributes["db.query.summary"],
        "CREATE TABLE products"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn three_programs_make_one_trace_and_lose_nothing() {
    let database = Server::shared().database().await;
    let collector = Collector::start().await;
    let traceparent = format!("00-{TRACE_ID}-{PARENT_ID}-01");
    let spans = whole_start(&database, &collector, &[("TRACEPARENT", traceparent)]).await;

    let migration = of_service(&spans, "database-migration");
    assert_eq!(
        names(&migration),
        [
            "ALTER TABLE products",
            "CREATE INDEX IF NOT EXISTS idx_load_run_data_set",
            "CREATE INDEX idx_order_items_order_id",
            "CREATE INDEX idx_order_items_product_id",
            "CREATE INDEX idx_orders_created_at",
            "CREATE INDEX idx_products_category",
            "CREATE TABLE IF NOT EXISTS load_reject",
            "CREATE TABLE IF NOT EXISTS load_run",
            "CREATE TABLE coupons",
            "CREATE TABLE order_items",
            "CREATE TABLE orders",
            "CREATE TABLE products",
            "connect",
            "database-migration",
            "lock",
            "migration 1 create_products",
            "migration 2 create_orders",
            "migration 3 create_order_items",
            "migration 4 create_load_history",
            "migration 5 mark_removed_products",
            "migration 6 create_coupons",
        ]
    );
    let load = of_service(&spans, "database-load");
    assert_eq!(names(&load), LOAD_SPANS);
    let api = of_service(&spans, "order-food");
    for name in [
        "order-food",
        "connect",
        "GET /api/product",
        "SELECT products",
    ] {
        assert!(api.contains_key(name), "{name}: {:?}", names(&api));
    }

    assert_numbers_are_numbers(&spans);
    // Every span of a start belongs to the one trace; a request has its own.
    for span in &spans {
        let is_of_request = ["GET /api/product", "SELECT products"].contains(&span.name.as_str());
        assert_eq!(span.trace_id != TRACE_ID, is_of_request, "{span:?}");
    }
    for (service, start) in [
        ("database-migration", &migration),
        ("database-load", &load),
        ("order-food", &api),
    ] {
        let root = start[service];
        assert_eq!(root.parent_id, PARENT_ID);
        assert_eq!(root.kind, INTERNAL);
        assert_eq!(root.attributes["process.executable.name"], service);
        assert_eq!(start["connect"].parent_id, root.span_id);
        assert_eq!(start["connect"].kind, CLIENT);
    }
    assert_eq!(
        migration["database-migration"].numbers["process.exit.code"],
        0
    );
    assert!(
        !migration["database-migration"]
            .attributes
            .contains_key("error.type")
    );

    assert_migration(&migration, database.name());
    let products = load["load products"];
    assert_eq!(products.parent_id, load["database-load"].span_id);
    assert_eq!(products.attributes["database.load.rows.inserted"], "10");
    assert_eq!(load["COPY products"].parent_id, products.span_id);
    assert_eq!(
        load["COPY products"].attributes["db.query.summary"],
        "COPY products"
    );

    let request = api["GET /api/product"];
    assert_eq!(request.parent_id, "");
    assert_eq!(request.kind, SERVER);
    assert_eq!(request.attributes["http.response.status_code"], "200");
    assert_eq!(api["SELECT products"].parent_id, request.span_id);

    assert_eq!(
        database
            .values("SELECT DISTINCT trace_id FROM refinery_schema_history")
            .await,
        [TRACE_ID]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_parent_the_pods_uid_is_the_trace() {
    let database = Server::shared().database().await;
    let collector = Collector::start().await;
    let spans = whole_start(&database, &collector, &[("POD_UID", POD_UID.to_owned())]).await;
    let trace_id = POD_UID.replace('-', "");
    for service in ["database-migration", "database-load", "order-food"] {
        let start = of_service(&spans, service);
        assert_eq!(start[service].trace_id, trace_id);
        assert_eq!(start[service].parent_id, "", "no parent is invented");
        assert_eq!(start["connect"].trace_id, trace_id);
    }
    let api = of_service(&spans, "order-food");
    assert_ne!(api["GET /api/product"].trace_id, trace_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_shows_in_its_trace() {
    let database = Server::shared().database().await;
    let collector = Collector::start().await;
    let files = std::env::temp_dir().join(format!("failing-{}", database.name()));
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("1_a.sql"), "-- +++++ UP\nSELECT nope;").unwrap();
    let mut command = program("database-migration", &database);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("MIGRATIONS_DIR", &files);
    let ended = run_traced(command).await;
    std::fs::remove_dir_all(&files).unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");

    let spans = collector.spans();
    let spans = of_service(&spans, "database-migration");
    let migration = spans["migration 1 a"];
    assert_eq!(migration.attributes["db.response.status_code"], "42703");
    assert_eq!(migration.attributes["error.type"], "42703");
    assert_eq!(migration.status, ERROR);
    let root = spans["database-migration"];
    assert_eq!(root.attributes["process.exit.code"], "1");
    assert_eq!(root.attributes["error.type"], "Failed");
    assert_eq!(root.status, ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_changes_nothing_but_a_warning() {
    let database = Server::shared().database().await;
    // One that refuses, and one that accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let plain = run(&mut program("database-migration", &database));
    assert_eq!((plain.code, plain.stderr.as_str()), (Some(0), ""));

    for (endpoint, reason) in [
        ("http://127.0.0.1:1", "Connection refused"),
        (&silent, "which did not answer in 1500 ms"),
    ] {
        let database = Server::shared().database().await;
        let started = Instant::now();
        let ended =
            run(program("database-migration", &database)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended
                .stderr
                .starts_with("warning: telemetry was not delivered: "),
            "{ended:?}"
        );
        for signal in ["spans", "metrics"] {
            let lost = format!("{signal} to {endpoint}, ");
            assert_eq!(ended.stderr.matches(&lost).count(), 1, "{ended:?}");
        }
        assert_eq!(ended.stderr.matches(reason).count(), 2, "{ended:?}");
        // Far below the ten seconds that an export may take, and far above what a busy machine adds.
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}
