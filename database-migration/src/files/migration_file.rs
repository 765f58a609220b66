//! One migration, as its files have it.

use std::path::PathBuf;

use time::OffsetDateTime;

use crate::files::checksum;
use crate::files::header::{Header, Transaction};
use crate::history::Applied;

/// One migration with the file it comes from.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// The version, which no other migration has.
    pub version: i64,
    /// The name, as the history holds it.
    pub name: String,
    /// The SQL that applies it.
    pub sql: String,
    /// What refinery computes of the three above.
    pub checksum: u64,
    /// The file's path, or its name if it was compiled in.
    pub path: PathBuf,
    /// The line of the file that the SQL begins on, counted from 1.
    pub first_line: usize,
    /// How the SQL is run.
    pub transaction: Transaction,
    /// What the header says.
    pub header: Header,
    /// What undoes the migration.
    pub down: Option<DownScript>,
}

/// The SQL that undoes a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownScript {
    /// The SQL.
    pub sql: String,
    /// The path of the file it stands in, where that is not the migration's own.
    pub path: Option<PathBuf>,
    /// The line of the file that it begins on, counted from 1.
    pub first_line: usize,
    /// How it is run.
    pub transaction: Transaction,
}

impl MigrationFile {
    /// Whether the history holds this migration as it is now.
    pub fn is(&self, applied: &Applied) -> bool {
        (self.version, self.name.as_str(), self.checksum)
            == (applied.version(), applied.name(), applied.checksum())
    }

    /// What refinery may have computed of the file, whatever it was compiled for and whatever the line ends were.
    pub(crate) fn refinery_checksums(&self) -> Vec<u64> {
        checksum::of_refinery(self.version, &self.name, &self.sql)
    }

    /// The migration as the history holds it when it is applied now.
    pub(crate) fn applied_now(&self) -> Applied {
        Applied::applied(
            self.version,
            self.name.clone(),
            OffsetDateTime::now_utc(),
            self.checksum,
        )
    }
}
