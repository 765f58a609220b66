//! The program's instruments. They record nothing until an endpoint is set.

use std::sync::LazyLock;
use std::time::Duration;

use telemetry::{Counter, Gauge, Histogram, KeyValue};

use crate::loading::Counts;

/// Upper limits of the buckets in seconds, from a few rows to hundreds of millions.
const SECONDS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);

struct Instruments {
    rows: Counter<u64>,
    bytes: Counter<u64>,
    duration: Histogram<f64>,
    lag: Gauge<f64>,
}

impl Instruments {
    fn new() -> Self {
        let meter = telemetry::meter("database-load");
        Self {
            rows: meter
                .u64_counter("database.load.rows")
                .with_description("Rows by what became of them")
                .with_unit("{row}")
                .build(),
            bytes: meter
                .u64_counter("database.load.bytes")
                .with_description("Bytes read of sources, as they are stored")
                .with_unit("By")
                .build(),
            duration: meter
                .f64_histogram("database.load.duration")
                .with_description("How long the load of a data set took")
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            lag: meter
                .f64_gauge("database.load.lag")
                .with_description("How long ago the table was last known to be as its source")
                .with_unit("s")
                .build(),
        }
    }
}

/// A data set was looked at; `outcome` is `loaded`, `unchanged` or `failed`.
pub(crate) fn ended(
    data_set: &str,
    outcome: &'static str,
    duration: Duration,
    bytes: u64,
    counts: &Counts,
) {
    let data_set = KeyValue::new("database.load.data_set", data_set.to_owned());
    for (outcome, rows) in counts.by_outcome() {
        if rows > 0 {
            let outcome = KeyValue::new("database.load.outcome", outcome);
            INSTRUMENTS.rows.add(rows, &[data_set.clone(), outcome]);
        }
    }
    INSTRUMENTS
        .bytes
        .add(bytes, std::slice::from_ref(&data_set));
    let outcome = KeyValue::new("database.load.outcome", outcome);
    INSTRUMENTS
        .duration
        .record(duration.as_secs_f64(), &[data_set, outcome]);
}

/// So long ago the data set was last loaded, or found unchanged.
pub(crate) fn lag(data_set: &str, seconds: f64) {
    let data_set = KeyValue::new("database.load.data_set", data_set.to_owned());
    INSTRUMENTS.lag.record(seconds, &[data_set]);
}
