//! The connection that migrations run on, as refinery knows connections.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use connection::{Connection, Connector, sqlstate};
use futures_util::TryStreamExt;
use refinery::error::Kind;
use refinery::{AsyncMigrate, Migration, Runner};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_postgres::error::DbError;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};
use tracing::{Span, field, info_span};

use crate::history::{self, Applied, HistoryError, Location};

/// This many queries are on their way to the server at once, so that none waits for the network and a file of any
/// number of statements takes little memory.
const PIPELINE: usize = 64;

/// A connection and the history that is kept through it.
///
/// It implements refinery's asynchronous traits, so a [`refinery::Runner`] can work through it; each call to
/// [`AsyncTransaction::execute`] is one transaction.
pub(crate) struct Session {
    connection: Connection,
    location: Location,
    /// Undoes what an earlier migration has set for the session.
    reset: String,
    /// Whether a description of the schema is kept, as far as this session knows.
    described: AtomicBool,
    /// The statement that the server is at.
    running: watch::Sender<Option<Running>>,
}

/// A statement of a migration that the server is at.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The statement in a few words.
    pub(crate) summary: String,
    /// When it began.
    pub(crate) since: Instant,
}

/// A query to be run, and what it is called in a trace. Without a name there is no span for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'sql> {
    pub(crate) sql: &'sql str,
    pub(crate) summary: Option<&'sql str>,
    /// Whether it makes a transaction that has failed go on, so that it may only be sent after all before it succeeded.
    pub(crate) revives: bool,
    /// Whether what ends the transaction may follow in the same message, since the server is sure to find its end.
    pub(crate) is_delimited: bool,
}

impl<'sql> Query<'sql> {
    /// A query of our own.
    pub(crate) fn own(sql: &'sql str) -> Self {
        Self {
            sql,
            summary: None,
            revives: false,
            is_delimited: false,
        }
    }
}

/// Why queries did not come to their end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The server refused one of the queries.
    #[error("query {} failed: {source}", .query + 1)]
    Query {
        /// Which of the queries, counted from 0.
        query: usize,
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

impl Running {
    fn of(query: Query<'_>) -> Option<Self> {
        query.summary.map(|summary| Self {
            summary: summary.to_owned(),
            since: Instant::now(),
        })
    }
}

impl SessionError {
    /// What the server answered, if it did. One that goes away may say so first, but not what it has committed.
    pub(crate) fn answer(&self) -> Option<&DbError> {
        let answer = match self {
            Self::Query { source, .. } | Self::Transaction(source) => source.as_db_error(),
            Self::UnreadableRow(_) => None,
        };
        answer.filter(|answer| !sqlstate::is_connection_lost(answer.code()))
    }

    /// What went wrong, in the server's words if it answered.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Query { source, .. } | Self::Transaction(source) => connection::describe(source),
            Self::UnreadableRow(_) => self.to_string(),
        }
    }
}

impl Session {
    pub(crate) fn new(connector: &Connector, connection: Connection, location: Location) -> Self {
        Self {
            reset: connector.session_reset(&connection),
            described: AtomicBool::new(location.has_catalog),
            connection,
            location,
            running: watch::Sender::new(None),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Tells which statement the server is at, for whoever watches a long run.
    pub(crate) fn running(&self) -> watch::Receiver<Option<Running>> {
        self.running.subscribe()
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
        self.described = AtomicBool::new(location.has_catalog);
        self.location = location;
    }

    /// Whether a description of the schema is kept.
    pub(crate) fn is_described(&self) -> bool {
        self.described.load(Ordering::Relaxed)
    }

    /// Tells that a description is kept now, or none any more.
    pub(crate) fn set_described(&self, described: bool) {
        self.described.store(described, Ordering::Relaxed);
    }

    /// Undoes what was set for the session.
    pub(crate) async fn reset(&self) -> Result<(), SessionError> {
        Ok(self.connection.batch_execute(&self.reset).await?)
    }

    /// The rows that some queries of our own return. If one of them is refused, a transaction that they began is rolled
    /// back.
    pub(crate) async fn rows(&self, queries: &str) -> Result<Vec<SimpleQueryRow>, SessionError> {
        let answer = match self.connection.simple_query(queries).await {
            Ok(answer) => answer,
            Err(error) => {
                if error.as_db_error().is_some() {
                    self.connection.batch_execute("ROLLBACK").await?;
                }
                return Err(SessionError::Transaction(error));
            }
        };
        Ok(answer
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect())
    }

    /// Runs a query without a transaction around it. What it sets for the session holds.
    pub(crate) async fn run(&self, query: Query<'_>) -> Result<(), SessionError> {
        let outcome = self.pipeline(&[query]).await;
        outcome.map_err(|Stopped { query, source, .. }| SessionError::Query { query, source })
    }

    /// Runs queries in one transaction, which sees nothing of what was set for the session before.
    pub(crate) async fn transact(&self, queries: &[Query<'_>]) -> Result<(), SessionError> {
        // What comes before BEGIN in one message belongs to the transaction as well.
        self.transact_from(&format!("{}; BEGIN", self.reset), queries)
            .await
    }

    /// Runs queries in one transaction, with what was set for the session before.
    pub(crate) async fn transact_in_session(
        &self,
        queries: &[Query<'_>],
    ) -> Result<(), SessionError> {
        self.transact_from("BEGIN", queries).await
    }

    /// The last query is one of our own. It goes with COMMIT in one message, and with the query before it where that may
    /// share one, since each message costs an answer.
    async fn transact_from(&self, begin: &str, queries: &[Query<'_>]) -> Result<(), SessionError> {
        let Some((last, others)) = queries.split_last() else {
            return Ok(());
        };
        let commit = format!("{}; COMMIT", last.sql);
        let end;
        let mut all = Vec::with_capacity(queries.len() + 1);
        all.push(Query::own(begin));
        match others.split_last() {
            Some((before, alone)) if before.is_delimited => {
                all.extend_from_slice(alone);
                // It may end with a comment.
                end = format!("{}\n;{commit}", before.sql);
                all.push(Query {
                    sql: &end,
                    ..*before
                });
            }
            _ => {
                all.extend_from_slice(others);
                all.push(Query::own(&commit));
            }
        }
        let Err(Stopped {
            query,
            finished,
            source,
        }) = self.pipeline(&all).await
        else {
            return Ok(());
        };
        if source.as_db_error().is_some() {
            // Left open where the COMMIT was not reached.
            let _ = self.connection.batch_execute("ROLLBACK").await;
        }
        let is_end = query + 1 == all.len() && finished > 0;
        Err(match query.checked_sub(1) {
            Some(query) if query < others.len() && !is_end => SessionError::Query { query, source },
            _ => SessionError::Transaction(source),
        })
    }

    /// Sends queries without waiting for the answers of those before: after one that fails in a transaction the server
    /// refuses the rest, and COMMIT rolls back. All answers are read, and the first failure is told.
    async fn pipeline(&self, queries: &[Query<'_>]) -> Result<(), Stopped> {
        let mut under_way = VecDeque::with_capacity(PIPELINE);
        let mut failure = None;
        let mut answered = 0;
        let mut queries = queries.iter().peekable();
        loop {
            while under_way.len() < PIPELINE
                && failure.is_none()
                && let Some(query) = queries.next_if(|query| !query.revives || under_way.is_empty())
            {
                let answer = self.connection.simple_query_raw(query.sql).await;
                under_way.push_back((*query, answer));
            }
            let Some((query, answer)) = under_way.pop_front() else {
                break;
            };
            self.running.send_replace(Running::of(query));
            let span = span(query);
            let mut finished = 0;
            let outcome = match answer {
                Ok(answers) => drain(Box::pin(answers), &mut finished).await,
                Err(error) => Err(error),
            };
            if let Err(source) = outcome
                && failure.is_none()
            {
                record_failure(&span, &source);
                let is_answer = source.as_db_error().is_some();
                failure = Some(Stopped {
                    query: answered,
                    finished,
                    source,
                });
                if !is_answer {
                    // The connection is gone, or out of step: no other answer can be told apart.
                    break;
                }
            }
            answered += 1;
        }
        self.running.send_replace(None);
        failure.map_or(Ok(()), Err)
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

    /// Runs the queries in one transaction.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Self::Error> {
        let mut all = Vec::new();
        for sql in queries {
            all.push(Query::own(sql));
        }
        self.transact(&all).await?;
        Ok(all.len())
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

/// The first of some queries that did not come to its end.
struct Stopped {
    query: usize,
    /// How many statements of its message had come to their end.
    finished: usize,
    source: tokio_postgres::Error,
}

/// Reads an answer to its end, and counts the statements that have `finished`.
async fn drain(
    mut answer: Pin<Box<SimpleQueryStream>>,
    finished: &mut usize,
) -> Result<(), tokio_postgres::Error> {
    while let Some(message) = answer.try_next().await? {
        if matches!(message, SimpleQueryMessage::CommandComplete(_)) {
            *finished += 1;
        }
    }
    Ok(())
}

/// The span of a statement, as OpenTelemetry's semantic conventions name database calls.
fn span(query: Query<'_>) -> Span {
    let Some(summary) = query.summary else {
        return Span::none();
    };
    info_span!(
        "statement",
        otel.name = summary,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.query.summary = summary,
        db.response.status_code = field::Empty,
        error.r#type = field::Empty,
        otel.status_code = field::Empty,
    )
}

fn record_failure(span: &Span, error: &tokio_postgres::Error) {
    let status = error.code().map_or("_OTHER", |code| code.code());
    span.record("db.response.status_code", status);
    span.record("error.type", status);
    span.record("otel.status_code", "ERROR");
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
