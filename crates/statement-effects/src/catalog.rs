//! What only the server's catalog knows.

/// Facts of the database that a statement will run on. Whatever is not known is answered with `None`, and the effects
/// say on what they depend.
pub trait Catalog {
    /// The type of a column as `format_type` writes it, such as `character varying(20)`. The table is named as in the
    /// statement, the column as in `pg_attribute`.
    fn column_type(&self, table: &str, column: &str) -> Option<String>;
}

/// A catalog of which nothing is known: the effects that the text alone tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingKnown;

impl Catalog for NothingKnown {
    fn column_type(&self, _table: &str, _column: &str) -> Option<String> {
        None
    }
}
