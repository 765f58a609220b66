//! What the database's own catalog says: a description of the schema, kept after each run, tells what has been changed
//! by hand since.

use std::fmt;

use tokio_postgres::SimpleQueryRow;

use crate::error::MigrationError;
use crate::execution::STEPS_SUFFIX;
use crate::history::{self, Location};
use crate::session::{Query, Session, SessionError};
use crate::sql::literal;

/// What the history's table has before this is the name of the table that holds the description.
const SUFFIX: &str = "_catalog";

/// Selects the objects of the schema with their definitions, except for the `{tables}` of ours in the `{schema}` of the
/// history. With it changes [`LAYOUT`].
const DESCRIPTION: &str = include_str!("catalog.sql");

/// The comment on the table that holds the description. It changes with what is described: one that a program has kept
/// that described other things is no description to this one, and would tell changes where there are none.
pub(crate) const LAYOUT: &str = "the schema as database-migration has left it, layout 2";

/// The description's full table name, quoted.
pub(crate) fn catalog_table(location: &Location) -> String {
    location.beside(SUFFIX)
}

/// SQL that takes the description away, in the transaction that makes it wrong: if that is the last thing before an
/// interruption, no description is kept, and not one of an older schema. Nothing where none is kept.
pub(crate) fn removal(session: &Session) -> Option<String> {
    let table = catalog_table(session.location());
    session
        .is_described()
        .then(|| format!("DROP TABLE IF EXISTS {table}"))
}

/// Keeps the description of the schema as it is now. It waits a little for whoever has locked a table that a view
/// reads, and keeps nobody waiting meanwhile but other runs.
pub(crate) async fn keep(session: &Session) -> Result<(), MigrationError> {
    let table = catalog_table(session.location());
    let creation = format!(
        "CREATE TABLE IF NOT EXISTS {table} (object text PRIMARY KEY, definition text NOT NULL)"
    );
    let protection = history::protection(&table);
    // It is made anew with each run, so what somebody grants on it would not last.
    let readability = history::readability(&table, &session.location().qualified());
    let removal = format!("DELETE FROM {table}");
    let layout = format!("COMMENT ON TABLE {table} IS {}", literal(LAYOUT));
    let insertion = format!("INSERT INTO {table} {}", description(session.location()));
    session
        .transact(&[
            Query::own(
                "SET LOCAL client_min_messages = warning; SET LOCAL search_path = pg_catalog;
                 SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'",
            ),
            Query::own(&creation),
            Query::own(&protection),
            Query::own(&readability),
            Query::own(&removal),
            Query::own(&layout),
            Query::own(&insertion),
        ])
        .await
        .map_err(MigrationError::server(
            "keeping the description of the schema",
        ))?;
    session.set_described(true);
    Ok(())
}

/// Something that has become another thing since the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The object, such as `column public.orders.note`.
    pub object: String,
    /// Its definition after the last run, if there was one.
    pub before: Option<String>,
    /// Its definition now, if there is one.
    pub now: Option<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(
                formatter,
                "{} was changed\n    before: {before}\n    now: {now}",
                self.object
            ),
            (None, Some(now)) => write!(formatter, "{} was added\n    now: {now}", self.object),
            (before, None) => write!(
                formatter,
                "{} was dropped\n    before: {}",
                self.object,
                before.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// What has been changed since the description was kept; nothing where none is kept.
pub(crate) async fn drift(session: &Session) -> Result<Vec<Drift>, MigrationError> {
    let table = catalog_table(session.location());
    let query = format!(
        "SELECT coalesce(kept.object, found.object), kept.definition, found.definition
         FROM {table} AS kept
         FULL JOIN ({}) AS found (object, definition) ON found.object = kept.object
         WHERE kept.definition IS DISTINCT FROM found.definition
         ORDER BY 1",
        description(session.location())
    );
    let rows = rows(session, &query).await.map_err(MigrationError::server(
        "comparing the schema with its description",
    ))?;
    Ok(rows
        .iter()
        .map(|row| Drift {
            object: text(row, 0).unwrap_or_default(),
            before: text(row, 1),
            now: text(row, 2),
        })
        .collect())
}

/// An index that serves no query, or a constraint that was never checked on all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incomplete {
    /// Its full name.
    pub(crate) object: String,
    /// What completes it.
    pub(crate) remedy: String,
}

/// The indexes of the watched schemas that serve no query.
pub(crate) async fn invalid_indexes(session: &Session) -> Result<Vec<Incomplete>, MigrationError> {
    incomplete(
        session,
        "SELECT 'index ' || indexrelid::regclass,
                'REINDEX INDEX CONCURRENTLY ' || indexrelid::regclass || ', or drop it'
         FROM pg_index
         JOIN pg_class ON pg_class.oid = indexrelid
         JOIN watched ON watched.oid = relnamespace
         WHERE relkind = 'i' AND NOT (indisvalid AND indisready)
         ORDER BY 1",
    )
    .await
}

/// The constraints of the watched schemas that were never checked on all rows.
pub(crate) async fn not_validated_constraints(
    session: &Session,
) -> Result<Vec<Incomplete>, MigrationError> {
    incomplete(
        session,
        "SELECT format('constraint %I of %s', conname, conrelid::regclass),
                format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname)
         FROM pg_constraint JOIN watched ON watched.oid = connamespace
         WHERE NOT convalidated AND conrelid <> 0
         ORDER BY 1",
    )
    .await
}

async fn incomplete(session: &Session, selection: &str) -> Result<Vec<Incomplete>, MigrationError> {
    let query = format!("{} {selection}", watched(session.location()));
    let rows = rows(session, &query)
        .await
        .map_err(MigrationError::server("reading the server's catalog"))?;
    Ok(rows
        .iter()
        .map(|row| Incomplete {
            object: text(row, 0).unwrap_or_default(),
            remedy: text(row, 1).unwrap_or_default(),
        })
        .collect())
}

async fn rows(session: &Session, query: &str) -> Result<Vec<SimpleQueryRow>, SessionError> {
    // An empty search_path, so that names are always written in full.
    let query = format!("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; {query}; COMMIT");
    session.rows(&query).await
}

/// A column of a row, or nothing for NULL.
fn text(row: &SimpleQueryRow, column: usize) -> Option<String> {
    row.get(column).map(ToOwned::to_owned)
}

fn description(location: &Location) -> String {
    let tables = ["", STEPS_SUFFIX, SUFFIX]
        .map(|suffix| literal(&format!("{}{suffix}", location.table)))
        .join(", ");
    let description = DESCRIPTION
        .replace("{schema}", &literal(&location.schema))
        .replace("{tables}", &tables);
    format!("{}{description}", watched(location))
}

/// The schemas that the migrations look after, as a common table expression: the history's own, and those of its owner
/// that hold no history of their own.
fn watched(location: &Location) -> String {
    format!(
        "WITH watched AS (
             SELECT namespace.oid, namespace.nspname
             FROM pg_namespace AS namespace
             LEFT JOIN pg_class AS history ON history.oid = to_regclass({})
             WHERE namespace.nspname = {}
                OR namespace.nspowner = history.relowner
                   AND namespace.nspname NOT IN ('public', 'information_schema') AND namespace.nspname !~ '^pg_'
                   AND NOT EXISTS (
                       SELECT FROM pg_class AS other
                       JOIN pg_attribute ON attrelid = other.oid AND attname = 'down_sql'
                       WHERE other.relnamespace = namespace.oid
                   )
         )",
        literal(&location.qualified()),
        literal(&location.schema)
    )
}
