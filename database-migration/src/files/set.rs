//! All migrations of some directories, or of the program itself.

use std::path::{Path, PathBuf};

use crate::files::migration_file::MigrationFile;
use crate::files::problem::{FileError, Problem};
use crate::files::read::{self, DownFile, ReadFile};
use crate::files::{directory, embedded};

/// Migrations in the order of their versions, which are unique.
#[derive(Debug, Clone)]
pub struct MigrationSet {
    files: Vec<MigrationFile>,
}

impl MigrationSet {
    /// The migrations that were compiled into the program.
    pub fn embedded() -> Result<Self, FileError> {
        Self::from_files(embedded::all(), Vec::new())
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
        Self::from_files(read::all(entries), problems)
    }

    /// The migrations in the order of their versions.
    #[must_use]
    pub fn files(&self) -> &[MigrationFile] {
        &self.files
    }

    fn from_files(
        read: Vec<Result<ReadFile, Vec<Problem>>>,
        mut problems: Vec<Problem>,
    ) -> Result<Self, FileError> {
        let mut files = Vec::with_capacity(read.len());
        let mut downs = Vec::new();
        let is_complete = problems.is_empty() && read.iter().all(Result::is_ok);
        for outcome in read {
            match outcome {
                Ok(ReadFile::Up(file)) => files.push(file),
                Ok(ReadFile::Down(down)) => downs.push(down),
                Err(found) => problems.extend(found),
            }
        }
        let files = unique(
            files,
            |file| (file.migration.version(), &file.path),
            &mut problems,
        );
        let downs = unique(downs, |down| (down.version, &down.path), &mut problems);
        let files = join(files, downs, is_complete, &mut problems);
        if problems.is_empty() {
            Ok(Self { files })
        } else {
            problems.sort();
            Err(FileError::Problems(problems))
        }
    }
}

/// Sorts files by their versions, and reports those whose version another one has.
fn unique<File>(
    mut files: Vec<File>,
    key: impl Fn(&File) -> (i64, &PathBuf),
    problems: &mut Vec<Problem>,
) -> Vec<File> {
    files.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
    files.dedup_by(|file, first| {
        let ((version, path), (first_version, first_path)) = (key(file), key(first));
        let is_duplicate = version == first_version;
        if is_duplicate {
            problems.push(same_version(path, version, first_path));
        }
        is_duplicate
    });
    files
}

fn same_version(path: &Path, version: i64, first: &Path) -> Problem {
    Problem::of_file(
        path,
        format!(
            "version {version} is also that of {}; give one of them a version of its own",
            first.display()
        ),
    )
}

/// Gives each migration what undoes it. Where files could not be used, those that belong to them are not blamed.
fn join(
    mut files: Vec<MigrationFile>,
    downs: Vec<DownFile>,
    is_complete: bool,
    problems: &mut Vec<Problem>,
) -> Vec<MigrationFile> {
    for down in downs {
        let position = files.binary_search_by_key(&down.version, |file| file.migration.version());
        let Ok(position) = position else {
            if is_complete {
                problems.push(Problem::of_file(
                    &down.path,
                    format!(
                        "it would undo version {}, but no file has that version; add the file that applies it, or \
                         rename this one",
                        down.version
                    ),
                ));
            }
            continue;
        };
        let file = &mut files[position];
        if down.path.parent() != file.path.parent() || file.down.is_some() {
            problems.push(same_version(&down.path, down.version, &file.path));
        } else if down.name != file.migration.name() {
            problems.push(Problem::of_file(
                &down.path,
                format!(
                    "its name is not that of {}, which it would undo; give both the same name",
                    file.path.display()
                ),
            ));
        } else {
            file.down = down.script;
        }
    }
    files
}
