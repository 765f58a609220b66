//! Staged rows written to the table.

use serde::Serialize;
use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::error::{LoadError, Problem};
use crate::loading::read_back::Checksum;
use crate::loading::staging::{FILE, NUMBER, staging_name};
use crate::loading::{Compared, DataSetWork, Staged};
use crate::target::sql::{differs, identifier, list, same_key};
use crate::target::statement_span;

/// A column of this name is set to the time of the load where a row changes, unless the source itself has it.
const UPDATED_AT: &str = "updated_at";
/// So many rows of each kind are shown of what would change.
const SAMPLES: usize = 5;

/// How many rows were written, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
}

/// A row that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// What would be done to it: `insert` or `update`.
    pub action: &'static str,
    /// Its key.
    pub key: String,
    /// What would change, as JSON of the row before and after; none where there is no such row.
    pub before: Option<String>,
    /// The row as it would be.
    pub after: Option<String>,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.action, self.key)?;
        if let Some(before) = &self.before {
            write!(formatter, " from {before}")?;
        }
        if let Some(after) = &self.after {
            write!(formatter, " to {after}")?;
        }
        Ok(())
    }
}

/// Writes the rows of the staging table that the target does not have, or has otherwise.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Change, tokio_postgres::Error> {
    let updated = match update(work) {
        Some(statement) => {
            transaction
                .execute(&statement, &[])
                .instrument(statement_span("UPDATE", &work.table))
                .await?
        }
        None => 0,
    };
    let inserted = transaction
        .execute(&insert(work), &[])
        .instrument(statement_span("INSERT", &work.table))
        .await?;
    Ok(Change { inserted, updated })
}

fn insert(work: &DataSetWork) -> String {
    let names = list(&work.layout.columns);
    format!(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
         SELECT {names} FROM {staging} AS source WHERE {is_new}
         ORDER BY {FILE}, {NUMBER}",
        table = work.table.qualified(),
        staging = staging_name(work.number),
        is_new = is_new(work),
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

fn update(work: &DataSetWork) -> Option<String> {
    let table = &work.table;
    let columns = &work.layout.columns;
    let changed = is_changed(work)?;
    let mut assignments: Vec<_> = columns
        .iter()
        .filter(|column| !table.key.contains(&column.name))
        .map(|column| identifier(&column.name))
        .map(|name| format!("{name} = source.{name}"))
        .collect();
    let is_in_source = columns.iter().any(|column| column.name == UPDATED_AT);
    if table.column(UPDATED_AT).is_some() && !is_in_source {
        assignments.push(format!("{UPDATED_AT} = CURRENT_TIMESTAMP"));
    }
    if let Some(column) = work.used_mark_column() {
        assignments.push(format!("{column} = NULL"));
    }
    Some(format!(
        "UPDATE {table} AS target SET {assignments} FROM {staging} AS source WHERE {same_key} AND {changed}",
        table = table.qualified(),
        assignments = assignments.join(", "),
        staging = staging_name(work.number),
        same_key = same_key(table, "target", "source"),
    ))
}

/// Counts what writing would do, and shows some of it.
pub(super) async fn preview(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(Change, Vec<Sample>), tokio_postgres::Error> {
    let staging = staging_name(work.number);
    let mut samples = Vec::new();
    let row = |alias: &str| {
        let columns = work.layout.columns.iter();
        let members: Vec<_> = columns
            .map(|column| {
                format!(
                    "{}, {alias}.{}",
                    crate::target::sql::literal(&column.name),
                    identifier(&column.name)
                )
            })
            .collect();
        format!("json_build_object({})::text", members.join(", "))
    };
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
        row("source")
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
            row("target"),
            row("source")
        );
        sample(transaction, &query, "update", &mut samples).await?;
    }
    Ok((Change { inserted, updated }, samples))
}

async fn count(transaction: &Transaction<'_>, rows: &str) -> Result<u64, tokio_postgres::Error> {
    let count: i64 = transaction
        .query_one(&format!("SELECT count(*) {rows}"), &[])
        .await?
        .get(0);
    Ok(count.cast_unsigned())
}

async fn sample(
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

/// Reads back what was written and holds it against the source. A trigger of the table may have changed or left out
/// rows, which would be written again by each load.
pub(super) async fn verify(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    compared: &mut Compared,
) -> Result<(), LoadError> {
    let database_error = |error| work.database_error(error);
    let columns: Vec<_> = work
        .layout
        .columns
        .iter()
        .map(|column| format!("target.{}", identifier(&column.name)))
        .collect();
    let columns = columns.join(", ");
    let table = work.table.qualified();
    let staging = staging_name(work.number);
    let same = same_key(&work.table, "target", "source");
    let query = match compared.staged {
        Staged::Written => format!("SELECT {columns} FROM {table} AS target"),
        Staged::Differing | Staged::All => {
            format!("SELECT {columns} FROM {table} AS target JOIN {staging} AS source ON {same}")
        }
    };
    let written = Checksum::of_query(transaction, &query)
        .await
        .map_err(database_error)?;
    let is_right = match compared.staged {
        // Without a canonical form of each value only the server could tell whether two of them are the same.
        Staged::Written => compared
            .checksum
            .map_or(written.rows == compared.counts.valid, |sent| {
                sent == written
            }),
        Staged::Differing | Staged::All => {
            let rows = format!("FROM {staging} AS source");
            let staged = count(transaction, &rows).await.map_err(database_error)?;
            let differing = match differs(&work.table, &work.layout.columns, "target", "source") {
                Some(differs) => {
                    let rows = format!(
                        "FROM {table} AS target JOIN {staging} AS source ON {same} WHERE {differs}"
                    );
                    count(transaction, &rows).await.map_err(database_error)?
                }
                None => 0,
            };
            differing == 0 && written.rows == staged
        }
    };
    if !is_right {
        return Err(work.error(Problem::WrittenDiffers));
    }
    compared.checksum = compared.checksum.or(Some(written));
    Ok(())
}
