//! The files of a data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use data_file::{Compression, ContentHash, DataFileError, Reader};

use crate::manifest::{DataSet, EmbeddedFile, Files, Format, ManifestError};
use crate::source::{LONGEST_ROW, SourceError};

/// All files of a data set, in the order of their names.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) files: Vec<SourceFile>,
    /// Of all files together.
    pub(crate) hash: ContentHash,
}

/// A file, and what it held when it was found.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    place: Place,
    /// For messages.
    pub(crate) name: String,
    pub(crate) hash: ContentHash,
    /// In bytes, as it is stored.
    pub(crate) size: u64,
}

#[derive(Debug, Clone)]
enum Place {
    Disk(PathBuf),
    Memory(EmbeddedFile),
}

impl Source {
    /// Finds the files of a data set and takes their hashes. None where there are none and need not be.
    pub(crate) fn find(data_set: &DataSet) -> Result<Option<Self>, FindError> {
        let files = match &data_set.files {
            Files::Embedded(file) => vec![SourceFile::embedded(*file)],
            Files::Matching {
                directory,
                patterns,
            } => {
                let paths = matching(directory, patterns)?;
                if paths.is_empty() && data_set.is_optional {
                    return Ok(None);
                }
                if paths.is_empty() {
                    return Err(FindError::Manifest(ManifestError::NoFiles {
                        data_set: data_set.name.clone(),
                        patterns: patterns.join(", "),
                        directory: directory.clone(),
                    }));
                }
                paths
                    .into_iter()
                    .map(SourceFile::on_disk)
                    .collect::<Result<_, _>>()?
            }
        };
        let hashes: Vec<_> = files.iter().map(|file| file.hash).collect();
        Ok(Some(Self {
            hash: ContentHash::of_all(&hashes),
            files,
        }))
    }

    /// In bytes, as the files are stored.
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Why the files of a data set cannot be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    File(#[from] DataFileError),
}

impl SourceFile {
    fn embedded(file: EmbeddedFile) -> Self {
        Self {
            place: Place::Memory(file),
            name: file.name.to_owned(),
            hash: ContentHash::of_bytes(file.content),
            size: file.content.len() as u64,
        }
    }

    fn on_disk(path: PathBuf) -> Result<Self, DataFileError> {
        let size = std::fs::metadata(&path).map(|metadata| metadata.len());
        Ok(Self {
            name: path.display().to_string(),
            hash: ContentHash::of_file(&path)?,
            size: size.unwrap_or_default(),
            place: Place::Disk(path),
        })
    }

    /// Opens the file; what is read must be what was there when it was found.
    pub(crate) fn open(&self, progress: &Arc<AtomicU64>) -> Result<Reader, DataFileError> {
        match &self.place {
            Place::Disk(path) => data_file::open(path, self.hash, Arc::clone(progress)),
            Place::Memory(file) => {
                data_file::open_bytes(Path::new(file.name), file.content, Arc::clone(progress))
            }
        }
    }

    /// The error of this file that a failed read stands for.
    pub(crate) fn error(&self, error: &std::io::Error) -> DataFileError {
        Reader::error(Path::new(&self.name), error)
    }

    /// The error of a row that begins on this line and does not end within the limit.
    pub(super) fn too_long(&self, line: u64) -> SourceError {
        SourceError::Syntax {
            file: self.name.clone(),
            line,
            problem: format!(
                "this row has more than {} MiB; is a quote not closed?",
                LONGEST_ROW >> 20
            ),
        }
    }

    /// How its rows are written, by its name.
    pub(crate) fn format(&self) -> Option<Format> {
        Format::of_name(Compression::strip_extension(Path::new(&self.name)))
    }

    /// Where it is on disk; the data compiled in is nowhere.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Disk(path) => Some(path),
            Place::Memory(_) => None,
        }
    }
}

/// The files that match any of the patterns, each once, in the order of their paths.
fn matching(directory: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, ManifestError> {
    let mut paths = Vec::new();
    for pattern in patterns {
        let base = glob::Pattern::escape(&directory.display().to_string());
        let invalid = |problem: String| ManifestError::Invalid {
            path: directory.to_owned(),
            problem: format!("files: {pattern:?}: {problem}"),
        };
        let found = glob::glob(&format!("{base}/{pattern}"))
            .map_err(|error| invalid(error.msg.to_owned()))?;
        for path in found {
            let path = path.map_err(|error| ManifestError::Unreadable {
                path: error.path().to_owned(),
                problem: error.error().to_string(),
            })?;
            if path.is_file() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}
