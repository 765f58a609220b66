//! Rows that cannot be loaded.

use std::fmt;

/// How many rejections are kept with their reason; all are counted.
const KEPT: usize = 20;
/// How much of a value is shown, in characters.
const SHOWN: usize = 60;

/// One row that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The line of the source that the row begins on, counted from 1.
    pub line: u64,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// All rows of a source that cannot be loaded: how many, and the first of them with their reasons.
#[derive(Debug)]
pub struct Rejections {
    source: String,
    count: usize,
    kept: Vec<Rejection>,
}

impl Rejections {
    pub(crate) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            count: 0,
            kept: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, rejection: Rejection) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(rejection);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for Rejections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rejection in &self.kept {
            write!(formatter, "\n  {}:{}: ", self.source, rejection.line)?;
            if let Some(column) = &rejection.column {
                write!(formatter, "column {column}: ")?;
            }
            write!(formatter, "{}", rejection.reason)?;
        }
        if self.count > self.kept.len() {
            write!(formatter, "\n  and {} more", self.count - self.kept.len())?;
        }
        Ok(())
    }
}

/// A value as it is shown in a reason: quoted, and not longer than a person reads.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}
