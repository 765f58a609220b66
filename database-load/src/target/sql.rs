//! Pieces of SQL.

use crate::target::column::Column;
use crate::target::table::{ForeignKey, Table};

/// A name as SQL has it.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The columns' names as SQL has them, separated by commas.
pub(crate) fn list(columns: &[Column]) -> String {
    names(columns.iter().map(|column| &*column.name))
}

/// The columns of an alias, separated by commas.
pub(crate) fn columns_of(alias: &str, columns: &[Column]) -> String {
    let columns = columns.iter().map(|column| identifier(&column.name));
    let columns: Vec<_> = columns.map(|name| format!("{alias}.{name}")).collect();
    columns.join(", ")
}

/// Names as SQL has them, separated by commas.
pub(crate) fn names<'name>(names: impl IntoIterator<Item = &'name str>) -> String {
    let names: Vec<_> = names.into_iter().map(identifier).collect();
    names.join(", ")
}

/// A statement that has these foreign keys checked with each statement of the transaction, so that it is known which rows
/// break them; nothing where that is so anyway.
pub(crate) fn check_at_once<'key>(keys: impl Iterator<Item = &'key ForeignKey>) -> String {
    let deferred: Vec<_> = keys.filter_map(|key| key.deferred.as_deref()).collect();
    if deferred.is_empty() {
        return String::new();
    }
    format!("SET CONSTRAINTS {} IMMEDIATE; ", deferred.join(", "))
}

/// Whether the rows that two aliases stand for have the same key.
pub(crate) fn same_key(table: &Table, one: &str, other: &str) -> String {
    let conditions: Vec<_> = table
        .key
        .iter()
        .map(|name| identifier(name))
        .map(|name| format!("{one}.{name} = {other}.{name}"))
        .collect();
    conditions.join(" AND ")
}

/// Whether two aliases have different values in the columns that are not the key's. None if there are none.
pub(crate) fn differs(table: &Table, columns: &[Column], one: &str, other: &str) -> Option<String> {
    let values = |alias: &str| -> Vec<String> {
        columns
            .iter()
            .filter(|column| !table.key.contains(&column.name))
            .map(|column| {
                // Not every type has an equality, and to some 1.0 equals 1.00.
                let cast = if column.kind.is_canonical() {
                    ""
                } else {
                    "::text"
                };
                let collation = if column.is_deterministic {
                    ""
                } else {
                    " COLLATE \"C\""
                };
                format!("{alias}.{}{cast}{collation}", identifier(&column.name))
            })
            .collect()
    };
    let one = values(one);
    if one.is_empty() {
        return None;
    }
    Some(format!(
        "ROW({}) IS DISTINCT FROM ROW({})",
        one.join(", "),
        values(other).join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), " E'a\\\\b'''");
    }
}
