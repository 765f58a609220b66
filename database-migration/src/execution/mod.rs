//! Running one migration, up or down, and keeping the history in step.

mod change;
mod failure;
mod index;
mod progress;
mod steps;
mod stepwise;
mod transaction;

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use connection::{Connector, sqlstate};
use tracing::{Instrument, field, info_span, warn};

pub(crate) use change::{Change, insertion, kept};
pub use failure::ApplyError;
pub use steps::Unfinished;
pub(crate) use steps::{STEPS_SUFFIX, steps_table, unfinished};

use crate::execution::progress::Progress;
use crate::files::Direction;
use crate::metrics;
use crate::session::{Session, SessionError};

/// Runs a change to its end. What a lock keeps from running is tried again and again for up to `lock_retry`.
pub(crate) async fn execute(
    connector: &Connector,
    session: &Session,
    change: &Change<'_>,
    lock_retry: Duration,
) -> Result<Duration, ApplyError> {
    let span = info_span!(
        "migration",
        otel.name = span_name(change),
        otel.kind = "client",
        db.system.name = "postgresql",
        db.namespace = session.location().namespace(),
        database.migration.direction = change.direction.to_string(),
        database.migration.version = change.version,
        database.migration.name = change.name,
        database.migration.attempts = field::Empty,
        db.response.status_code = field::Empty,
        error.r#type = field::Empty,
        otel.status_code = field::Empty,
    );
    let started = Instant::now();
    let mut retry = Retry::new(session, change, lock_retry);
    let namespace = session.location().namespace();
    let work = async {
        let outcome = if change.is_stepwise() {
            stepwise::run(session, change, &mut retry).await
        } else {
            transaction::run(session, change, &mut retry).await
        };
        let elapsed = started.elapsed();
        tracing::Span::current().record("database.migration.attempts", i64::from(retry.attempts));
        match &outcome {
            Ok(()) => metrics::applied(namespace, change.direction, elapsed),
            Err(error) => {
                record_failure(error.status());
                metrics::failed(namespace, change.direction, elapsed, error.status());
            }
        }
        outcome.map(|()| elapsed)
    };
    Progress::new(connector, session, change)
        .during(work)
        .instrument(span)
        .await
}

/// Tries again what only other transactions keep from running.
pub(crate) struct Retry {
    place: String,
    /// What is rolled back as a whole.
    unit: &'static str,
    namespace: String,
    direction: Direction,
    limit: Duration,
    /// How often what is tried now was refused, and since when.
    refusals: u32,
    refused_since: Option<Instant>,
    delays: <ExponentialBuilder as BackoffBuilder>::Backoff,
    /// Attempts of the whole migration.
    attempts: u32,
}

impl Retry {
    fn new(session: &Session, change: &Change<'_>, limit: Duration) -> Self {
        Self {
            place: change.path.display().to_string(),
            unit: if change.is_stepwise() {
                "statement"
            } else {
                "migration"
            },
            namespace: session.location().namespace(),
            direction: change.direction,
            limit,
            refusals: 0,
            refused_since: None,
            delays: delays(),
            attempts: 1,
        }
    }

    /// Begins with another statement, which has all the time again.
    fn begin(&mut self) {
        self.refusals = 0;
        self.refused_since = None;
        self.delays = delays();
    }

    /// Waits before the next attempt, or says that there is none. What failed must have been rolled back.
    async fn waits_after(&mut self, error: &SessionError) -> bool {
        let Some(reason) = passing_reason(error) else {
            return false;
        };
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.limit {
            return false;
        }
        self.refusals += 1;
        self.attempts += 1;
        metrics::retried(self.namespace.clone(), self.direction);
        let delay = self.delays.next().unwrap_or(Duration::from_secs(10));
        warn!(
            "{}: {reason}, so the {} was rolled back; attempt {} follows in {:.1} s",
            self.place,
            self.unit,
            self.refusals + 1,
            delay.as_secs_f64()
        );
        tokio::time::sleep(delay).await;
        true
    }
}

/// The pauses between attempts.
fn delays() -> <ExponentialBuilder as BackoffBuilder>::Backoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .without_max_times()
        .build()
}

fn span_name(change: &Change<'_>) -> String {
    let name = format!("migration {} {}", change.version, change.name);
    match change.direction {
        Direction::Up => name,
        Direction::Down => format!("{name} undone"),
    }
}

/// Why the same may succeed later, if it may.
fn passing_reason(error: &SessionError) -> Option<String> {
    let answer = error.answer()?;
    if sqlstate::is_lock_not_available(answer.code()) {
        Some("a lock was not granted in time".to_owned())
    } else if sqlstate::is_lost_to_other_transactions(answer.code()) {
        Some(format!(
            "it had to give way to another transaction: {} (SQLSTATE {})",
            answer.message(),
            answer.code().code()
        ))
    } else {
        None
    }
}

fn record_failure(status: &str) {
    let span = tracing::Span::current();
    span.record("db.response.status_code", status);
    span.record("error.type", status);
    span.record("otel.status_code", "ERROR");
}
