//! The target table as the catalog describes it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::target::column::{Column, Kind};

/// A table, and what is to be known of it for loading.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The names of the primary key's columns.
    pub(crate) key: Vec<String>,
    pub(crate) checks: Vec<Check>,
}

/// A CHECK constraint.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// The condition, as an expression over the columns.
    pub(crate) expression: String,
}

/// Why a table cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is no such table.
    #[error("there is no table {0} in the user's search_path")]
    Missing(String),
    /// The table has no primary key, so rows cannot be told apart.
    #[error("the table {0} has no primary key, so its rows cannot be compared with the source's")]
    NoKey(String),
    /// The server's answer.
    #[error("the table {table} cannot be read from the catalog: {problem}")]
    Database {
        /// The table.
        table: String,
        /// The server's message.
        problem: String,
    },
}

impl Table {
    /// Reads the table's description from the catalog.
    pub(crate) async fn describe(client: &Client, name: &str) -> Result<Self, TableError> {
        let database_error = |error: tokio_postgres::Error| TableError::Database {
            table: name.to_owned(),
            problem: connection::describe(&error),
        };
        let identity = client
            .query_typed(
                "SELECT class.oid, namespace.nspname::text
                 FROM pg_class AS class
                 JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
                 WHERE class.oid = to_regclass(quote_ident($1))",
                &[(&name, Type::TEXT)],
            )
            .await
            .map_err(database_error)?;
        let identity = identity
            .first()
            .ok_or_else(|| TableError::Missing(name.to_owned()))?;
        let oid: u32 = identity.get(0);

        let columns = client
            .query_typed(
                "SELECT attribute.attname::text, attribute.atttypid, attribute.atttypmod,
                        format_type(attribute.atttypid, attribute.atttypmod),
                        attribute.attnotnull,
                        attribute.atthasdef OR attribute.attidentity <> '',
                        coalesce(attribute.attnum = ANY (primary_key.conkey), false)
                 FROM pg_attribute AS attribute
                 LEFT JOIN pg_constraint AS primary_key
                   ON primary_key.conrelid = attribute.attrelid AND primary_key.contype = 'p'
                 WHERE attribute.attrelid = $1 AND attribute.attnum > 0
                   AND NOT attribute.attisdropped AND attribute.attgenerated = ''
                 ORDER BY attribute.attnum",
                &[(&oid, Type::OID)],
            )
            .await
            .map_err(database_error)?;
        let checks = client
            .query_typed(
                "SELECT check_constraint.conname::text,
                        pg_get_expr(check_constraint.conbin, check_constraint.conrelid),
                        ARRAY(SELECT attname::text FROM pg_attribute
                              WHERE attrelid = check_constraint.conrelid
                                AND attnum = ANY (check_constraint.conkey))
                 FROM pg_constraint AS check_constraint
                 WHERE check_constraint.conrelid = $1 AND check_constraint.contype = 'c'
                 ORDER BY check_constraint.conname",
                &[(&oid, Type::OID)],
            )
            .await
            .map_err(database_error)?;

        let key: Vec<String> = columns
            .iter()
            .filter(|row| row.get(6))
            .map(|row| row.get(0))
            .collect();
        if key.is_empty() {
            return Err(TableError::NoKey(name.to_owned()));
        }
        Ok(Self {
            schema: identity.get(1),
            name: name.to_owned(),
            columns: columns
                .iter()
                .map(|row| Column {
                    name: row.get(0),
                    kind: Kind::from_catalog(row.get(1), row.get(2)),
                    type_name: row.get(3),
                    is_required: row.get(4),
                    has_default: row.get(5),
                })
                .collect(),
            key,
            checks: checks
                .iter()
                .map(|row| Check {
                    name: row.get(0),
                    expression: row.get(1),
                    columns: row.get(2),
                })
                .collect(),
        })
    }

    /// The table's full name, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// The columns that a header names, in its order, or what does not fit.
    pub(crate) fn columns_of(&self, header: &[String]) -> Result<Vec<&Column>, String> {
        let mut columns: Vec<&Column> = Vec::with_capacity(header.len());
        for name in header {
            let column = self
                .columns
                .iter()
                .find(|column| column.name == *name)
                .ok_or_else(|| {
                    let known: Vec<_> = self.columns.iter().map(|column| &*column.name).collect();
                    format!(
                        "the table {} has no column {name:?}; it has {}",
                        self.name,
                        known.join(", ")
                    )
                })?;
            if columns.iter().any(|earlier| earlier.name == column.name) {
                return Err(format!("the column {name:?} stands there twice"));
            }
            columns.push(column);
        }
        let missing = self.columns.iter().find(|column| {
            let is_needed =
                self.key.contains(&column.name) || (column.is_required && !column.has_default);
            is_needed && !header.contains(&column.name)
        });
        match missing {
            Some(column) => Err(format!(
                "the column {:?} ({}) is missing; the table {} requires it",
                column.name, column.type_name, self.name
            )),
            None => Ok(columns),
        }
    }
}

/// A name as SQL has it.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
