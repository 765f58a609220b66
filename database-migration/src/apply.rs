//! Applying one migration: one transaction together with its row in the history.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use connection::sqlstate;
use exit_code::{ExitCode, Failure};
use refinery_core::traits::r#async::AsyncTransaction;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::error::{DbError, ErrorPosition};
use tracing::{Instrument, field, info_span, warn};

use crate::files::MigrationFile;
use crate::session::{Session, SessionError};
use crate::statements;

/// Why a migration was not applied. It was rolled back as a whole.
#[derive(Debug)]
pub struct ApplyError {
    place: String,
    problem: String,
    excerpt: Option<String>,
    is_lock_timeout: bool,
}

impl std::error::Error for ApplyError {}

impl fmt::Display for ApplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.problem)?;
        if let Some(excerpt) = &self.excerpt {
            write!(formatter, "\n{excerpt}")?;
        }
        Ok(())
    }
}

impl Failure for ApplyError {
    fn exit_code(&self) -> ExitCode {
        if self.is_lock_timeout {
            ExitCode::LockTimeout
        } else {
            ExitCode::Failed
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(if self.is_lock_timeout {
            "end the transaction that holds the lock (SELECT pid, query FROM pg_stat_activity WHERE state <> 'idle'), \
             or allow more time with MIGRATION_LOCK_RETRY; then run again"
                .to_owned()
        } else {
            "the migration was rolled back; correct it and run again".to_owned()
        })
    }
}

/// Applies a migration, again and again for up to `lock_retry` while a lock it needs is not granted.
pub(crate) async fn apply(
    session: &mut Session,
    file: &MigrationFile,
    lock_retry: Duration,
) -> Result<Duration, ApplyError> {
    let span = info_span!(
        "migration",
        otel.name = format!("migration {} {}", file.version, file.name),
        otel.kind = "client",
        db.system.name = "postgresql",
        db.namespace = session.location().namespace(),
        database.migration.version = file.version,
        database.migration.name = file.name,
        database.migration.attempts = field::Empty,
        db.response.status_code = field::Empty,
        error.r#type = field::Empty,
        otel.status_code = field::Empty,
    );
    apply_in_span(session, file, lock_retry)
        .instrument(span)
        .await
}

async fn apply_in_span(
    session: &mut Session,
    file: &MigrationFile,
    lock_retry: Duration,
) -> Result<Duration, ApplyError> {
    let span = tracing::Span::current();
    let started = Instant::now();
    let mut attempts = 0_u32;
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        attempts += 1;
        span.record("database.migration.attempts", i64::from(attempts));
        let record = record(file, &session.location().qualified());
        let error = match run(session, file, &record).await {
            Ok(()) => return Ok(started.elapsed()),
            Err(error) => error,
        };
        let answer = answer(&error);
        let is_lock_timeout =
            answer.is_some_and(|answer| sqlstate::is_lock_not_available(answer.code()));
        let waited = started.elapsed();
        if !is_lock_timeout || waited >= lock_retry {
            let status = answer.map_or("_OTHER", |answer| answer.code().code());
            span.record("db.response.status_code", status);
            span.record("error.type", status);
            span.record("otel.status_code", "ERROR");
            return Err(describe(file, &error, is_lock_timeout));
        }
        let delay = delays.next().unwrap_or(Duration::from_secs(10));
        warn!(
            "{}: a lock was not granted in time, so the migration was rolled back; attempt {} follows in {:.1} s",
            file.path.display(),
            attempts + 1,
            delay.as_secs_f64()
        );
        tokio::time::sleep(delay).await;
    }
}

async fn run(
    session: &mut Session,
    file: &MigrationFile,
    record: &str,
) -> Result<(), SessionError> {
    session
        .execute([file.sql.as_str(), record].into_iter())
        .await?;
    Ok(())
}

/// SQL of the migration's row in the history. The transaction's own clock tells how long it took.
fn record(file: &MigrationFile, table: &str) -> String {
    let migration = file.applied_now();
    let applied_on = migration
        .applied_on()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default();
    format!(
        "INSERT INTO {table} \
         (version, name, applied_on, checksum, duration_ms, applied_by, program_version, trace_id, down_sql) \
         VALUES ({}, {}, {}, {}, \
         (extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000)::int8, \
         session_user || '@' || coalesce(host(inet_client_addr()), 'local'), {}, {}, {})",
        migration.version(),
        literal(migration.name()),
        literal(&applied_on),
        literal(&migration.checksum().to_string()),
        literal(env!("CARGO_PKG_VERSION")),
        telemetry::current_trace_id().map_or("NULL".to_owned(), |id| literal(&id)),
        file.down
            .as_ref()
            .map_or("NULL".to_owned(), |down| literal(&down.sql)),
    )
}

/// A string constant that means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

fn answer(error: &SessionError) -> Option<&DbError> {
    match error {
        SessionError::Query { source, .. } | SessionError::Transaction(source) => {
            source.as_db_error()
        }
        SessionError::UnreadableRow(_) => None,
    }
}

/// Shows an error as a compiler would: file, line and column, the line with a marker, and all the server says.
fn describe(file: &MigrationFile, error: &SessionError, is_lock_timeout: bool) -> ApplyError {
    let path = file.path.display();
    let sql = file.sql.as_str();
    let Some(answer) = answer(error) else {
        return ApplyError {
            place: path.to_string(),
            problem: format!(
                "{error}; whether the migration was committed is known to the next run, which goes on from there"
            ),
            excerpt: None,
            is_lock_timeout,
        };
    };

    let offset = match (error, answer.position()) {
        (SessionError::Query { query: 0, .. }, Some(ErrorPosition::Original(position))) => {
            Some(offset_of_character(sql, *position as usize))
        }
        // Many errors come without a position; how many statements have run tells the one that failed.
        (
            SessionError::Query {
                query: 0, finished, ..
            },
            None,
        ) => statements::start(sql, *finished),
        _ => None,
    };
    let (place, excerpt) = match offset.map(|offset| locate(sql, offset)) {
        Some((line, column, text)) => {
            let number = (file.first_line + line).to_string();
            let margin = " ".repeat(number.len());
            let indent = " ".repeat(column);
            (
                format!("{path}:{number}:{}", column + 1),
                Some(format!("  {number} | {text}\n  {margin} | {indent}^")),
            )
        }
        None => (format!("{path}:{}", file.first_line), None),
    };
    let mut problem = format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
    for (title, text) in [
        ("detail", answer.detail()),
        ("hint", answer.hint()),
        ("where", answer.where_()),
    ] {
        if let Some(text) = text {
            let _ = write!(problem, "\n  {title}: {text}");
        }
    }
    ApplyError {
        place,
        problem,
        excerpt,
        is_lock_timeout,
    }
}

/// Where a character is that the server counts from 1.
fn offset_of_character(sql: &str, position: usize) -> usize {
    sql.char_indices()
        .nth(position.saturating_sub(1))
        .map_or(sql.len(), |(offset, _)| offset)
}

/// The line, counted from 0, the column in it, counted from 0, and the text of the line at an offset.
fn locate(sql: &str, offset: usize) -> (usize, usize, &str) {
    let before = &sql[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count();
    let column = sql[line_start..offset].chars().count();
    let text = sql[line_start..].lines().next().unwrap_or_default();
    (line, column, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_position_is_found_in_its_line() {
        let sql = "CREATE TABLE ä (\n    id nosuchtype\n);";
        let position = sql.chars().position(|character| character == 'n').unwrap() + 1;
        let located = |position| locate(sql, offset_of_character(sql, position));
        assert_eq!(located(position), (1, 7, "    id nosuchtype"));
        assert_eq!(located(1), (0, 0, "CREATE TABLE ä ("));
        assert_eq!(located(1000), (2, 2, ");"));
    }

    #[test]
    fn literals_keep_quotes_and_backslashes() {
        assert_eq!(literal(r"it's a \ test"), r"E'it''s a \\ test'");
    }
}
