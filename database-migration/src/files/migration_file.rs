//! One migration, as its files have it.

use std::path::PathBuf;

use time::OffsetDateTime;

use crate::files::header::{Header, Transaction};
use crate::files::problem::Problem;
use crate::history::Applied;
use crate::statements;

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

    /// The migration as the history holds it when it is applied now.
    pub(crate) fn applied_now(&self) -> Applied {
        Applied::applied(
            self.version,
            self.name.clone(),
            OffsetDateTime::now_utc(),
            self.checksum,
        )
    }

    /// Finds what keeps the migration from being applied: that it wants to run without a transaction, or statements
    /// that must not run in one.
    pub(crate) fn obstacles(&self) -> Vec<Problem> {
        if let Transaction::None { line } = self.transaction {
            return vec![Problem {
                path: self.path.clone(),
                line: Some(line),
                reason: "Transaction: none is not supported by up yet; take what needs no transaction out of the \
                         migration, or apply it by hand"
                    .to_owned(),
            }];
        }
        statements::forbidden(&self.sql)
            .into_iter()
            .map(|forbidden| Problem {
                path: self.path.clone(),
                line: Some(self.first_line + forbidden.line),
                reason: forbidden.reason,
            })
            .collect()
    }
}
