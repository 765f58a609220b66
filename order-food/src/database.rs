//! Statements on pooled connections, each with its span.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Duration;

use connection::{ConnectionSettings, Connector, describe, sqlstate};
use deadpool_postgres::{
    BuildError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tracing::{Span, field, info_span};

/// How long a request waits for a connection that others use, and how long one may take to be made.
const CONNECTION_LIMIT: Duration = Duration::from_secs(3);

const CURRENT_SCHEMA: Statement = Statement {
    summary: "SELECT current_schema",
    text: "SELECT current_schema()",
};

/// A statement that may run twice with the same parameters and the same outcome.
pub(crate) struct Statement {
    /// What it does, in few words: the name of its spans.
    pub(crate) summary: &'static str,
    /// The SQL.
    pub(crate) text: &'static str,
}

/// A parameter and its type, so that a statement needs no round trip to be prepared.
pub(crate) type Parameter<'value> = (&'value (dyn ToSql + Sync), Type);

/// The database that the API works with.
pub(crate) struct Database {
    pool: Pool,
    settings: ConnectionSettings,
    /// As the OpenTelemetry conventions write `db.namespace` for PostgreSQL.
    namespace: OnceLock<String>,
}

/// Why a statement has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// There is no connection to run it on.
    #[error("no connection to the database: {0}")]
    NoConnection(String),
    /// It ran, and failed.
    #[error("{summary} failed: {}", describe(.source))]
    Failed {
        /// The statement.
        summary: &'static str,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
}

impl Database {
    /// Prepares the pool; connections are made when they are needed.
    pub(crate) fn new(connector: &Connector, pool_size: NonZeroUsize) -> Result<Self, BuildError> {
        let manager = Manager::from_config(
            connector.config(),
            connector.tls(),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .max_size(pool_size.get())
            .wait_timeout(Some(CONNECTION_LIMIT))
            .create_timeout(Some(CONNECTION_LIMIT))
            .build()?;
        Ok(Self {
            pool,
            settings: connector.settings().clone(),
            namespace: OnceLock::new(),
        })
    }

    /// Makes the first connection and asks for what spans tell of the database.
    pub(crate) async fn open(&self) -> Result<(), DatabaseError> {
        let rows = self.query(&CURRENT_SCHEMA, &[]).await?;
        let schema: Option<String> = rows
            .first()
            .map_or(Ok(None), |row| row.try_get(0))
            .map_err(|source| CURRENT_SCHEMA.failed(source))?;
        let database = self.settings.database();
        self.namespace.get_or_init(|| match schema {
            Some(schema) => format!("{database}|{schema}"),
            None => database.to_owned(),
        });
        Ok(())
    }

    /// Runs a statement in a span of its own.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DatabaseError> {
        let span = self.span(statement);
        let outcome = self.query_without_span(statement, parameters).await;
        if let Err(error) = &outcome {
            span.record("otel.status_code", "error");
            span.record("db.response.status_code", error.state().map(SqlState::code));
            span.record(
                "error.type",
                error.state().map_or("no_connection", SqlState::code),
            );
        }
        outcome
    }

    /// Runs a statement, once more on a new connection if it was given one that turned out to be lost.
    pub(crate) async fn query_without_span(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DatabaseError> {
        match self.attempt(statement, parameters).await {
            Err(DatabaseError::Failed { source, .. }) if is_lost(&source) => {
                // What took this one, such as a restart of the server, has probably taken the others, too.
                self.pool.retain(|_, _| false);
                self.attempt(statement, parameters).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self
            .pool
            .get()
            .await
            .map_err(|error| no_connection(&error))?;
        client
            .query_typed(statement.text, parameters)
            .await
            .map_err(|source| statement.failed(source))
    }

    fn span(&self, statement: &Statement) -> Span {
        let port = self.settings.port();
        info_span!(
            "query",
            otel.name = statement.summary,
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = "postgresql",
            db.namespace = self
                .namespace
                .get()
                .map_or(self.settings.database(), String::as_str),
            db.query.summary = statement.summary,
            db.query.text = statement.text,
            db.response.status_code = field::Empty,
            error.r#type = field::Empty,
            server.address = self.settings.host(),
            server.port = (port != 5432).then_some(i64::from(port)),
        )
    }
}

impl Statement {
    pub(crate) fn failed(&self, source: tokio_postgres::Error) -> DatabaseError {
        DatabaseError::Failed {
            summary: self.summary,
            source,
        }
    }
}

impl DatabaseError {
    /// The server's reason.
    pub(crate) fn state(&self) -> Option<&SqlState> {
        match self {
            Self::NoConnection(_) => None,
            Self::Failed { source, .. } => source.code(),
        }
    }

    /// Whether the same request may well succeed some seconds later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::Failed { source, .. } => {
                is_lost(source) || source.code().is_some_and(is_passing_state)
            }
        }
    }
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.code().is_some_and(sqlstate::is_connection_lost)
}

fn is_passing_state(state: &SqlState) -> bool {
    // Transactions in each other's way, missing resources, the intervention of an operator or a timeout.
    let is_passing_class = ["40", "53", "57"]
        .iter()
        .any(|class| state.code().starts_with(class));
    is_passing_class
        || sqlstate::is_lock_not_available(state)
        // After a fail-over, as long as connections lead to what was the primary.
        || *state == SqlState::READ_ONLY_SQL_TRANSACTION
}

fn no_connection(error: &PoolError) -> DatabaseError {
    let limit = CONNECTION_LIMIT.as_secs();
    DatabaseError::NoConnection(match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            format!(
                "all are in use, and none became free within {limit} s; DB_POOL_SIZE allows more"
            )
        }
        PoolError::Timeout(_) => format!("none could be made within {limit} s"),
        PoolError::Backend(error) => describe(error),
        other => other.to_string(),
    })
}
