//! One migration, as its files have it.

use std::path::PathBuf;

use refinery::Migration;

use crate::files::header::{Header, Transaction};
use crate::files::problem::Problem;
use crate::statements;

/// One migration with the file it comes from.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// Version, name, the SQL that applies it and the checksum of these, as refinery has them.
    pub migration: Migration,
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
    /// The path of the file it stands in, which is the migration's own in the sectioned style.
    pub path: PathBuf,
    /// The line of the file that it begins on, counted from 1.
    pub first_line: usize,
    /// How it is run.
    pub transaction: Transaction,
}

impl MigrationFile {
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
        let sql = self.migration.sql().unwrap_or_default();
        statements::forbidden(sql)
            .into_iter()
            .map(|forbidden| Problem {
                path: self.path.clone(),
                line: Some(self.first_line + forbidden.line),
                reason: forbidden.reason,
            })
            .collect()
    }
}
