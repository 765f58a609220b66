//! The header: lines of comments that say something about a migration, such as `-- Description: Who may order`.

use crate::files::problem::Fault;
use crate::files::text;

/// What a header says about its migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The migration's name, of a line `-- Migration:`.
    pub migration: Option<String>,
    /// What it is for, of a line `-- Description:`.
    pub description: Option<String>,
    /// The lines `-- lint-ignore`, for the linter to understand.
    pub lint_ignores: Vec<HeaderLine>,
}

/// A line of a header as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// Its number in the file, counted from 1.
    pub line: usize,
    /// Its text, without white space around it.
    pub text: String,
}

/// How SQL is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transaction {
    /// All of it in one transaction.
    #[default]
    One,
    /// Statement by statement without a transaction around them.
    None {
        /// The line that says so, `-- Transaction: none`, counted from 1.
        line: usize,
    },
}

/// The lines of comments that a text begins with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comments {
    pub(super) header: Header,
    pub(super) transaction: Transaction,
    /// The first line that is neither blank nor a comment, counted from 1; nothing if there is no such line.
    pub(super) end: Option<usize>,
}

/// How SQL is run by what its own comments say, where no file says more.
pub(crate) fn transaction_of(sql: &str) -> Transaction {
    parse(sql, 1).map_or(Transaction::One, |comments| comments.transaction)
}

/// Reads the comments that `text` begins with; its first line has the number `first_line`. A comment that is none of
/// the header's lines is a comment and nothing more.
pub(super) fn parse(text: &str, first_line: usize) -> Result<Comments, Vec<Fault>> {
    let mut comments = Comments::default();
    let mut faults = Vec::new();
    for (index, line) in text::lines(text).enumerate() {
        let number = first_line + index;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some(comment) = line.strip_prefix("--") else {
            comments.end = Some(number);
            break;
        };
        if comment.trim_start().starts_with("lint-ignore") {
            comments.header.lint_ignores.push(HeaderLine {
                line: number,
                text: line.to_owned(),
            });
            continue;
        }
        let Some((key, value)) = comment.split_once(':') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key.eq_ignore_ascii_case("Migration") {
            comments.header.migration = Some(value.to_owned());
        } else if key.eq_ignore_ascii_case("Description") {
            comments.header.description = Some(value.to_owned());
        } else if key.eq_ignore_ascii_case("Transaction") {
            if value.eq_ignore_ascii_case("none") {
                comments.transaction = Transaction::None { line: number };
            } else {
                faults.push(Fault::new(
                    number,
                    format!(
                        "{value:?} is no value of Transaction; write -- Transaction: none, or leave the line out to \
                         have one transaction"
                    ),
                ));
            }
        }
    }
    if faults.is_empty() {
        Ok(comments)
    } else {
        Err(faults)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_headers_lines_are_found_among_comments() {
        let comments = parse(
            "\n-- Copyright: us\n-- Migration: a\n--description : Adds a: b\n  -- TRANSACTION: None\nSELECT 1;\n\
             -- Description: no header any more",
            1,
        )
        .unwrap();
        assert_eq!(comments.header.migration.as_deref(), Some("a"));
        assert_eq!(comments.header.description.as_deref(), Some("Adds a: b"));
        assert_eq!(comments.transaction, Transaction::None { line: 5 });
        assert_eq!(comments.end, Some(6));
    }

    #[test]
    fn without_a_header_there_is_one_transaction() {
        let comments = parse("SELECT 1;\n-- Transaction: none", 7).unwrap();
        assert_eq!(comments.header, Header::default());
        assert_eq!(comments.transaction, Transaction::One);
        assert_eq!(comments.end, Some(7));
        assert_eq!(parse("-- nothing", 1).unwrap().end, None);
    }

    #[test]
    fn every_transaction_that_is_not_understood_is_an_error_with_its_line() {
        let faults = parse("-- Transaction: off\n-- Transaction:\nSELECT 1;", 3).unwrap_err();
        assert_eq!(faults.len(), 2);
        assert_eq!((faults[0].line, faults[1].line), (3, 4));
        assert!(faults[0].reason.starts_with("\"off\" is no value"));
    }

    proptest! {
        #[test]
        fn any_text_is_either_understood_or_refused(
            text in "(--|:|Transaction|Description|Migration|none|[\\s\\S]|\n){0,40}",
            first_line in 1..1000_usize,
        ) {
            let lines = first_line..first_line + text.split('\n').count();
            match parse(&text, first_line) {
                Ok(comments) => prop_assert!(comments.end.is_none_or(|end| lines.contains(&end))),
                Err(faults) => prop_assert!(faults.iter().all(|fault| lines.contains(&fault.line))),
            }
        }

        #[test]
        fn what_was_written_is_read(
            migration in "[a-z_]{1,20}",
            description in "[^\\s\\pC]([^\n\\pC]{0,40}[^\\s\\pC])?",
            is_transactional in any::<bool>(),
            blank_lines in 0..3_usize,
        ) {
            let blank = "\n".repeat(blank_lines);
            let transaction = if is_transactional { "" } else { "-- Transaction: none\n" };
            let text = format!(
                "{transaction}{blank}-- Migration: {migration}\n{blank}-- Description: {description}\nSELECT 1;"
            );
            let comments = parse(&text, 1).unwrap();
            prop_assert_eq!(comments.header.migration, Some(migration));
            prop_assert_eq!(comments.header.description, Some(description));
            prop_assert_eq!(comments.transaction == Transaction::One, is_transactional);
            prop_assert_eq!(comments.end, Some(text.split('\n').count()));
        }
    }
}
