//! Start, service and end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connection::{ConnectError, Connector};
use deadpool_postgres::BuildError;
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tokio::net::TcpListener;
use tracing::{Instrument, Span, info, warn};

use crate::connections;
use crate::database::Database;
use crate::routes::{Api, router};
use crate::settings::ApiSettings;

/// Why the API did not start, or not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The port is taken, or the address is not one of this machine.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address and the port.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The pool of connections cannot be used.
    #[error("the pool of connections to the database cannot be used: {0}")]
    Pool(#[from] BuildError),
    /// The database was reached, and then was not.
    #[error("the database was there and is not any more: {0}")]
    Database(String),
    /// Requests were not finished in time after the process was asked to stop.
    #[error("stopped as asked; requests cut off after {} s: {requests}", .limit.as_secs_f64())]
    CutOff {
        /// How many.
        requests: usize,
        /// How long they had.
        limit: Duration,
    },
}

impl Failure for ServeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connect(error) => error.exit_code(),
            Self::Listen { .. } | Self::Pool(_) | Self::Database(_) | Self::CutOff { .. } => {
                ExitCode::Failed
            }
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Connect(error) => error.next_step(),
            Self::Listen { .. } => Some(
                "set PORT to a free port and LISTEN_ADDRESS to an address of this machine, or stop what listens there"
                    .to_owned(),
            ),
            Self::Pool(_) => None,
            Self::Database(_) => Some("start again".to_owned()),
            Self::CutOff { .. } => Some(
                "allow more time in DRAIN_TIMEOUT, and in the pod's terminationGracePeriodSeconds".to_owned(),
            ),
        }
    }
}

/// Serves the API until the process is asked to stop. The span is that of the start: it ends when the database is
/// there.
pub async fn serve(
    settings: ApiSettings,
    shutdown: &Shutdown,
    startup: Span,
) -> Result<(), ServeError> {
    if settings.api_key.is_for_development() {
        warn!("the API's key is the documented one for development: set API_KEY or API_KEY_FILE");
    }
    let connector = Connector::new(
        settings.connection.clone(),
        "order-food",
        settings.server_options(),
    )?;
    let api = Arc::new(Api {
        database: Database::new(&connector, settings.pool_size)?,
        key: settings.api_key,
        shutdown: shutdown.clone(),
    });
    let listener = listen(settings.address)
        .instrument(startup.clone())
        .await
        .inspect_err(|error| record_failure(&startup, error))?;
    let mut service = pin!(connections::serve(
        listener,
        router(api.clone(), settings.request_timeout),
        shutdown,
        settings.drain_timeout,
    ));
    let end = tokio::select! {
        end = &mut service => end,
        start = wait_for_database(&connector, &api.database).instrument(startup.clone()) => {
            start.inspect_err(|error| record_failure(&startup, error))?;
            drop(startup);
            service.await
        }
    };
    end.map_err(|requests| ServeError::CutOff {
        requests,
        limit: settings.drain_timeout,
    })
}

fn record_failure(startup: &Span, error: &ServeError) {
    let code = error.exit_code();
    startup.record("process.exit.code", code as i64);
    startup.record("error.type", format!("{code:?}"));
    startup.record("otel.status_code", "ERROR");
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    info!(
        "✓ order-food {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(listener)
}

async fn wait_for_database(connector: &Connector, database: &Database) -> Result<(), ServeError> {
    connector.wait().await?.close().await;
    database
        .open()
        .await
        .map_err(|error| ServeError::Database(error.to_string()))
}
