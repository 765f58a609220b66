//! Rows that cannot be loaded.

use std::fmt;

/// How many rejections are kept; all are counted.
pub(crate) const KEPT: usize = 10_000;
/// A record longer than this is not kept, in bytes.
const LONGEST_RECORD: usize = 64 * 1024;
/// Of all records together no more than this is kept, in bytes.
const KEPT_RECORDS: usize = 16 * 1024 * 1024;
/// How many of them are shown in an error.
const SHOWN: usize = 20;
/// How much of a value is shown, in characters.
const SHOWN_CHARACTERS: usize = 60;

/// One row that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The file that it stands in.
    pub file: String,
    /// The line that the row begins on, counted from 1.
    pub line: u64,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// The value that is wrong, where it is about one.
    pub value: Option<String>,
    /// The row as the file has it.
    pub record: Vec<u8>,
}

/// Which records are kept: neither long ones nor many of them take all memory.
#[derive(Debug, Default)]
pub(crate) struct KeptRecords {
    bytes: usize,
}

impl KeptRecords {
    /// Empties a record that is not to be kept.
    pub(crate) fn limit(&mut self, record: &mut Vec<u8>) {
        let bytes = self.bytes + record.len();
        if record.len() <= LONGEST_RECORD && bytes <= KEPT_RECORDS {
            self.bytes = bytes;
        } else {
            *record = Vec::new();
        }
    }
}

/// All rows of a source that cannot be loaded: how many, and the first of them with their reasons.
#[derive(Debug, Default)]
pub(crate) struct Rejections {
    count: u64,
    kept: Vec<Rejection>,
    records: KeptRecords,
}

impl Rejections {
    pub(crate) fn add(&mut self, mut rejection: Rejection) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.records.limit(&mut rejection.record);
            self.kept.push(rejection);
        }
    }

    /// Counts rejections that are not kept.
    pub(crate) fn count_more(&mut self, count: u64) {
        self.count += count;
    }

    /// Brings those that are kept into the order of the source.
    pub(crate) fn sort(&mut self) {
        self.kept
            .sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub(crate) fn kept(&self) -> &[Rejection] {
        &self.kept
    }
}

impl fmt::Display for Rejections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.kept.iter().take(SHOWN);
        for rejection in shown.clone() {
            write!(formatter, "\n  {}:{}: ", rejection.file, rejection.line)?;
            if let Some(column) = &rejection.column {
                write!(formatter, "column {column}: ")?;
            }
            write!(formatter, "{}", rejection.reason)?;
        }
        let rest = self.count - shown.len() as u64;
        if rest > 0 {
            write!(formatter, "\n  and {rest} more")?;
        }
        Ok(())
    }
}

/// A value as it is shown in a reason: quoted, and not longer than a person reads.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}
