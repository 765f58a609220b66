//! Why a migration failed, shown as a compiler would.

use std::fmt::{self, Write as _};

use connection::sqlstate;
use exit_code::{ExitCode, Failure};
use tokio_postgres::error::{DbError, ErrorPosition};

use crate::execution::Change;
use crate::session::SessionError;

/// Why a migration was not applied, or not undone.
#[derive(Debug)]
pub struct ApplyError {
    place: String,
    problem: String,
    excerpt: Option<String>,
    remedy: Remedy,
    /// The SQLSTATE, or `_OTHER`, as OpenTelemetry's conventions have it.
    status: Box<str>,
    /// What remains of it in the database: nothing for one that ran in a transaction.
    remains: Option<String>,
}

/// What to do about it.
#[derive(Debug)]
enum Remedy {
    /// End the transaction that holds a lock.
    Wait,
    /// Correct the migration, of which nothing is left.
    Correct,
    /// Correct the statement, which the next run goes on with.
    GoOn,
    /// Leave the statement as it is, since its end in an earlier run is not known.
    Keep { version: i64 },
    /// Correct the migration, of which only a COMMIT that the parser did not find has left anything.
    CorrectUnread,
    /// Let the next run find out how far it came, since the connection was lost. What may be true besides the state
    /// before.
    FindOut { unless: Option<String> },
}

impl std::error::Error for ApplyError {}

impl fmt::Display for ApplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.problem)?;
        if let Some(excerpt) = &self.excerpt {
            write!(formatter, "\n{excerpt}")?;
        }
        if let Some(remains) = &self.remains {
            write!(formatter, "\n  done: {remains}")?;
        }
        Ok(())
    }
}

impl Failure for ApplyError {
    fn exit_code(&self) -> ExitCode {
        match self.remedy {
            Remedy::Wait => ExitCode::LockTimeout,
            _ => ExitCode::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match &self.remedy {
            Remedy::Wait => "end the transaction that holds the lock (SELECT pid, query FROM pg_stat_activity WHERE \
                             state <> 'idle'), or allow more time with MIGRATION_LOCK_RETRY; then run again"
                .to_owned(),
            Remedy::Correct => "the migration was rolled back; correct it and run again".to_owned(),
            Remedy::GoOn => "correct the statement, or the data it stumbled over, and run again: it goes on with that \
                             statement"
                .to_owned(),
            Remedy::Keep { version } => format!(
                "keep the statement as it was when an earlier run began it, which may have done it; correct the data \
                 it stumbles over and run again; or take back by hand what version {version} has done, run \
                 database-migration repair --forget-unfinished {version}, and run again from its first statement"
            ),
            Remedy::CorrectUnread => "the migration was rolled back, as far as the file, which the parser does not \
                                      understand, has no COMMIT of its own; look what is there, correct it and run \
                                      again"
                .to_owned(),
            Remedy::FindOut { .. } => "run again; it finds out how far the migration came, and goes on from \
                                        there"
                .to_owned(),
        })
    }
}

impl ApplyError {
    /// An error of the server, or of the connection to it. `statement` is the one that ran, if that is known.
    pub(crate) fn new(change: &Change<'_>, statement: Option<usize>, error: &SessionError) -> Self {
        let Some(answer) = error.answer() else {
            let is_only_statement = change.is_stepwise() && statement.is_some();
            let after = format!(
                "{} {} was {} after all",
                change.version,
                change.name,
                change.direction.participle()
            );
            return Self {
                remedy: Remedy::FindOut {
                    unless: (!is_only_statement).then_some(after),
                },
                ..Self::plain(change, statement, error.describe())
            };
        };
        let located = Self::at(change, offset(change, statement, answer));
        Self {
            problem: problem(answer),
            remedy: if sqlstate::is_lock_not_available(answer.code()) {
                Remedy::Wait
            } else {
                located.remedy
            },
            status: answer.code().code().into(),
            ..located
        }
    }

    /// An error that we have found ourselves.
    pub(crate) fn plain(change: &Change<'_>, statement: Option<usize>, problem: String) -> Self {
        let start = statement.map(|index| change.script.statements[index].range.start);
        Self {
            problem,
            ..Self::at(change, start)
        }
    }

    /// The SQLSTATE, or `_OTHER`.
    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// Says what remains in the database of a migration that did not run in a transaction.
    pub(crate) fn with_remains(mut self, remains: String) -> Self {
        self.remains = Some(remains);
        self
    }

    /// In which state the database is, where it was in the one `before`.
    pub(crate) fn state(&self, before: String) -> String {
        match &self.remedy {
            Remedy::FindOut {
                unless: Some(unless),
            } => format!("{before}, unless {unless}"),
            _ => before,
        }
    }

    /// Says how to get rid of a statement that an earlier run has begun.
    pub(crate) fn begun_earlier(mut self, change: &Change<'_>) -> Self {
        if matches!(self.remedy, Remedy::GoOn) {
            self.remedy = Remedy::Keep {
                version: change.version,
            };
        }
        self
    }

    fn at(change: &Change<'_>, offset: Option<usize>) -> Self {
        let path = change.path.display();
        let (place, excerpt) = match offset.map(|offset| locate(change.script.sql, offset)) {
            Some((line, before, text)) => {
                let number = (change.first_line + line).to_string();
                let margin = " ".repeat(number.len());
                let indent = blank(before);
                (
                    format!("{path}:{number}:{}", before.chars().count() + 1),
                    Some(format!("  {number} | {text}\n  {margin} | {indent}^")),
                )
            }
            None => (format!("{path}:{}", change.first_line), None),
        };
        Self {
            place,
            problem: String::new(),
            excerpt,
            remedy: if change.is_stepwise() {
                Remedy::GoOn
            } else if change.script.is_understood {
                Remedy::Correct
            } else {
                Remedy::CorrectUnread
            },
            status: "_OTHER".into(),
            remains: None,
        }
    }
}

/// Where in the script it is: as the server says, else where the statement begins.
fn offset(change: &Change<'_>, statement: Option<usize>, answer: &DbError) -> Option<usize> {
    let index = statement?;
    let statement = &change.script.statements[index];
    let text = change.script.text(statement);
    match answer.position() {
        Some(ErrorPosition::Original(position)) => {
            Some(statement.range.start + offset_of_character(text, *position as usize))
        }
        _ if change.script.is_understood => Some(statement.range.start),
        _ => None,
    }
}

fn problem(answer: &DbError) -> String {
    let mut problem = format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
    for (title, text) in [
        ("detail", answer.detail()),
        ("hint", answer.hint()),
        ("where", answer.where_()),
    ] {
        if let Some(text) = text {
            let _ = write!(problem, "\n  {title}: {text}");
        }
    }
    problem
}

/// Where a character is that the server counts from 1.
fn offset_of_character(sql: &str, position: usize) -> usize {
    sql.char_indices()
        .nth(position.saturating_sub(1))
        .map_or(sql.len(), |(offset, _)| offset)
}

/// What is as wide as a text, and shows nothing.
fn blank(text: &str) -> String {
    text.chars()
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect()
}

/// The line, counted from 0, what stands before the offset in it, and its text.
fn locate(sql: &str, offset: usize) -> (usize, &str, &str) {
    let before = &sql[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count();
    let text = sql[line_start..].lines().next().unwrap_or_default();
    (line, &sql[line_start..offset], text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_position_is_found_in_its_line() {
        let sql = "CREATE TABLE ä (\n    id nosuchtype\n);";
        let position = sql.chars().position(|character| character == 'n').unwrap() + 1;
        let located = |position| locate(sql, offset_of_character(sql, position));
        assert_eq!(located(position), (1, "    id ", "    id nosuchtype"));
        assert_eq!(located(1), (0, "", "CREATE TABLE ä ("));
        assert_eq!(located(1000), (2, ");", ");"));
    }
}
