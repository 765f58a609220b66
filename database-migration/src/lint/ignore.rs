//! Comments that say what is not to be reported: `-- lint-ignore RULE[, RULE...]: REASON`.

use std::ops::Range;

use squawk_syntax::{SyntaxElement, SyntaxKind};

use crate::lint::rules::{Spot, Violation};
use crate::lint::script::Script;

/// One such comment.
pub(crate) struct Ignore {
    /// The script it stands in, or above.
    pub(crate) script: usize,
    pub(crate) rules: Vec<IgnoredRule>,
    pub(crate) has_reason: bool,
    scope: Scope,
    spot: Spot,
}

/// A rule that a comment ignores.
pub(crate) struct IgnoredRule {
    pub(crate) name: String,
    /// Whether there was something to ignore.
    pub(crate) used: bool,
}

/// What a comment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// All of the file, for it stands in the header above both sections.
    File,
    /// All of the script, for it stands at its head and a blank line follows.
    Script,
    /// The statement in this range.
    Statement(Range<usize>),
    /// Nothing comes after it.
    Nothing,
}

/// What a comment says.
#[derive(Debug, PartialEq, Eq)]
struct Comment<'text> {
    rules: Vec<&'text str>,
    reason: Option<&'text str>,
}

impl Ignore {
    fn new(script: &Script<'_>, scope: Scope, spot: Spot, comment: &Comment<'_>) -> Self {
        let rules = comment.rules.iter().map(|name| IgnoredRule {
            name: (*name).to_owned(),
            used: false,
        });
        Self {
            script: script.number,
            rules: rules.collect(),
            has_reason: comment.reason.is_some(),
            scope,
            spot,
        }
    }

    /// Whether a violation of this rule is not to be reported. If so, the comment was of use.
    pub(crate) fn takes(
        &mut self,
        rule: &str,
        violation: &Violation,
        scripts: &[Script<'_>],
    ) -> bool {
        if !self.covers(violation, scripts) {
            return false;
        }
        let named = self.rules.iter_mut().find(|ignored| ignored.name == rule);
        named.is_some_and(|ignored| {
            ignored.used = true;
            true
        })
    }

    fn covers(&self, violation: &Violation, scripts: &[Script<'_>]) -> bool {
        match (&self.scope, &violation.spot) {
            (Scope::File, _) => scripts[self.script].path == scripts[violation.script].path,
            (Scope::Script, _) => self.script == violation.script,
            (Scope::Statement(range), Spot::Sql { start, .. }) => {
                self.script == violation.script && range.contains(start)
            }
            (Scope::Statement(_), Spot::Header { .. }) | (Scope::Nothing, _) => false,
        }
    }

    /// A violation by the comment itself.
    pub(crate) fn violation(&self, message: impl Into<String>) -> Violation {
        Violation {
            script: self.script,
            spot: self.spot.clone(),
            message: message.into(),
            help: None,
        }
    }
}

/// The comments above a migration's sections. In files without sections they are a part of the script.
pub(super) fn of_header(script: &Script<'_>) -> Vec<Ignore> {
    let lines = script.file.header.lint_ignores.iter();
    lines
        .filter(|line| line.line < script.first_line)
        .filter_map(|line| {
            let spot = Spot::Header {
                line: line.line,
                text: line.text.clone(),
            };
            Some(Ignore::new(script, Scope::File, spot, &parse(&line.text)?))
        })
        .collect()
}

/// The comments of a script.
pub(super) fn of_script(script: &Script<'_>) -> Vec<Ignore> {
    // Most scripts have none, and to walk through a tree takes its time.
    if !script.sql.contains("lint-ignore") {
        return Vec::new();
    }
    let root = script.parse.syntax_node();
    let tokens = root
        .descendants_with_tokens()
        .filter_map(SyntaxElement::into_token);
    tokens
        .filter(|token| token.kind() == SyntaxKind::COMMENT)
        .filter_map(|token| {
            let comment = parse(token.text())?;
            let start = usize::from(token.text_range().start());
            let end = usize::from(token.text_range().end());
            let spot = Spot::Sql { start, end };
            let scope = scope(script, start, end);
            Some(Ignore::new(script, scope, spot, &comment))
        })
        .collect()
}

/// What the comment in this range is about: the statement that it stands in, behind on the same line, or above.
fn scope(script: &Script<'_>, start: usize, end: usize) -> Scope {
    let mut ranges = script
        .statements
        .iter()
        .map(super::script::Statement::range);
    let line_start = script.sql[..start].rfind('\n').map_or(0, |end| end + 1);
    let is_alone = script.sql[line_start..start].trim().is_empty();
    let found = if is_alone {
        ranges.find(|range| range.end > start)
    } else {
        ranges.take_while(|range| range.start < start).last()
    };
    let Some(range) = found else {
        return if script.statements.is_empty() {
            Scope::Script
        } else {
            Scope::Nothing
        };
    };
    let is_first = script.statements[0].range() == range;
    let between = script.sql.get(end..range.start).unwrap_or_default();
    if is_first && has_blank_line(between) {
        Scope::Script
    } else {
        Scope::Statement(range)
    }
}

/// Whether one of the lines between a comment's and a statement's is blank.
fn has_blank_line(between: &str) -> bool {
    let lines = between.rsplit_once('\n').map(|(lines, _)| lines);
    lines.is_some_and(|lines| {
        let mut lines = lines.split('\n').skip(1);
        lines.any(|line| line.trim().is_empty())
    })
}

/// Reads a comment; nothing if it is about something else. Without a colon there is no reason, and each rule is the
/// first word between two commas.
fn parse(comment: &str) -> Option<Comment<'_>> {
    let text = comment.strip_prefix("--")?.trim_start();
    let text = text.strip_prefix("lint-ignore")?;
    if !text.is_empty() && !text.starts_with([':', ',']) && !text.starts_with(char::is_whitespace) {
        return None;
    }
    let (rules, reason) = text.split_once(':').unwrap_or((text, ""));
    let rules = rules
        .split(',')
        .filter_map(|rule| rule.split_whitespace().next());
    Some(Comment {
        rules: rules.collect(),
        reason: Some(reason.trim()).filter(|reason| !reason.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::lint::tests::{migrations, up};

    fn comment<'text>(rules: &[&'text str], reason: Option<&'text str>) -> Comment<'text> {
        Comment {
            rules: rules.to_vec(),
            reason,
        }
    }

    #[test]
    fn comments_are_read() {
        for (text, expected) in [
            (
                "-- lint-ignore a-b: why",
                Some(comment(&["a-b"], Some("why"))),
            ),
            (
                "--lint-ignore  a ,b,: x: y ",
                Some(comment(&["a", "b"], Some("x: y"))),
            ),
            ("-- lint-ignore a", Some(comment(&["a"], None))),
            ("-- lint-ignore a because of b", Some(comment(&["a"], None))),
            ("-- lint-ignore a: ", Some(comment(&["a"], None))),
            ("-- lint-ignore: why", Some(comment(&[], Some("why")))),
            ("-- lint-ignore", Some(comment(&[], None))),
            ("-- lint-ignored a: why", None),
            ("-- squawk-ignore a", None),
            ("/* lint-ignore a: why */", None),
            ("lint-ignore a: why", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn where_a_comment_stands_tells_what_it_is_about() {
        let sql = "-- lint-ignore a: all of it\n\n-- lint-ignore b: the first\n-- more about it\nSELECT 1;\n\n\
                   -- lint-ignore c: the second\n\nSELECT\n  -- lint-ignore d: in it\n  2; -- lint-ignore e: behind it\n\
                   -- lint-ignore f: nothing";
        let file = up(&format!(
            "{sql}\n-- +++++ DOWN\n-- lint-ignore g: nothing to run"
        ));
        let migrations = migrations(std::slice::from_ref(&file));
        let first = migrations.scripts[0].statements[0].range();
        let second = migrations.scripts[0].statements[1].range();
        let scopes: Vec<_> = migrations
            .ignores
            .iter()
            .map(|ignore| (ignore.rules[0].name.as_str(), ignore.scope.clone()))
            .collect();
        assert_eq!(
            scopes,
            [
                ("a", Scope::Script),
                ("b", Scope::Statement(first)),
                ("c", Scope::Statement(second.clone())),
                ("d", Scope::Statement(second.clone())),
                ("e", Scope::Statement(second)),
                ("f", Scope::Nothing),
                ("g", Scope::Script),
            ]
        );
    }

    #[test]
    fn what_only_looks_like_a_comment_ignores_nothing() {
        let file =
            up("SELECT '\n-- lint-ignore a: why\n';\nDO $$ BEGIN\n-- lint-ignore b: why\nEND $$;");
        assert!(migrations(std::slice::from_ref(&file)).ignores.is_empty());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rules in proptest::collection::vec("[a-z]{1,8}(-[a-z]{1,8}){0,3}", 1..5),
            comma in " {0,2}, {0,2}",
            reason in "[^\\s\\pC]([^\n\\pC]{0,40}[^\\s\\pC])?",
        ) {
            let text = format!("-- lint-ignore {}: {reason}", rules.join(&comma));
            let comment = parse(&text).unwrap();
            prop_assert_eq!(comment.rules, rules.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(comment.reason, Some(reason.as_str()));
        }

        #[test]
        fn any_comment_is_read_or_left_alone(text in "(--|lint-ignore|:|,| |[a-z-]{1,5}|[\\s\\S]){0,20}") {
            if let Some(comment) = parse(&text) {
                let is_name = |rule: &&str| {
                    !rule.is_empty() && !rule.contains([',', ':']) && !rule.contains(char::is_whitespace)
                };
                prop_assert!(comment.rules.iter().all(is_name));
                prop_assert!(comment.reason.is_none_or(|reason| !reason.trim().is_empty()));
            }
        }

        #[test]
        fn any_script_has_scopes_inside_it(
            sql in "(-- lint-ignore a: b\n|SELECT 1;|\n|  |-- c\n|/\\*|\\*/|'|\\$\\$|;){0,20}"
        ) {
            let file = up(&format!("SELECT 0;\n{sql}"));
            let migrations = migrations(std::slice::from_ref(&file));
            for ignore in &migrations.ignores {
                if let Scope::Statement(range) = &ignore.scope {
                    prop_assert!(range.start < range.end && range.end <= migrations.scripts[0].sql.len());
                }
            }
        }
    }
}
