//! Why there is no connection.

use std::error::Error as _;
use std::time::Duration;

use environment::SettingError;
use exit_code::{ExitCode, Failure};
use tokio_postgres::error::{DbError, SqlState};

use crate::sqlstate;

/// Why there is no connection to the server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting is wrong; found before connecting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// No handshake succeeded in the time allowed.
    #[error("PostgreSQL at {target} was not reached within {}: {last}", seconds(*.waited))]
    NotReached {
        /// Server and database.
        target: String,
        /// How long it was tried.
        waited: Duration,
        /// Why the last attempt failed.
        last: String,
    },
    /// The server answered, and waiting will not change its answer.
    #[error("PostgreSQL at {target} refused user {user:?}: {} (SQLSTATE {})", .answer.message(), .answer.code().code())]
    Refused {
        /// Server and database.
        target: String,
        /// The user.
        user: String,
        /// The server's answer.
        answer: Box<DbError>,
    },
    /// A pooler between us and the server does not pass on start-up parameters.
    #[error("a connection pooler at {target} refused the start-up parameter options: {answer}")]
    Pooler {
        /// Server and database.
        target: String,
        /// The pooler's words.
        answer: String,
    },
    /// A pooler between us and the server gives our session to others between transactions.
    #[error(
        "{target} is a connection pooler that shares sessions between transactions, where a lock protects nothing; \
         nothing was changed"
    )]
    SharedSession {
        /// Server and database.
        target: String,
    },
    /// TLS could not be agreed on, or the server's certificate was not accepted.
    #[error("no TLS connection to PostgreSQL at {target}: {problem}")]
    Tls {
        /// Server and database.
        target: String,
        /// What TLS complains about.
        problem: String,
    },
    /// The connection broke after the handshake.
    #[error("the connection to PostgreSQL at {target} failed: {problem}")]
    Broken {
        /// Server and database.
        target: String,
        /// What happened.
        problem: String,
    },
}

impl Failure for ConnectError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotReached { .. } => ExitCode::Unreachable,
            Self::Broken { .. } => ExitCode::Failed,
            Self::Setting(_)
            | Self::Refused { .. }
            | Self::Pooler { .. }
            | Self::SharedSession { .. }
            | Self::Tls { .. } => ExitCode::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::Setting(_) => return None,
            Self::NotReached { .. } => {
                "check DB_HOST and DB_PORT and that the server runs; DB_WAIT_TIMEOUT allows more time"
            }
            Self::Refused { answer, .. } if *answer.code() == SqlState::INVALID_CATALOG_NAME => {
                "create the database or correct DB_NAME"
            }
            Self::Refused { answer, .. } if answer.code().code().starts_with("28") => {
                "check DB_USER, DB_PASSWORD and DB_SSLMODE, and the server's pg_hba.conf"
            }
            Self::Refused { .. } => "read the server's log; it names this connection",
            Self::Pooler { .. } => {
                "connect to PostgreSQL itself, or let the pooler pass options on (PgBouncer: session pooling and \
                 ignore_startup_parameters = options)"
            }
            Self::SharedSession { .. } => {
                "connect to PostgreSQL itself, or to a pool that keeps sessions (PgBouncer: pool_mode = session)"
            }
            Self::Tls { .. } => {
                "check DB_SSLMODE and DB_SSLROOTCERT, and that the certificate names DB_HOST"
            }
            Self::Broken { .. } => "run again; nothing was changed",
        };
        Some(step.to_owned())
    }
}

/// One failed attempt, sorted by what to do about it.
pub(crate) enum Attempt {
    /// Try again.
    NotReady(String),
    /// Try again while the server may still be being set up.
    PossiblyBeingInitialised(Box<DbError>),
    /// Give up.
    Hopeless(ConnectError),
}

impl Attempt {
    pub(crate) fn sort(error: &tokio_postgres::Error, target: &str, user: &str) -> Self {
        if let Some(answer) = error.as_db_error() {
            let state = answer.code();
            if sqlstate::is_not_ready(state) {
                return Self::NotReady(answer.message().to_owned());
            }
            if sqlstate::is_possibly_being_initialised(state) {
                return Self::PossiblyBeingInitialised(Box::new(answer.clone()));
            }
            let is_about_options =
                answer.message().contains("options") || answer.message().contains("parameter");
            if sqlstate::is_protocol_violation(state) && is_about_options {
                return Self::Hopeless(ConnectError::Pooler {
                    target: target.to_owned(),
                    answer: answer.message().to_owned(),
                });
            }
            return Self::Hopeless(ConnectError::Refused {
                target: target.to_owned(),
                user: user.to_owned(),
                answer: Box::new(answer.clone()),
            });
        }
        if let Some(problem) = tls_problem(error) {
            return Self::Hopeless(ConnectError::Tls {
                target: target.to_owned(),
                problem,
            });
        }
        Self::NotReady(chain(error))
    }
}

/// The reason why TLS will never work with these settings; a connection cut during the handshake is not one.
fn tls_problem(error: &tokio_postgres::Error) -> Option<String> {
    if !error.to_string().contains("TLS handshake") {
        return None;
    }
    let Some(source) = error.source() else {
        return Some(error.to_string());
    };
    match source.downcast_ref::<std::io::Error>() {
        // rustls reports what it refuses as InvalidData; other kinds come from the network.
        Some(error) if error.kind() != std::io::ErrorKind::InvalidData => None,
        _ => Some(source.to_string()),
    }
}

/// A driver's error in one line: the server's message with its SQLSTATE, or what happened to the connection.
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => format!("{} (SQLSTATE {})", answer.message(), answer.code().code()),
        None => chain(error),
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = error.source();
    }
    text
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}
