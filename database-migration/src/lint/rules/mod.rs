//! Our own rules, a file each.

mod forbidden_in_transaction;
mod ignore_without_reason;
mod lock_order;
mod missing_down;
mod not_repeatable;
mod several_strong_locks;
mod syntax;
mod transaction_control;
mod unknown_rule;
mod unnamed_concurrent_index;
pub(super) mod unused_ignore;

use crate::lint::{Level, Migrations};

/// All of them but [`unused_ignore::UnusedIgnore`], which comes after them and squawk's.
pub(super) const ALL: [&dyn Rule; 10] = [
    &forbidden_in_transaction::ForbiddenInTransaction,
    &ignore_without_reason::IgnoreWithoutReason,
    &lock_order::LockOrder,
    &missing_down::MissingDown,
    &not_repeatable::NotRepeatable,
    &several_strong_locks::SeveralStrongLocks,
    &syntax::Syntax,
    &transaction_control::TransactionControl,
    &unknown_rule::UnknownRule,
    &unnamed_concurrent_index::UnnamedConcurrentIndex,
];

/// The name that squawk's own complaint about a comment gets.
pub(super) const UNKNOWN_RULE: &str = "unknown-rule";

/// Something to look for in migrations.
pub(crate) trait Rule: Sync {
    /// Its name, as comments and options write it.
    fn name(&self) -> &'static str;

    /// What it finds, in a few words.
    fn title(&self) -> &'static str;

    /// Why that is worth a finding, in one sentence.
    fn why(&self) -> &'static str;

    /// What it is without options.
    fn level(&self) -> Level;

    /// Finds all violations.
    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation>;
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The number of the script.
    pub(crate) script: usize,
    pub(crate) spot: Spot,
    pub(crate) message: String,
    /// What to do instead.
    pub(crate) help: Option<String>,
}

/// Where a violation is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// On a line above the SQL.
    Header {
        /// The line's number in the file, counted from 1.
        line: usize,
        /// What stands on it.
        text: String,
    },
    /// In the SQL, in bytes.
    Sql {
        /// Where it begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
}

impl Violation {
    /// Adds what to do instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
