//! The SQL of a migration with its syntax tree.

use std::ops::Range;
use std::path::Path;

use squawk_syntax::ast::{AstNode, Stmt};
use squawk_syntax::{Parse, SourceFile};
use statement_effects::{Effects, NothingKnown, effects};

use crate::files::{Direction, MigrationFile, Transaction};
use crate::lint::rules::{Spot, Violation};

/// Longer statements are cut in messages.
const SUMMARY_LIMIT: usize = 80;

/// SQL that runs as one: a migration, or what undoes it.
pub(crate) struct Script<'set> {
    /// Its place among all scripts.
    pub(crate) number: usize,
    /// The migration it belongs to.
    pub(crate) file: &'set MigrationFile,
    pub(crate) direction: Direction,
    pub(crate) path: &'set Path,
    pub(crate) sql: &'set str,
    /// The line of the file that the SQL begins on, counted from 1.
    pub(crate) first_line: usize,
    pub(crate) transaction: Transaction,
    pub(crate) parse: Parse<SourceFile>,
    /// Nothing where the SQL does not parse: such text is never split.
    pub(crate) statements: Vec<Statement>,
}

/// One statement of a script.
pub(crate) struct Statement {
    pub(crate) syntax: Stmt,
    /// What it does, as far as its text alone tells.
    pub(crate) effects: Effects,
}

impl<'set> Script<'set> {
    /// What applies a migration.
    pub(crate) fn up(file: &'set MigrationFile, number: usize) -> Self {
        Self::new(
            number,
            file,
            Direction::Up,
            &file.path,
            &file.sql,
            file.first_line,
            file.transaction,
        )
    }

    /// What undoes a migration, if there is something.
    pub(crate) fn down(file: &'set MigrationFile, number: usize) -> Option<Self> {
        let down = file.down.as_ref()?;
        Some(Self::new(
            number,
            file,
            Direction::Down,
            down.path.as_deref().unwrap_or(&file.path),
            &down.sql,
            down.first_line,
            down.transaction,
        ))
    }

    fn new(
        number: usize,
        file: &'set MigrationFile,
        direction: Direction,
        path: &'set Path,
        sql: &'set str,
        first_line: usize,
        transaction: Transaction,
    ) -> Self {
        let parse = SourceFile::parse(sql);
        let statements = if parse.errors().is_empty() {
            let statements = parse.tree().stmts().zip(effects(sql, &NothingKnown));
            statements
                .map(|(syntax, effects)| Statement { syntax, effects })
                .collect()
        } else {
            Vec::new()
        };
        Self {
            number,
            file,
            direction,
            path,
            sql,
            first_line,
            transaction,
            parse,
            statements,
        }
    }

    /// Whether all of it runs in one transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.transaction == Transaction::One
    }

    /// Whether the parser understands it.
    pub(crate) fn is_understood(&self) -> bool {
        self.parse.errors().is_empty()
    }

    /// The statements of each of its transactions.
    pub(crate) fn transactions(&self) -> Vec<&[Statement]> {
        if self.is_transactional() {
            vec![&self.statements]
        } else {
            self.statements.chunks(1).collect()
        }
    }

    /// The line of the file, counted from 1, that a position of the SQL is on.
    pub(crate) fn line(&self, position: usize) -> usize {
        self.first_line + self.sql[..position].matches('\n').count()
    }

    /// A violation by what stands in this range of the SQL.
    pub(crate) fn violation(&self, range: Range<usize>, message: impl Into<String>) -> Violation {
        // squawk's ranges may begin or end inside a character.
        let start = self.sql.floor_char_boundary(range.start);
        let end = self.sql.floor_char_boundary(range.end.max(start));
        Violation {
            script: self.number,
            spot: Spot::Sql { start, end },
            message: message.into(),
            help: None,
        }
    }

    /// A violation by a statement.
    pub(crate) fn violation_by(
        &self,
        statement: &Statement,
        message: impl Into<String>,
    ) -> Violation {
        self.violation(statement.range(), message)
    }
}

impl Statement {
    /// Where it stands in the SQL, in bytes.
    pub(crate) fn range(&self) -> Range<usize> {
        self.effects.text.clone()
    }

    /// Its first line, shortened.
    pub(crate) fn summary(&self) -> String {
        let text = self.syntax.syntax().text().to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.trim_end().trim_end_matches(';').trim_end();
        match line.char_indices().nth(SUMMARY_LIMIT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        }
    }
}
