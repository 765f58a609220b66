//! Where rows come from: files, and one module a format.

mod csv;
mod files;
mod json;
mod layout;
mod lines;
mod text;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use data_file::DataFileError;

pub(crate) use files::{FindError, Source, SourceFile};
pub(crate) use layout::Layout;
pub use layout::LayoutError;
pub(crate) use writer::Writer;

use crate::manifest::{CsvOptions, Format};

/// A row may have so many bytes, or a quote that is not closed would take the rest of a file into memory.
const LONGEST_ROW: usize = 16 << 20;

/// One row as it stands in a file.
pub(crate) struct Record<'source> {
    /// The line that it begins on, counted from 1.
    pub(crate) line: u64,
    /// Why its values cannot be told.
    pub(crate) problem: Option<String>,
    pub(crate) values: &'source dyn Values,
}

/// The values of a record.
pub(crate) trait Values {
    /// The value of a field, by its position in the names that were asked for; none for NULL.
    fn value(&self, field: usize) -> Option<&[u8]>;
    /// The record as the file has it, without the end of its line.
    fn raw(&self) -> Vec<u8>;
}

/// What takes records. It ends the reading by an error of its own.
pub(crate) type Sink<'sink> = dyn FnMut(&Record<'_>) -> Result<(), Ended> + 'sink;

/// Whoever takes the records wants no more.
#[derive(Debug)]
pub(crate) struct Ended;

/// Why records cannot be read to the end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Whoever takes the records wants no more.
    Ended,
    /// The file cannot be read.
    Source(SourceError),
}

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be opened or read, or was changed meanwhile.
    #[error(transparent)]
    File(#[from] DataFileError),
    /// A file is not written as its format demands.
    #[error("{file}:{line}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
}

impl From<Ended> for ReadError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl From<SourceError> for ReadError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Reads a file's records with the values of `fields`. `progress` is raised by the bytes read.
pub(crate) fn read(
    file: &SourceFile,
    format: Format,
    options: &CsvOptions,
    fields: &[String],
    progress: &Arc<AtomicU64>,
    sink: &mut Sink<'_>,
) -> Result<(), ReadError> {
    let input = file.open(progress).map_err(SourceError::from)?;
    match format {
        Format::Csv => csv::read(file, input, options, fields, sink),
        Format::Json => json::read(file, input, fields, sink),
        Format::Ndjson => lines::read(file, input, fields, sink),
    }
}

/// A file's first line, where it is not a row.
pub(crate) fn header_record(
    file: &SourceFile,
    format: Format,
    options: &CsvOptions,
) -> Result<Vec<u8>, SourceError> {
    match format {
        Format::Csv => csv::header_record(file, file.open(&Arc::default())?, options),
        Format::Json | Format::Ndjson => Ok(Vec::new()),
    }
}

/// A field that records have.
pub(crate) struct Field {
    pub(crate) name: String,
    /// The line of the first record that has it, or of the header.
    pub(crate) line: u64,
}

/// The fields that a file's records have.
pub(crate) fn fields(
    file: &SourceFile,
    format: Format,
    options: &CsvOptions,
) -> Result<Vec<Field>, SourceError> {
    let input = file.open(&Arc::default())?;
    match format {
        Format::Csv => csv::header(file, input, options),
        Format::Json => json::fields(file, input),
        Format::Ndjson => lines::fields(file, input),
    }
}
