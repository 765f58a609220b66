//! Why a command failed.

use advisory_lock::LockError;
use connection::{ConnectError, describe, sqlstate};
use coupon_codes::CouponError;
use exit_code::{ExitCode, Failure};
use tokio_postgres::error::SqlState;

use crate::manifest::{ManifestError, percent};
use crate::source::{LayoutError, SourceError};
use crate::target::{Table, TableError};

/// Why a command failed. What it was about to change is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another load was not over in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is not clear what to load.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One data set could not be loaded.
    #[error("{data_set}: {problem}")]
    DataSet {
        /// The data set.
        data_set: String,
        /// Why.
        problem: Problem,
    },
    /// The history of loads cannot be read or written.
    #[error("the history of loads: {}{}", describe(.source), hint_of_history(.source))]
    History {
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {problem}")]
    Output {
        /// The file.
        path: String,
        /// The operating system's reason.
        problem: String,
    },
    /// A table is not as its source says.
    #[error("data sets that are not as their sources say: {differing} of {checked}{details}")]
    Differs {
        /// How many differ.
        differing: usize,
        /// How many were looked at.
        checked: usize,
        /// What differs, a line each.
        details: String,
    },
    /// The process was asked to stop.
    #[error("stopped as asked; the load that was running is rolled back")]
    Terminated,
}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Source and table do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The table cannot be loaded.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The codes cannot be derived.
    #[error(transparent)]
    Codes(#[from] CouponError),
    /// Codes come from files on disk.
    #[error("codes are derived from files on disk only")]
    CodesInMemory,
    /// More rows than allowed cannot be loaded.
    #[error("{rejected} of {read} rows cannot be loaded{guard}; nothing was loaded{rejections}")]
    BadData {
        /// How many rows the source holds.
        read: u64,
        /// How many of them cannot be loaded.
        rejected: u64,
        /// The guard that does not allow it; nothing where none may be rejected at all.
        guard: String,
        /// The first of them, and why, a line each.
        rejections: String,
        /// Whether the history keeps them.
        is_kept: bool,
    },
    /// There is no row.
    #[error("the source holds no rows; an empty source never empties a table")]
    Empty,
    /// The source is smaller than the manifest allows.
    #[error(
        "{valid} rows are fewer than the {minimum} that the guard minimum_rows asks for; nothing was loaded"
    )]
    TooFewRows {
        /// How many valid rows there are.
        valid: u64,
        /// How many there should be.
        minimum: u64,
    },
    /// Too much of the table is not in the source.
    #[error(
        "{vanished} of the table's {rows} rows are not in the source, more than the {} that the guard \
         largest_shrink allows; nothing was loaded",
        percent(*.limit)
    )]
    Shrinks {
        /// How many rows of the table are not in the source.
        vanished: u64,
        /// How many rows the table has.
        rows: u64,
        /// The share that is allowed, from 0 to 1.
        limit: f64,
    },
    /// What was read back is not what was written.
    #[error(
        "the table does not hold what was written to it; nothing was loaded. A trigger or rule of the table may change \
         rows; `read_back: false` in the manifest accepts that"
    )]
    WrittenDiffers,
    /// The server's answer to a statement of the load.
    #[error("the load was rolled back: {}{}", describe(.0), context(.0))]
    Database(tokio_postgres::Error),
}

impl LoadError {
    /// Whether the same again may succeed, since others were in the way of a load of these tables.
    pub(crate) fn is_lost_to_others<'table>(
        &self,
        mut tables: impl Iterator<Item = &'table Table>,
    ) -> bool {
        let Self::DataSet {
            problem: Problem::Database(error),
            ..
        } = self
        else {
            return false;
        };
        let is_lost = error.code().is_some_and(|state| {
            sqlstate::is_lost_to_other_transactions(state)
                && !sqlstate::is_lock_not_available(state)
        });
        is_lost || tables.any(|table| is_overtaken(error, table))
    }
}

/// Whether a row of the table met, or missed, a row that was not there, or not yet gone, when the load looked: of keys
/// and references it writes only what it has checked.
fn is_overtaken(error: &tokio_postgres::Error, table: &Table) -> bool {
    let Some(answer) = error.as_db_error() else {
        return false;
    };
    let constraint = answer.constraint().unwrap_or_default();
    let is_of_table = answer.schema() == Some(&table.schema) && answer.table() == Some(&table.name);
    let is_checked = match *answer.code() {
        SqlState::UNIQUE_VIOLATION => table.key_indexes.iter().any(|index| index == constraint),
        SqlState::FOREIGN_KEY_VIOLATION => {
            let mut references = table.references.iter();
            references.any(|reference| reference.name == constraint)
        }
        _ => false,
    };
    is_of_table && is_checked
}

/// Which row or key it is about, and which statement.
fn context(error: &tokio_postgres::Error) -> String {
    let answer = error.as_db_error();
    let detail = answer.and_then(|answer| answer.detail());
    let place = answer.and_then(|answer| answer.where_());
    let detail = detail.map_or_else(String::new, |detail| format!("\n  {detail}"));
    detail + &place.map_or_else(String::new, |place| format!("\n  where: {place}"))
}

fn hint_of_history(error: &tokio_postgres::Error) -> &'static str {
    if is_lack_of_privilege(error) {
        "; its tables load_run and load_reject are made by migration 004 of database-migration, and whoever loads needs \
         SELECT, INSERT, UPDATE and DELETE on them"
    } else {
        ""
    }
}

fn exit_code_of_database(error: &tokio_postgres::Error) -> ExitCode {
    match error.code() {
        Some(state) if sqlstate::is_lock_not_available(state) => ExitCode::LockTimeout,
        _ if is_refusal(error) => ExitCode::BadData,
        _ => ExitCode::Failed,
    }
}

fn is_lack_of_privilege(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}

/// Whether the server refuses what a row holds.
pub(crate) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    // Class 22 is "data exception", class 23 "integrity constraint violation".
    error
        .code()
        .is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23"))
}

impl Problem {
    /// The same of a command that keeps no rejected rows.
    pub(crate) fn without_keeping(mut self) -> Self {
        if let Self::BadData { is_kept, .. } = &mut self {
            *is_kept = false;
        }
        self
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Layout(LayoutError::Source(error)) | Self::Source(error) => {
                exit_code_of_source(error)
            }
            Self::Layout(LayoutError::Manifest(_) | LayoutError::Columns { .. })
            | Self::Table(TableError::NoKey(_) | TableError::NotUnique { .. })
            | Self::CodesInMemory => ExitCode::Usage,
            Self::Layout(LayoutError::Header { .. })
            | Self::BadData { .. }
            | Self::Empty
            | Self::TooFewRows { .. }
            | Self::Shrinks { .. } => ExitCode::BadData,
            Self::Table(TableError::Database { source, .. }) | Self::Database(source) => {
                exit_code_of_database(source)
            }
            Self::Codes(CouponError::SameContent { .. } | CouponError::SameName { .. }) => {
                ExitCode::Usage
            }
            Self::Codes(_) | Self::Table(TableError::Missing(_)) | Self::WrittenDiffers => {
                ExitCode::Failed
            }
        }
    }

    fn next_step(&self) -> &'static str {
        match self {
            Self::Source(SourceError::File(_))
            | Self::Layout(LayoutError::Source(SourceError::File(_))) => {
                "see that the file is there, whole and left alone during a load, and run again"
            }
            Self::Table(TableError::Missing(_)) => "run database-migration first",
            Self::BadData { is_kept: false, .. } => {
                "correct these rows in the source and run again"
            }
            Self::BadData { is_kept: true, .. } => {
                "database-load rejects prints these rows as a file; correct them in the source and run again"
            }
            Self::Shrinks { .. } => {
                "see that the source is complete, or raise largest_shrink in the manifest"
            }
            Self::TooFewRows { .. } | Self::Empty => {
                "see that the source is complete and run again"
            }
            Self::Source(_) | Self::Layout(LayoutError::Header { .. } | LayoutError::Source(_)) => {
                "correct the source and run again"
            }
            Self::Database(error) if is_refusal(error) => "correct the source and run again",
            Self::Database(error) if is_lack_of_privilege(error) => {
                "grant the user SELECT, INSERT, UPDATE and DELETE on the table and SELECT on those that it refers to, and \
                 run again"
            }
            Self::Layout(_)
            | Self::Table(TableError::NoKey(_) | TableError::NotUnique { .. })
            | Self::CodesInMemory => "correct the manifest",
            Self::Codes(CouponError::SameContent { .. } | CouponError::SameName { .. }) => {
                "correct the files"
            }
            Self::Codes(_) | Self::Table(_) | Self::Database(_) | Self::WrittenDiffers => {
                "run again; the table is as it was before"
            }
        }
    }
}

fn exit_code_of_source(error: &SourceError) -> ExitCode {
    match error {
        SourceError::File(_) => ExitCode::Failed,
        SourceError::Syntax { .. } => ExitCode::BadData,
    }
}

impl Failure for LoadError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Connect(error) => error.exit_code(),
            Self::Lock(error) => error.exit_code(),
            Self::Manifest(_) => ExitCode::Usage,
            Self::DataSet { problem, .. } => problem.exit_code(),
            Self::History { source } => exit_code_of_database(source),
            Self::Output { .. } => ExitCode::Failed,
            Self::Differs { .. } => ExitCode::Disagreement,
            Self::Terminated => ExitCode::Terminated,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::Connect(error) => return error.next_step(),
            Self::Lock(error) => return error.next_step(),
            Self::Manifest(ManifestError::NoFiles { .. }) => {
                "put the files there, or set `optional: true`"
            }
            Self::Manifest(_) => "correct DATA_DIR or the manifest",
            Self::DataSet { problem, .. } => problem.next_step(),
            Self::History { .. } => "run database-migration first",
            Self::Output { .. } => "name a file that can be written",
            Self::Differs { .. } => {
                "run database-load --force to bring the tables to the state of their sources"
            }
            Self::Terminated => "run again; the table is as it was before",
        };
        Some(step.to_owned())
    }
}
