//! Where rows come from: one file a format.

mod csv;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) use csv::CsvSource;

use crate::data_set::DataSet;

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("{} cannot be opened: {problem}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        problem: String,
    },
    /// Reading broke off.
    #[error("{source_name}: reading broke off: {problem}")]
    Read {
        /// The source.
        source_name: String,
        /// The operating system's reason.
        problem: String,
    },
    /// The header does not fit the table.
    #[error("{source_name}:1: {problem}")]
    Header {
        /// The source.
        source_name: String,
        /// What does not fit.
        problem: String,
    },
    /// There is a header, but no row.
    #[error("{source_name} holds no rows; an empty source never empties a table")]
    Empty {
        /// The source.
        source_name: String,
    },
}

/// Opens a data set's source, in the directory or as it was compiled in. The name is for messages.
pub(crate) fn open(
    data_set: &DataSet,
    directory: Option<&Path>,
) -> Result<(String, Box<dyn Read + Send>), SourceError> {
    let Some(directory) = directory else {
        return Ok((data_set.file.to_owned(), Box::new(data_set.embedded)));
    };
    let path = directory.join(data_set.file);
    match File::open(&path) {
        Ok(file) => Ok((path.display().to_string(), Box::new(file))),
        Err(error) => Err(SourceError::Open {
            path,
            problem: error.to_string(),
        }),
    }
}
