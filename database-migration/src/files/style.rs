//! The ways to name and lay out migration files.

use std::borrow::Cow;
use std::fmt;

use crate::files::header::{Header, Transaction};
use crate::files::pairs::Pairs;
use crate::files::problem::Fault;
use crate::files::refinery_style::RefineryStyle;
use crate::files::sectioned::Sectioned;
use crate::files::{header, sectioned};

/// All styles. A name is of the first of them that recognizes it.
pub(super) const STYLES: [&dyn Style; 3] = [&Pairs, &RefineryStyle, &Sectioned];

/// A way to name and lay out migration files.
pub(super) trait Style: fmt::Debug + Sync {
    /// What it is called in messages.
    fn title(&self) -> &'static str;

    /// File names as they should be, for messages.
    fn example(&self) -> &'static str;

    /// Reads a file name, given without its `.sql`. Nothing if it does not look like a name of this style; an error,
    /// with what to do, if it does and is still none.
    fn recognize<'name>(&self, stem: &'name str) -> Option<Result<FileName<'name>, String>>;

    /// The name of a new file, without its `.sql`; nothing if this style has no file for that direction.
    fn stem(&self, version: &str, name: &str, direction: Direction) -> Option<String>;

    /// Reads a file's text, whose line ends are `\n`.
    fn parse<'text>(&self, text: &'text str) -> Result<Content<'text>, Vec<Fault>>;
}

/// What a file name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileName<'name> {
    pub(super) version: i64,
    pub(super) name: Cow<'name, str>,
    pub(super) direction: Direction,
}

/// What SQL does about a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It applies the migration.
    Up,
    /// It undoes the migration.
    Down,
}

impl Direction {
    /// What is done to the migration.
    pub(crate) fn participle(self) -> &'static str {
        match self {
            Self::Up => "applied",
            Self::Down => "undone",
        }
    }

    /// Its name, as commands and attributes have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a file's text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content<'text> {
    pub(super) header: Header,
    /// The SQL that the file's name announces.
    pub(super) script: Script<'text>,
    /// The SQL that undoes it, where that stands in the same file.
    pub(super) down: Option<Script<'text>>,
}

/// SQL and the line of the file that it begins on, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script<'text> {
    pub(super) sql: &'text str,
    pub(super) first_line: usize,
    pub(super) transaction: Transaction,
}

/// Finds the style of a file name, given without its `.sql`, and what it says.
pub(super) fn recognize(stem: &str) -> Result<(&'static dyn Style, FileName<'_>), String> {
    for style in STYLES {
        if let Some(file_name) = style.recognize(stem) {
            return Ok((style, file_name?));
        }
    }
    let examples = STYLES.map(Style::example).join(", ");
    Err(format!(
        "no style of migration files has such names; rename it as in one of: {examples}"
    ))
}

/// A file that is one script as a whole, to the last byte.
pub(super) fn whole_file(text: &str) -> Result<Content<'_>, Vec<Fault>> {
    let mut faults = Vec::new();
    if let Some(line) = sectioned::first_marker(text) {
        faults.push(Fault::new(
            line,
            format!(
                "a section begins here, but the file's name is not that of a sectioned file, {}; rename it",
                Sectioned.example()
            ),
        ));
    }
    match header::parse(text, 1) {
        Ok(comments) if faults.is_empty() => Ok(Content {
            header: comments.header,
            script: Script {
                sql: text,
                first_line: 1,
                transaction: comments.transaction,
            },
            down: None,
        }),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_example_is_of_its_own_style() {
        for style in STYLES {
            for example in style.example().split(" and ") {
                let stem = example.strip_suffix(".sql").unwrap();
                let (found, file_name) = recognize(stem).unwrap();
                assert_eq!(found.title(), style.title());
                assert_eq!(
                    (file_name.version, file_name.name.as_ref()),
                    (1, "create_users")
                );
            }
        }
    }

    #[test]
    fn every_new_files_name_is_of_its_own_style() {
        for style in STYLES {
            for direction in [Direction::Up, Direction::Down] {
                let Some(stem) = style.stem("0042", "2nd_größe", direction) else {
                    continue;
                };
                let (found, file_name) = recognize(&stem).unwrap();
                assert_eq!(found.title(), style.title());
                assert_eq!((file_name.version, file_name.direction), (42, direction));
                assert_eq!(file_name.name, "2nd_größe");
            }
        }
    }

    #[test]
    fn a_name_of_no_style_is_told_what_names_there_are() {
        for stem in [
            "create_users",
            "_x",
            "-1_x",
            "+1_x",
            "",
            "Version1__x",
            "seed",
        ] {
            let reason = recognize(stem).unwrap_err();
            assert!(reason.contains("001_create_users.sql"), "{stem}: {reason}");
        }
    }

    #[test]
    fn a_section_in_a_file_of_another_style_is_an_error() {
        let faults = whole_file("CREATE TABLE a ();\n-- +++++ DOWN\nDROP TABLE a;").unwrap_err();
        assert_eq!(faults[0].line, 2);
        let faults = whole_file("-- +++++ UP\n-- Transaction: yes\nSELECT 1;").unwrap_err();
        assert_eq!(faults.len(), 2);
    }

    proptest! {
        #[test]
        fn a_whole_file_keeps_every_byte(text in "(--|:|\\+{0,6}|Transaction|none|[\\s\\S]){0,40}") {
            if let Ok(content) = whole_file(&text) {
                prop_assert_eq!(content.script.sql, text.as_str());
                prop_assert_eq!(content.script.first_line, 1);
                prop_assert_eq!(content.down, None);
            }
        }
    }
}
