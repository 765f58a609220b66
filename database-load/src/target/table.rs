//! The target table as the catalog describes it.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::target::column::{Column, Kind};
use crate::target::sql::identifier;

/// A table, and what is to be known of it for loading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The names of the columns that tell rows apart.
    pub(crate) key: Vec<String>,
    /// The names of the unique indexes over them.
    pub(crate) key_indexes: Vec<String>,
    pub(crate) checks: Vec<Check>,
    /// Foreign keys of this table.
    pub(crate) references: Vec<ForeignKey>,
    /// Foreign keys of any table to this one.
    pub(crate) referenced_by: Vec<ForeignKey>,
    /// Which table it is and in which file its rows are: both change when its rows are made anew behind our back.
    pub(crate) state: String,
    /// Whether a trigger or a rule may write other rows than those that are sent.
    pub(crate) may_change_rows: bool,
    /// Whether policies of the table decide which rows the user sees and writes.
    pub(crate) has_row_security: bool,
    /// Whether the user may analyse it.
    pub(crate) may_be_analysed: bool,
}

/// A CHECK constraint.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// The condition, as an expression over the columns.
    pub(crate) expression: String,
}

/// A FOREIGN KEY constraint.
#[derive(Debug, Clone)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    /// The table that refers, quoted and with its schema.
    pub(crate) from: String,
    pub(crate) from_oid: u32,
    pub(crate) from_columns: Vec<String>,
    /// The table that is referred to, quoted and with its schema.
    pub(crate) to: String,
    pub(crate) to_oid: u32,
    pub(crate) to_columns: Vec<String>,
    /// The constraint's full name, quoted, where the server would check it at the end of the transaction only.
    pub(crate) deferred: Option<String>,
}

impl ForeignKey {
    /// Whether rows refer to others of the same table.
    pub(crate) fn is_within_table(&self) -> bool {
        self.from == self.to
    }
}

/// Why a table cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is no such table.
    #[error("there is no table {0} in the user's search_path")]
    Missing(String),
    /// The table has no primary key, so rows cannot be told apart.
    #[error(
        "the table {0} has no primary key, so its rows cannot be compared with the source's; name a `key` in the manifest"
    )]
    NoKey(String),
    /// What the manifest calls a key does not tell rows apart.
    #[error(
        "the table {table} has no unique constraint over {key}, all of them NOT NULL, so they are no key"
    )]
    NotUnique {
        /// The table.
        table: String,
        /// The columns.
        key: String,
    },
    /// The server's answer.
    #[error("the table {table} cannot be read from the catalog: {}", connection::describe(.source))]
    Database {
        /// The table.
        table: String,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
}

impl Table {
    /// Reads the table's description from the catalog. A schema may stand before its name.
    pub(crate) async fn describe(
        client: &Client,
        name: &str,
        key: Option<&[String]>,
    ) -> Result<Self, TableError> {
        let database_error = |source| TableError::Database {
            table: name.to_owned(),
            source,
        };
        let quoted: Vec<_> = name.split('.').map(identifier).collect();
        let quoted = quoted.join(".");
        let identity = client
            .query_typed(
                "SELECT class.oid, namespace.nspname::text, class.relname::text,
                        concat_ws('/', class.oid, pg_relation_filenode(class.oid)),
                        pg_has_role(class.relowner, 'USAGE'),
                        class.relkind = 'p' OR class.relhasrules OR EXISTS (
                            SELECT FROM pg_trigger WHERE tgrelid = class.oid AND NOT tgisinternal),
                        row_security_active(class.oid)
                 FROM pg_class AS class
                 JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
                 WHERE class.oid = to_regclass($1) AND class.relkind IN ('r', 'p')",
                &[(&quoted, Type::TEXT)],
            )
            .await
            .map_err(database_error)?;
        let identity = identity
            .first()
            .ok_or_else(|| TableError::Missing(name.to_owned()))?;
        let oid: u32 = identity.get(0);
        let details = async {
            // Sent one behind the other without waiting.
            tokio::try_join!(
                columns(client, oid),
                checks(client, oid),
                foreign_keys(client, oid),
                unique_keys(client, oid),
            )
        };
        let (columns, checks, foreign_keys, unique_keys) = details.await.map_err(database_error)?;
        let key = chosen_key(name, key, &unique_keys)?;
        let of_key = unique_keys.iter().filter(|unique| unique.columns == key);
        let key_indexes = of_key.map(|unique| unique.name.clone()).collect();
        let (references, referenced_by) = foreign_keys;
        Ok(Self {
            oid,
            schema: identity.get(1),
            name: identity.get(2),
            columns,
            key,
            key_indexes,
            checks,
            references,
            referenced_by,
            state: identity.get(3),
            may_be_analysed: identity.get(4),
            may_change_rows: identity.get(5),
            has_row_security: identity.get(6),
        })
    }

    /// The table's full name, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// Whether a row cannot be loaded without the column.
    pub(crate) fn needs(&self, column: &Column) -> bool {
        self.key.contains(&column.name) || (column.is_required && !column.has_default)
    }

    /// The column of this name, if the time of the load can be written to it.
    pub(crate) fn time_column(&self, name: &str) -> Option<&Column> {
        self.column(name).filter(|column| column.takes_time())
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

async fn columns(client: &Client, oid: u32) -> Result<Vec<Column>, tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "SELECT attribute.attname::text, attribute.atttypid, attribute.atttypmod,
                    format_type(attribute.atttypid, attribute.atttypmod),
                    attribute.attnotnull OR kind.typnotnull,
                    attribute.atthasdef OR attribute.attidentity <> '' OR kind.typdefault IS NOT NULL,
                    CASE WHEN attribute.attcollation <> kind.typcollation
                         THEN format('%I.%I', namespace.nspname, collations.collname) END,
                    coalesce(collations.collisdeterministic, true),
                    kind.typcategory::text
             FROM pg_attribute AS attribute
             JOIN pg_type AS kind ON kind.oid = attribute.atttypid
             LEFT JOIN pg_collation AS collations ON collations.oid = attribute.attcollation
             LEFT JOIN pg_namespace AS namespace ON namespace.oid = collations.collnamespace
             WHERE attribute.attrelid = $1 AND attribute.attnum > 0
               AND NOT attribute.attisdropped AND attribute.attgenerated = ''
             ORDER BY attribute.attnum",
            &[(&oid, Type::OID)],
        )
        .await?;
    let column = |row: &Row| Column {
        name: row.get(0),
        kind: Kind::from_catalog(row.get(1), row.get(2)),
        type_name: row.get(3),
        is_required: row.get(4),
        has_default: row.get(5),
        collation: row.get(6),
        is_deterministic: row.get(7),
        category: row.get(8),
    };
    Ok(rows.iter().map(column).collect())
}

async fn checks(client: &Client, oid: u32) -> Result<Vec<Check>, tokio_postgres::Error> {
    let rows = client
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
        .await?;
    let check = |row: &Row| Check {
        name: row.get(0),
        expression: row.get(1),
        columns: row.get(2),
    };
    Ok(rows.iter().map(check).collect())
}

/// The foreign keys of the table, and those to it.
async fn foreign_keys(
    client: &Client,
    oid: u32,
) -> Result<(Vec<ForeignKey>, Vec<ForeignKey>), tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "SELECT reference.conname::text,
                    format('%I.%I', from_schema.nspname, from_table.relname),
                    ARRAY(SELECT attname::text FROM unnest(reference.conkey) WITH ORDINALITY AS key (number, position)
                          JOIN pg_attribute ON attrelid = reference.conrelid AND attnum = key.number
                          ORDER BY position),
                    format('%I.%I', to_schema.nspname, to_table.relname),
                    reference.confrelid,
                    ARRAY(SELECT attname::text FROM unnest(reference.confkey) WITH ORDINALITY AS key (number, position)
                          JOIN pg_attribute ON attrelid = reference.confrelid AND attnum = key.number
                          ORDER BY position),
                    reference.conrelid,
                    CASE WHEN reference.condeferred THEN format('%I.%I', from_schema.nspname, reference.conname) END
             FROM pg_constraint AS reference
             JOIN pg_class AS from_table ON from_table.oid = reference.conrelid
             JOIN pg_namespace AS from_schema ON from_schema.oid = from_table.relnamespace
             JOIN pg_class AS to_table ON to_table.oid = reference.confrelid
             JOIN pg_namespace AS to_schema ON to_schema.oid = to_table.relnamespace
             WHERE (reference.conrelid = $1 OR reference.confrelid = $1) AND reference.contype = 'f'
               AND reference.conparentid = 0
             ORDER BY reference.conname",
            &[(&oid, Type::OID)],
        )
        .await?;
    let foreign_key = |row: &Row| ForeignKey {
        name: row.get(0),
        from: row.get(1),
        from_columns: row.get(2),
        to: row.get(3),
        to_oid: row.get(4),
        to_columns: row.get(5),
        deferred: row.get(7),
        from_oid: row.get(6),
    };
    let of_this = rows.iter().filter(|row| row.get::<_, u32>(6) == oid);
    let to_this = rows.iter().filter(|row| row.get::<_, u32>(4) == oid);
    Ok((
        of_this.map(foreign_key).collect(),
        to_this.map(foreign_key).collect(),
    ))
}

/// The columns of each key that tells all rows apart, the primary key first.
async fn unique_keys(client: &Client, oid: u32) -> Result<Vec<UniqueKey>, tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "SELECT (SELECT relname::text FROM pg_class WHERE oid = index.indexrelid), index.indisprimary,
                    ARRAY(SELECT attname::text FROM pg_attribute
                          WHERE attrelid = index.indrelid
                            AND attnum = ANY ((index.indkey::int2[])[0:index.indnkeyatts - 1])
                          ORDER BY attnum)
             FROM pg_index AS index
             WHERE index.indrelid = $1 AND index.indisunique AND index.indisvalid AND index.indimmediate
               AND index.indpred IS NULL AND index.indexprs IS NULL
               AND NOT EXISTS (SELECT FROM pg_attribute
                               WHERE attrelid = index.indrelid AND NOT attnotnull
                                 AND attnum = ANY ((index.indkey::int2[])[0:index.indnkeyatts - 1]))
             ORDER BY index.indisprimary DESC, index.indexrelid",
            &[(&oid, Type::OID)],
        )
        .await?;
    let key = |row: &Row| UniqueKey {
        name: row.get(0),
        is_primary: row.get(1),
        columns: row.get(2),
    };
    Ok(rows.iter().map(key).collect())
}

struct UniqueKey {
    name: String,
    is_primary: bool,
    columns: Vec<String>,
}

fn chosen_key(
    table: &str,
    wanted: Option<&[String]>,
    keys: &[UniqueKey],
) -> Result<Vec<String>, TableError> {
    let Some(wanted) = wanted else {
        let primary = keys.iter().find(|key| key.is_primary);
        return primary
            .map(|key| key.columns.clone())
            .ok_or_else(|| TableError::NoKey(table.to_owned()));
    };
    let is_wanted = |key: &&UniqueKey| {
        key.columns.len() == wanted.len()
            && key.columns.iter().all(|column| wanted.contains(column))
    };
    keys.iter()
        .find(is_wanted)
        .map(|key| key.columns.clone())
        .ok_or_else(|| TableError::NotUnique {
            table: table.to_owned(),
            key: wanted.join(", "),
        })
}
