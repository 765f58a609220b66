//! What is wrong with migration files, as their author is told.

use std::fmt;
use std::path::{Path, PathBuf};

use exit_code::{ExitCode, Failure};

/// Something that is wrong in a text: its line, counted from 1, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self {
            line,
            reason: reason.into(),
        }
    }
}

/// One thing that is wrong with a migration file, or with a directory of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path of the file, or of the directory.
    pub path: PathBuf,
    /// The line of the file, counted from 1; 1 if it is about the file as a whole, nothing for a directory.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub reason: String,
}

impl Problem {
    /// About a line of a file.
    pub(super) fn at(path: &Path, fault: Fault) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(fault.line),
            reason: fault.reason,
        }
    }

    /// About a file as a whole.
    pub(super) fn of_file(path: &Path, reason: impl Into<String>) -> Self {
        Self::at(path, Fault::new(1, reason))
    }

    /// About a directory.
    pub(super) fn of_directory(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Why there are no migrations to work with. All problems of all directories are reported at once.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Files or directories that cannot be used.
    #[error("the migration files cannot be used; nothing was applied{}", list(.0))]
    Problems(Vec<Problem>),
}

/// Problems below a sentence that announces them, each on a line.
pub(crate) fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

impl Failure for FileError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn next_step(&self) -> Option<String> {
        let Self::Problems(problems) = self;
        Some(match problems.len() {
            1 => "correct what is named above and run again".to_owned(),
            count => format!("correct the {count} problems named above and run again"),
        })
    }
}
