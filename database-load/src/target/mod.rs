//! The table that is loaded: its columns, its key, its constraints.

mod column;
pub(crate) mod sql;
mod table;

pub(crate) use column::{Column, Kind};
pub use table::TableError;
pub(crate) use table::{ForeignKey, Table};

/// The span of a statement on the table, named by the operation.
pub(crate) fn statement_span(operation: &str, table: &Table) -> tracing::Span {
    let summary = format!("{operation} {}", table.name);
    tracing::info_span!(
        "statement",
        otel.name = summary,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.query.summary = summary,
        db.collection.name = table.name,
    )
}
