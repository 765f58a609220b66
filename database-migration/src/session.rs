//! The connection that migrations run on, as refinery knows connections.

use std::pin::pin;

use connection::{Connection, Connector};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use refinery::error::Kind;
use refinery::{AsyncMigrate, Migration, Runner};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use crate::history::{self, Applied, HistoryError, Location};

/// A connection and the history that is kept through it.
///
/// It implements refinery's asynchronous traits, so a [`refinery::Runner`] can work through it; each call to
/// [`AsyncTransaction::execute`] is one transaction.
pub(crate) struct Session {
    connection: Connection,
    location: Location,
    /// What stands before each transaction: what an earlier migration set for the session is gone, then it begins.
    begin: String,
}

/// Why a transaction was rolled back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The server refused one of the queries.
    #[error("query {} of the transaction failed: {source}", .query + 1)]
    Query {
        /// Which of the queries, counted from 0.
        query: usize,
        /// How many of the query's statements had run before the one that failed.
        finished: usize,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// The connection broke, or the transaction could not begin or end.
    #[error(transparent)]
    Transaction(#[from] tokio_postgres::Error),
    /// A row of the history that refinery's format does not allow.
    #[error("{0}")]
    UnreadableRow(String),
}

impl Session {
    pub(crate) fn new(connector: &Connector, connection: Connection, location: Location) -> Self {
        Self {
            connection,
            location,
            begin: format!("{}; BEGIN", connector.session_reset()),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The migrations that were applied, in the order of their versions.
    pub(crate) async fn history(&mut self) -> Result<Vec<Applied>, HistoryError> {
        if !self.location.exists {
            return Ok(Vec::new());
        }
        let mut runner = Runner::new(&[]);
        runner.set_migration_table_name(self.location.qualified());
        runner
            .get_applied_migrations_async(self)
            .await
            .map_err(|error| self.history_error(&error))
    }

    /// Creates the history's table if it is not there. Only to be called by the holder of the lock.
    pub(crate) async fn create_history(&mut self) -> Result<(), SessionError> {
        if !self.location.exists {
            let table = self.location.qualified();
            let creation = Self::assert_migrations_table_query(&table);
            let protection = history::protection(&table);
            self.execute([creation.as_str(), protection.as_str()].into_iter())
                .await?;
            self.location.exists = true;
        }
        Ok(())
    }

    /// Looks for the history's table again, since another run may have created it meanwhile.
    pub(crate) fn relocate(&mut self, location: Location) {
        self.location = location;
    }

    /// Turns refinery's wrapping of our own error back into ours.
    fn history_error(&self, error: &refinery::Error) -> HistoryError {
        let source = match error.kind() {
            Kind::Connection(_, source) => source.downcast_ref::<SessionError>(),
            _ => None,
        };
        match source {
            Some(SessionError::UnreadableRow(problem)) => HistoryError::UnreadableRow {
                table: self.location.qualified(),
                problem: problem.clone(),
            },
            Some(SessionError::Transaction(source) | SessionError::Query { source, .. }) => {
                HistoryError::database(source)
            }
            None => HistoryError::Database(error.to_string()),
        }
    }

    pub(crate) async fn close(self) {
        self.connection.close().await;
    }
}

impl AsyncTransaction for Session {
    type Error = SessionError;

    /// Runs the queries in one transaction, all sent at once: after one that fails the server refuses the rest, and
    /// the COMMIT rolls back.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Self::Error> {
        let client = &self.connection;
        let queries: Vec<&str> = queries.collect();
        let sent = std::iter::once(self.begin.as_str())
            .chain(queries.iter().copied())
            .chain(std::iter::once("COMMIT"))
            .map(|query| run(client, query));
        let outcomes = join_all(sent).await;

        let last = outcomes.len() - 1;
        for (position, outcome) in outcomes.into_iter().enumerate() {
            let Err(Stopped { finished, source }) = outcome else {
                continue;
            };
            // Left open when it was the COMMIT, or a statement that the COMMIT never reached.
            let _ = client.batch_execute("ROLLBACK").await;
            return Err(if position == 0 || position == last {
                SessionError::Transaction(source)
            } else {
                SessionError::Query {
                    query: position - 1,
                    finished,
                    source,
                }
            });
        }
        Ok(queries.len())
    }
}

impl AsyncQuery<Vec<Migration>> for Session {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Self::Error> {
        self.connection
            .simple_query(query)
            .await?
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(migration(row)),
                _ => None,
            })
            .collect()
    }
}

impl AsyncMigrate for Session {
    fn assert_migrations_table_query(migration_table_name: &str) -> String {
        history::creation(migration_table_name)
    }
}

/// A query that did not come to its end.
struct Stopped {
    /// How many of its statements had run.
    finished: usize,
    source: tokio_postgres::Error,
}

/// Runs a query of any number of statements, and counts them.
async fn run(client: &Connection, query: &str) -> Result<(), Stopped> {
    let mut finished = 0;
    let count = async {
        let mut messages = pin!(client.simple_query_raw(query).await?);
        while let Some(message) = messages.try_next().await? {
            if matches!(message, SimpleQueryMessage::CommandComplete(_)) {
                finished += 1;
            }
        }
        Ok(())
    };
    let outcome = count.await;
    outcome.map_err(|source| Stopped { finished, source })
}

/// A row of refinery's four columns.
fn migration(row: &SimpleQueryRow) -> Result<Migration, SessionError> {
    let version = row.get(0).unwrap_or("NULL");
    let unreadable = |column: &str, value: &str| {
        SessionError::UnreadableRow(format!("version {version}: {column} is {value:?}"))
    };
    let text =
        |index: usize, column: &str| row.get(index).ok_or_else(|| unreadable(column, "NULL"));
    let name = text(1, "name")?;
    let applied_on = text(2, "applied_on")?;
    let checksum = text(3, "checksum")?;
    Ok(Migration::applied(
        version
            .parse()
            .map_err(|_| unreadable("version", version))?,
        name.to_owned(),
        OffsetDateTime::parse(applied_on, &Rfc3339)
            .map_err(|_| unreadable("applied_on", applied_on))?,
        checksum
            .parse()
            .map_err(|_| unreadable("checksum", checksum))?,
    ))
}
