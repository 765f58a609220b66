//! The table in the database that tells which migrations were applied.
//!
//! Its first four columns are refinery's. Ours come after them.

use connection::Connection;
use environment::SettingError;
use exit_code::{ExitCode, Failure};
use refinery::Migration;
use tokio_postgres::types::Type;

use crate::catalog;
use crate::error::MigrationError;
use crate::session::{Query, Session};
use crate::sql::{literal, quoted};

/// The columns of refinery's layout, then ours.
const COLUMNS: [&str; 9] = [
    "version",
    "name",
    "applied_on",
    "checksum",
    "duration_ms",
    "applied_by",
    "program_version",
    "trace_id",
    "down_sql",
];

/// PostgreSQL's 63 bytes, less the longest ending of a table that stands beside the history.
const LONGEST_NAME: usize = 63 - "_catalog".len();

/// A migration that the history holds.
pub type Applied = Migration;

/// The history's table as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    /// A table in the first schema of the `search_path` that exists.
    pub(crate) fn unqualified(table: &str) -> Self {
        Self {
            schema: None,
            table: table.to_owned(),
        }
    }

    /// Parses `table` or `schema.table`. Names are taken to the letter, without quotes.
    pub(crate) fn parse(variable: &str, value: &str) -> Result<Self, SettingError> {
        let parts: Vec<_> = value.split('.').collect();
        let is_name = |part: &&str| {
            !part.is_empty()
                && part.len() <= LONGEST_NAME
                && !part.contains(['"', '\0'])
                && part.trim() == *part
        };
        match parts.as_slice() {
            [table] if is_name(table) => Ok(Self {
                schema: None,
                table: (*table).to_owned(),
            }),
            [schema, table] if is_name(schema) && is_name(table) => Ok(Self {
                schema: Some((*schema).to_owned()),
                table: (*table).to_owned(),
            }),
            _ => Err(SettingError::Invalid {
                variable: variable.to_owned(),
                value: value.to_owned(),
                expected:
                    "a table's name, with or without its schema, such as history or menu.history"
                        .to_owned(),
            }),
        }
    }
}

/// Where the history of a database is.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) exists: bool,
    /// The names of the table's columns.
    columns: Vec<String>,
    /// Whether the table is there that tells how far migrations without a transaction came.
    pub(crate) has_steps: bool,
    /// Whether a description of the schema is kept, as this program makes it.
    pub(crate) has_catalog: bool,
    /// The process on the server that answers the connection this was asked through.
    pub(crate) server_process: i32,
}

impl Location {
    /// The table's full name, quoted.
    pub(crate) fn qualified(&self) -> String {
        self.beside("")
    }

    /// The full name, quoted, of a table beside the history whose name ends so.
    pub(crate) fn beside(&self, suffix: &str) -> String {
        format!(
            "{}.{}",
            quoted(&self.schema),
            quoted(&format!("{}{suffix}", self.table))
        )
    }

    /// The names of the table's columns.
    pub(crate) fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    /// Refuses a table of another tool.
    pub(crate) fn require_ours(&self) -> Result<(), HistoryError> {
        if self.is_foreign() {
            return Err(HistoryError::ForeignLayout {
                table: self.qualified(),
                columns: self.columns.clone(),
            });
        }
        Ok(())
    }

    /// Whether the table is there, but not ours.
    pub(crate) fn is_foreign(&self) -> bool {
        self.exists && self.columns != COLUMNS
    }

    /// Database and schema, as the OpenTelemetry conventions write `db.namespace` for PostgreSQL.
    pub(crate) fn namespace(&self) -> String {
        format!("{}|{}", self.database, self.schema)
    }
}

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The role's `search_path` names no schema that exists.
    #[error(
        "the search_path of user {user} names no schema that exists, so there is no place for the history"
    )]
    NoSchema {
        /// The user.
        user: String,
    },
    /// The schema that was named for the history does not exist.
    #[error("the schema {schema}, where the history is to be, does not exist")]
    NoSuchSchema {
        /// Its name.
        schema: String,
    },
    /// A table of that name is there, but not ours.
    #[error(
        "the table {table} has the columns {}, not those of a history of database-migration",
        .columns.join(", ")
    )]
    ForeignLayout {
        /// The table's full name.
        table: String,
        /// The columns it has.
        columns: Vec<String>,
    },
    /// A row that refinery's format does not allow.
    #[error("the history {table} holds a row that cannot be read: {problem}")]
    UnreadableRow {
        /// The table's full name.
        table: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server's answer.
    #[error("the history could not be read: {0}")]
    Database(String),
}

impl HistoryError {
    pub(crate) fn database(error: &tokio_postgres::Error) -> Self {
        Self::Database(connection::describe(error))
    }
}

impl Failure for HistoryError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::ForeignLayout { .. } | Self::UnreadableRow { .. } => ExitCode::Disagreement,
            Self::NoSchema { .. } | Self::NoSuchSchema { .. } | Self::Database(_) => {
                ExitCode::Failed
            }
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NoSchema { .. } => Some(
                "create the schema, set the role's search_path, or name the schema in MIGRATION_TABLE"
                    .to_owned(),
            ),
            Self::NoSuchSchema { .. } => {
                Some("create the schema, or name another one in MIGRATION_TABLE".to_owned())
            }
            Self::ForeignLayout { .. } => Some(
                "name another table in MIGRATION_TABLE, or take the history over with database-migration adopt"
                    .to_owned(),
            ),
            Self::UnreadableRow { .. } => {
                Some("compare the row with the migration files and mend it by hand".to_owned())
            }
            Self::Database(_) => None,
        }
    }
}

/// Finds a table of that name, whoever it belongs to, or the place where it belongs.
pub(crate) async fn find(
    connection: &Connection,
    name: &TableName,
    user: &str,
) -> Result<Location, HistoryError> {
    let rows = connection
        .query_typed(
            "SELECT current_database()::text, namespace.nspname::text, attribute.attname::text, pg_backend_pid(),
                    steps.oid IS NOT NULL, coalesce(obj_description(catalog.oid, 'pg_class') = $3, false)
             FROM (SELECT coalesce($1, current_schema()) AS schema) AS wanted
             LEFT JOIN pg_namespace AS namespace ON namespace.nspname = wanted.schema
             LEFT JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = $2
             LEFT JOIN pg_attribute AS attribute
               ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
             LEFT JOIN pg_class AS steps ON steps.relnamespace = namespace.oid AND steps.relname = $2 || '_steps'
             LEFT JOIN pg_class AS catalog
               ON catalog.relnamespace = namespace.oid AND catalog.relname = $2 || '_catalog'
             ORDER BY attribute.attnum",
            &[
                (&name.schema, Type::TEXT),
                (&name.table, Type::TEXT),
                (&catalog::LAYOUT, Type::TEXT),
            ],
        )
        .await
        .map_err(|error| HistoryError::database(&error))?;

    let schema = rows
        .first()
        .and_then(|row| row.get::<_, Option<String>>(1))
        .ok_or_else(|| match &name.schema {
            Some(schema) => HistoryError::NoSuchSchema {
                schema: schema.clone(),
            },
            None => HistoryError::NoSchema {
                user: user.to_owned(),
            },
        })?;
    let columns: Vec<String> = rows.iter().filter_map(|row| row.get(2)).collect();
    Ok(Location {
        database: rows.first().map(|row| row.get(0)).unwrap_or_default(),
        schema,
        table: name.table.clone(),
        exists: !columns.is_empty(),
        columns,
        has_steps: rows.first().is_some_and(|row| row.get(4)),
        has_catalog: rows.first().is_some_and(|row| row.get(5)),
        server_process: rows.first().map(|row| row.get(3)).unwrap_or_default(),
    })
}

/// SQL that creates the table.
pub(crate) fn creation(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
             version int8 PRIMARY KEY,
             name varchar(255),
             applied_on varchar(255),
             checksum varchar(255),
             duration_ms int8,
             applied_by text,
             program_version text,
             trace_id text,
             down_sql text
         )"
    )
}

/// SQL that takes from every other role what default privileges have given it on the table besides reading: a service
/// that may write the tables of its schema must not be able to forge their history.
pub(crate) fn protection(table: &str) -> String {
    let revocation =
        format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {table} FROM ");
    for_each_grantee(table, "true", &revocation)
}

/// SQL that lets whoever may read the history read a table beside it.
pub(crate) fn readability(table: &str, history: &str) -> String {
    let grant = format!("GRANT SELECT ON {table} TO ");
    for_each_grantee(history, "entry.privilege_type = 'SELECT'", &grant)
}

/// SQL that runs a statement, which a role's name completes, for every role but the owner that has privileges on a table.
fn for_each_grantee(table: &str, condition: &str, statement: &str) -> String {
    format!(
        "DO $grantees$
         DECLARE role text;
         BEGIN
             FOR role IN
                 SELECT DISTINCT CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE entry.grantee::regrole::text END
                 FROM pg_class, aclexplode(relacl) AS entry
                 WHERE pg_class.oid = {}::regclass AND entry.grantee <> relowner AND {condition}
             LOOP
                 EXECUTE {} || role;
             END LOOP;
         END
         $grantees$",
        literal(table),
        literal(statement),
    )
}

/// All that the history holds of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) version: i64,
    pub(crate) applied_on: String,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) applied_by: Option<String>,
    pub(crate) program_version: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) down_sql: Option<String>,
}

/// All rows from a version on, in the order of their versions.
pub(crate) async fn records(session: &Session, lowest: i64) -> Result<Vec<Record>, HistoryError> {
    if !session.location().exists {
        return Ok(Vec::new());
    }
    let rows = session
        .connection()
        .query_typed(
            &format!(
                "SELECT version, applied_on::text, duration_ms, applied_by, program_version, trace_id, down_sql
                 FROM {} WHERE version >= $1 ORDER BY version",
                session.location().qualified()
            ),
            &[(&lowest, Type::INT8)],
        )
        .await
        .map_err(|error| HistoryError::database(&error))?;
    Ok(rows
        .iter()
        .map(|row| Record {
            version: row.get(0),
            applied_on: row.get::<_, Option<String>>(1).unwrap_or_default(),
            duration_ms: row.get(2),
            applied_by: row.get(3),
            program_version: row.get(4),
            trace_id: row.get(5),
            down_sql: row.get(6),
        })
        .collect())
}

/// Takes a migration out of the history.
pub(crate) async fn forget(session: &Session, version: i64) -> Result<(), MigrationError> {
    let removal = format!(
        "DELETE FROM {} WHERE version = {version}",
        session.location().qualified()
    );
    session
        .transact(&[Query::own(&removal)])
        .await
        .map_err(MigrationError::server(
            "taking a migration out of the history",
        ))
}
