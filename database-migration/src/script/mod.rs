//! A migration's SQL as its statements, by a parser of PostgreSQL's grammar.
//!
//! Text that the parser does not understand is never split: there the server has the word.

mod concurrent_index;
mod kind;

use std::ops::Range;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{AstNode, Stmt};
use squawk_syntax::{SyntaxElement, SyntaxKind, SyntaxNode};

pub(crate) use concurrent_index::ConcurrentIndex;
pub(crate) use kind::{Kind, Repeat};

/// The SQL of one migration, or of what undoes one.
#[derive(Debug)]
pub(crate) struct Script<'sql> {
    /// All of it.
    pub(crate) sql: &'sql str,
    /// Its statements, or all of it as one where the parser does not understand it.
    pub(crate) statements: Vec<Statement>,
    /// Whether the parser understands all of it.
    pub(crate) is_understood: bool,
}

/// One statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Where it stands in the script, in bytes.
    pub(crate) range: Range<usize>,
    /// How it may be run.
    pub(crate) kind: Kind,
    /// What it does in a few words, without values, such as `CREATE TABLE orders`.
    pub(crate) summary: String,
    /// The name of the index that it creates unless there is one.
    pub(crate) index_unless_exists: Option<String>,
}

impl<'sql> Script<'sql> {
    pub(crate) fn parse(sql: &'sql str) -> Self {
        let parse = SourceFile::parse(sql);
        if !parse.errors().is_empty() {
            return Self {
                sql,
                statements: vec![Statement {
                    range: 0..sql.len(),
                    kind: Kind::Ordinary,
                    summary: "SQL".to_owned(),
                    index_unless_exists: None,
                }],
                is_understood: false,
            };
        }
        let statements = parse
            .tree()
            .stmts()
            .filter(|statement| !matches!(statement, Stmt::EmptyStmt(_)))
            .map(|statement| Statement::new(&statement))
            .collect();
        Self {
            sql,
            statements,
            is_understood: true,
        }
    }

    /// The text of a statement of this script.
    pub(crate) fn text(&self, statement: &Statement) -> &'sql str {
        &self.sql[statement.range.clone()]
    }

    /// Whether the server is sure to find the end of a statement where the parser does. It may read a backslash in a
    /// string otherwise.
    pub(crate) fn is_delimited(&self, statement: &Statement) -> bool {
        self.is_understood && !self.text(statement).contains('\\')
    }

    /// The line that a statement begins on, counted from 0.
    pub(crate) fn line(&self, statement: &Statement) -> usize {
        self.sql[..statement.range.start].matches('\n').count()
    }

    /// The first line of a statement, for messages.
    pub(crate) fn first_line(&self, statement: &Statement) -> &'sql str {
        let text = self.text(statement).lines().next().unwrap_or_default();
        text.trim_end_matches(';')
    }
}

impl Statement {
    fn new(statement: &Stmt) -> Self {
        let range = statement.syntax().text_range();
        let index_unless_exists = match statement {
            Stmt::CreateIndex(create) if create.if_not_exists().is_some() => {
                concurrent_index::qualified_name(create)
            }
            _ => None,
        };
        Self {
            range: range.start().into()..range.end().into(),
            kind: Kind::of(statement),
            summary: summary(statement.syntax()),
            index_unless_exists,
        }
    }
}

/// The key words that a statement begins with, and the first name after them: OpenTelemetry's `db.query.summary`.
fn summary(statement: &SyntaxNode) -> String {
    const LENGTH_LIMIT: usize = 255;
    let mut words: Vec<String> = Vec::new();
    let tokens = statement
        .descendants_with_tokens()
        .filter_map(SyntaxElement::into_token)
        .filter(|token| !token.kind().is_trivia());
    let mut is_name_begun = false;
    for token in tokens {
        let text = token.text();
        let is_key_word = token.kind().is_keyword();
        let is_name = token.kind() == SyntaxKind::IDENT;
        if is_name_begun {
            match (text, words.last_mut()) {
                (".", Some(name)) => name.push('.'),
                (_, Some(name)) if name.ends_with('.') => name.push_str(text),
                _ => break,
            }
        } else if is_name {
            is_name_begun = true;
            words.push(text.to_owned());
        } else if is_key_word {
            words.push(text.to_uppercase());
        } else {
            break;
        }
    }
    let mut summary = words.join(" ");
    while summary.len() > LENGTH_LIMIT {
        summary.pop();
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summaries(sql: &str) -> Vec<String> {
        Script::parse(sql)
            .statements
            .into_iter()
            .map(|statement| statement.summary)
            .collect()
    }

    #[test]
    fn statements_are_told_apart_by_the_grammar() {
        let sql = "-- a comment\nSELECT 1;;\n/* another */ SELECT 'a;b';\n  SELECT 3";
        let script = Script::parse(sql);
        let texts: Vec<_> = script
            .statements
            .iter()
            .map(|statement| script.text(statement))
            .collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].starts_with("SELECT 1"));
        assert!(texts[1].starts_with("SELECT 'a;b'"));
        assert_eq!(texts[2], "SELECT 3");
        assert_eq!(script.line(&script.statements[2]), 3);
    }

    #[test]
    fn what_is_not_understood_stays_whole() {
        let sql = "SELECT 1; this is no SQL";
        let script = Script::parse(sql);
        assert!(!script.is_understood);
        assert_eq!(script.statements.len(), 1);
        assert_eq!(script.text(&script.statements[0]), sql);
    }

    #[test]
    fn a_summary_holds_names_but_no_values() {
        assert_eq!(
            summaries(
                "create table menu.orders (id int); CREATE INDEX CONCURRENTLY i ON a (b); UPDATE a SET b = 'secret'; \
                 INSERT INTO a VALUES (1); ALTER ROLE r PASSWORD 'secret'; SELECT 'secret'; DO $$ SELECT 1 $$;"
            ),
            [
                "CREATE TABLE menu.orders",
                "CREATE INDEX CONCURRENTLY i",
                "UPDATE a",
                "INSERT INTO a",
                "ALTER ROLE r",
                "SELECT",
                "DO",
            ]
        );
    }
}
