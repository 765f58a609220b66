//! What the database knows of the relations that pending migrations name.

use std::collections::HashMap;

use connection::Connection;
use connection::sqlstate::is_lock_not_available;
use statement_effects::Catalog;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::relation_name::RelationName;

/// Where a name without a schema is created.
const CURRENT_SCHEMA: &str = "SELECT coalesce(current_schema()::text, 'public')";

/// All columns of the relations of these names in these schemas, or in those of the search path. No privileges are
/// needed, and no lock is taken.
const COLUMNS: &str = "\
    SELECT class.oid, namespace.nspname::text, class.relname::text, pg_table_is_visible(class.oid),
           attribute.attname::text, format_type(attribute.atttypid, attribute.atttypmod)
    FROM pg_class AS class
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    LEFT JOIN pg_attribute AS attribute
      ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
    WHERE class.relname = ANY ($1) AND (namespace.nspname = ANY ($2) OR pg_table_is_visible(class.oid))
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
    current_schema: String,
    /// The schemas of the relations that are found by their names alone.
    visible: HashMap<String, String>,
    relations: HashMap<RelationName, LiveRelation>,
}

/// A relation that is there.
#[derive(Debug, Default)]
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
    /// Asks for the relations of these names, as statements write them.
    pub(super) async fn load(
        connection: &Connection,
        written: &[&str],
    ) -> Result<Self, tokio_postgres::Error> {
        let row = connection.query_typed(CURRENT_SCHEMA, &[]).await?;
        let mut catalog = Self {
            current_schema: row.first().map(|row| row.get(0)).unwrap_or_default(),
            ..Self::default()
        };
        let names = written.iter().map(|written| catalog.resolve(written));
        let (schemas, names): (Vec<_>, Vec<_>) = names.map(|name| (name.schema, name.name)).unzip();
        let rows = connection
            .query_typed(
                COLUMNS,
                &[(&names, Type::TEXT_ARRAY), (&schemas, Type::TEXT_ARRAY)],
            )
            .await?;
        for row in &rows {
            catalog.add(row);
        }
        catalog.load_sizes(connection, written).await?;
        Ok(catalog)
    }

    /// The relation that a statement means by this name.
    pub(super) fn resolve(&self, written: &str) -> RelationName {
        RelationName::parse(written, |name| {
            let visible = self.visible.get(name);
            visible.unwrap_or(&self.current_schema).clone()
        })
    }

    /// Adds a relation's column.
    fn add(&mut self, row: &Row) {
        let name = RelationName {
            schema: row.get(1),
            name: row.get(2),
        };
        if row.get(3) {
            self.visible.insert(name.name.clone(), name.schema.clone());
        }
        let relation = self.relations.entry(name).or_default();
        relation.oid = row.get(0);
        if let (Some(column), Some(its_type)) = (row.get(4), row.get(5)) {
            relation.columns.insert(column, its_type);
        }
    }

    /// A relation that somebody has locked keeps its size for itself.
    async fn load_sizes(
        &mut self,
        connection: &Connection,
        written: &[&str],
    ) -> Result<(), tokio_postgres::Error> {
        let named = written
            .iter()
            .filter_map(|written| self.relations.get(&self.resolve(written)));
        let oids: Vec<u32> = named.map(|relation| relation.oid).collect();
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

fn size(row: &Row) -> Option<Size> {
    Some(Size {
        bytes: row.get::<_, Option<_>>(1)?,
        pretty: row.get::<_, Option<_>>(2)?,
        rows: row.get(3),
    })
}

impl Catalog for LiveCatalog {
    fn column_type(&self, table: &str, column: &str) -> Option<String> {
        let relation = self.relations.get(&self.resolve(table))?;
        relation.columns.get(column).cloned()
    }
}
