//! The program's instruments. They record nothing until an endpoint is set.
//!
//! Neither version nor name is an attribute: a database applies each migration once, so every migration would be a
//! series of its own that holds one point. Which one it was, its span, its log line and the history tell.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use telemetry::{Counter, Histogram, KeyValue};

use crate::files::Direction;

/// Upper limits of the buckets in seconds, from a statement on an empty table to a rewrite of a large one.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);

struct Instruments {
    applied: Counter<u64>,
    failed: Counter<u64>,
    retries: Counter<u64>,
    duration: Histogram<f64>,
    lock_wait: Histogram<f64>,
}

impl Instruments {
    fn new() -> Self {
        let meter = telemetry::meter("database-migration");
        let counter = |name: &'static str, description: &'static str, unit: &'static str| {
            let counter = meter.u64_counter(name).with_description(description);
            counter.with_unit(unit).build()
        };
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_description(description);
            let histogram = histogram.with_unit("s").with_boundaries(SECONDS.to_vec());
            histogram.build()
        };
        Self {
            applied: counter(
                "database.migration.applied",
                "Migrations that were applied or undone",
                "{migration}",
            ),
            failed: counter(
                "database.migration.failed",
                "Migrations that failed and were rolled back",
                "{migration}",
            ),
            retries: counter(
                "database.migration.retries",
                "Further attempts after a lock was not granted in time",
                "{attempt}",
            ),
            duration: seconds(
                "database.migration.duration",
                "How long a migration took, all attempts together",
            ),
            lock_wait: seconds(
                "database.migration.lock.wait",
                "How long a run waited for other runs of its history",
            ),
        }
    }
}

/// A migration was applied, or undone, in the database and schema that `namespace` names.
pub(crate) fn applied(namespace: String, direction: Direction, duration: Duration) {
    let attributes = attributes_of_migration(namespace, direction);
    INSTRUMENTS.applied.add(1, &attributes);
    let seconds = duration.as_secs_f64();
    INSTRUMENTS.duration.record(seconds, &attributes);
}

/// A migration failed; `error_type` is the SQLSTATE, or `_OTHER`.
pub(crate) fn failed(
    namespace: String,
    direction: Direction,
    duration: Duration,
    error_type: &str,
) {
    let mut attributes = attributes_of_migration(namespace, direction).to_vec();
    attributes.push(KeyValue::new("error.type", error_type.to_owned()));
    INSTRUMENTS.failed.add(1, &attributes);
    let seconds = duration.as_secs_f64();
    INSTRUMENTS.duration.record(seconds, &attributes);
}

/// A migration is tried once more.
pub(crate) fn retried(namespace: String, direction: Direction) {
    let attributes = attributes_of_migration(namespace, direction);
    INSTRUMENTS.retries.add(1, &attributes);
}

/// Waits for the runners' lock, and records how long it took, whether it was obtained or not.
pub(crate) async fn lock_wait<Outcome>(
    namespace: String,
    acquiring: impl Future<Output = Outcome>,
) -> Outcome {
    let started = Instant::now();
    let outcome = acquiring.await;
    let seconds = started.elapsed().as_secs_f64();
    let attributes = attributes(namespace);
    INSTRUMENTS.lock_wait.record(seconds, &attributes);
    outcome
}

fn attributes(namespace: String) -> [KeyValue; 2] {
    [
        KeyValue::new("db.system.name", "postgresql"),
        KeyValue::new("db.namespace", namespace),
    ]
}

fn attributes_of_migration(namespace: String, direction: Direction) -> [KeyValue; 3] {
    let [system, namespace] = attributes(namespace);
    [
        system,
        namespace,
        KeyValue::new("database.migration.direction", direction.name()),
    ]
}
