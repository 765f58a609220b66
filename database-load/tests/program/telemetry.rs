//! Spans and metrics, received by a real OTLP server.

use std::path::Path;

use test_collector::{Collector, Measurement, Span, Value};
use test_postgres::Database;
use test_process::{Ended, run};

use crate::support::{ITEMS, assert_failed, database, directory, program_on, succeeded, write};

/// Loads a directory without holding up the receiver.
async fn load_measured(database: &Database<'_>, collector: &Collector, files: &Path) -> Ended {
    let mut command = program_on(database, files);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap()
}

fn span(collector: &Collector, name: &str) -> Span {
    let spans = collector.spans();
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:?}");
    found[0].clone()
}

fn measurement(measurements: &[Measurement], name: &str, outcome: Option<&str>) -> Measurement {
    let is_it = |measurement: &&Measurement| {
        measurement.name == name
            && measurement
                .attributes
                .get("database.load.outcome")
                .map(String::as_str)
                == outcome
    };
    let found: Vec<_> = measurements.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} {outcome:?}: {measurements:?}");
    found[0].clone()
}

const MANIFEST: &str =
    "data_sets: {things: {files: items.csv, table: items, vanished: delete, guards: {rejects: 1}}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_load_tells_what_became_of_the_rows() {
    let database = database(ITEMS).await;
    let files = directory(&[
        ("manifest.yaml", MANIFEST),
        ("items.csv", "id,stock\na,1\nb,2\nc,3\n"),
    ]);
    succeeded(load_measured(&database, &Collector::start().await, files.path()).await);
    write(files.path(), "items.csv", "id,stock\na,1\nb,5\nd,4\ne,?\n");
    let collector = Collector::start().await;
    let ended = load_measured(&database, &collector, files.path()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let load = span(&collector, "load things");
    assert_eq!(load.kind, 1);
    assert_eq!(load.parent_id, span(&collector, "database-load").span_id);
    assert_eq!(load.attributes["database.load.data_set"], "things");
    assert_eq!(load.attributes["database.load.outcome"], "loaded");
    for (attribute, number) in [
        ("bytes", 25),
        ("rows.read", 4),
        ("rows.inserted", 1),
        ("rows.updated", 1),
        ("rows.unchanged", 1),
        ("rows.deleted", 1),
        ("rows.marked", 0),
        ("rows.kept", 0),
        ("rows.rejected", 1),
    ] {
        assert_eq!(
            load.numbers[&format!("database.load.{attribute}")],
            number,
            "{attribute}"
        );
    }
    for statement in [
        "COPY items",
        "UPDATE items",
        "INSERT items",
        "DELETE items",
        "ANALYZE items",
    ] {
        assert!(
            collector.spans().iter().any(|span| span.name == statement),
            "{statement}"
        );
    }
    assert_eq!(
        database
            .value("SELECT trace_id FROM load_run ORDER BY id DESC LIMIT 1")
            .await,
        load.trace_id
    );

    let measurements = collector.measurements();
    for outcome in ["inserted", "updated", "unchanged", "deleted", "rejected"] {
        let rows = measurement(&measurements, "database.load.rows", Some(outcome));
        assert_eq!((rows.value, &*rows.unit), (Value::Count(1), "{row}"));
        assert_eq!(rows.attributes["database.load.data_set"], "things");
    }
    let bytes = measurement(&measurements, "database.load.bytes", None);
    assert_eq!((bytes.value, &*bytes.unit), (Value::Count(25), "By"));
    let duration = measurement(&measurements, "database.load.duration", Some("loaded"));
    assert!(
        matches!(duration.value, Value::Distribution { count: 1, sum } if sum > 0.0 && sum < 60.0),
        "{duration:?}"
    );
    let lag = measurement(&measurements, "database.load.lag", None);
    assert_eq!((lag.value, &*lag.unit), (Value::Level(0.0), "s"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_unchanged_or_bad_is_measured_as_well() {
    let database = database(ITEMS).await;
    let files = directory(&[
        ("manifest.yaml", MANIFEST),
        ("items.csv", "id,stock\na,1\n"),
    ]);
    succeeded(load_measured(&database, &Collector::start().await, files.path()).await);
    let collector = Collector::start().await;
    succeeded(load_measured(&database, &collector, files.path()).await);
    let measurements = collector.measurements();
    measurement(&measurements, "database.load.duration", Some("unchanged"));
    let lag = measurement(&measurements, "database.load.lag", None);
    assert!(
        matches!(lag.value, Value::Level(seconds) if seconds > 0.0),
        "{lag:?}"
    );

    write(files.path(), "items.csv", "id,stock\na,?\nb,?\n");
    let collector = Collector::start().await;
    let ended = load_measured(&database, &collector, files.path()).await;
    assert_failed(&ended, 7, &["2 of 2 rows"]);
    let measurements = collector.measurements();
    measurement(&measurements, "database.load.duration", Some("failed"));
    let rejected = measurement(&measurements, "database.load.rows", Some("rejected"));
    assert_eq!(rejected.value, Value::Count(2));
    let load = span(&collector, "load things");
    assert_eq!(load.attributes["database.load.outcome"], "failed");
    assert_eq!(load.status, 2);
}
