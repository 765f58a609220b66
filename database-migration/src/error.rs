//! Why a command failed.

use std::io;

use advisory_lock::LockError;
use connection::ConnectError;
use exit_code::{ExitCode, Failure};

use crate::commands::adopt::AdoptError;
use crate::commands::baseline::BaselineError;
use crate::commands::down::DownError;
use crate::commands::lint::LintError;
use crate::commands::repair::RepairError;
use crate::commands::wait::WaitError;
use crate::database::UnfinishedError;
use crate::execution::ApplyError;
use crate::files::FileError;
use crate::history::HistoryError;
use crate::plan::Disagreement;
use crate::session::SessionError;
use crate::target::TargetError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The migration files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The server was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server did not let the user in while somebody waited for that.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A table of ours could not be created.
    #[error("the table {table} could not be created: {problem}")]
    Creation {
        /// The table's full name.
        table: String,
        /// The server's reason.
        problem: String,
    },
    /// Another run was not over in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Files and history contradict each other.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// The version to go to does not exist, or is the wrong way.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A migration is half done in the other direction.
    #[error(transparent)]
    Unfinished(#[from] UnfinishedError),
    /// A migration failed; those before it are applied, or undone.
    #[error("{source}\n  state: {state}")]
    Apply {
        /// Which one, and why.
        source: Box<ApplyError>,
        /// In which state the database is now.
        state: String,
    },
    /// Migrations may not be undone.
    #[error(transparent)]
    Down(#[from] DownError),
    /// The history may not be repaired so.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The history may not begin so.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// The linter denies something, or could not be asked.
    #[error(transparent)]
    Lint(#[from] LintError),
    /// The history of another tool cannot be taken over.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// Migrations are pending, and the caller wants to know.
    #[error("{0} migrations are pending")]
    Pending(usize),
    /// The catalog of the database is not as it should be.
    #[error("{0} of the checks above failed")]
    Verification(usize),
    /// What was found could not be written.
    #[error("the result could not be written: {0}")]
    Output(#[from] io::Error),
    /// The server refused something of ours.
    #[error("{attempt} failed: {problem}")]
    Server {
        /// What was tried.
        attempt: &'static str,
        /// The server's answer.
        problem: String,
    },
    /// The process was asked to stop.
    #[error(
        "stopped as asked; a migration that was running is rolled back, or is gone on with by the next run if it runs \
         without a transaction; those before it are done"
    )]
    Terminated,
}

impl MigrationError {
    /// An answer of the server to something of ours.
    pub(crate) fn server(attempt: &'static str) -> impl FnOnce(SessionError) -> Self {
        move |error| Self::Server {
            attempt,
            problem: error.describe(),
        }
    }

    fn failure(&self) -> Option<&dyn Failure> {
        match self {
            Self::Files(error) => Some(error),
            Self::Connect(error) => Some(error),
            Self::Wait(error) => Some(error),
            Self::History(error) => Some(error),
            Self::Lock(error) => Some(error),
            Self::Disagreement(error) => Some(error),
            Self::Target(error) => Some(error),
            Self::Unfinished(error) => Some(error),
            Self::Apply { source, .. } => Some(source.as_ref()),
            Self::Down(error) => Some(error),
            Self::Repair(error) => Some(error),
            Self::Baseline(error) => Some(error),
            Self::Lint(error) => Some(error),
            Self::Adopt(error) => Some(error),
            Self::Creation { .. }
            | Self::Pending(_)
            | Self::Verification(_)
            | Self::Output(_)
            | Self::Server { .. }
            | Self::Terminated => None,
        }
    }
}

impl Failure for MigrationError {
    fn exit_code(&self) -> ExitCode {
        match (self.failure(), self) {
            (Some(failure), _) => failure.exit_code(),
            (None, Self::Terminated) => ExitCode::Terminated,
            (None, Self::Pending(_)) => ExitCode::Pending,
            (None, Self::Verification(_)) => ExitCode::Disagreement,
            (None, _) => ExitCode::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match (self.failure(), self) {
            (Some(failure), _) => failure.next_step(),
            (None, Self::Creation { .. }) => Some(
                "let the user create tables in this schema, or name another schema in MIGRATION_TABLE"
                    .to_owned(),
            ),
            (None, Self::Pending(_)) => Some("apply them with database-migration up".to_owned()),
            (None, Self::Verification(_)) => {
                Some("each of them says what to do about it".to_owned())
            }
            (None, Self::Output(_)) => None,
            (None, _) => Some("run again; it goes on where it stopped".to_owned()),
        }
    }
}
