//! Which migration files a directory holds.

use std::collections::BTreeMap;
use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::files::problem::Problem;
use crate::files::style::{self, Direction, FileName, Style};

/// A migration file that is to be read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) source: Source,
    pub(super) style: &'static dyn Style,
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) direction: Direction,
}

/// Where a file's content is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// In the file.
    File,
    /// In the program.
    Embedded(&'static [u8]),
}

impl Entry {
    /// The file at `path`, by its name.
    pub(super) fn new(path: PathBuf, source: Source) -> Result<Self, Problem> {
        let name = path.file_name().unwrap_or_default();
        let recognized = name
            .to_str()
            .ok_or_else(|| "the name is not UTF-8; rename the file".to_owned())
            .and_then(|name| {
                let stem = name.strip_suffix(".sql").ok_or_else(|| {
                    "the name must end in .sql in small letters; rename the file".to_owned()
                })?;
                style::recognize(stem)
            });
        match recognized {
            Ok((style, file_name)) => {
                let FileName {
                    version,
                    name,
                    direction,
                } = file_name;
                let name = name.into_owned();
                Ok(Self {
                    path,
                    source,
                    style,
                    version,
                    name,
                    direction,
                })
            }
            Err(reason) => Err(Problem::of_file(&path, reason)),
        }
    }

    /// Files in the order of their versions; what undoes a migration comes after it.
    pub(super) fn order(&self) -> (i64, Direction, &Path) {
        (self.version, self.direction, &self.path)
    }
}

/// Lists a directory. Names that begin with a dot and `lost+found` are no entries; what does not end in `.sql` is
/// reported and left alone; symbolic links are followed.
pub(super) fn list(directory: &Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let known_problems = problems.len();
    let entries = entries(directory, problems);
    if entries.is_empty() && problems.len() == known_problems {
        problems.push(Problem::of_directory(
            directory,
            "there is no migration file in it; name the directory that holds them",
        ));
    }
    entries
}

/// Lists a directory that may be empty.
pub(super) fn entries(directory: &Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let listing = match directory.read_dir() {
        Ok(listing) => listing,
        Err(error) => {
            problems.push(cannot_list(directory, &error));
            return Vec::new();
        }
    };
    let mut entries = Vec::new();
    for listed in listing {
        match listed {
            Ok(listed) => match entry(&listed) {
                None => {}
                Some(Ok(entry)) => entries.push(entry),
                Some(Err(problem)) => problems.push(problem),
            },
            Err(error) => problems.push(cannot_list(directory, &error)),
        }
    }
    require_one_style(&entries, problems);
    entries
}

fn cannot_list(directory: &Path, error: &io::Error) -> Problem {
    Problem::of_directory(
        directory,
        format!("the directory cannot be listed ({error}); let the user of this program read it"),
    )
}

fn entry(listed: &DirEntry) -> Option<Result<Entry, Problem>> {
    let path = listed.path();
    let name = path.file_name()?.as_encoded_bytes();
    if name.starts_with(b".") || name == b"lost+found" {
        return None;
    }
    let is_sql = name
        .last_chunk()
        .is_some_and(|extension: &[u8; 4]| extension.eq_ignore_ascii_case(b".sql"));
    if !is_sql {
        warn!("{} does not end in .sql and was left alone", path.display());
        return None;
    }
    Some(match file_type(listed) {
        Ok(file_type) if file_type.is_file() => Entry::new(path, Source::File),
        Ok(_) => Err(Problem::of_file(
            &path,
            "it is not a file; give it a name that does not end in .sql",
        )),
        Err(error) => Err(unreadable(&path, &error)),
    })
}

/// What a name leads to. Only links cost a call to the operating system.
fn file_type(listed: &DirEntry) -> io::Result<FileType> {
    let file_type = listed.file_type()?;
    if file_type.is_symlink() {
        Ok(listed.path().metadata()?.file_type())
    } else {
        Ok(file_type)
    }
}

/// About a file that the operating system does not let us read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::of_file(
        path,
        format!(
            "the file cannot be read ({error}); let the user of this program read it, or remove it"
        ),
    )
}

/// Reports the first file of each style but the one that most files have.
pub(super) fn require_one_style(entries: &[Entry], problems: &mut Vec<Problem>) {
    let mut styles: BTreeMap<&str, (usize, &Entry)> = BTreeMap::new();
    for entry in entries {
        let (count, first) = styles.entry(entry.style.title()).or_insert((0, entry));
        *count += 1;
        if entry.path < first.path {
            *first = entry;
        }
    }
    if styles.len() < 2 {
        return;
    }
    let Some((most, (_, usual))) =
        styles
            .iter()
            .max_by(|(_, (count, first)), (_, (other_count, other_first))| {
                count
                    .cmp(other_count)
                    .then(other_first.path.cmp(&first.path))
            })
    else {
        return;
    };
    for (title, (_, odd)) in styles.iter().filter(|(title, _)| *title != most) {
        problems.push(Problem::of_file(
            &odd.path,
            format!(
                "this file is {title}, but {} is {most}; keep to one style in a directory",
                usual.path.display()
            ),
        ));
    }
}
