//! Rows of the table that are no longer in the source.

use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::loading::staging::staging_name;
use crate::loading::{Counts, DataSetWork};
use crate::manifest::Vanished;
use crate::target::sql::{identifier, names, same_key};
use crate::target::statement_span;

/// How many rows there are, and whether their keys stand in a table of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VanishedRows {
    pub(crate) count: u64,
    pub(crate) is_listed: bool,
}

impl VanishedRows {
    pub(crate) fn none() -> Self {
        Self {
            count: 0,
            is_listed: false,
        }
    }

    /// Does what the data set's policy says; the counts tell of it.
    pub(crate) async fn apply(
        self,
        transaction: &Transaction<'_>,
        work: &DataSetWork,
        counts: &mut Counts,
    ) -> Result<(), tokio_postgres::Error> {
        if !self.is_listed {
            counts.kept = self.count;
            return Ok(());
        }
        match work.vanished_policy() {
            Vanished::Keep => {}
            Vanished::Mark => {
                counts.marked = transaction
                    .execute(&mark(work), &[])
                    .instrument(statement_span("UPDATE", &work.table))
                    .await?;
            }
            Vanished::Delete => {
                counts.deleted = transaction
                    .execute(&delete(work), &[])
                    .instrument(statement_span("DELETE", &work.table))
                    .await?;
            }
        }
        counts.kept = self.count - counts.marked - counts.deleted;
        Ok(())
    }

    /// Tells what [`Self::apply`] would do.
    pub(crate) async fn preview(
        self,
        transaction: &Transaction<'_>,
        work: &DataSetWork,
        counts: &mut Counts,
    ) -> Result<(), tokio_postgres::Error> {
        match work.vanished_policy() {
            Vanished::Mark if self.is_listed => counts.marked = self.count,
            Vanished::Delete if self.is_listed => {
                let query = format!("SELECT count(*) {}", unreferenced(work));
                let count: i64 = transaction.query_one(&query, &[]).await?.get(0);
                counts.deleted = count.cast_unsigned();
            }
            Vanished::Keep | Vanished::Mark | Vanished::Delete => {}
        }
        counts.kept = self.count - counts.marked - counts.deleted;
        Ok(())
    }
}

/// The table of vanished keys of a data set.
pub(super) fn table_name(number: usize) -> String {
    format!("pg_temp.database_load_vanished_{number}")
}

/// Creates it.
pub(super) async fn create(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(), tokio_postgres::Error> {
    create_keys(transaction, work, &table_name(work.number)).await
}

/// Creates a temporary table of keys.
pub(super) async fn create_keys(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    name: &str,
) -> Result<(), tokio_postgres::Error> {
    transaction
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS {name};
             CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
            name.trim_start_matches("pg_temp."),
            names(work.table.key.iter().map(String::as_str)),
            work.table.qualified(),
        ))
        .await
}

/// Lists the rows whose keys neither the staging table nor the table `spared` has.
pub(super) async fn list(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    spared: &str,
) -> Result<VanishedRows, tokio_postgres::Error> {
    create(transaction, work).await?;
    let count = transaction
        .execute(
            &format!(
                "INSERT INTO {vanished} SELECT {key} FROM {table} AS target
                 WHERE {present}
                   AND NOT EXISTS (SELECT FROM {staging} AS source WHERE {in_source})
                   AND NOT EXISTS (SELECT FROM {spared} AS spared WHERE {is_spared})",
                vanished = table_name(work.number),
                key = key_of_target(work),
                table = work.table.qualified(),
                present = work.is_present("target"),
                staging = staging_name(work.number),
                in_source = same_key(&work.table, "target", "source"),
                is_spared = same_key(&work.table, "target", "spared"),
            ),
            &[],
        )
        .await?;
    Ok(VanishedRows {
        count,
        is_listed: true,
    })
}

fn mark(work: &DataSetWork) -> String {
    let column = work.used_mark_column().unwrap_or_default();
    format!(
        "UPDATE {table} AS target SET {column} = CURRENT_TIMESTAMP FROM {vanished} AS vanished
         WHERE {same_key} AND target.{column} IS NULL",
        table = work.table.qualified(),
        vanished = table_name(work.number),
        same_key = same_key(&work.table, "target", "vanished"),
    )
}

/// Rows that others refer to stay, whatever those foreign keys would do; so do rows that somebody holds this moment,
/// which may be about to be referred to.
fn delete(work: &DataSetWork) -> String {
    format!(
        "WITH locked AS MATERIALIZED (
             SELECT {key} {rows} ORDER BY {key} FOR UPDATE OF target SKIP LOCKED
         )
         DELETE FROM {table} AS target USING locked WHERE {is_locked}",
        key = key_of_target(work),
        rows = unreferenced(work),
        table = work.table.qualified(),
        is_locked = same_key(&work.table, "target", "locked"),
    )
}

/// Vanished rows that no other row refers to.
fn unreferenced(work: &DataSetWork) -> String {
    let references = work.table.referenced_by.iter();
    let references: String = references
        .map(|reference| {
            let columns = reference.from_columns.iter().zip(&reference.to_columns);
            let conditions: Vec<_> = columns
                .map(|(from, to)| {
                    format!("reference.{} = target.{}", identifier(from), identifier(to))
                })
                .collect();
            format!(
                " AND NOT EXISTS (SELECT FROM {} AS reference WHERE {})",
                reference.from,
                conditions.join(" AND ")
            )
        })
        .collect();
    format!(
        "FROM {table} AS target JOIN {vanished} AS vanished ON {is_vanished} WHERE true{references}",
        table = work.table.qualified(),
        vanished = table_name(work.number),
        is_vanished = same_key(&work.table, "target", "vanished"),
    )
}

fn key_of_target(work: &DataSetWork) -> String {
    let key = work.table.key.iter();
    let key: Vec<_> = key
        .map(|name| format!("target.{}", identifier(name)))
        .collect();
    key.join(", ")
}
