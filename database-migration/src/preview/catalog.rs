//! What the database knows of the relations that pending migrations name.

use std::collections::HashMap;

use connection::Connection;
use connection::sqlstate::is_lock_not_available;
use statement_effects::Catalog;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::relation_name::RelationName;

/// All columns of all relations of these names, wherever they are. No privileges are needed, and no lock is taken.
const COLUMNS: &str = "\
    SELECT class.oid, namespace.nspname::text, class.relname::text, pg_table_is_visible(class.oid),
           attribute.attname::text, format_type(attribute.atttypid, attribute.atttypmod)
    FROM pg_class AS class
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    LEFT JOIN pg_attribute AS attribute
      ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
    WHERE class.relname = ANY ($1)
    ORDER BY class.oid, attribute.attnum";

/// How large relations are; a partitioned one with its partitions. The server locks each for a moment.
const SIZES: &str = "\
    SELECT class.oid, coalesce(tree.bytes, pg_relation_size(class.oid)),
           pg_size_pretty(coalesce(tree.bytes, pg_relation_size(class.oid))),
           coalesce(tree.rows, nullif(class.reltuples, -1))::int8
    FROM pg_class AS class
    CROSS JOIN LATERAL (
        SELECT sum(pg_relation_size(leaf.oid))::int8 AS bytes, sum(nullif(leaf.reltuples, -1)) AS rows
        FROM pg_partition_tree(class.oid) AS branch
        JOIN pg_class AS leaf ON leaf.oid = branch.relid
        WHERE branch.isleaf
    ) AS tree
    WHERE class.oid = ANY ($1) AND class.relkind IN ('r', 'p', 'm', 'i', 'I')";

/// The relations that are there, with their columns.
#[derive(Debug, Default)]
pub(super) struct LiveCatalog {
    relations: HashMap<RelationName, LiveRelation>,
}

/// A relation that is there.
#[derive(Debug)]
struct LiveRelation {
    oid: u32,
    columns: HashMap<String, String>,
    size: Option<Size>,
}

/// How large a relation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: i64,
    /// The same with a unit, for people.
    pub(super) pretty: String,
    /// How many rows the server believes it has; nothing before it was looked at for the first time.
    pub(super) rows: Option<i64>,
}

impl LiveCatalog {
    /// Asks for the relations of these names.
    pub(super) async fn load(
        connection: &Connection,
        names: &[RelationName],
    ) -> Result<Self, tokio_postgres::Error> {
        let mut catalog = Self::default();
        if names.is_empty() {
            return Ok(catalog);
        }
        let last_parts: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
        let rows = connection
            .query_typed(COLUMNS, &[(&last_parts, Type::TEXT_ARRAY)])
            .await?;
        for name in names {
            if let Some(relation) = LiveRelation::find(name, &rows) {
                catalog.relations.insert(name.clone(), relation);
            }
        }
        catalog.load_sizes(connection).await?;
        Ok(catalog)
    }

    /// A relation that somebody has locked keeps its size for itself.
    async fn load_sizes(&mut self, connection: &Connection) -> Result<(), tokio_postgres::Error> {
        let oids: Vec<u32> = self.relations.values().map(|found| found.oid).collect();
        let answer = connection
            .query_typed(SIZES, &[(&oids, Type::OID_ARRAY)])
            .await;
        let rows = match answer {
            Err(error) if error.code().is_some_and(is_lock_not_available) => Vec::new(),
            answer => answer?,
        };
        let sizes: HashMap<u32, Size> = rows
            .iter()
            .filter_map(|row| Some((row.get(0), size(row)?)))
            .collect();
        for relation in self.relations.values_mut() {
            relation.size = sizes.get(&relation.oid).cloned();
        }
        Ok(())
    }

    /// Whether it is there now.
    pub(super) fn has(&self, name: &RelationName) -> bool {
        self.relations.contains_key(name)
    }

    /// How large it is, where that is known.
    pub(super) fn size(&self, name: &RelationName) -> Option<&Size> {
        self.relations.get(name)?.size.as_ref()
    }

    /// Forgets the type of each column that this statement names, since it may be another one for the next statement. A
    /// column of that name is forgotten in all relations: partitions and children change with their parents.
    pub(super) fn forget_columns(&mut self, statement: &str) {
        let statement = statement.to_lowercase();
        for relation in self.relations.values_mut() {
            let is_named = |column: &String| statement.contains(&column.to_lowercase());
            relation.columns.retain(|column, _| !is_named(column));
        }
    }

    /// Takes note that a later statement will not find it.
    pub(super) fn drop(&mut self, name: &RelationName) {
        self.relations.remove(name);
    }
}

impl LiveRelation {
    /// The relation that a statement finds by this name: of those without a schema the visible one.
    fn find(name: &RelationName, rows: &[Row]) -> Option<Self> {
        let of_name = |row: &&Row| row.get::<_, &str>(2) == name.name;
        let in_schema =
            |row: &&Row| row.get::<_, &str>(1) == name.schema.as_deref().unwrap_or("public");
        let is_visible = |row: &&Row| name.schema.is_none() && row.get(3);
        let mut candidates = rows.iter().filter(of_name);
        let oid: u32 = candidates
            .clone()
            .find(is_visible)
            .or_else(|| candidates.find(in_schema))?
            .get(0);
        let columns = rows.iter().filter(|row| row.get::<_, u32>(0) == oid);
        Some(Self {
            oid,
            columns: columns
                .filter_map(|row| Some((row.get::<_, Option<_>>(4)?, row.get::<_, Option<_>>(5)?)))
                .collect(),
            size: None,
        })
    }
}

fn size(row: &Row) -> Option<Size> {
    Some(Size {
        bytes: row.get::<_, Option<_>>(1)?,
        pretty: row.get::<_, Option<_>>(2)?,
        rows: row.get(3),
    })
}

impl Catalog for LiveCatalog {
    fn column_type(&self, table: &str, column: &str) -> Option<String> {
        let relation = self.relations.get(&RelationName::parse(table))?;
        relation.columns.get(column).cloned()
    }
}
