//! `load`: brings tables to the state of their sources.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use advisory_lock::{LockError, LockName};
use connection::{ConnectError, Connection, Connector, cancel};
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tokio_postgres::Transaction;
use tracing::{Instrument, field, info, info_span};

use crate::data_set::{DATA_SETS, DataSet};
use crate::rejection::{Rejection, Rejections};
use crate::settings::LoadSettings;
use crate::source::{self, CsvSource, SourceError};
use crate::target::{
    Difference, Staging, Table, TableError, rejections, statement_span, write_difference,
};

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    loaded: Vec<(&'static str, Difference)>,
    started: Instant,
}

/// Why a load failed. The table is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another load was not over in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The table cannot be loaded.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Rows that cannot be loaded.
    #[error("{table}: {rejected} of {read} rows cannot be loaded; nothing was loaded{rejections}")]
    BadData {
        /// The table.
        table: &'static str,
        /// How many rows the source holds.
        read: u64,
        /// How many of them cannot be loaded.
        rejected: usize,
        /// Which, and why.
        rejections: Rejections,
    },
    /// The server's answer to a statement of the load.
    #[error("{table}: the load was rolled back: {problem}")]
    Database {
        /// The table.
        table: &'static str,
        /// The server's message.
        problem: String,
        /// Whether the server could not read a value.
        is_bad_data: bool,
    },
    /// The process was asked to stop.
    #[error("stopped as asked; the load that was running is rolled back")]
    Terminated,
}

impl LoadError {
    fn database(table: &'static str, error: &tokio_postgres::Error) -> Self {
        let answer = error.as_db_error();
        let context = answer
            .and_then(|answer| answer.where_())
            .map_or_else(String::new, |context| format!("\n  where: {context}"));
        Self::Database {
            table,
            problem: format!("{}{context}", connection::describe(error)),
            // Class 22 is "data exception".
            is_bad_data: answer.is_some_and(|answer| answer.code().code().starts_with("22")),
        }
    }
}

impl Failure for LoadError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connect(error) => error.exit_code(),
            Self::Lock(error) => error.exit_code(),
            Self::Source(SourceError::Open { .. }) => ExitCode::Usage,
            Self::Source(SourceError::Header { .. } | SourceError::Empty { .. })
            | Self::BadData { .. }
            | Self::Database {
                is_bad_data: true, ..
            } => ExitCode::BadData,
            Self::Source(SourceError::Read { .. }) | Self::Table(_) | Self::Database { .. } => {
                ExitCode::Failed
            }
            Self::Terminated => ExitCode::Terminated,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::Connect(error) => return error.next_step(),
            Self::Lock(error) => return error.next_step(),
            Self::Source(SourceError::Open { .. }) => "put the file there, or correct DATA_DIR",
            Self::Table(TableError::Missing(_)) => "run database-migration first",
            Self::Source(_) | Self::BadData { .. } => "correct the source and run again",
            Self::Table(_) | Self::Database { .. } | Self::Terminated => {
                "run again; the table is as it was before"
            }
        };
        Some(step.to_owned())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, difference) in &self.loaded {
            write!(formatter, "{table} {difference}, ")?;
        }
        write!(formatter, "{} ms", self.started.elapsed().as_millis())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} inserted, {} updated, {} unchanged",
            self.inserted, self.updated, self.unchanged
        )
    }
}

/// Brings all tables to the state of their sources.
pub async fn load(settings: LoadSettings, shutdown: &Shutdown) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let connector = Connector::new(
        settings.connection.clone(),
        "database-load",
        settings.server_options(),
    )?;
    let connection = shutdown
        .guard(connector.wait(), async || {})
        .await
        .ok_or(LoadError::Terminated)??;

    let token = connection.cancel_token();
    let loaded = shutdown
        .guard(load_all(&connector, connection, &settings), async || {
            cancel(&token, connector.tls()).await;
        })
        .await
        .ok_or(LoadError::Terminated)??;
    Ok(Summary { loaded, started })
}

async fn load_all(
    connector: &Connector,
    mut connection: Connection,
    settings: &LoadSettings,
) -> Result<Vec<(&'static str, Difference)>, LoadError> {
    connector.require_session(&connection).await?;
    let mut loaded = Vec::new();
    for data_set in &DATA_SETS {
        let span = info_span!(
            "load",
            otel.name = format!("load {}", data_set.table),
            otel.kind = "internal",
            database.load.data_set = data_set.table,
            database.load.rows.read = field::Empty,
            database.load.rows.rejected = field::Empty,
            database.load.rows.inserted = field::Empty,
            database.load.rows.updated = field::Empty,
            database.load.rows.unchanged = field::Empty,
        );
        let difference = load_one(&mut connection, data_set, settings)
            .instrument(span)
            .await?;
        loaded.push((data_set.table, difference));
    }
    connection.close().await;
    Ok(loaded)
}

async fn load_one(
    connection: &mut Connection,
    data_set: &DataSet,
    settings: &LoadSettings,
) -> Result<Difference, LoadError> {
    let started = Instant::now();
    let table = Table::describe(connection, data_set.table).await?;
    let lock = LockName::new(&[
        "database-load",
        settings.connection.database(),
        &table.schema,
        &table.name,
    ]);
    advisory_lock::acquire(connection, &lock, settings.runner_wait).await?;

    let transaction = connection
        .transaction()
        .await
        .map_err(|error| LoadError::database(data_set.table, &error))?;
    let difference = replace(
        &transaction,
        data_set,
        &table,
        settings.directory.as_deref(),
    )
    .await?;
    transaction
        .commit()
        .await
        .map_err(|error| LoadError::database(data_set.table, &error))?;
    advisory_lock::release(connection, &lock).await?;

    let span = tracing::Span::current();
    span.record(
        "database.load.rows.inserted",
        difference.inserted.cast_signed(),
    );
    span.record(
        "database.load.rows.updated",
        difference.updated.cast_signed(),
    );
    span.record(
        "database.load.rows.unchanged",
        difference.unchanged.cast_signed(),
    );
    info!(
        "✓ {} loaded: {difference} ({} ms)",
        data_set.table,
        started.elapsed().as_millis()
    );
    Ok(difference)
}

/// Stages the source and writes what differs, inside the caller's transaction.
async fn replace(
    transaction: &Transaction<'_>,
    data_set: &DataSet,
    table: &Table,
    directory: Option<&Path>,
) -> Result<Difference, LoadError> {
    let (name, input) = source::open(data_set, directory)?;
    let mut source = CsvSource::new(name, input)?;
    let columns = table
        .columns_of(source.header())
        .map_err(|problem| SourceError::Header {
            source_name: source.name().to_owned(),
            problem,
        })?;
    let database_error = |error| LoadError::database(data_set.table, &error);

    let mut rejected = Rejections::new(source.name());
    let staging = Staging::begin(transaction, table, columns.clone())
        .await
        .map_err(database_error)?;
    let read = stage(
        transaction,
        staging,
        &mut source,
        &mut rejected,
        data_set.table,
    )
    .instrument(statement_span("COPY", table))
    .await?;
    if read == 0 {
        return Err(SourceError::Empty {
            source_name: source.name().to_owned(),
        }
        .into());
    }
    for rejection in rejections(transaction, table, &columns)
        .await
        .map_err(database_error)?
    {
        rejected.add(rejection);
    }

    let span = tracing::Span::current();
    span.record("database.load.rows.read", read.cast_signed());
    span.record(
        "database.load.rows.rejected",
        rejected.count().cast_signed() as i64,
    );
    if rejected.count() > 0 {
        return Err(LoadError::BadData {
            table: data_set.table,
            read,
            rejected: rejected.count(),
            rejections: rejected,
        });
    }
    info!("✓ {} rows read from {}, all valid", read, source.name());
    write_difference(transaction, table, &columns, read)
        .await
        .map_err(database_error)
}

/// Sends the source's rows to the staging table; returns how many there are.
async fn stage(
    transaction: &Transaction<'_>,
    mut staging: Staging<'_>,
    source: &mut CsvSource,
    rejected: &mut Rejections,
    table: &'static str,
) -> Result<u64, LoadError> {
    let database_error = |error| LoadError::database(table, &error);
    let mut read = 0;
    while let Some(row) = source.next()? {
        read += 1;
        let rejection = match row.fields {
            Ok(fields) => staging
                .add(row.line, fields)
                .await
                .map_err(database_error)?,
            Err(reason) => Some(Rejection {
                line: row.line,
                column: None,
                reason,
            }),
        };
        if let Some(rejection) = rejection {
            rejected.add(rejection);
        }
    }
    staging.finish(transaction).await.map_err(database_error)?;
    Ok(read)
}
