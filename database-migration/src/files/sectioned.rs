//! The sectioned style, `001_create_users.sql`: a header of comments, `-- +++++ UP` and SQL, and optionally
//! `-- +++++ DOWN` and SQL.

use std::borrow::Cow;

use crate::files::header::{self, Comments, Transaction};
use crate::files::name;
use crate::files::problem::Fault;
use crate::files::style::{Content, Direction, FileName, Script, Style};
use crate::files::text;

#[derive(Debug)]
pub(super) struct Sectioned;

const EXPECTED: &str =
    "expected a number, an underscore and a name, such as 001_create_users.sql; rename the file";

impl Style for Sectioned {
    fn title(&self) -> &'static str {
        "sectioned"
    }

    fn example(&self) -> &'static str {
        "001_create_users.sql"
    }

    fn recognize<'name>(&self, stem: &'name str) -> Option<Result<FileName<'name>, String>> {
        let (version, rest) = name::split_digits(stem);
        (!version.is_empty()).then(|| file_name(version, rest))
    }

    fn stem(&self, version: &str, name: &str, direction: Direction) -> Option<String> {
        match direction {
            Direction::Up => Some(format!("{version}_{name}")),
            Direction::Down => None,
        }
    }

    /// Splits a text at its section markers. Nothing of its SQL is looked at or changed; blank lines around a section
    /// are no part of it.
    fn parse<'text>(&self, text: &'text str) -> Result<Content<'text>, Vec<Fault>> {
        let mut faults = Vec::new();
        let markers = Markers::find(text, &mut faults);
        let Some(up) = markers.up else {
            faults.push(Fault::new(
                1,
                "there is no line -- +++++ UP; put one above the SQL that applies the migration",
            ));
            return Err(faults);
        };
        let header = header(text, &up, &mut faults);
        let up_end = markers.down.as_ref().map_or(text.len(), |down| down.start);
        let script = section(text, &up, up_end, &header, &mut faults);
        if script.is_none() {
            faults.push(Fault::new(
                up.line,
                "the UP section is empty; put the migration's SQL below it",
            ));
        }
        let down = markers
            .down
            .and_then(|down| section(text, &down, text.len(), &header, &mut faults));
        match script {
            Some(script) if faults.is_empty() => Ok(Content {
                header: header.header,
                script,
                down,
            }),
            _ => Err(faults),
        }
    }
}

fn file_name<'name>(version: &str, rest: &'name str) -> Result<FileName<'name>, String> {
    let name = rest.strip_prefix('_').ok_or(EXPECTED)?;
    if name.is_empty() || name.starts_with('_') {
        return Err(EXPECTED.to_owned());
    }
    name::check(name)?;
    Ok(FileName {
        version: name::version(version)?,
        name: Cow::Borrowed(name),
        direction: Direction::Up,
    })
}

/// The line of the first section marker of a text, counted from 1.
pub(super) fn first_marker(text: &str) -> Option<usize> {
    if !text.contains("+++") {
        return None;
    }
    let index = text::lines(text).position(|line| matches!(title(line), Some("UP" | "DOWN")))?;
    Some(index + 1)
}

/// The line that begins a section.
struct Marker {
    /// Its number, counted from 1.
    line: usize,
    /// Where it begins in the text.
    start: usize,
    /// Where the next line begins.
    end: usize,
}

/// The first marker of each section.
struct Markers {
    up: Option<Marker>,
    down: Option<Marker>,
}

impl Markers {
    fn find(text: &str, faults: &mut Vec<Fault>) -> Self {
        let mut markers = Self {
            up: None,
            down: None,
        };
        let mut end = 0;
        for (index, line) in text::lines(text).enumerate() {
            let start = end;
            end = text.len().min(start + line.len() + 1);
            let Some(title) = title(line) else {
                if matches!(self::title(line.trim_start()), Some("UP" | "DOWN")) {
                    faults.push(Fault::new(
                        index + 1,
                        "the section marker is indented, which would make it a comment; begin the line with it",
                    ));
                }
                continue;
            };
            let marker = Marker {
                line: index + 1,
                start,
                end,
            };
            let section = match title {
                "UP" if markers.up.is_none() && markers.down.is_some() => {
                    faults.push(Fault::new(
                        marker.line,
                        "the UP section must come before DOWN; put it first",
                    ));
                    &mut markers.up
                }
                "UP" => &mut markers.up,
                "DOWN" => &mut markers.down,
                _ => {
                    faults.push(Fault::new(
                        marker.line,
                        format!("{line:?} is no section; expected -- +++++ UP or -- +++++ DOWN"),
                    ));
                    continue;
                }
            };
            match section {
                Some(first) => faults.push(Fault::new(
                    marker.line,
                    format!(
                        "the section was already begun on line {}; a file has one of each",
                        first.line
                    ),
                )),
                None => *section = Some(marker),
            }
        }
        markers
    }
}

/// What a line names as the section it begins, if it begins one.
fn title(line: &str) -> Option<&str> {
    let title = line.strip_prefix("--")?.trim_start().strip_prefix("+++")?;
    Some(title.trim_start_matches('+').trim())
}

/// Reads what stands above the UP section: nothing but comments.
fn header(text: &str, up: &Marker, faults: &mut Vec<Fault>) -> Comments {
    let comments = comments(&text[..up.start], 1, faults);
    if let Some(line) = comments.end {
        faults.push(Fault::new(
            line,
            "above -- +++++ UP there may only be comments; put the SQL below it",
        ));
    }
    comments
}

/// The lines below a marker, up to `end`, without the blank ones around them; nothing if there are no others.
fn section<'text>(
    text: &'text str,
    marker: &Marker,
    end: usize,
    header: &Comments,
    faults: &mut Vec<Fault>,
) -> Option<Script<'text>> {
    let body = text.get(marker.end..end)?;
    let is_filled = |character: char| !character.is_whitespace();
    let first = body.find(is_filled)?;
    let last = body.rfind(is_filled)?;
    let start = body[..first].rfind('\n').map_or(0, |end| end + 1);
    let stop = body[last..].find('\n').map_or(body.len(), |end| last + end);
    let sql = &body[start..stop];
    let first_line = marker.line + 1 + body[..start].matches('\n').count();
    let own = comments(sql, first_line, faults).transaction;
    Some(Script {
        sql,
        first_line,
        transaction: match own {
            Transaction::One => header.transaction,
            Transaction::None { .. } => own,
        },
    })
}

fn comments(text: &str, first_line: usize, faults: &mut Vec<Fault>) -> Comments {
    header::parse(text, first_line).unwrap_or_else(|found| {
        faults.extend(found);
        Comments::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "-- Migration: a\n-- Description: Adds a\n\n-- +++++ UP\n\nCREATE TABLE a ();\n\n\
                        -- +++++ DOWN\nDROP TABLE a;\n";

    fn recognize(stem: &str) -> Option<Result<FileName<'_>, String>> {
        Sectioned.recognize(stem)
    }

    fn parse(text: &str) -> Result<Content<'_>, Vec<Fault>> {
        Sectioned.parse(text)
    }

    #[test]
    fn version_and_name_are_told_apart() {
        for (stem, version, name) in [
            ("001_create_users", 1, "create_users"),
            ("20261121120000_add", 20_261_121_120_000, "add"),
            ("0_a", 0, "a"),
        ] {
            assert_eq!(
                recognize(stem),
                Some(Ok(FileName {
                    version,
                    name: Cow::Borrowed(name),
                    direction: Direction::Up
                }))
            );
        }
    }

    #[test]
    fn other_names_are_errors() {
        for stem in [
            "1",
            "1_",
            "1__x",
            "1_add-hyphen",
            "1.5_x",
            "1_x²",
            "99999999999999999999_x",
        ] {
            assert!(recognize(stem).unwrap().is_err(), "{stem}");
        }
        for stem in ["create_users", "_x", "-1_x", "+1_x", "V1__x"] {
            assert_eq!(recognize(stem), None, "{stem}");
        }
    }

    #[test]
    fn sections_and_their_lines_are_found() {
        let content = parse(FILE).unwrap();
        assert_eq!(content.header.migration.as_deref(), Some("a"));
        assert_eq!(content.header.description.as_deref(), Some("Adds a"));
        assert_eq!(
            content.script,
            Script {
                sql: "CREATE TABLE a ();",
                first_line: 6,
                transaction: Transaction::One
            }
        );
        let down = content.down.unwrap();
        assert_eq!((down.sql, down.first_line), ("DROP TABLE a;", 9));
    }

    #[test]
    fn a_file_or_a_section_of_it_may_do_without_a_transaction() {
        let file = "-- Transaction: none\n-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\nSELECT 2;";
        let content = parse(file).unwrap();
        assert_eq!(content.script.transaction, Transaction::None { line: 1 });
        assert_eq!(
            content.down.unwrap().transaction,
            Transaction::None { line: 1 }
        );

        let section = "-- +++++ UP\n\n-- Transaction: none\nSELECT 1;\n-- +++++ DOWN\nSELECT 2;";
        let content = parse(section).unwrap();
        assert_eq!(content.script.transaction, Transaction::None { line: 3 });
        assert_eq!(content.script.sql, "-- Transaction: none\nSELECT 1;");
        assert_eq!(content.down.unwrap().transaction, Transaction::One);
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        for (text, line, reason) in [
            ("CREATE TABLE a ();", 1, "no line -- +++++ UP"),
            ("-- +++++ UP\n\n", 1, "UP section is empty"),
            ("-- +++++ UP", 1, "UP section is empty"),
            ("-- +++++ UP\n-- +++++ DOWN\nDROP", 1, "UP section is empty"),
            ("SELECT 1;\n-- +++++ UP\nSELECT 2;", 1, "only be comments"),
            (
                "-- +++++ UP\nSELECT 1;\n-- +++++ UP\nSELECT 2;",
                3,
                "already begun on line 1",
            ),
            (
                "-- +++++ DOWN\nSELECT 1;\n-- +++++ UP\nSELECT 2;",
                3,
                "must come before DOWN",
            ),
            ("-- +++++ Up\nSELECT 1;", 1, "is no section"),
            (
                "-- +++++ UP\nSELECT 1;\n  -- +++++ DOWN\nSELECT 2;",
                3,
                "is indented",
            ),
            (
                "-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\n-- Transaction: no\nSELECT 2;",
                4,
                "is no value of Transaction",
            ),
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults[0].line, line, "{text:?}");
            assert!(faults[0].reason.contains(reason), "{text:?}: {faults:?}");
        }
    }

    #[test]
    fn all_that_is_not_understood_is_found_at_once() {
        let faults = parse(
            "SELECT 0;\n-- +++++ UP\n-- Transaction: no\nSELECT 1;\n-- +++++ Down\n-- +++++ UP",
        )
        .unwrap_err();
        let mut lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [1, 3, 5, 6]);
    }

    /// Lines that are no markers, the first and the last of them not blank.
    fn body() -> impl Strategy<Value = String> {
        "[^\\s-][^\n\r]{0,20}(\n[^\n\r-][^\n\r]{0,20}){0,5}"
            .prop_map(|text| text.trim_end().to_owned())
    }

    proptest! {
        #[test]
        fn any_name_is_either_understood_or_refused(stem in "[0-9]{0,20}_?\\PC{0,20}") {
            if let Some(Ok(file_name)) = recognize(&stem) {
                let refinerys = format!("V{}__{}", file_name.version, file_name.name);
                let migration = refinery::Migration::unapplied(&refinerys, "").unwrap();
                prop_assert_eq!(migration.version(), file_name.version);
                prop_assert_eq!(migration.name(), file_name.name.as_ref());
            }
        }

        #[test]
        fn a_name_that_was_put_together_is_taken_apart(
            version in 0..=i64::MAX,
            name in "[a-z0-9][a-z0-9_]{0,30}",
        ) {
            let stem = format!("{version:03}_{name}");
            let file_name = recognize(&stem).unwrap().unwrap();
            prop_assert_eq!((file_name.version, file_name.name.as_ref()), (version, name.as_str()));
        }

        #[test]
        fn any_text_is_either_understood_or_refused(text in "(-- \\+{3,5} (UP|DOWN)|[\\s\\S]|\n|--){0,40}") {
            let lines = text.split('\n').count();
            match parse(&text) {
                Ok(content) => {
                    let line = text.split('\n').nth(content.script.first_line - 1).unwrap();
                    prop_assert!(content.script.sql.starts_with(line));
                    prop_assert!(!content.script.sql.trim().is_empty());
                }
                Err(faults) => {
                    prop_assert!(!faults.is_empty());
                    prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
                }
            }
        }

        #[test]
        fn what_was_put_together_is_taken_apart(
            up in body(),
            down in proptest::option::of(body()),
            blank_lines in 0..3_usize,
        ) {
            let blank = "\n".repeat(blank_lines);
            let down_section = down.as_ref().map_or(String::new(), |down| format!("-- +++++ DOWN\n{down}\n"));
            let file = format!("-- Description: test\n-- +++++ UP\n{blank}{up}\n{blank}{down_section}");
            let content = parse(&file).unwrap();
            prop_assert_eq!(content.script.first_line, 3 + blank_lines);
            prop_assert_eq!(content.script.sql, up.as_str());
            prop_assert_eq!(content.down.map(|section| section.sql), down.as_deref());
        }
    }
}
