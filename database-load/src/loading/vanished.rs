//! Rows of the table that are no longer in the source.

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tracing::Instrument;

use crate::loading::staging::staging_name;
use crate::loading::write::{SAMPLES, Sample, row_as_json, sample};
use crate::loading::{Counts, DataSetWork, Pending};
use crate::manifest::Vanished;
use crate::target::sql::{check_at_once, identifier, list, names, same_key};
use crate::target::{ForeignKey, statement_span};

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
                spare_referenced(transaction, work).await?;
                spare_held(transaction, work).await?;
                counts.deleted = delete_listed(transaction, work)
                    .instrument(statement_span("DELETE", &work.table))
                    .await?;
            }
        }
        counts.kept = self.count - counts.marked - counts.deleted;
        Ok(())
    }

    /// Tells what [`Self::apply`] would do, with some of the rows.
    pub(crate) async fn preview(
        self,
        transaction: &Transaction<'_>,
        work: &DataSetWork,
        counts: &mut Counts,
    ) -> Result<Vec<Sample>, tokio_postgres::Error> {
        let mut samples = Vec::new();
        match work.vanished_policy() {
            Vanished::Mark if self.is_listed => {
                counts.marked = self.count;
                sample(transaction, &listed(work), "mark", &mut samples).await?;
            }
            Vanished::Delete if self.is_listed => {
                let spared = spare_referenced(transaction, work).await?;
                counts.deleted = self.count - spared;
                sample(transaction, &listed(work), "delete", &mut samples).await?;
            }
            Vanished::Keep | Vanished::Mark | Vanished::Delete => {}
        }
        counts.kept = self.count - counts.marked - counts.deleted;
        Ok(samples)
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
pub(super) async fn list_missing(
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

/// Some of the listed rows, as samples have them.
fn listed(work: &DataSetWork) -> String {
    format!(
        "SELECT concat_ws(', ', {key}), {row}, NULL
         FROM {table} AS target JOIN {vanished} AS vanished ON {same_key}
         ORDER BY {key} LIMIT {SAMPLES}",
        key = key_of_target(work),
        row = row_as_json(work, "target"),
        table = work.table.qualified(),
        vanished = table_name(work.number),
        same_key = same_key(&work.table, "target", "vanished"),
    )
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

/// Returns how many rows were deleted. The transaction does not see what began to refer to a row after it did, but the
/// server does, and refuses to delete any; then each row is tried on its own.
async fn delete_listed(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<u64, tokio_postgres::Error> {
    let checked = check_at_once(work.table.referenced_by.iter());
    transaction
        .batch_execute(&format!("{checked}SAVEPOINT vanished"))
        .await?;
    match transaction.execute(&delete(work), &[]).await {
        Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {}
        outcome => return outcome,
    }
    transaction
        .batch_execute(&format!(
            "ROLLBACK TO SAVEPOINT vanished; {}",
            delete_each(work)
        ))
        .await?;
    let deleted: i64 = transaction
        .query_one("SELECT pg_temp.database_load_delete()", &[])
        .await?
        .get(0);
    Ok(deleted.cast_unsigned())
}

/// The same for each row on its own, as a function.
fn delete_each(work: &DataSetWork) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION pg_temp.database_load_delete() RETURNS bigint LANGUAGE plpgsql AS $function$
         DECLARE
             vanished record;
             deleted bigint := 0;
         BEGIN
             FOR vanished IN SELECT * FROM {vanished} LOOP
                 BEGIN
                     DELETE FROM {table} AS target WHERE {is_vanished};
                     deleted := deleted + 1;
                 EXCEPTION WHEN foreign_key_violation THEN
                     NULL;
                 END;
             END LOOP;
             RETURN deleted;
         END $function$",
        vanished = table_name(work.number),
        table = work.table.qualified(),
        is_vanished = same_key(&work.table, "target", "vanished"),
    )
}

fn delete(work: &DataSetWork) -> String {
    format!(
        "DELETE FROM {table} AS target USING {vanished} AS vanished WHERE {is_vanished}",
        table = work.table.qualified(),
        vanished = table_name(work.number),
        is_vanished = same_key(&work.table, "target", "vanished"),
    )
}

/// Rows that others refer to stay, whatever those foreign keys would do: they are taken off the list. Returns how many.
async fn spare_referenced(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<u64, tokio_postgres::Error> {
    let references = &work.table.referenced_by;
    // A row that stays may refer to another one of its own table.
    let is_recursive = references.iter().any(ForeignKey::is_within_table);
    let mut count = 0;
    loop {
        let mut spared = 0;
        for reference in references {
            let statement = spare_referenced_by(work, reference);
            spared += transaction.execute(&statement, &[]).await?;
        }
        count += spared;
        if spared == 0 || !is_recursive {
            return Ok(count);
        }
    }
}

/// Takes rows off the list that are referred to by a row that does not vanish itself.
fn spare_referenced_by(work: &DataSetWork, reference: &ForeignKey) -> String {
    let vanished = table_name(work.number);
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    let mut conditions: Vec<_> = columns
        .map(|(from, to)| format!("reference.{} = target.{}", identifier(from), identifier(to)))
        .collect();
    if reference.is_within_table() {
        conditions.push(format!(
            "NOT EXISTS (SELECT FROM {vanished} AS other WHERE {})",
            same_key(&work.table, "reference", "other")
        ));
    }
    format!(
        "DELETE FROM {vanished} AS vanished USING {table} AS target
         WHERE {is_vanished} AND EXISTS (SELECT FROM {from} AS reference WHERE {conditions})",
        table = work.table.qualified(),
        is_vanished = same_key(&work.table, "target", "vanished"),
        from = referring_rows(work, reference),
        conditions = conditions.join(" AND "),
    )
}

/// The rows that may refer to others: those of the referring table, or those that it would have after what is pending.
fn referring_rows(work: &DataSetWork, reference: &ForeignKey) -> String {
    let of_table = |pending: &&Pending| pending.table.oid == reference.from_oid;
    let Some(pending) = work.pending.iter().find(of_table) else {
        return reference.from.clone();
    };
    let absent_from = |relation: &str| {
        let same_key = same_key(&pending.table, "present", "other");
        format!("NOT EXISTS (SELECT FROM {relation} AS other WHERE {same_key})")
    };
    let mut conditions = vec!["true".to_owned()];
    if pending.is_deleting {
        conditions.push(absent_from(&table_name(pending.number)));
    }
    let mut columns = "*".to_owned();
    let mut staged = String::new();
    if pending.has(&reference.from_columns) {
        let staging = staging_name(pending.number);
        columns = list(&pending.layout.columns);
        conditions.push(absent_from(&staging));
        staged = format!(" UNION ALL SELECT {columns} FROM {staging}");
    }
    format!(
        "(SELECT {columns} FROM {from} AS present WHERE {conditions}{staged})",
        from = reference.from,
        conditions = conditions.join(" AND "),
    )
}

/// Rows that somebody holds this moment, who may be about to refer to them, are taken off the list as well.
async fn spare_held(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(), tokio_postgres::Error> {
    let statement = format!(
        "WITH locked AS MATERIALIZED (
             SELECT {key} FROM {table} AS target JOIN {vanished} AS vanished ON {is_vanished}
             ORDER BY {key} FOR UPDATE OF target SKIP LOCKED
         )
         DELETE FROM {vanished} AS vanished WHERE NOT EXISTS (SELECT FROM locked WHERE {is_locked})",
        key = key_of_target(work),
        table = work.table.qualified(),
        vanished = table_name(work.number),
        is_vanished = same_key(&work.table, "target", "vanished"),
        is_locked = same_key(&work.table, "vanished", "locked"),
    );
    if transaction.execute(&statement, &[]).await? > 0 {
        spare_referenced(transaction, work).await?;
    }
    Ok(())
}

fn key_of_target(work: &DataSetWork) -> String {
    let key = work.table.key.iter();
    let key: Vec<_> = key
        .map(|name| format!("target.{}", identifier(name)))
        .collect();
    key.join(", ")
}
