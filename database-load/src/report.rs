//! What a run did, for people and for programs.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use exit_code::Failure;
use serde::Serialize;

use crate::error::LoadError;
use crate::history::Outcome;
use crate::loading::{Counts, Sample};

/// The most bytes of a container's termination message.
const LONGEST: usize = 4096;

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    pub(crate) data_sets: Vec<DataSetReport>,
    pub(crate) is_preview: bool,
    /// Whether it left because another load was at work.
    pub(crate) has_left: bool,
    pub(crate) started: Instant,
}

/// What became of one data set.
#[derive(Debug, Clone, Serialize)]
pub struct DataSetReport {
    /// Its name.
    pub data_set: String,
    /// The table that it is loaded into.
    pub table: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What became of the rows; of an unchanged source, of those of its last load.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes read, as the source is stored.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Of the table's rows that the source has.
    pub checksum: Option<String>,
    /// Some of the rows that would change, of a preview.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

impl Counts {
    /// Each count with the name of what became of the rows.
    pub(crate) fn by_outcome(&self) -> [(&'static str, u64); 7] {
        [
            ("inserted", self.inserted),
            ("updated", self.updated),
            ("unchanged", self.unchanged),
            ("marked", self.marked),
            ("deleted", self.deleted),
            ("kept", self.kept),
            ("rejected", self.rejected),
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.by_outcome();
        let counts: Vec<_> = counts
            .iter()
            .filter(|(_, rows)| *rows > 0)
            .map(|(outcome, rows)| format!("{rows} {outcome}"))
            .collect();
        if counts.is_empty() {
            formatter.write_str("no rows")
        } else {
            formatter.write_str(&counts.join(", "))
        }
    }
}

impl fmt::Display for DataSetReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Unchanged => write!(formatter, "{} unchanged", self.data_set),
            Outcome::Loaded | Outcome::Failed => {
                write!(formatter, "{} {}", self.data_set, self.counts)
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_left {
            formatter.write_str("another load is at work, so this one leaves; ")?;
        }
        if self.is_preview {
            formatter.write_str("nothing was written; this would be done: ")?;
        }
        for data_set in &self.data_sets {
            write!(formatter, "{data_set}; ")?;
        }
        write!(formatter, "{} ms", self.started.elapsed().as_millis())
    }
}

#[derive(Serialize)]
struct Document<'run> {
    program: &'static str,
    version: &'static str,
    outcome: &'static str,
    exit_code: u8,
    duration_ms: u64,
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    data_sets: Cow<'run, [DataSetReport]>,
    /// Whether something was left out for want of space.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shortened: bool,
}

/// Writes the report of a run to a file.
pub(crate) fn write(
    path: &Path,
    summary: &Summary,
    error: Option<&LoadError>,
) -> Result<(), LoadError> {
    std::fs::write(path, text(summary, error)).map_err(|problem| LoadError::Output {
        path: path.display().to_string(),
        problem: problem.to_string(),
    })
}

/// A JSON document that is not too long for a container's termination message, and whole.
fn text(summary: &Summary, error: Option<&LoadError>) -> String {
    let mut document = Document {
        program: "database-load",
        version: env!("CARGO_PKG_VERSION"),
        outcome: match (error, summary.has_left) {
            (Some(_), _) => "failed",
            (None, true) => "left",
            (None, false) => "done",
        },
        exit_code: error.map_or(0, |error| error.exit_code() as u8),
        duration_ms: milliseconds(summary.started.elapsed()),
        trace_id: telemetry::current_trace_id(),
        problem: error.map(ToString::to_string),
        next: error.and_then(Failure::next_step),
        data_sets: Cow::Borrowed(&summary.data_sets),
        shortened: false,
    };
    loop {
        // None of these types has a value that is no JSON.
        let text = serde_json::to_string(&document).unwrap_or_default();
        if text.len() <= LONGEST {
            return text;
        }
        shorten(&mut document, text.len() - LONGEST);
    }
}

/// Leaves something out of a text that has so many bytes too many: first samples, then some of the problem's text, then
/// data sets, all of them from the end.
fn shorten(document: &mut Document<'_>, excess: usize) {
    const SHORTEST_PROBLEM: usize = 500;
    document.shortened = true;
    let has_samples = |report: &DataSetReport| !report.samples.is_empty();
    if let Some(number) = document.data_sets.iter().rposition(has_samples) {
        document.data_sets.to_mut()[number].samples.pop();
        return;
    }
    match &mut document.problem {
        Some(problem) if problem.len() > SHORTEST_PROBLEM => {
            let wanted = problem
                .len()
                .saturating_sub(excess + 32)
                .max(SHORTEST_PROBLEM);
            let end = (0..=wanted)
                .rev()
                .find(|&end| problem.is_char_boundary(end));
            problem.truncate(end.unwrap_or_default());
        }
        _ => {
            if document.data_sets.to_mut().pop().is_none() {
                document.next = None;
            }
        }
    }
}

/// A duration in whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn summary(data_sets: usize) -> Summary {
        let report = |number| DataSetReport {
            data_set: format!("data_set_{number}"),
            table: format!("data_set_{number}"),
            outcome: Outcome::Loaded,
            counts: Counts::default(),
            bytes: 0,
            duration_ms: 0,
            checksum: None,
            samples: Vec::new(),
        };
        Summary {
            data_sets: (0..data_sets).map(report).collect(),
            is_preview: false,
            has_left: false,
            started: Instant::now(),
        }
    }

    #[test]
    fn a_report_is_json_and_fits_however_much_there_is_to_say() {
        for (data_sets, problem) in [(1, 10), (100, 10), (1, 100_000), (100, 100_000)] {
            let error = LoadError::Output {
                path: "\"ä\n".repeat(problem),
                problem: String::new(),
            };
            let text = text(&summary(data_sets), Some(&error));
            assert!(text.len() <= LONGEST, "{}", text.len());
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["exit_code"], 1);
            assert_eq!(
                document.get("shortened").is_some(),
                data_sets > 1 || problem > 10
            );
        }
    }

    #[test]
    fn samples_are_left_out_before_counts() {
        let mut summary = summary(3);
        let sample = Sample {
            action: "insert",
            key: "a".to_owned(),
            before: None,
            after: Some("x".repeat(1000)),
        };
        for data_set in &mut summary.data_sets {
            data_set.samples = vec![sample.clone(), sample.clone()];
        }
        let text = text(&summary, None);
        assert!(text.len() <= LONGEST, "{}", text.len());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let samples = |number: usize| {
            let samples = document["data_sets"][number].get("samples");
            samples.map_or(0, |samples| samples.as_array().unwrap().len())
        };
        assert_eq!(document["data_sets"].as_array().unwrap().len(), 3);
        assert_eq!([samples(0), samples(1), samples(2)], [2, 1, 0]);
        assert_eq!(document["shortened"], true);
    }

    #[test]
    fn counts_that_are_nothing_are_not_said() {
        let counts = Counts {
            inserted: 10,
            kept: 1,
            ..Counts::default()
        };
        assert_eq!(counts.to_string(), "10 inserted, 1 kept");
        assert_eq!(Counts::default().to_string(), "no rows");
    }
}
