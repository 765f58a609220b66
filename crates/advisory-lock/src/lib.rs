//! A session advisory lock that is polled.
//!
//! A session that blocks in `pg_advisory_lock` holds a snapshot; `CREATE INDEX CONCURRENTLY` in the lock's holder waits
//! for that snapshot, and the two dead-lock. A session that polls `pg_try_advisory_lock` holds nothing in between.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ConstantBuilder};
use exit_code::{ExitCode, Failure};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tracing::{Instrument, field, info, info_span, warn};

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// While waiting, a line is written this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What a lock protects. Programs that name the same thing exclude each other, others do not.
#[derive(Debug, Clone)]
pub struct LockName {
    key: i64,
    name: String,
}

impl LockName {
    /// Derives the lock's key from the parts of a name, such as program, database, schema and table.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut key = [0; 8];
        key.copy_from_slice(&hash.finalize()[..8]);
        Self {
            key: i64::from_be_bytes(key),
            name: parts.join("."),
        }
    }
}

/// Why the lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else held it for the whole time allowed.
    #[error("the lock {name} was not obtained within {} s; {holder}", .waited.as_secs())]
    Timeout {
        /// What the lock protects.
        name: String,
        /// How long it was tried.
        waited: Duration,
        /// Who holds it.
        holder: String,
    },
    /// The server's answer to the attempt.
    #[error(
        "the lock {name} could not be asked for: {}",
        connection::describe(source)
    )]
    Database {
        /// What the lock protects.
        name: String,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
}

impl Failure for LockError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Timeout { .. } => ExitCode::LockTimeout,
            Self::Database { .. } => ExitCode::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Timeout { .. } => Some(
                "let the holder finish, or end it with SELECT pg_terminate_backend(<its pid>)"
                    .to_owned(),
            ),
            Self::Database { .. } => None,
        }
    }
}

/// Takes the lock for the rest of the session, waiting without limit or up to `limit`. It is released with
/// [`release`] or by the end of the session, however that comes.
pub async fn acquire(
    client: &Client,
    name: &LockName,
    limit: Option<Duration>,
) -> Result<(), LockError> {
    let span = info_span!(
        "lock",
        otel.name = "lock",
        otel.kind = "internal",
        database.lock.name = name.name,
        database.lock.attempts = field::Empty,
    );
    acquire_in_span(client, name, limit).instrument(span).await
}

async fn acquire_in_span(
    client: &Client,
    name: &LockName,
    limit: Option<Duration>,
) -> Result<(), LockError> {
    let started = Instant::now();
    let mut last_report: Option<Instant> = None;
    let mut attempts = 0_u32;
    let mut delays = ConstantBuilder::default()
        .with_delay(POLL_INTERVAL)
        .with_jitter()
        .without_max_times()
        .build();

    while !try_acquire(client, name).await? {
        attempts += 1;
        let waited = started.elapsed();
        let is_over = limit.is_some_and(|limit| waited >= limit);
        let is_report_due = last_report.is_none_or(|last| last.elapsed() >= REPORT_INTERVAL);
        if is_over || is_report_due {
            last_report = Some(Instant::now());
            let holder = holder(client, name).await?;
            if is_over {
                return Err(LockError::Timeout {
                    name: name.name.clone(),
                    waited,
                    holder,
                });
            }
            info!(
                "waiting for the lock {}, {:.0} s so far; {holder}",
                name.name,
                waited.as_secs_f64()
            );
        }
        tokio::time::sleep(delays.next().unwrap_or(POLL_INTERVAL)).await;
    }
    tracing::Span::current().record("database.lock.attempts", i64::from(attempts) + 1);
    Ok(())
}

/// Gives the lock back before the session ends, and warns if something else has done so before.
pub async fn release(client: &Client, name: &LockName) -> Result<(), LockError> {
    if !ask(client, name, "pg_advisory_unlock").await? {
        warn!(
            "the lock {} was given up by something that ran meanwhile, such as pg_advisory_unlock_all(); another run \
             may have been at work at the same time",
            name.name
        );
    }
    Ok(())
}

async fn try_acquire(client: &Client, name: &LockName) -> Result<bool, LockError> {
    ask(client, name, "pg_try_advisory_lock").await
}

/// What one of the server's functions says of the lock.
async fn ask(client: &Client, name: &LockName, function: &str) -> Result<bool, LockError> {
    let answer = client
        .simple_query(&format!("SELECT {function}({})", name.key))
        .await
        .map_err(|source| name.database_error(source))?;
    Ok(answer.iter().any(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
        _ => false,
    }))
}

/// Who holds the lock, in words. The application's name is visible to every role, its address not always.
async fn holder(client: &Client, name: &LockName) -> Result<String, LockError> {
    let row = client
        .query_opt(
            "SELECT activity.pid, activity.application_name, activity.client_addr::text,
                    date_trunc('second', activity.backend_start)::text
             FROM pg_locks AS held
             JOIN pg_stat_activity AS activity USING (pid)
             JOIN pg_database AS current ON current.oid = held.database AND current.datname = current_database()
             WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
               AND (held.classid::bigint << 32) | held.objid::bigint = $1
             LIMIT 1",
            &[&name.key],
        )
        .await
        .map_err(|source| name.database_error(source))?;
    let Some(row) = row else {
        return Ok("its holder has just gone".to_owned());
    };
    let pid: i32 = row.get(0);
    let application: &str = row
        .get::<_, Option<&str>>(1)
        .unwrap_or("an unnamed program");
    let address: &str = row
        .get::<_, Option<&str>>(2)
        .unwrap_or("an unknown address");
    let since: &str = row.get::<_, Option<&str>>(3).unwrap_or("an unknown time");
    Ok(format!(
        "it is held by {application} at {address}, connected since {since}, server process {pid}"
    ))
}

impl LockName {
    fn database_error(&self, source: tokio_postgres::Error) -> LockError {
        LockError::Database {
            name: self.name.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_never_changes_between_releases() {
        // An older and a newer image must exclude each other, so this number is part of the interface.
        let name = LockName::new(&[
            "database-migration",
            "orderfood",
            "public",
            "refinery_schema_history",
        ]);
        assert_eq!(name.key, -7_708_591_283_672_305_300);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(LockName::new(&["a", "b"]).key, LockName::new(&["ab"]).key);
    }
}
