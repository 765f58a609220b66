//! One step of the schema, up or down, whatever it comes from.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use refinery::Migration;
use time::format_description::well_known::Rfc3339;

use crate::files::{Direction, DownScript, MigrationFile, Problem, Transaction, transaction_of};
use crate::script::Script;
use crate::sql::literal;

/// A migration to be applied or undone.
#[derive(Debug)]
pub(crate) struct Change<'sql> {
    pub(crate) direction: Direction,
    pub(crate) version: i64,
    pub(crate) name: &'sql str,
    pub(crate) script: Script<'sql>,
    pub(crate) transaction: Transaction,
    /// Where the script stands, for messages.
    pub(crate) path: Cow<'sql, Path>,
    /// The line of the file that the script begins on, counted from 1.
    pub(crate) first_line: usize,
    record: Record<'sql>,
}

/// What becomes of the history.
#[derive(Debug)]
enum Record<'sql> {
    Insert(&'sql MigrationFile),
    Delete,
}

impl<'sql> Change<'sql> {
    /// Applies a migration.
    pub(crate) fn up(file: &'sql MigrationFile) -> Self {
        Self {
            direction: Direction::Up,
            version: file.version,
            name: &file.name,
            script: Script::parse(&file.sql),
            transaction: file.transaction,
            path: Cow::Borrowed(&file.path),
            first_line: file.first_line,
            record: Record::Insert(file),
        }
    }

    /// Undoes a migration by the SQL that the history holds.
    pub(crate) fn down(applied: &'sql Migration, sql: &'sql str) -> Self {
        Self {
            direction: Direction::Down,
            version: applied.version(),
            name: applied.name(),
            script: Script::parse(sql),
            transaction: transaction_of(sql),
            path: Cow::Owned(PathBuf::from(format!(
                "{}_{} (down, as the history has it)",
                applied.version(),
                applied.name()
            ))),
            first_line: 1,
            record: Record::Delete,
        }
    }

    /// Whether it runs statement by statement, without a transaction around all of it.
    pub(crate) fn is_stepwise(&self) -> bool {
        matches!(self.transaction, Transaction::None { .. })
    }

    /// Finds the statements that must not stand in the script, since it runs in one transaction, or in none.
    pub(crate) fn obstacles(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.is_stepwise() && !self.script.is_understood {
            problems.push(self.problem(
                0,
                "it runs without a transaction, so its statements have to be told apart, and the parser does not \
                 understand them; correct the SQL, or let it run in a transaction"
                    .to_owned(),
            ));
        }
        for statement in &self.script.statements {
            let obstacle = if self.is_stepwise() {
                statement.kind.obstacle_without_transaction()
            } else {
                statement.kind.obstacle_in_transaction()
            };
            if let Some(obstacle) = obstacle {
                let text = self.script.first_line(statement);
                problems
                    .push(self.problem(self.script.line(statement), format!("{text} {obstacle}")));
            }
        }
        problems
    }

    fn problem(&self, line: usize, reason: String) -> Problem {
        Problem {
            path: self.path.to_path_buf(),
            line: Some(self.first_line + line),
            reason,
        }
    }

    /// SQL that changes the history accordingly. `began` is an SQL expression of when the change began.
    pub(crate) fn record(&self, table: &str, began: &str) -> String {
        match self.record {
            Record::Insert(file) => insertion(file, &file.applied_now(), table, began),
            Record::Delete => format!("DELETE FROM {table} WHERE version = {}", self.version),
        }
    }
}

/// SQL of a migration's row in the history. `began` is an SQL expression of when it began.
pub(crate) fn insertion(
    file: &MigrationFile,
    migration: &Migration,
    table: &str,
    began: &str,
) -> String {
    let applied_on = migration
        .applied_on()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default();
    format!(
        "INSERT INTO {table} \
         (version, name, applied_on, checksum, duration_ms, applied_by, program_version, trace_id, down_sql) \
         VALUES ({}, {}, {}, {}, \
         (extract(epoch FROM clock_timestamp() - {began}) * 1000)::int8, \
         session_user || '@' || coalesce(host(inet_client_addr()), 'local'), {}, {}, {})",
        migration.version(),
        literal(migration.name()),
        literal(&applied_on),
        literal(&migration.checksum().to_string()),
        literal(env!("CARGO_PKG_VERSION")),
        telemetry::current_trace_id().map_or("NULL".to_owned(), |id| literal(&id)),
        file.down
            .as_ref()
            .map_or("NULL".to_owned(), |down| literal(&kept(down))),
    )
}

/// The SQL that undoes a migration as the history keeps it: how it runs stands in it, too.
pub(crate) fn kept(down: &DownScript) -> Cow<'_, str> {
    match (down.transaction, transaction_of(&down.sql)) {
        (Transaction::None { .. }, Transaction::One) => {
            Cow::Owned(format!("-- Transaction: none\n{}", down.sql))
        }
        _ => Cow::Borrowed(&down.sql),
    }
}
