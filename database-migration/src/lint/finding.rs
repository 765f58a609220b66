//! What the linter tells.

use std::path::PathBuf;

use crate::files::Direction;
use crate::lint::Level;
use crate::lint::rules::{Spot, Violation};
use crate::lint::script::Script;

/// What the linter has found in a set of migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order of the migrations, and in each by place.
    pub findings: Vec<Finding>,
    /// How many migrations were looked at.
    pub migrations: usize,
    /// How many findings comments have taken away.
    pub ignored: usize,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Whether it makes the run fail.
    pub level: Level,
    /// The migration's version.
    pub version: i64,
    /// The file.
    pub path: PathBuf,
    /// The line it begins on, counted from 1.
    pub line: usize,
    /// The character of that line, counted from 1.
    pub column: usize,
    /// The line it ends on.
    pub end_line: usize,
    /// The character of that line after its last one.
    pub end_column: usize,
    /// What was found.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
    /// The line that it begins on.
    pub source: String,
    /// Where it begins in the SQL that applies the migration, in bytes; nothing if it is elsewhere.
    pub(crate) position: Option<usize>,
}

impl Report {
    /// How many findings have this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        let of_level = self
            .findings
            .iter()
            .filter(|finding| finding.level == level);
        of_level.count()
    }

    /// One sentence about all findings.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} checked: {} denied, {}, {} ignored",
            count(self.migrations, "migration"),
            self.count(Level::Deny),
            count(self.count(Level::Warn), "warning"),
            self.ignored
        )
    }
}

/// A number of things.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

impl Finding {
    pub(super) fn new(
        rule: &'static str,
        level: Level,
        violation: Violation,
        script: &Script<'_>,
    ) -> Self {
        let (first, last, source) = match &violation.spot {
            Spot::Header { line, text } => {
                ((*line, 1), (*line, 1 + text.chars().count()), text.clone())
            }
            Spot::Sql { start, end } => {
                let source = script.sql[line_start(script.sql, *start)..].lines().next();
                (
                    place(script, *start),
                    place(script, *end),
                    source.unwrap_or_default().to_owned(),
                )
            }
        };
        let position = match violation.spot {
            Spot::Sql { start, .. } if script.direction == Direction::Up => Some(start),
            _ => None,
        };
        Self {
            rule,
            level,
            version: script.file.version,
            path: script.path.to_owned(),
            line: first.0,
            column: first.1,
            end_line: last.0,
            end_column: last.1,
            message: violation.message,
            help: violation.help,
            source,
            position,
        }
    }
}

/// Line and column of a position in a script.
fn place(script: &Script<'_>, position: usize) -> (usize, usize) {
    let column = script.sql[line_start(script.sql, position)..position]
        .chars()
        .count();
    (script.line(position), column + 1)
}

fn line_start(sql: &str, position: usize) -> usize {
    sql[..position].rfind('\n').map_or(0, |end| end + 1)
}
