//! Source and target compared, and only what differs written.

use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::target::column::Column;
use crate::target::staging::{LINE, STAGING, list};
use crate::target::statement_span;
use crate::target::table::{Table, identifier};

/// A column of this name is set to the time of the load where a row changes, unless the source itself has it.
const UPDATED_AT: &str = "updated_at";

/// How many rows of a source were new to the table, changed it, or were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
}

/// Writes the rows of the staging table that the target does not have, or has otherwise.
pub(crate) async fn write_difference(
    transaction: &Transaction<'_>,
    table: &Table,
    columns: &[&Column],
    staged: u64,
) -> Result<Difference, tokio_postgres::Error> {
    let updated = match update(table, columns) {
        Some(statement) => {
            transaction
                .execute(&statement, &[])
                .instrument(statement_span("UPDATE", table))
                .await?
        }
        None => 0,
    };
    let inserted = transaction
        .execute(&insert(table, columns), &[])
        .instrument(statement_span("INSERT", table))
        .await?;
    Ok(Difference {
        inserted,
        updated,
        unchanged: staged - inserted - updated,
    })
}

fn insert(table: &Table, columns: &[&Column]) -> String {
    let names = list(columns);
    format!(
        "INSERT INTO {target} ({names})
         SELECT {names} FROM {STAGING} AS source
         WHERE NOT EXISTS (SELECT FROM {target} AS target WHERE {same_key})
         ORDER BY {LINE}",
        target = table.qualified(),
        same_key = same_key(table),
    )
}

/// Nothing when the source has no columns but the key's.
fn update(table: &Table, columns: &[&Column]) -> Option<String> {
    let others: Vec<_> = columns
        .iter()
        .filter(|column| !table.key.contains(&column.name))
        .map(|column| identifier(&column.name))
        .collect();
    if others.is_empty() {
        return None;
    }
    let qualified = |alias: &str| {
        let names: Vec<_> = others
            .iter()
            .map(|name| format!("{alias}.{name}"))
            .collect();
        names.join(", ")
    };
    let mut assignments: Vec<_> = others
        .iter()
        .map(|name| format!("{name} = source.{name}"))
        .collect();
    let has_updated_at = table.columns.iter().any(|column| column.name == UPDATED_AT);
    let is_in_source = columns.iter().any(|column| column.name == UPDATED_AT);
    if has_updated_at && !is_in_source {
        assignments.push(format!("{UPDATED_AT} = CURRENT_TIMESTAMP"));
    }
    Some(format!(
        "UPDATE {target} AS target SET {assignments} FROM {STAGING} AS source
         WHERE {same_key} AND ({old}) IS DISTINCT FROM ({new})",
        target = table.qualified(),
        assignments = assignments.join(", "),
        same_key = same_key(table),
        old = qualified("target"),
        new = qualified("source"),
    ))
}

fn same_key(table: &Table) -> String {
    let conditions: Vec<_> = table
        .key
        .iter()
        .map(|name| identifier(name))
        .map(|name| format!("target.{name} = source.{name}"))
        .collect();
    conditions.join(" AND ")
}
