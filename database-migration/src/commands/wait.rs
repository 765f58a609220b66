//! `wait`: waits for the database by a real handshake, and changes nothing.

use std::time::Instant;

use connection::{ConnectError, ConnectionSettings, Connector, ServerOptions};
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;

/// Why the database is not there.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The server was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The process was asked to stop.
    #[error("stopped as asked while waiting for the database")]
    Terminated,
}

impl Failure for WaitError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connect(error) => error.exit_code(),
            Self::Terminated => ExitCode::Terminated,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Connect(error) => error.next_step(),
            Self::Terminated => None,
        }
    }
}

/// Returns when the server has let the user into the database, with a sentence that says so.
pub async fn wait(settings: ConnectionSettings, shutdown: &Shutdown) -> Result<String, WaitError> {
    let started = Instant::now();
    let verdict = format!("{} lets {} in", settings.database(), settings.user());
    let connector = Connector::new(settings, "database-migration", ServerOptions::default())?;
    let connection = shutdown
        .guard(connector.wait(), async || {})
        .await
        .ok_or(WaitError::Terminated)??;
    connection.close().await;
    Ok(format!("{verdict} ({} ms)", started.elapsed().as_millis()))
}
