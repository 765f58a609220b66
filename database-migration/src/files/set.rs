//! All migrations of a directory, or of the program itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use exit_code::{ExitCode, Failure};
use refinery::Migration;
use tracing::warn;

use crate::files::{name, sectioned};
use crate::statements;

/// The migrations that were compiled in, as file name and content.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// One migration with the file it comes from.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// Version, name, SQL of the UP section and its checksum, as refinery has them.
    pub migration: Migration,
    /// The file's path, or its name if it was compiled in.
    pub path: PathBuf,
    /// The line of the file that the UP section's SQL begins on, counted from 1.
    pub first_line: usize,
    /// What the header says the migration is for.
    pub description: Option<String>,
    /// The SQL of the DOWN section.
    pub down: Option<String>,
}

/// Migrations in the order of their versions, which are unique.
#[derive(Debug, Clone)]
pub struct MigrationSet {
    files: Vec<MigrationFile>,
}

/// One thing that is wrong with a migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's path.
    pub path: PathBuf,
    /// The line, counted from 1, where it is about one.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Why there are no migrations to work with. All problems of a directory are reported at once.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The directory cannot be listed.
    #[error("the migrations in {} cannot be listed: {source}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Files that cannot be used.
    #[error("{} of the migration files cannot be used; nothing was applied{}", .0.len(), list(.0))]
    Problems(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

impl Failure for FileError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Directory { .. } => None,
            Self::Problems(_) => Some("correct the files named above and run again".to_owned()),
        }
    }
}

impl MigrationFile {
    /// Finds the statements that must not run in the transaction of a migration.
    pub(crate) fn forbidden_statements(&self) -> impl Iterator<Item = Problem> + '_ {
        let sql = self.migration.sql().unwrap_or_default();
        statements::forbidden(sql)
            .into_iter()
            .map(|forbidden| Problem {
                path: self.path.clone(),
                line: Some(self.first_line + forbidden.line),
                reason: forbidden.reason,
            })
    }
}

impl MigrationSet {
    /// The migrations that were compiled into the program.
    pub fn embedded() -> Result<Self, FileError> {
        let contents = EMBEDDED
            .iter()
            .map(|(name, content)| (PathBuf::from(name), Ok(content.to_vec())));
        Self::from_contents(contents)
    }

    /// The migrations of a directory. Names that begin with a dot, `lost+found` and directories are no entries; files
    /// that do not end in `.sql` are reported and left alone; symbolic links are followed.
    pub fn from_directory(directory: &Path) -> Result<Self, FileError> {
        let cannot_list = |source| FileError::Directory {
            directory: directory.to_owned(),
            source,
        };
        let mut paths = Vec::new();
        for entry in directory.read_dir().map_err(cannot_list)? {
            let path = entry.map_err(cannot_list)?.path();
            if is_entry(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            warn!("there are no migration files in {}", directory.display());
        }
        Self::from_contents(paths.into_iter().map(|path| {
            let content = std::fs::read(&path);
            (path, content)
        }))
    }

    fn from_contents(
        contents: impl Iterator<Item = (PathBuf, std::io::Result<Vec<u8>>)>,
    ) -> Result<Self, FileError> {
        let mut by_version: BTreeMap<i64, MigrationFile> = BTreeMap::new();
        let mut problems = Vec::new();
        for (path, content) in contents {
            match read(&path, content) {
                Ok(file) => {
                    let version = file.migration.version();
                    if let Some(first) = by_version.get(&version) {
                        problems.push(Problem {
                            path,
                            line: None,
                            reason: format!(
                                "version {version} is also that of {}",
                                first.path.display()
                            ),
                        });
                    } else {
                        by_version.insert(version, file);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                files: by_version.into_values().collect(),
            })
        } else {
            Err(FileError::Problems(problems))
        }
    }

    /// The migrations in the order of their versions.
    #[must_use]
    pub fn files(&self) -> &[MigrationFile] {
        &self.files
    }
}

fn is_entry(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') || name == "lost+found" || path.is_dir() {
        return false;
    }
    let is_sql = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
    if !is_sql {
        warn!("{} does not end in .sql and was left alone", path.display());
    }
    is_sql
}

fn read(path: &Path, content: std::io::Result<Vec<u8>>) -> Result<MigrationFile, Problem> {
    let problem = |line, reason| Problem {
        path: path.to_owned(),
        line,
        reason,
    };
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let (version, name) = name::parse(&file_name).map_err(|reason| problem(None, reason))?;
    let content = content.map_err(|error| problem(None, error.to_string()))?;
    let text = String::from_utf8(content).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        problem(Some(line), "there is a byte that is not UTF-8".to_owned())
    })?;
    let sections = sectioned::parse(&text).map_err(|(line, reason)| problem(Some(line), reason))?;
    let migration = Migration::unapplied(&format!("V{version}__{name}"), &sections.up.sql)
        .map_err(|error| problem(None, error.to_string()))?;
    Ok(MigrationFile {
        migration,
        path: path.to_owned(),
        first_line: sections.up.first_line,
        description: sections.description,
        down: sections.down.map(|section| section.sql),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn set(files: &[(&str, &[u8])]) -> Result<MigrationSet, FileError> {
        MigrationSet::from_contents(
            files
                .iter()
                .map(|(name, content)| (PathBuf::from(name), Ok(content.to_vec()))),
        )
    }

    #[test]
    fn what_is_compiled_in_is_well_formed() {
        let versions: Vec<_> = MigrationSet::embedded()
            .unwrap()
            .files()
            .iter()
            .map(|file| file.migration.version())
            .collect();
        assert_eq!(versions, [1, 2, 3]);
    }

    #[test]
    fn every_migration_compiled_in_can_be_undone() {
        for file in MigrationSet::embedded().unwrap().files() {
            assert!(file.down.is_some(), "{}", file.path.display());
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let Err(FileError::Problems(problems)) = set(&[
            ("1_a.sql", b"-- +++++ UP\nSELECT 1;"),
            ("01_b.sql", b"-- +++++ UP\nSELECT 1;"),
            ("2_c-d.sql", b"-- +++++ UP\nSELECT 1;"),
            ("3_e.sql", b"-- +++++ UP\nSELECT '\xFF';"),
            ("4_f.sql", b"SELECT 1;"),
        ]) else {
            panic!("the files were accepted");
        };
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "01_b.sql: version 1 is also that of 1_a.sql",
                "2_c-d.sql: the name \"c-d\" may consist of letters, digits and underscores, and begins with no \
                 underscore",
                "3_e.sql:2: there is a byte that is not UTF-8",
                "4_f.sql:1: there is no line -- +++++ UP",
            ]
        );
    }

    #[test]
    fn line_ends_do_not_change_the_checksum() {
        let unix = set(&[("1_a.sql", b"-- +++++ UP\nSELECT 1,\n2;\n")]).unwrap();
        let windows = set(&[("1_a.sql", b"-- +++++ UP\r\nSELECT 1,\r\n2;\r\n")]).unwrap();
        assert_eq!(unix.files[0].migration, windows.files[0].migration);
    }

    #[test]
    fn the_down_section_does_not_change_the_checksum() {
        let one = set(&[(
            "1_a.sql",
            b"-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\nSELECT 2;",
        )])
        .unwrap();
        let other = set(&[("1_a.sql", b"-- +++++ UP\nSELECT 1;\n")]).unwrap();
        assert_eq!(one.files[0].migration, other.files[0].migration);
    }
}
