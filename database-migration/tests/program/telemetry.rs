//! Metrics, received by a real OTLP server.

use std::process::Command;

use test_collector::{Collector, Measurement, Value};
use test_postgres::{Database, Server};
use test_process::{Ended, run};

use crate::support::{directory, program};

/// Runs the program without holding up the receiver.
async fn run_measured(mut command: Command) -> Ended {
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap()
}

fn measured(database: &Database<'_>, collector: &Collector) -> Command {
    let mut command = program(database);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    command
}

/// The only measurement of a name.
fn the_only<'all>(measurements: &'all [Measurement], name: &str) -> &'all Measurement {
    let found: Vec<_> = measurements
        .iter()
        .filter(|measurement| measurement.name == name)
        .collect();
    assert_eq!(found.len(), 1, "{name}: {measurements:?}");
    found[0]
}

fn assert_distribution(measurement: &Measurement, expected_count: u64, at_least: f64) {
    let Value::Distribution { count, sum } = measurement.value else {
        panic!("{measurement:?}");
    };
    assert_eq!(count, expected_count, "{measurement:?}");
    assert!(sum > at_least && sum < 60.0, "{measurement:?}");
    assert_eq!(measurement.unit, "s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_delivers_how_much_it_did_and_how_long_it_took() {
    let database = Server::shared().database().await;
    let collector = Collector::start().await;
    let ended = run_measured(measured(&database, &collector)).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));

    let measurements = collector.measurements();
    let namespace = format!("{}|public", database.name());
    for measurement in &measurements {
        assert_eq!(measurement.service, "database-migration");
        assert_eq!(measurement.attributes["db.system.name"], "postgresql");
        assert_eq!(measurement.attributes["db.namespace"], namespace);
    }
    let applied = the_only(&measurements, "database.migration.applied");
    assert_eq!(applied.value, Value::Count(6));
    assert_eq!(applied.unit, "{migration}");
    assert_eq!(applied.attributes["database.migration.direction"], "up");
    let duration = the_only(&measurements, "database.migration.duration");
    assert_eq!(duration.attributes, applied.attributes);
    assert_distribution(duration, 6, 0.0);
    let lock_wait = the_only(&measurements, "database.migration.lock.wait");
    assert_distribution(lock_wait, 1, 0.0);
    assert_eq!(measurements.len(), 3, "{measurements:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_the_failure_are_counted() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE busy ()").await;
    let mut holder = database.client().await;
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE busy").await.unwrap();
    let files = directory(&[("1_a.sql", "ALTER TABLE busy ADD COLUMN id BIGINT;")]);
    let collector = Collector::start().await;
    let mut command = measured(&database, &collector);
    command
        .env("MIGRATIONS_DIR", files.path())
        .env("MIGRATION_LOCK_TIMEOUT", "100ms")
        .env("MIGRATION_LOCK_RETRY", "500ms");
    let ended = run_measured(command).await;
    assert_eq!(ended.code, Some(6), "{ended:?}");

    let measurements = collector.measurements();
    let failed = the_only(&measurements, "database.migration.failed");
    assert_eq!(failed.value, Value::Count(1));
    assert_eq!(failed.attributes["error.type"], "55P03");
    let duration = the_only(&measurements, "database.migration.duration");
    assert_eq!(duration.attributes, failed.attributes);
    assert_distribution(duration, 1, 0.5);
    let retries = the_only(&measurements, "database.migration.retries");
    assert!(matches!(retries.value, Value::Count(1..)), "{retries:?}");
    assert_eq!(retries.unit, "{attempt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_are_turned_off_each_by_itself() {
    let database = Server::shared().database().await;
    for (variable, value, has_spans, has_metrics) in [
        ("OTEL_TRACES_EXPORTER", "none", false, true),
        ("OTEL_METRICS_EXPORTER", "none", true, false),
        ("OTEL_SDK_DISABLED", "true", false, false),
    ] {
        let files = directory(&[("1_a.sql", "SELECT 1;")]);
        let collector = Collector::start().await;
        let mut command = measured(&database, &collector);
        command
            .env(variable, value)
            .env("MIGRATIONS_DIR", files.path())
            .env("MIGRATION_TABLE", format!("history_of_{variable}"));
        let ended = run_measured(command).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert_eq!(!collector.spans().is_empty(), has_spans, "{variable}");
        assert_eq!(
            !collector.measurements().is_empty(),
            has_metrics,
            "{variable}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_go_to_a_collector_of_their_own() {
    let database = Server::shared().database().await;
    let spans = Collector::start().await;
    let metrics = Collector::start().await;
    let mut command = measured(&database, &spans);
    command.env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", metrics.endpoint());
    let ended = run_measured(command).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!spans.spans().is_empty() && spans.measurements().is_empty());
    assert!(metrics.spans().is_empty() && !metrics.measurements().is_empty());
}
