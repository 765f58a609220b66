//! Staged rows written to the table.

use serde::Serialize;
use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::error::{LoadError, Problem};
use crate::loading::read_back::{Checksum, read_back};
use crate::loading::staging::{FILE, NUMBER, PARTITION, PLACE, staging_name};
use crate::loading::{Compared, DataSetWork};
use crate::target::sql::{columns_of, differs, identifier, list, same_key};
use crate::target::statement_span;

/// A column of this name is set to the time of the load where a row changes, unless the source itself has it or its type
/// takes no time.
const UPDATED_AT: &str = "updated_at";
/// So many rows of each kind are shown of what would change.
pub(super) const SAMPLES: usize = 5;

/// How many rows were written, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
}

/// A row that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// What would be done to it: `insert`, `update`, `mark` or `delete`.
    pub action: &'static str,
    /// Its key.
    pub key: String,
    /// The row as it is, as JSON; none where it is not there yet.
    pub before: Option<String>,
    /// The row as it would be; none where it vanishes.
    pub after: Option<String>,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.action, self.key)?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(formatter, " from {before} to {after}"),
            (Some(before), None) => write!(formatter, ", {before}"),
            (None, Some(after)) => write!(formatter, " to {after}"),
            (None, None) => Ok(()),
        }
    }
}

/// Checks what was written to an empty table. The server counted what it wrote, so only a trigger or a rule of the table
/// can have changed rows; where there is one, or no value tells what another looks like, all of it is read back.
pub(super) async fn check_written(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    compared: &mut Compared,
    rows: u64,
) -> Result<Change, LoadError> {
    if work.table.may_change_rows || compared.checksum.is_none() {
        let columns = list(&work.layout.columns);
        let query = format!("SELECT {columns} FROM {}", work.table.qualified());
        let written = Checksum::of_query(transaction, &query)
            .await
            .map_err(|error| work.database_error(error))?;
        let is_right = compared
            .checksum
            .map_or(written.rows == compared.counts.valid, |sent| {
                sent == written
            });
        require(work, is_right)?;
        compared.checksum = Some(written);
    } else {
        require(work, rows == compared.counts.valid)?;
    }
    Ok(Change {
        inserted: compared.counts.valid,
        updated: 0,
    })
}

/// Notes in the staging table which row of the target has the same key, so that they need to be joined only once; `take`
/// gets each such row of the target.
pub(super) async fn find_places(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    take: impl FnMut(&[u8]),
) -> Result<(), tokio_postgres::Error> {
    let query = format!(
        "UPDATE {staging} AS source SET {PLACE} = target.ctid, {PARTITION} = target.tableoid
         FROM {table} AS target WHERE {same_key} RETURNING {columns}",
        staging = staging_name(work.number),
        table = work.table.qualified(),
        same_key = same_key(&work.table, "target", "source"),
        columns = columns_of("target", &work.layout.columns),
    );
    read_back(transaction, &query, take).await?;
    Ok(())
}

/// Whether a row of the target is the one whose place was noted.
fn same_place() -> String {
    format!("target.ctid = source.{PLACE} AND target.tableoid = source.{PARTITION}")
}

/// Writes staged rows whose places are noted, all of which differ from the target's. What the server says it wrote is held
/// against them: a trigger of the table may have changed or left out rows, which would be written again by each load.
pub(super) async fn write_differing(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    staged: Checksum,
) -> Result<Change, LoadError> {
    let mut written = Checksum::default();
    let updated = update_by_place(transaction, work, &mut written)
        .instrument(statement_span("UPDATE", &work.table))
        .await
        .map_err(|error| work.database_error(error))?;
    let is_new = format!("{PLACE} IS NULL");
    let query = format!(
        "{} RETURNING {}",
        insert(work, &is_new),
        list(&work.layout.columns)
    );
    let inserted = written
        .add_query(transaction, &query)
        .instrument(statement_span("INSERT", &work.table))
        .await
        .map_err(|error| work.database_error(error))?;
    require(work, written == staged)?;
    Ok(Change { inserted, updated })
}

async fn update_by_place(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    written: &mut Checksum,
) -> Result<u64, tokio_postgres::Error> {
    let Some(update) = update(work, &same_place(), None) else {
        return Ok(0);
    };
    let returning = columns_of("target", &work.layout.columns);
    written
        .add_query(transaction, &format!("{update} RETURNING {returning}"))
        .await
}

/// Writes the staged rows that the target does not have, or has otherwise, and reads them back.
pub(super) async fn write_all(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    compared: &mut Compared,
) -> Result<Change, LoadError> {
    let database_error = |error| work.database_error(error);
    let same_key = same_key(&work.table, "target", "source");
    let changed = is_changed(work);
    let updated = match update(work, &same_key, changed.as_deref()) {
        Some(statement) => transaction
            .execute(&statement, &[])
            .instrument(statement_span("UPDATE", &work.table))
            .await
            .map_err(database_error)?,
        None => 0,
    };
    let inserted = transaction
        .execute(&insert(work, &is_new(work)), &[])
        .instrument(statement_span("INSERT", &work.table))
        .await
        .map_err(database_error)?;

    let staged = format!("FROM {} AS source", staging_name(work.number));
    let both = format!(
        "{staged} JOIN {} AS target ON {same_key}",
        work.table.qualified()
    );
    let columns = columns_of("target", &work.layout.columns);
    let written = Checksum::of_query(transaction, &format!("SELECT {columns} {both}"))
        .await
        .map_err(database_error)?;
    let staged = count(transaction, &staged).await.map_err(database_error)?;
    let differing = match differs(&work.table, &work.layout.columns, "target", "source") {
        Some(differs) => count(transaction, &format!("{both} WHERE {differs}"))
            .await
            .map_err(database_error)?,
        None => 0,
    };
    require(work, differing == 0 && written.rows == staged)?;
    compared.checksum = Some(written);
    Ok(Change { inserted, updated })
}

/// The table has what was written, unless the manifest does not ask for that.
fn require(work: &DataSetWork, is_right: bool) -> Result<(), LoadError> {
    if is_right || !work.data_set.reads_back {
        Ok(())
    } else {
        Err(work.error(Problem::WrittenDiffers))
    }
}

fn insert(work: &DataSetWork, is_new: &str) -> String {
    let names = list(&work.layout.columns);
    format!(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
         SELECT {names} FROM {staging} AS source WHERE {is_new}
         ORDER BY {FILE}, {NUMBER}",
        table = work.table.qualified(),
        staging = staging_name(work.number),
    )
}

fn is_new(work: &DataSetWork) -> String {
    format!(
        "NOT EXISTS (SELECT FROM {} AS target WHERE {})",
        work.table.qualified(),
        same_key(&work.table, "target", "source")
    )
}

/// Whether a row of the target is to be updated; nothing when it has no columns but the key's.
fn is_changed(work: &DataSetWork) -> Option<String> {
    let differs = differs(&work.table, &work.layout.columns, "target", "source");
    let is_marked = work
        .used_mark_column()
        .map(|column| format!("target.{column} IS NOT NULL"));
    let conditions: Vec<_> = [differs, is_marked].into_iter().flatten().collect();
    (!conditions.is_empty()).then(|| format!("({})", conditions.join(" OR ")))
}

/// The statement that updates the rows that `same` finds, where they are `changed`; nothing when there is nothing to set.
fn update(work: &DataSetWork, same: &str, changed: Option<&str>) -> Option<String> {
    let table = &work.table;
    let columns = &work.layout.columns;
    let mut assignments: Vec<_> = columns
        .iter()
        .filter(|column| !table.key.contains(&column.name))
        .map(|column| identifier(&column.name))
        .map(|name| format!("{name} = source.{name}"))
        .collect();
    if let Some(column) = work.used_mark_column() {
        assignments.push(format!("{column} = NULL"));
    }
    if assignments.is_empty() {
        return None;
    }
    let is_in_source = columns.iter().any(|column| column.name == UPDATED_AT);
    if table.time_column(UPDATED_AT).is_some() && !is_in_source {
        assignments.push(format!("{UPDATED_AT} = CURRENT_TIMESTAMP"));
    }
    let changed = changed.map_or_else(String::new, |changed| format!(" AND {changed}"));
    Some(format!(
        "UPDATE {table} AS target SET {assignments} FROM {staging} AS source WHERE {same}{changed}",
        table = table.qualified(),
        assignments = assignments.join(", "),
        staging = staging_name(work.number),
    ))
}

/// Counts what writing would do, and shows some of it.
pub(super) async fn preview(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(Change, Vec<Sample>), tokio_postgres::Error> {
    let staging = staging_name(work.number);
    let mut samples = Vec::new();
    let key: Vec<_> = work
        .table
        .key
        .iter()
        .map(|name| format!("source.{}", identifier(name)))
        .collect();
    let key = format!("concat_ws(', ', {})", key.join(", "));

    let new = format!("FROM {staging} AS source WHERE {}", is_new(work));
    let inserted = count(transaction, &new).await?;
    let query = format!(
        "SELECT {key}, NULL, {} {new} ORDER BY {FILE}, {NUMBER} LIMIT {SAMPLES}",
        row_as_json(work, "source")
    );
    sample(transaction, &query, "insert", &mut samples).await?;
    let mut updated = 0;
    if let Some(changed) = is_changed(work) {
        let rows = format!(
            "FROM {staging} AS source JOIN {} AS target ON {} WHERE {changed}",
            work.table.qualified(),
            same_key(&work.table, "target", "source")
        );
        updated = count(transaction, &rows).await?;
        let query = format!(
            "SELECT {key}, {}, {} {rows} ORDER BY {FILE}, {NUMBER} LIMIT {SAMPLES}",
            row_as_json(work, "target"),
            row_as_json(work, "source")
        );
        sample(transaction, &query, "update", &mut samples).await?;
    }
    Ok((Change { inserted, updated }, samples))
}

/// The loaded columns of a row as a JSON object, however many there are.
pub(super) fn row_as_json(work: &DataSetWork, alias: &str) -> String {
    let columns = columns_of(alias, &work.layout.columns);
    format!("(SELECT row_to_json(shown)::text FROM (SELECT {columns}) AS shown)")
}

async fn count(transaction: &Transaction<'_>, rows: &str) -> Result<u64, tokio_postgres::Error> {
    let count: i64 = transaction
        .query_one(&format!("SELECT count(*) {rows}"), &[])
        .await?
        .get(0);
    Ok(count.cast_unsigned())
}

/// Adds the rows of a query: their keys, and what they are before and after.
pub(super) async fn sample(
    transaction: &Transaction<'_>,
    query: &str,
    action: &'static str,
    samples: &mut Vec<Sample>,
) -> Result<(), tokio_postgres::Error> {
    let rows = transaction.query(query, &[]).await?;
    samples.extend(rows.iter().map(|row| Sample {
        action,
        key: row.get(0),
        before: row.get(1),
        after: row.get(2),
    }));
    Ok(())
}
