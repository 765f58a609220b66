//! Bringing one table to the state of its source, inside a transaction.
//!
//! A source without a flaw takes the fast way: an empty table is filled directly; otherwise the table's rows are read,
//! and only rows that the table does not have are staged. Whatever is irregular on that way, a row that cannot be loaded
//! or a refusal of the server, leads to the thorough way from the start: all rows are staged, and each that cannot be
//! loaded is found and named.

mod difference;
mod direct;
mod existing;
mod read_back;
mod rows;
mod sequences;
mod staging;
mod thorough;
mod vanished;
mod write;

use std::sync::Arc;

use tokio_postgres::Transaction;

use crate::codes::Codes;
use crate::error::{LoadError, Problem, is_refusal};
use crate::manifest::{DataSet, Vanished, share};
use crate::progress::Progress;
use crate::rejection::Rejections;
use crate::source::{Layout, Source, SourceError};
use crate::target::Table;
use crate::target::sql::{check_at_once, identifier};

pub(crate) use difference::push_key;
pub(crate) use read_back::{Checksum, read_back};
pub(crate) use rows::{Reading, row_hash};
pub(crate) use vanished::VanishedRows;
pub use write::Sample;

/// What is needed to load one data set.
#[derive(Clone)]
pub(crate) struct DataSetWork {
    /// Which one of the run it is.
    pub(crate) number: usize,
    pub(crate) data_set: Arc<DataSet>,
    pub(crate) source: Arc<Source>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) table: Arc<Table>,
    pub(crate) progress: Arc<Progress>,
    /// Where derived data sets may keep temporary files.
    pub(crate) work_directory: Arc<std::path::Path>,
    pub(crate) codes: Arc<Codes>,
    /// The tables that the same transaction loads after this one.
    pub(crate) loaded_later: Vec<u32>,
    /// What a preview takes for done without having done it.
    pub(crate) pending: Vec<Pending>,
}

/// What a load of a data set would do to its table, of which a preview leaves the rows where they are staged.
#[derive(Clone)]
pub(crate) struct Pending {
    number: usize,
    table: Arc<Table>,
    layout: Arc<Layout>,
    /// Whether its vanished rows are listed to be deleted.
    is_deleting: bool,
}

impl Pending {
    /// Whether the staged rows have all these columns.
    fn has(&self, columns: &[String]) -> bool {
        let loaded = &self.layout.columns;
        columns
            .iter()
            .all(|name| loaded.iter().any(|column| column.name == *name))
    }
}

/// How many rows a load read, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Rows in the source.
    pub read: u64,
    /// Those that could be loaded.
    pub valid: u64,
    /// Those that could not.
    pub rejected: u64,
    /// Rows that the table did not have.
    pub inserted: u64,
    /// Rows that the table had otherwise.
    pub updated: u64,
    /// Rows that the table had.
    pub unchanged: u64,
    /// Rows of the table that are no longer in the source and were marked.
    pub marked: u64,
    /// Rows of the table that are no longer in the source and were deleted.
    pub deleted: u64,
    /// Rows of the table that are not in the source and stay.
    pub kept: u64,
}

/// A source compared with its table.
pub(crate) struct Compared {
    pub(crate) counts: Counts,
    pub(crate) rejections: Rejections,
    /// Of all valid rows; none where only the table can tell it.
    pub(crate) checksum: Option<Checksum>,
    pub(crate) vanished: VanishedRows,
    /// How many rows the table had that were not marked.
    pub(crate) rows_before: u64,
    /// What is left to do.
    pub(crate) staged: Staged,
}

/// Where the rows are that have to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Staged {
    /// In the table already, so many as the server says.
    Written(u64),
    /// Those that differ are in the staging table, with their checksum and the places of the rows that they replace.
    Differing(Checksum),
    /// All are in the staging table.
    All,
}

/// Why the fast way ends without a result.
pub(crate) enum Detour {
    /// The source or the table has something that only the thorough way can name.
    Irregular,
    Failed(LoadError),
}

impl From<LoadError> for Detour {
    fn from(error: LoadError) -> Self {
        Self::Failed(error)
    }
}

impl DataSetWork {
    /// An error of this data set.
    pub(crate) fn error(&self, problem: impl Into<Problem>) -> LoadError {
        LoadError::DataSet {
            data_set: self.data_set.name.clone(),
            problem: problem.into(),
        }
    }

    pub(crate) fn source_error(&self, error: SourceError) -> LoadError {
        self.error(Problem::Source(error))
    }

    /// An error of a statement.
    pub(crate) fn database_error(&self, error: tokio_postgres::Error) -> LoadError {
        self.error(Problem::Database(error))
    }

    /// What is left to do after it was compared.
    pub(crate) fn pending_change(&self, compared: &Compared) -> Pending {
        Pending {
            number: self.number,
            table: Arc::clone(&self.table),
            layout: Arc::clone(&self.layout),
            is_deleting: compared.vanished.is_listed && self.vanished_policy() == Vanished::Delete,
        }
    }

    /// The column that vanished rows are marked in, if the table has it and it takes a time.
    pub(crate) fn mark_column(&self) -> Option<&str> {
        let name = self.data_set.mark_column.as_str();
        let is_loaded = self.layout.columns.iter().any(|column| column.name == name);
        (self.table.time_column(name).is_some() && !is_loaded).then_some(name)
    }

    /// What becomes of vanished rows: what the manifest says, otherwise they are marked where that is possible.
    pub(crate) fn vanished_policy(&self) -> Vanished {
        let default = if self.mark_column().is_some() {
            Vanished::Mark
        } else {
            Vanished::Keep
        };
        self.data_set.vanished.unwrap_or(default)
    }

    /// The column that vanished rows are marked in, if that is what becomes of them.
    pub(crate) fn used_mark_column(&self) -> Option<String> {
        let is_marking = self.vanished_policy() == Vanished::Mark;
        self.mark_column().filter(|_| is_marking).map(identifier)
    }

    /// A condition for the rows of the table that count as being there, by an alias of it.
    pub(crate) fn is_present(&self, alias: &str) -> String {
        self.used_mark_column().map_or_else(
            || "true".to_owned(),
            |column| format!("{alias}.{column} IS NULL"),
        )
    }
}

/// What the comparison may do to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Fill an empty table at once.
    Load,
    /// Leave the table as it is.
    Preview,
}

/// Values are compared as texts, so each has to have one that no other has, whatever the role or the database is set to.
/// How the source's texts are read stays as it is set.
pub(crate) const TEXTS_OF_VALUES: &str =
    "SET LOCAL DateStyle = ISO; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex";

/// Compares source and table; what has to be written is staged, or written already.
pub(crate) async fn compare(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    purpose: Purpose,
) -> Result<Compared, LoadError> {
    let execute = async |statement: &str| {
        transaction
            .batch_execute(statement)
            .await
            .map_err(|error| work.database_error(error))
    };
    // What refers to a table that is loaded later can only be checked after that.
    let references = work.table.references.iter();
    let checked = check_at_once(
        references.filter(|reference| !work.loaded_later.contains(&reference.to_oid)),
    );
    execute(&format!("{TEXTS_OF_VALUES}; {checked}SAVEPOINT fast")).await?;
    match fast(transaction, work, purpose).await {
        Ok(compared) => return Ok(compared),
        Err(Detour::Failed(error)) => return Err(error),
        Err(Detour::Irregular) => {}
    }
    execute("ROLLBACK TO SAVEPOINT fast").await?;
    work.progress.restart();
    thorough::compare(transaction, work).await
}

async fn fast(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    purpose: Purpose,
) -> Result<Compared, Detour> {
    // The server takes no COPY into a table with policies.
    let may_be_filled = purpose == Purpose::Load && !work.table.has_row_security;
    if may_be_filled && is_empty(transaction, work).await? {
        direct::fill(transaction, work).await
    } else if work.layout.is_canonical() {
        difference::compare(transaction, work).await
    } else {
        Err(Detour::Irregular)
    }
}

async fn is_empty(transaction: &Transaction<'_>, work: &DataSetWork) -> Result<bool, LoadError> {
    let query = format!("SELECT NOT EXISTS (SELECT FROM {})", work.table.qualified());
    let rows = transaction
        .query_typed(&query, &[])
        .await
        .map_err(|error| work.database_error(error))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// A refusal of rows by the server leads to the thorough way, which names them.
pub(crate) fn detour(work: &DataSetWork, error: tokio_postgres::Error) -> Detour {
    if is_refusal(&error) {
        Detour::Irregular
    } else {
        Detour::Failed(work.database_error(error))
    }
}

impl Compared {
    /// Writes what is staged, and checks that the table has what the source has.
    pub(crate) async fn write(
        &mut self,
        transaction: &Transaction<'_>,
        work: &DataSetWork,
    ) -> Result<(), LoadError> {
        let written = match self.staged {
            Staged::Written(rows) => write::check_written(transaction, work, self, rows).await?,
            Staged::Differing(staged) => write::write_differing(transaction, work, staged).await?,
            Staged::All => write::write_all(transaction, work, self).await?,
        };
        self.counts.inserted = written.inserted;
        self.counts.updated = written.updated;
        self.counts.unchanged = self.counts.valid - written.inserted - written.updated;
        if written.inserted + written.updated > 0 {
            sequences::move_on(transaction, work).await?;
        }
        Ok(())
    }

    /// What writing would do, with some of the rows.
    pub(crate) async fn preview(
        &mut self,
        transaction: &Transaction<'_>,
        work: &DataSetWork,
    ) -> Result<Vec<Sample>, LoadError> {
        let (change, mut samples) = write::preview(transaction, work)
            .await
            .map_err(|error| work.database_error(error))?;
        self.counts.inserted = change.inserted;
        self.counts.updated = change.updated;
        self.counts.unchanged = self.counts.valid - change.inserted - change.updated;
        let vanished = self
            .vanished
            .preview(transaction, work, &mut self.counts)
            .await
            .map_err(|error| work.database_error(error))?;
        samples.extend(vanished);
        Ok(samples)
    }

    /// What is known of the rows before any is written.
    pub(crate) fn counts_read(&self) -> Counts {
        Counts {
            read: self.counts.read,
            valid: self.counts.valid,
            rejected: self.counts.rejected,
            ..Counts::default()
        }
    }

    /// Stops what looks like an accident.
    pub(crate) fn guard(&self, work: &DataSetWork) -> Result<(), Problem> {
        let guards = &work.data_set.guards;
        guards.against_rejects(self.counts.read, &self.rejections)?;
        guards.against_few_rows(self.counts.read, self.counts.valid)?;
        let vanished = self.vanished.count;
        if work.vanished_policy() != Vanished::Keep
            && share(vanished, self.rows_before) > guards.largest_shrink
        {
            return Err(Problem::Shrinks {
                vanished,
                rows: self.rows_before,
                limit: guards.largest_shrink,
            });
        }
        Ok(())
    }
}
