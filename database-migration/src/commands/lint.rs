//! `lint`: looks at the migration files, without a database.

use std::io::{self, Write};
use std::path::PathBuf;

use environment::SettingError;
use exit_code::{ExitCode, Failure};

use crate::files::{FileError, MigrationSet};
use crate::lint::{Level, LintFormat, LintSettings, UnknownRule, count, lint, rule_list};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The migration files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An option names a rule that does not exist.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
    /// There are findings that count as errors.
    #[error("{} denied", count(*.0, "finding"))]
    Denied(usize),
    /// The findings could not be written.
    #[error("the findings could not be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure for LintError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Files(error) => error.exit_code(),
            Self::Setting(_) | Self::UnknownRule(_) => ExitCode::Usage,
            Self::Denied(_) | Self::Output(_) => ExitCode::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.next_step(),
            Self::Setting(_) | Self::UnknownRule(_) => Some("correct it and run again".to_owned()),
            Self::Denied(_) => Some(
                "correct what is denied, or write -- lint-ignore RULE: REASON above the statement"
                    .to_owned(),
            ),
            Self::Output(_) => None,
        }
    }
}

/// Writes the names of all rules.
pub(crate) fn list_rules() -> Result<String, LintError> {
    io::stdout().write_all(rule_list().as_bytes())?;
    Ok("these are all rules".to_owned())
}

/// Looks at the migrations of these directories, or at those compiled in, and writes what it finds.
pub(crate) fn run(
    directories: &[PathBuf],
    settings: &LintSettings,
    format: LintFormat,
) -> Result<String, LintError> {
    let set = if directories.is_empty() {
        MigrationSet::embedded()?
    } else {
        MigrationSet::from_directories(directories)?
    };
    let report = lint(set.files(), settings);
    io::stdout().write_all(format.render(&report).as_bytes())?;
    match report.count(Level::Deny) {
        0 => Ok("no finding is denied".to_owned()),
        denied => Err(LintError::Denied(denied)),
    }
}
