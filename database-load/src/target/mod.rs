//! The table that is loaded: its columns, the staging table beside it, and the comparison of the two.

mod column;
mod difference;
mod staging;
mod table;

pub(crate) use difference::{Difference, write_difference};
pub(crate) use staging::{Staging, rejections};
pub(crate) use table::Table;
pub use table::TableError;

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
