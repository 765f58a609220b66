//! `create`: writes the files of a new migration.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use environment::SettingError;
use exit_code::{ExitCode, Failure};
use time::OffsetDateTime;

use crate::files::{self, NewFile, Problem, Surroundings};
use crate::settings::DirectoryNames;
use crate::templates::{Template, TemplateError};

/// Why no migration was written.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// No directory is named, and what is compiled in cannot be written.
    #[error("no directory is named that a migration could be written to")]
    NoDirectory,
    /// The name is none that a migration can have.
    #[error("{words:?} is no name for a migration: {reason}")]
    Name {
        /// What was given.
        words: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The files that are there, or the template, cannot be read, so the new ones could not either.
    #[error("no migration was written{}", files::list(.0))]
    Problems(Vec<Problem>),
    /// The highest version there can be is taken.
    #[error("no version is left above {}", i64::MAX)]
    NoVersion,
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", .path.display())]
    Write {
        /// The file's path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl Failure for CreateError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Write { .. } => ExitCode::Failed,
            _ => ExitCode::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::NoDirectory => "name it with --migrations",
            Self::Problems(_) => "correct what is named above and run again",
            Self::NoVersion => "give the newest file a smaller version",
            Self::Setting(_) | Self::Name { .. } | Self::Template(_) | Self::Write { .. } => {
                return None;
            }
        };
        Some(step.to_owned())
    }
}

/// Writes a new migration into the last of the directories, and returns the paths of its files. The others are looked at
/// for their versions.
pub(crate) fn create(
    directories: &DirectoryNames,
    words: &str,
    template: &str,
) -> Result<Vec<PathBuf>, CreateError> {
    let (target, others) = directories.split_last().ok_or(CreateError::NoDirectory)?;
    let others = others.existing()?;
    let name = files::name_of_words(words).map_err(|reason| CreateError::Name {
        words: words.to_owned(),
        reason,
    })?;
    let template = Template::named(template)?;
    let surroundings = Surroundings::of(&others, &target).map_err(CreateError::Problems)?;
    let version = surroundings
        .next_version(OffsetDateTime::now_utc())
        .ok_or(CreateError::NoVersion)?;
    let text = template.fill(&version, &name);
    let files = surroundings
        .lay_out(&version, &name, &template.path, &text)
        .map_err(CreateError::Problems)?;

    fs::create_dir_all(&target).map_err(|source| CreateError::Write {
        path: target,
        source,
    })?;
    write_all(&files)?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// Writes all files or none.
fn write_all(files: &[NewFile]) -> Result<(), CreateError> {
    for (index, file) in files.iter().enumerate() {
        if let Err(source) = write(file) {
            for written in &files[..index] {
                // The error that is returned is the one to correct.
                let _ = fs::remove_file(&written.path);
            }
            return Err(CreateError::Write {
                path: file.path.clone(),
                source,
            });
        }
    }
    Ok(())
}

/// Never writes over a file.
fn write(file: &NewFile) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file.path)?
        .write_all(file.text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_is_written_over_and_nothing_is_left_half_done() {
        let directory = tempfile::tempdir().unwrap();
        let [new, existing] = ["1_a.up.sql", "1_a.down.sql"].map(|name| NewFile {
            path: directory.path().join(name),
            text: "new".to_owned(),
        });
        fs::write(&existing.path, "old").unwrap();
        let files = [new, existing];
        let error = write_all(&files).unwrap_err();
        assert!(error.to_string().contains("1_a.down.sql cannot be written"));
        assert!(!files[0].path.exists());
        assert_eq!(fs::read_to_string(&files[1].path).unwrap(), "old");
    }
}
