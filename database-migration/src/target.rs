//! The version that somebody asks for.

use exit_code::{ExitCode, Failure};

use crate::files::MigrationSet;
use crate::history::Applied;

/// Why a version cannot be gone to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither files nor history have it.
    #[error(
        "there is no version {0}, neither in the files nor in the history; nothing was changed"
    )]
    Unknown(i64),
    /// There is no newest migration.
    #[error("no migration is applied; nothing was changed")]
    NothingApplied,
    /// The newest migration has no file.
    #[error("version {0}, the newest one applied, has no file; nothing was changed")]
    NoFile(i64),
    /// The database is above it.
    #[error("the database is at version {current}, above {target}; nothing was changed")]
    Below {
        /// The newest version applied.
        current: i64,
        /// The version asked for.
        target: i64,
    },
    /// The database is below it.
    #[error("the database is at version {current}, below {target}; nothing was changed")]
    Above {
        /// The newest version applied.
        current: i64,
        /// The version asked for.
        target: i64,
    },
}

impl Failure for TargetError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unknown(_) => {
                "name one of the versions that database-migration status shows".to_owned()
            }
            Self::NothingApplied => "apply migrations with database-migration up".to_owned(),
            Self::NoFile(_) => "name the directory that holds its file".to_owned(),
            Self::Below { target, .. } => format!(
                "to undo the migrations above {target}, run database-migration down --to {target}"
            ),
            Self::Above { target, .. } => {
                format!("to apply migrations, run database-migration up --to {target}")
            }
        })
    }
}

/// Checks that a version can be gone up to.
pub(crate) fn check_up(
    target: Option<i64>,
    set: &MigrationSet,
    current: Option<&Applied>,
) -> Result<(), TargetError> {
    let Some(target) = target else {
        return Ok(());
    };
    if !set.files().iter().any(|file| file.version == target) {
        return Err(TargetError::Unknown(target));
    }
    match current.map(Applied::version) {
        Some(current) if current > target => Err(TargetError::Below { current, target }),
        _ => Ok(()),
    }
}
