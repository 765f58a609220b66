//! A migration that is to be written, in the style of the files that are there.

use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::files::directory::{self, Entry};
use crate::files::header::{self, Transaction};
use crate::files::name;
use crate::files::problem::{Fault, Problem};
use crate::files::sectioned::{self, Sectioned};
use crate::files::style::{Direction, Script, Style, whole_file};
use crate::files::text;

/// The style of a directory that has no files yet.
const DEFAULT_STYLE: &dyn Style = &Sectioned;

/// How many digits its versions have.
const DEFAULT_DIGITS: usize = 3;

/// How many digits a version has that is a time.
const DIGITS_OF_A_TIME: usize = 14;

/// Where a new migration goes, and what its files have in common with those that are there.
#[derive(Debug)]
pub(crate) struct Surroundings {
    directory: PathBuf,
    style: &'static dyn Style,
    /// Whether files that undo migrations are in use here.
    has_down_files: bool,
    highest: Option<i64>,
    digits: usize,
}

/// A file that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Surroundings {
    /// Looks at a set of migrations: the new one goes into the directory `target`, which need not exist.
    pub(crate) fn of(others: &[PathBuf], target: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut entries = if target.exists() {
            directory::entries(target, &mut problems)
        } else {
            Vec::new()
        };
        let style = entries.first().map_or(DEFAULT_STYLE, |entry| entry.style);
        let is_down = |entry: &Entry| entry.direction == Direction::Down;
        let has_down_files = entries.iter().any(is_down);
        for directory in others {
            entries.extend(directory::entries(directory, &mut problems));
        }
        if !problems.is_empty() {
            problems.sort();
            return Err(problems);
        }
        let newest = entries.iter().max_by_key(|entry| entry.version);
        Ok(Self {
            directory: target.to_owned(),
            style,
            has_down_files,
            highest: newest.map(|entry| entry.version),
            digits: newest.map_or(DEFAULT_DIGITS, |entry| digits(&entry.path)),
        })
    }

    /// A version above all others, written as they are: with as many digits, or as the time if they are times. Nothing
    /// if the highest there can be is taken.
    pub(crate) fn next_version(&self, now: OffsetDateTime) -> Option<String> {
        let mut next = self.highest.unwrap_or(0).checked_add(1)?;
        if self.digits == DIGITS_OF_A_TIME {
            next = next.max(version_of_time(now));
        }
        Some(format!("{next:0digits$}", digits = self.digits))
    }

    /// Lays out a template as files of the style that is in use. `template` is its path for problems.
    pub(crate) fn lay_out(
        &self,
        version: &str,
        name: &str,
        template: &Path,
        text: &str,
    ) -> Result<Vec<NewFile>, Vec<Problem>> {
        let draft = Draft::of(text).map_err(|faults| {
            let problem = |fault| Problem::at(template, fault);
            faults.into_iter().map(problem).collect::<Vec<_>>()
        })?;
        let file = |stem: String, text: String| NewFile {
            path: self.directory.join(format!("{stem}.sql")),
            text,
        };
        let up = self.style.stem(version, name, Direction::Up);
        let down = self.style.stem(version, name, Direction::Down);
        Ok(match (up, down) {
            (Some(up), None) => vec![file(up, draft.sectioned)],
            (up, down) => {
                let down = down.filter(|_| self.has_down_files).zip(draft.down);
                let up = up.map(|stem| file(stem, draft.up));
                let down = down.map(|(stem, text)| file(stem, text));
                up.into_iter().chain(down).collect()
            }
        })
    }
}

/// Makes a name of words: `Add indexes` is `add_indexes`.
pub(crate) fn name_of_words(words: &str) -> Result<String, String> {
    let is_between = |character: char| character.is_whitespace() || "-_".contains(character);
    let words: Vec<_> = words
        .split(is_between)
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let name = words.join("_");
    if name.is_empty() {
        return Err("it has no words; say in a few what the migration does".to_owned());
    }
    match name.chars().find(|character| !name::is_part(*character)) {
        Some(character) => Err(format!(
            "{character:?} is neither a letter nor a digit; leave it out"
        )),
        None => Ok(name),
    }
}

/// How many digits the version in a file's name has.
fn digits(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let from_version = name.trim_start_matches(|character: char| !character.is_ascii_digit());
    name::split_digits(from_version).0.len()
}

/// The time in UTC as a version: year, month, day, hour, minute and second.
fn version_of_time(time: OffsetDateTime) -> i64 {
    let time = time.to_offset(time::UtcOffset::UTC);
    let date = [
        time.month().into(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
    ];
    date.into_iter().fold(time.year().into(), |version, part| {
        version * 100 + i64::from(part)
    })
}

/// A template's text, as the files of each style need it.
struct Draft {
    sectioned: String,
    up: String,
    down: Option<String>,
}

impl Draft {
    /// Takes a text with sections apart. One without is as a whole what applies the migration.
    fn of(text: &str) -> Result<Self, Vec<Fault>> {
        let text = text::decode(text.as_bytes()).map_err(|fault| vec![fault])?;
        let text = text.as_ref();
        if sectioned::first_marker(text).is_none() {
            whole_file(text)?;
            if text.trim().is_empty() {
                return Err(vec![Fault::new(
                    1,
                    "the template is empty; put SQL into it",
                )]);
            }
            return Ok(Self {
                sectioned: format!("-- +++++ UP\n{text}"),
                up: text.to_owned(),
                down: None,
            });
        }
        let content = Sectioned.parse(text)?;
        let marker = sectioned::first_marker(text).unwrap_or(1);
        let head: String = text.split_inclusive('\n').take(marker - 1).collect();
        let head = head.trim_end();
        let gap = if head.is_empty() { "" } else { "\n\n" };
        Ok(Self {
            up: format!("{head}{gap}{}\n", content.script.sql),
            down: content.down.as_ref().map(down_file),
            sectioned: text.to_owned(),
        })
    }
}

/// The section as a file of its own, which must say itself what the header of both has said.
fn down_file(section: &Script<'_>) -> String {
    let own = header::parse(section.sql, section.first_line);
    let own = own.map_or(Transaction::One, |comments| comments.transaction);
    match section.transaction {
        Transaction::None { .. } if own == Transaction::One => {
            format!("-- Transaction: none\n\n{}\n", section.sql)
        }
        _ => format!("{}\n", section.sql),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const TEXT: &str = "-- Migration: b\n-- Transaction: none\n\n-- +++++ UP\nSELECT 1;\n\n-- +++++ DOWN\nSELECT 2;\n";

    fn directory(names: &[&str]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(directory.path().join(name), "").unwrap();
        }
        directory
    }

    fn surroundings(names: &[&str]) -> Surroundings {
        Surroundings::of(&[], directory(names).path()).unwrap()
    }

    fn next_version(names: &[&str]) -> Option<String> {
        let now = OffsetDateTime::from_unix_timestamp(1_795_272_030).unwrap();
        surroundings(names).next_version(now)
    }

    #[test]
    fn the_next_version_is_written_as_the_others_are() {
        for (names, expected) in [
            (vec![], "001"),
            (vec!["001_a.sql", "002_b.sql"], "003"),
            (vec!["V9__a.sql", "U9__a.sql"], "10"),
            (vec!["000009_a.up.sql", "000010_b.up.sql"], "000011"),
            (vec!["999_a.sql"], "1000"),
            (vec!["20200101000000_a.sql"], "20261121144030"),
            (vec!["20991231235959_a.sql"], "20991231235960"),
        ] {
            assert_eq!(next_version(&names).unwrap(), expected, "{names:?}");
        }
        assert_eq!(next_version(&["9223372036854775807_a.sql"]), None);
    }

    #[test]
    fn the_highest_version_of_all_directories_counts_and_the_style_of_the_last() {
        let others = directory(&["0041_a.sql"]);
        let target = directory(&["V0007__b.sql"]);
        let others = [others.path().to_owned()];
        let surroundings = Surroundings::of(&others, target.path()).unwrap();
        let version = surroundings
            .next_version(OffsetDateTime::now_utc())
            .unwrap();
        assert_eq!(version, "0042");
        let files = surroundings
            .lay_out(&version, "c", Path::new("t"), TEXT)
            .unwrap();
        assert_eq!(files[0].path, target.path().join("V0042__c.sql"));
    }

    #[test]
    fn a_template_is_laid_out_in_the_style_that_is_in_use() {
        let laid_out = |names: &[&str]| {
            let files = surroundings(names)
                .lay_out("2", "b", Path::new("t"), TEXT)
                .unwrap();
            files
                .into_iter()
                .map(|file| {
                    let name = file
                        .path
                        .file_name()
                        .unwrap()
                        .to_string_lossy()
                        .into_owned();
                    (name, file.text)
                })
                .collect::<Vec<_>>()
        };
        let up = "-- Migration: b\n-- Transaction: none\n\nSELECT 1;\n".to_owned();
        let down = "-- Transaction: none\n\nSELECT 2;\n".to_owned();
        assert_eq!(
            laid_out(&["1_a.sql"]),
            [("2_b.sql".to_owned(), TEXT.to_owned())]
        );
        assert_eq!(
            laid_out(&["1_a.up.sql", "1_a.down.sql"]),
            [
                ("2_b.up.sql".to_owned(), up.clone()),
                ("2_b.down.sql".to_owned(), down.clone())
            ]
        );
        assert_eq!(
            laid_out(&["1_a.up.sql"]),
            [("2_b.up.sql".to_owned(), up.clone())]
        );
        // refinery itself would apply such a file in any order.
        assert_eq!(
            laid_out(&["V1__a.sql"]),
            [("V2__b.sql".to_owned(), up.clone())]
        );
        assert_eq!(
            laid_out(&["V1__a.sql", "U1__a.sql"]),
            [("V2__b.sql".to_owned(), up), ("U2__b.sql".to_owned(), down)]
        );
    }

    #[test]
    fn a_template_without_sections_is_what_applies_the_migration() {
        let text = "-- Transaction: none\nSELECT 1;\n";
        let lay_out = |names: &[&str]| {
            surroundings(names)
                .lay_out("2", "b", Path::new("t"), text)
                .unwrap()
        };
        assert_eq!(lay_out(&[])[0].text, format!("-- +++++ UP\n{text}"));
        assert_eq!(lay_out(&["V1__a.sql"])[0].text, text);
    }

    #[test]
    fn what_would_not_be_read_is_not_written() {
        for text in [
            "",
            " \n",
            "-- +++++ UP\n",
            "-- +++++ DOWN\nSELECT 1;\n",
            "-- Transaction: off\nSELECT 1;",
            "SELECT '\0';",
        ] {
            let problems = surroundings(&[])
                .lay_out("2", "b", Path::new("t.sql"), text)
                .unwrap_err();
            assert_eq!(problems[0].path, Path::new("t.sql"), "{text:?}");
        }
        let files = directory(&["seed.sql"]);
        assert_eq!(Surroundings::of(&[], files.path()).unwrap_err().len(), 1);
    }

    #[test]
    fn names_are_made_of_words() {
        for (words, name) in [
            ("Add indexes", "add_indexes"),
            (" create-users  table ", "create_users_table"),
            ("__already_a_name", "already_a_name"),
            ("2nd Größe", "2nd_größe"),
        ] {
            assert_eq!(name_of_words(words).unwrap(), name);
        }
        for words in ["", " - ", "a.b", "../a", "drop; table", "x²", "a\0b"] {
            assert!(name_of_words(words).is_err(), "{words:?}");
        }
    }
}
