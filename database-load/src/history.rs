//! The history of loads: a row for each data set of each run, and the rows that were rejected.

use std::time::Duration;

use tokio_postgres::{Client, GenericClient, Row};
use tracing::warn;

use crate::error::LoadError;
use crate::loading::Counts;
use crate::rejection::Rejection;

/// The migration that makes the tables; where it has not run, they are made by the same statements.
const MIGRATION: &str =
    include_str!("../../database-migration/migrations/004_create_load_history.sql");
/// So many runs of a data set are kept.
const KEPT_RUNS: i64 = 500;
/// Runs are removed when there are so many more, and not one at each run.
const SPARE_RUNS: i64 = 50;
/// Of so many runs of a data set the rejected rows are kept.
const KEPT_REJECTIONS: i64 = 10;

/// How the load of a data set ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The table was brought to the state of its source.
    Loaded,
    /// Source and table were known to be the same.
    Unchanged,
    /// The table is as it was.
    Failed,
}

impl Outcome {
    /// As the table has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// What the history keeps of the load of a data set.
#[derive(Debug, Clone)]
pub(crate) struct Run<'run> {
    pub(crate) data_set: &'run str,
    pub(crate) table: &'run str,
    pub(crate) outcome: Outcome,
    pub(crate) source_hash: Option<String>,
    pub(crate) mapping_hash: Option<String>,
    pub(crate) table_state: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) counts: Counts,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) problem: Option<String>,
}

/// What the history knows of the last load of a data set that wrote its table.
#[derive(Debug, Clone)]
pub(crate) struct LastRun {
    pub(crate) source_hash: Option<String>,
    pub(crate) mapping_hash: Option<String>,
    pub(crate) table_state: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) counts: Counts,
    /// How long ago the table was last known to be as its source, in seconds.
    pub(crate) age: f64,
}

impl LastRun {
    /// The counts of a run that finds the table as this one left it: what this one wrote or rejected is not its own.
    pub(crate) fn counts_unchanged(&self) -> Counts {
        Counts {
            read: self.counts.read,
            valid: self.counts.valid,
            unchanged: self.counts.valid,
            ..Counts::default()
        }
    }
}

fn failed(source: tokio_postgres::Error) -> LoadError {
    LoadError::History { source }
}

/// Whether the tables are there.
pub(crate) async fn exists(client: &Client) -> Result<bool, LoadError> {
    let rows = client
        .query_typed(
            "SELECT to_regclass('load_run') IS NOT NULL AND to_regclass('load_reject') IS NOT NULL",
            &[],
        )
        .await
        .map_err(failed)?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Makes the tables where they are missing.
pub(crate) async fn create(client: &Client) -> Result<(), LoadError> {
    if exists(client).await? {
        return Ok(());
    }
    let up = MIGRATION.split("-- +++++ DOWN").next().unwrap_or_default();
    // Two that come first make them at once, and one of them fails on the catalog's own unique index.
    let statements = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('database-load history')); {up}; COMMIT"
    );
    client.batch_execute(&statements).await.map_err(failed)
}

/// The last load of a data set that wrote its table. That a run found it unchanged may be noted late, when another one has
/// loaded something else meanwhile.
pub(crate) async fn last(
    client: &impl GenericClient,
    data_set: &str,
    table: &str,
) -> Result<Option<LastRun>, LoadError> {
    let rows = client
        .query(
            "SELECT source_hash, mapping_hash, table_state, checksum,
                    extract(epoch FROM clock_timestamp() - (
                        SELECT max(finished_at) FROM load_run
                        WHERE data_set = $1 AND table_name = $2 AND outcome <> 'failed'))::float8,
                    rows_read, rows_valid, rows_rejected, rows_inserted, rows_updated, rows_unchanged, rows_marked,
                    rows_deleted, rows_kept
             FROM load_run WHERE data_set = $1 AND table_name = $2 AND outcome = 'loaded'
             ORDER BY id DESC LIMIT 1",
            &[&data_set, &table],
        )
        .await
        .map_err(failed)?;
    Ok(rows.first().map(|row| LastRun {
        source_hash: row.get(0),
        mapping_hash: row.get(1),
        table_state: row.get(2),
        checksum: row.get(3),
        age: row.get(4),
        counts: counts(row, 5),
    }))
}

/// The counts that begin at a column of a row.
pub(crate) fn counts(row: &Row, first: usize) -> Counts {
    let count = |offset: usize| row.get::<_, i64>(first + offset).cast_unsigned();
    Counts {
        read: count(0),
        valid: count(1),
        rejected: count(2),
        inserted: count(3),
        updated: count(4),
        unchanged: count(5),
        marked: count(6),
        deleted: count(7),
        kept: count(8),
    }
}

/// Adds a run with its rejected rows; returns whether the history has become so long that it is to be pruned.
pub(crate) async fn record(
    client: &impl GenericClient,
    run: &Run<'_>,
    rejections: &[Rejection],
) -> Result<bool, LoadError> {
    let (number, is_long) = insert(client, run).await.map_err(failed)?;
    if !rejections.is_empty() {
        insert_rejections(client, number, rejections)
            .await
            .map_err(failed)?;
    }
    Ok(is_long || !rejections.is_empty())
}

/// Returns the run's number, and whether there are more than enough of its data set.
async fn insert(
    client: &impl GenericClient,
    run: &Run<'_>,
) -> Result<(i64, bool), tokio_postgres::Error> {
    let counts = &run.counts;
    let count = |count: u64| count.cast_signed();
    let duration = i64::try_from(run.duration.as_millis()).unwrap_or(i64::MAX);
    let row = client
        .query_one(
            "INSERT INTO load_run (data_set, table_name, outcome, source_hash, mapping_hash, table_state, checksum,
                 rows_read, rows_valid, rows_rejected, rows_inserted, rows_updated, rows_unchanged, rows_marked,
                 rows_deleted, rows_kept, bytes_read, duration_ms, trace_id, problem, started_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18::bigint, $19, $20,
                 clock_timestamp() - $18::bigint * interval '1 millisecond')
             RETURNING id, (SELECT count(*) FROM load_run WHERE data_set = $1) >= $21::bigint",
            &[
                &run.data_set,
                &run.table,
                &run.outcome.name(),
                &run.source_hash,
                &run.mapping_hash,
                &run.table_state,
                &run.checksum,
                &count(counts.read),
                &count(counts.valid),
                &count(counts.rejected),
                &count(counts.inserted),
                &count(counts.updated),
                &count(counts.unchanged),
                &count(counts.marked),
                &count(counts.deleted),
                &count(counts.kept),
                &count(run.bytes),
                &duration,
                &telemetry::current_trace_id(),
                &run.problem,
                &(KEPT_RUNS + SPARE_RUNS),
            ],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

async fn insert_rejections(
    client: &impl GenericClient,
    run: i64,
    rejections: &[Rejection],
) -> Result<(), tokio_postgres::Error> {
    let files: Vec<_> = rejections
        .iter()
        .map(|rejection| &*rejection.file)
        .collect();
    let lines: Vec<_> = rejections
        .iter()
        .map(|rejection| rejection.line.cast_signed())
        .collect();
    let columns: Vec<_> = rejections
        .iter()
        .map(|rejection| rejection.column.as_deref())
        .collect();
    let reasons: Vec<_> = rejections
        .iter()
        .map(|rejection| &*rejection.reason)
        .collect();
    let values: Vec<_> = rejections
        .iter()
        .map(|rejection| rejection.value.as_deref())
        .collect();
    let records: Vec<_> = rejections
        .iter()
        .map(|rejection| &*rejection.record)
        .collect();
    client
        .execute(
            "INSERT INTO load_reject (run_id, position, file, line, column_name, reason, value, record)
             SELECT $1, position, file, line, column_name, reason, value, record
             FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[])
                 WITH ORDINALITY AS rejected (file, line, column_name, reason, value, record, position)",
            &[&run, &files, &lines, &columns, &reasons, &values, &records],
        )
        .await?;
    Ok(())
}

/// Removes what is too old to be looked at, except the last run that wrote the table and the last one that need not. A
/// run that is done does not fail over it.
pub(crate) async fn prune(client: &Client, data_set: &str) {
    if let Err(error) = remove_old(client, data_set).await {
        warn!(
            "old runs stay in the history: {}",
            connection::describe(&error)
        );
    }
}

/// Not for a transaction that has a snapshot: rows that another run has removed since would end it. Rows that another run
/// is removing are left to it.
async fn remove_old(client: &Client, data_set: &str) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            "DELETE FROM load_run WHERE id IN (
                 SELECT id FROM load_run
                 WHERE data_set = $1
                   AND id < (SELECT id FROM load_run WHERE data_set = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)
                   AND id NOT IN (SELECT max(id) FROM load_run
                                  WHERE data_set = $1 AND outcome <> 'failed' GROUP BY outcome)
                 FOR UPDATE SKIP LOCKED)",
            &[&data_set, &(KEPT_RUNS - 1)],
        )
        .await?;
    client
        .execute(
            "DELETE FROM load_reject WHERE (run_id, position) IN (
                 SELECT run_id, position FROM load_reject
                 WHERE run_id < (SELECT id FROM load_run WHERE data_set = $1 AND rows_rejected > 0
                                 ORDER BY id DESC OFFSET $2 LIMIT 1)
                   AND run_id IN (SELECT id FROM load_run WHERE data_set = $1)
                 FOR UPDATE SKIP LOCKED)",
            &[&data_set, &(KEPT_REJECTIONS - 1)],
        )
        .await?;
    Ok(())
}

/// A data set as `status` shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DataSetStatus {
    /// Its name.
    pub data_set: String,
    /// The table that it is loaded into.
    pub table: String,
    /// How its last run ended.
    pub outcome: String,
    /// When that was.
    pub finished_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// What became of the rows.
    #[serde(flatten)]
    pub counts: Counts,
    /// The hash of the source.
    pub source_hash: Option<String>,
    /// The checksum of the table's rows that the source has.
    pub checksum: Option<String>,
    /// The trace of the run.
    pub trace_id: Option<String>,
    /// Why it failed.
    pub problem: Option<String>,
    /// When the table was last known to be as its source.
    pub last_success: Option<String>,
    /// How long ago that was, in seconds.
    pub lag_seconds: Option<f64>,
}

/// The last run of each data set.
pub(crate) async fn status(client: &Client) -> Result<Vec<DataSetStatus>, LoadError> {
    let rows = client
        .query_typed(
            "SELECT DISTINCT ON (run.data_set, run.table_name)
                    run.data_set, run.table_name, run.outcome, run.finished_at::text, run.duration_ms, run.source_hash,
                    run.checksum, run.trace_id, run.problem, success.finished_at::text,
                    extract(epoch FROM clock_timestamp() - success.finished_at)::float8,
                    run.rows_read, run.rows_valid, run.rows_rejected, run.rows_inserted, run.rows_updated,
                    run.rows_unchanged, run.rows_marked, run.rows_deleted, run.rows_kept
             FROM load_run AS run
             LEFT JOIN LATERAL (
                 SELECT finished_at FROM load_run
                 WHERE data_set = run.data_set AND table_name = run.table_name AND outcome <> 'failed'
                 ORDER BY id DESC LIMIT 1
             ) AS success ON true
             ORDER BY run.data_set, run.table_name, run.id DESC",
            &[],
        )
        .await
        .map_err(failed)?;
    let status = |row: &Row| DataSetStatus {
        data_set: row.get(0),
        table: row.get(1),
        outcome: row.get(2),
        finished_at: row.get(3),
        duration_ms: row.get(4),
        source_hash: row.get(5),
        checksum: row.get(6),
        trace_id: row.get(7),
        problem: row.get(8),
        last_success: row.get(9),
        lag_seconds: row.get(10),
        counts: counts(row, 11),
    };
    Ok(rows.iter().map(status).collect())
}

/// The rejected rows of a data set's last run that had any; without a name, of the last such run of all.
pub(crate) async fn rejections(
    client: &Client,
    data_set: Option<&str>,
) -> Result<Option<(String, Vec<Rejection>)>, LoadError> {
    let run = client
        .query(
            "SELECT id, data_set FROM load_run
             WHERE rows_rejected > 0 AND ($1::text IS NULL OR data_set = $1) ORDER BY id DESC LIMIT 1",
            &[&data_set],
        )
        .await
        .map_err(failed)?;
    let Some(run) = run.first() else {
        return Ok(None);
    };
    let rows = client
        .query(
            "SELECT file, line, column_name, reason, value, record FROM load_reject WHERE run_id = $1 ORDER BY position",
            &[&run.get::<_, i64>(0)],
        )
        .await
        .map_err(failed)?;
    let rejection = |row: &Row| Rejection {
        file: row.get(0),
        line: row.get::<_, i64>(1).cast_unsigned(),
        column: row.get(2),
        reason: row.get(3),
        value: row.get(4),
        record: row.get::<_, Option<Vec<u8>>>(5).unwrap_or_default(),
    };
    Ok(Some((run.get(1), rows.iter().map(rejection).collect())))
}
