//! Rows on their way from the source to the table: read, checked and written as COPY wants them, on a thread of their own.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
use tokio::sync::mpsc;

use crate::error::LoadError;
use crate::loading::DataSetWork;
use crate::manifest::Content;
use crate::progress::Progress;
use crate::rejection::{KeptRecords, Rejection};
use crate::source::{Ended, Layout, ReadError, Record, SourceError, read};
use crate::target::Column;

/// Rows are handed over in pieces of about this size, in bytes.
const PIECE: usize = 64 * 1024;
/// So many pieces are read ahead while the server is busy.
const AHEAD: usize = 256;

/// Several rows.
#[derive(Default)]
pub(crate) struct Batch {
    /// The rows in COPY's text format, one a line.
    pub(crate) text: Vec<u8>,
    pub(crate) rows: Vec<Row>,
    pub(crate) rejected: Vec<Rejected>,
    /// Which of the source's files they are from.
    pub(crate) file: usize,
}

/// One row of a batch.
pub(crate) struct Row {
    /// Which record of its file it is, counted from 1.
    pub(crate) number: u64,
    /// The line that it begins on.
    pub(crate) line: u64,
    /// Where it ends in the batch's text.
    pub(crate) end: usize,
}

/// A row that cannot be loaded.
pub(crate) struct Rejected {
    pub(crate) rejection: Rejection,
    /// Its key as COPY has it, if that can be told.
    pub(crate) key: Option<Vec<u8>>,
}

impl Batch {
    /// Each row with its text, which ends with a newline.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Row, &[u8])> {
        let starts = std::iter::once(0).chain(self.rows.iter().map(|row| row.end));
        let rows = self.rows.iter().zip(starts);
        rows.map(|(row, start)| (row, &self.text[start..row.end]))
    }

    /// The hash of each row.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = u128> {
        self.iter()
            .map(|(_, text)| row_hash(&text[..text.len() - 1]))
    }
}

/// The hash of a row as COPY's text format has it, without its newline.
///
/// SipHash-1-3 with 128 bits and without a key: two different rows have the same hash with a probability of 2^-128.
pub(crate) fn row_hash(text: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(text);
    hasher.finish128().as_u128()
}

/// Rows that are being read.
pub(crate) struct Reading {
    batches: mpsc::Receiver<Result<Batch, LoadError>>,
    progress: Arc<Progress>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        // A derivation may have long to go, and does not notice that nobody waits for it.
        if !self.batches.is_closed() {
            self.progress.codes.stop();
        }
    }
}

impl Reading {
    /// Begins to read a source from its start.
    pub(crate) fn start(work: &DataSetWork) -> Self {
        let (sender, batches) = mpsc::channel(AHEAD);
        let work = work.clone();
        let progress = Arc::clone(&work.progress);
        tokio::task::spawn_blocking(move || {
            let failed = sender.clone();
            match Reader::new(&work, sender).run() {
                Ok(()) | Err(RunError::Ended) => {}
                // If nobody listens any more, nobody needs to know.
                Err(RunError::Failed(error)) => drop(failed.blocking_send(Err(error))),
            }
        });
        Self { batches, progress }
    }

    /// The next rows; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, LoadError> {
        self.batches.recv().await.transpose()
    }
}

enum RunError {
    Ended,
    Failed(LoadError),
}

struct Reader<'work> {
    work: &'work DataSetWork,
    sender: mpsc::Sender<Result<Batch, LoadError>>,
    batch: Batch,
    /// How many records of the current file were taken.
    number: u64,
    records: KeptRecords,
}

impl<'work> Reader<'work> {
    fn new(work: &'work DataSetWork, sender: mpsc::Sender<Result<Batch, LoadError>>) -> Self {
        let batch = Batch::default();
        Self {
            work,
            sender,
            batch,
            number: 0,
            records: KeptRecords::default(),
        }
    }

    fn run(mut self) -> Result<(), RunError> {
        let work = self.work;
        match &work.data_set.content {
            Content::Codes { rule, .. } => {
                let codes = work.codes.derive(work, *rule).map_err(RunError::Failed)?;
                for (number, code) in codes.iter().enumerate() {
                    let values = crate::codes::Code(code.as_bytes());
                    let record = Record {
                        line: number as u64 + 1,
                        problem: None,
                        values: &values,
                    };
                    self.take(&record).map_err(|Ended| RunError::Ended)?;
                }
            }
            Content::Rows { csv, .. } => {
                for (number, file) in work.source.files.iter().enumerate() {
                    self.begin_file(number).map_err(|Ended| RunError::Ended)?;
                    let format = work.layout.formats[number];
                    let fields = &work.layout.fields;
                    let progress = Arc::clone(&work.progress.bytes);
                    read(file, format, csv, fields, &progress, &mut |record| {
                        self.take(record)
                    })
                    .map_err(|error| match error {
                        ReadError::Ended => RunError::Ended,
                        ReadError::Source(error) => RunError::Failed(work.source_error(error)),
                    })?;
                }
            }
        }
        self.send().map_err(|Ended| RunError::Ended)
    }

    fn begin_file(&mut self, file: usize) -> Result<(), Ended> {
        self.number = 0;
        if file != self.batch.file {
            self.send()?;
            self.batch.file = file;
        }
        Ok(())
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), Ended> {
        self.number += 1;
        let start = self.batch.text.len();
        match self.write(record) {
            Ok(()) => {
                self.batch.text.push(b'\n');
                self.batch.rows.push(Row {
                    number: self.number,
                    line: record.line,
                    end: self.batch.text.len(),
                });
            }
            Err((column, reason)) => {
                self.batch.text.truncate(start);
                self.reject(record, column, reason);
            }
        }
        if self.batch.text.len() >= PIECE || self.batch.rejected.len() >= 1_000 {
            self.send()?;
        }
        Ok(())
    }

    fn write(&mut self, record: &Record<'_>) -> Result<(), (Option<usize>, String)> {
        if let Some(problem) = &record.problem {
            return Err((None, problem.clone()));
        }
        for (position, column) in self.work.layout.columns.iter().enumerate() {
            if position > 0 {
                self.batch.text.push(b'\t');
            }
            column
                .write(record.values.value(position), &mut self.batch.text)
                .map_err(|reason| (Some(position), reason))?;
        }
        Ok(())
    }

    fn reject(&mut self, record: &Record<'_>, column: Option<usize>, reason: String) {
        let layout = &self.work.layout;
        let value = column.and_then(|position| record.values.value(position));
        let mut raw = record.values.raw();
        self.records.limit(&mut raw);
        let key = match record.problem {
            None => key_of(record, layout),
            Some(_) => None,
        };
        self.batch.rejected.push(Rejected {
            rejection: Rejection {
                file: self.work.source.files[self.batch.file].name.clone(),
                line: record.line,
                column: column.map(|position| layout.columns[position].name.clone()),
                reason,
                value: value.map(bounded_text),
                record: raw,
            },
            key,
        });
    }

    fn send(&mut self) -> Result<(), Ended> {
        let next = Batch {
            text: Vec::with_capacity(PIECE + PIECE / 4),
            rows: Vec::with_capacity(self.batch.rows.len()),
            file: self.batch.file,
            ..Batch::default()
        };
        let batch = std::mem::replace(&mut self.batch, next);
        let rows = batch.rows.len() + batch.rejected.len();
        self.work.progress.add_rows(rows as u64);
        if rows == 0 {
            return Ok(());
        }
        self.sender.blocking_send(Ok(batch)).map_err(|_| Ended)
    }
}

/// The key of a record, if each of its values is one.
fn key_of(record: &Record<'_>, layout: &Layout) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for (number, &position) in layout.key.iter().enumerate() {
        let column: &Column = &layout.columns[position];
        let value = record.values.value(position)?;
        if number > 0 {
            key.push(b'\t');
        }
        if !column.kind.is_canonical() {
            return None;
        }
        column.write(Some(value), &mut key).ok()?;
    }
    Some(key)
}

/// A value that may be long and anything but text, as it is kept.
fn bounded_text(value: &[u8]) -> String {
    const LONGEST: usize = 1_000;
    let text = String::from_utf8_lossy(&value[..value.len().min(LONGEST)]);
    text.replace('\0', "\u{FFFD}")
}

/// Records of a file by their numbers, which are in order, as the file has them.
pub(crate) fn records_of(
    work: &DataSetWork,
    file: usize,
    numbers: &[u64],
) -> Result<Vec<(u64, Vec<u8>)>, SourceError> {
    let Content::Rows { csv, .. } = &work.data_set.content else {
        return Ok(Vec::new());
    };
    let mut wanted = numbers.iter().copied().peekable();
    let mut number = 0;
    let mut found = Vec::new();
    let mut records = KeptRecords::default();
    let outcome = read(
        &work.source.files[file],
        work.layout.formats[file],
        csv,
        &work.layout.fields,
        &Arc::default(),
        &mut |record| {
            number += 1;
            if wanted.next_if_eq(&number).is_some() {
                let mut raw = record.values.raw();
                records.limit(&mut raw);
                found.push((number, raw));
            }
            wanted.peek().map(|_| ()).ok_or(Ended)
        },
    );
    match outcome {
        Ok(()) | Err(ReadError::Ended) => Ok(found),
        Err(ReadError::Source(error)) => Err(error),
    }
}

impl Progress {
    fn add_rows(&self, rows: u64) {
        self.rows
            .fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
    }
}
