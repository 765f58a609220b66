//! All migrations of some directories, or of the program itself.

use std::path::{Path, PathBuf};

use crate::files::directory::Entry;
use crate::files::migration_file::MigrationFile;
use crate::files::problem::{FileError, Problem};
use crate::files::style::Direction;
use crate::files::{directory, embedded, read};

/// Migrations in the order of their versions, which are unique.
#[derive(Debug, Clone)]
pub struct MigrationSet {
    files: Vec<MigrationFile>,
}

impl MigrationSet {
    /// The migrations that were compiled into the program: order-food's.
    pub fn embedded() -> Result<Self, FileError> {
        Self::from_contents(embedded::FILES)
    }

    /// Migrations that a caller has compiled in: each file's name, and its content as `include_bytes!` gives it.
    pub fn from_contents(files: &[(&str, &'static [u8])]) -> Result<Self, FileError> {
        let mut problems = Vec::new();
        let entries = embedded::list(files, &mut problems);
        Self::from_entries(entries, problems)
    }

    /// The migrations of all these directories together. Each directory has its own style.
    ///
    /// Names that begin with a dot and `lost+found` are no entries; what does not end in `.sql` is reported and left
    /// alone; symbolic links are followed. All else that is not understood is an error, and all errors are reported at
    /// once. This blocks; many files are read on two threads.
    pub fn from_directories(directories: &[PathBuf]) -> Result<Self, FileError> {
        let mut problems = Vec::new();
        let mut entries = Vec::new();
        for directory in directories {
            entries.extend(directory::list(directory, &mut problems));
        }
        Self::from_entries(entries, problems)
    }

    /// The migrations in the order of their versions.
    #[must_use]
    pub fn files(&self) -> &[MigrationFile] {
        &self.files
    }

    /// The migration of that version.
    #[must_use]
    pub fn file(&self, version: i64) -> Option<&MigrationFile> {
        let found = self
            .files
            .binary_search_by_key(&version, |file| file.version);
        found.ok().map(|index| &self.files[index])
    }

    fn from_entries(
        mut entries: Vec<Entry>,
        mut problems: Vec<Problem>,
    ) -> Result<Self, FileError> {
        entries.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
        for of_one_version in entries.chunk_by(|one, other| one.version == other.version) {
            check_version(of_one_version, &mut problems);
        }
        let read = read::all(entries);
        problems.extend(read.problems);
        if problems.is_empty() {
            Ok(Self { files: read.files })
        } else {
            problems.sort();
            Err(FileError::Problems(problems))
        }
    }
}

/// Checks that the files of one version are a migration and at most one file that undoes it.
fn check_version(entries: &[Entry], problems: &mut Vec<Problem>) {
    let [first, others @ ..] = entries else {
        return;
    };
    if first.direction == Direction::Down {
        problems.push(Problem::of_file(
            &first.path,
            format!(
                "it undoes version {}, but no file applies that; add the file that does, or rename this one",
                first.version
            ),
        ));
    }
    let mut undoing = None;
    for entry in others {
        if entry.direction == first.direction || entry.path.parent() != first.path.parent() {
            problems.push(same_version(entry, &first.path));
        } else if let Some(other) = undoing.replace(&entry.path) {
            problems.push(same_version(entry, other));
        } else if entry.name != first.name {
            problems.push(Problem::of_file(
                &entry.path,
                format!(
                    "it undoes {}, but has another name; give both the same",
                    first.path.display()
                ),
            ));
        }
    }
}

fn same_version(entry: &Entry, other: &Path) -> Problem {
    Problem::of_file(
        &entry.path,
        format!(
            "version {} is also that of {}; give one of them a version of its own",
            entry.version,
            other.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::files::header::Transaction;

    fn set(files: &[(&str, &'static [u8])]) -> Result<MigrationSet, FileError> {
        let mut problems = Vec::new();
        let entries = embedded::list(files, &mut problems);
        MigrationSet::from_entries(entries, problems)
    }

    fn problems(files: &[(&str, &'static [u8])]) -> Vec<String> {
        let FileError::Problems(problems) = set(files).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_compiled_in_is_well_formed() {
        let set = MigrationSet::embedded().unwrap();
        let versions = set.files().iter().map(|file| file.version);
        assert_eq!(versions.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_migration_compiled_in_can_be_undone() {
        for file in MigrationSet::embedded().unwrap().files() {
            assert!(file.down.is_some(), "{}", file.path.display());
        }
    }

    /// Computed by the first version of this program: histories out there hold them.
    #[test]
    fn checksums_of_sectioned_files_stay_what_they_were() {
        let set = MigrationSet::embedded().unwrap();
        let checksums = set.files()[..3].iter().map(|file| file.checksum);
        assert_eq!(
            checksums.collect::<Vec<_>>(),
            [
                9_975_141_719_147_575_869,
                5_979_170_536_042_154_840,
                6_435_460_810_086_801_646
            ]
        );
    }

    #[test]
    fn the_files_of_one_version_are_a_migration_and_what_undoes_it() {
        let set = set(&[
            ("2_b.down.sql", b"DROP TABLE b;"),
            ("1_a.up.sql", b"CREATE TABLE a ();"),
            ("10_c.up.sql", b"-- Description: c\nCREATE TABLE c ();"),
            ("1_a.down.sql", b"\n"),
            ("2_b.up.sql", b"CREATE TABLE b ();"),
            ("10_c.down.sql", b"\n-- Transaction: none\nDROP TABLE c;"),
        ])
        .unwrap();
        let [a, b, c] = set.files() else {
            unreachable!("{set:?}")
        };
        assert_eq!(a.name, "a");
        // Left empty as golang-migrate's users do it.
        assert_eq!(a.down, None);
        assert_eq!(b.version, 2);
        assert_eq!(b.down.as_ref().unwrap().sql, "DROP TABLE b;");
        assert_eq!(c.header.description.as_deref(), Some("c"));
        let down = c.down.as_ref().unwrap();
        assert_eq!(down.path.as_deref(), Some(Path::new("10_c.down.sql")));
        assert_eq!(down.transaction, Transaction::None { line: 2 });
    }

    #[test]
    fn files_that_do_not_belong_together_are_errors() {
        assert_eq!(
            problems(&[
                ("1_a.up.sql", b"SELECT 1;"),
                ("01_b.up.sql", b"SELECT 1;"),
                ("1_b.down.sql", b"SELECT 1;"),
                ("2_c.down.sql", b"SELECT 1;"),
                ("02_c.down.sql", b"SELECT 1;"),
                ("3_d.up.sql", b"SELECT 1;"),
                ("3_d.down.sql", b"SELECT 1;"),
                ("03_d.down.sql", b"SELECT 1;"),
                ("4_e.up.sql", b" \n"),
                ("4_e.down.sql", b""),
                ("5_f.up.sql", b"SELECT 1;"),
                ("5_g.down.sql", b""),
            ]),
            [
                "02_c.down.sql:1: it undoes version 2, but no file applies that; add the file that does, or rename \
                 this one",
                "1_a.up.sql:1: version 1 is also that of 01_b.up.sql; give one of them a version of its own",
                "2_c.down.sql:1: version 2 is also that of 02_c.down.sql; give one of them a version of its own",
                "3_d.down.sql:1: version 3 is also that of 03_d.down.sql; give one of them a version of its own",
                "4_e.up.sql:1: the file is empty; if there is nothing to do on purpose, say so in a comment",
                "5_g.down.sql:1: it undoes 5_f.up.sql, but has another name; give both the same",
            ]
        );
    }

    #[test]
    fn the_odd_one_among_the_styles_is_named_beside_a_usual_one() {
        assert_eq!(
            problems(&[
                ("1_a.sql", b"-- +++++ UP\nSELECT 1;"),
                ("V2__b.sql", b"SELECT 1;"),
                ("V3__c.sql", b"SELECT 1;"),
                ("4_d.up.sql", b"SELECT 1;"),
                ("4_d.down.sql", b"SELECT 1;"),
                ("V5__e.sql", b"SELECT 1;"),
            ]),
            [
                "1_a.sql:1: this file is sectioned, but V2__b.sql is in the style of refinery; keep to one style in \
                 a directory",
                "4_d.down.sql:1: this file is one of a pair, but V2__b.sql is in the style of refinery; keep to one \
                 style in a directory",
            ]
        );
    }

    #[test]
    fn line_ends_do_not_change_the_checksum() {
        for (name, unix, windows) in [
            (
                "1_a.sql",
                b"-- +++++ UP\nSELECT 1,\n2;\n".as_slice(),
                b"-- +++++ UP\r\nSELECT 1,\r\n2;\r\n".as_slice(),
            ),
            (
                "V1__a.sql",
                b"SELECT 1,\n2;\n",
                b"\xEF\xBB\xBFSELECT 1,\r\n2;\r\n",
            ),
            ("1_a.up.sql", b"SELECT 1,\n2;\n", b"SELECT 1,\r\n2;\r\n"),
        ] {
            let unix = set(&[(name, unix)]).unwrap();
            let windows = set(&[(name, windows)]).unwrap();
            assert_eq!(unix.files[0].checksum, windows.files[0].checksum);
        }
    }

    #[test]
    fn what_undoes_a_migration_does_not_change_its_checksum() {
        let one = set(&[(
            "1_a.sql",
            b"-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\nSELECT 2;",
        )])
        .unwrap();
        let other = set(&[("1_a.sql", b"-- +++++ UP\nSELECT 1;\n")]).unwrap();
        assert_eq!(one.files[0].checksum, other.files[0].checksum);
    }
}
