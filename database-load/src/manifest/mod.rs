//! What is loaded: data sets, each with its source, its table and its rules.

mod convention;
mod document;
mod embedded;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coupon_codes::Rule;
use serde::Deserialize;

use crate::error::Problem;
use crate::rejection::Rejections;

pub(crate) use embedded::EmbeddedFile;

/// The name of a manifest that stands in a data directory.
const FILE_NAME: &str = "manifest.yaml";
/// The column that vanished rows are marked in, unless the manifest names another.
pub(crate) const MARK_COLUMN: &str = "removed_at";

/// All data sets of a run, by name.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub(crate) data_sets: Vec<DataSet>,
}

/// A source, the table it belongs to, and how the one is brought into the other.
#[derive(Debug, Clone)]
pub(crate) struct DataSet {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) files: Files,
    pub(crate) content: Content,
    /// Fields of the source by column of the table, where the names differ.
    pub(crate) columns: BTreeMap<String, String>,
    /// Fields of the source that are not loaded.
    pub(crate) ignore: Vec<String>,
    /// The columns that tell rows apart, if not the primary key.
    pub(crate) key: Option<Vec<String>>,
    pub(crate) vanished: Option<Vanished>,
    pub(crate) mark_column: String,
    pub(crate) duplicates: Duplicates,
    pub(crate) guards: Guards,
    /// Whether it is left out where there are no files.
    pub(crate) is_optional: bool,
    /// Whether what was written is read back and compared.
    pub(crate) reads_back: bool,
}

/// Where a data set's files are.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// Compiled in.
    Embedded(EmbeddedFile),
    /// Those in a directory that match one of the patterns.
    Matching {
        directory: PathBuf,
        patterns: Vec<String>,
    },
}

/// What the files hold.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Rows of the table.
    Rows {
        /// By the files' names if not given.
        format: Option<Format>,
        csv: CsvOptions,
    },
    /// Lines, of which those that stand in several files are codes; the column takes them.
    Codes { rule: Rule, column: String },
}

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180 with a header
    Csv,
    /// One array of objects
    Json,
    /// An object on each line
    Ndjson,
}

/// How a CSV file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvOptions {
    pub(crate) encoding: Encoding,
    pub(crate) delimiter: u8,
    /// The text that stands for NULL.
    pub(crate) null: String,
}

/// How a file's bytes are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// What becomes of rows that are no longer in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Vanished {
    /// They stay as they are.
    Keep,
    /// They stay, with the time in the mark column.
    Mark,
    /// They are deleted, except those that other tables refer to.
    Delete,
}

/// Which row counts if several have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Duplicates {
    /// The first; the others are rejected.
    #[default]
    Reject,
    /// The first; the others are left out.
    First,
    /// The last; the others are left out.
    Last,
}

/// What stops a load that looks like an accident.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Guards {
    /// A source with fewer valid rows is not loaded.
    pub(crate) minimum_rows: u64,
    /// A source without more than this share of the table's rows is not loaded, from 0 to 1.
    pub(crate) largest_shrink: f64,
    /// So many rows may be rejected.
    pub(crate) rejects: u64,
    /// And at most this share of the source, from 0 to 1.
    pub(crate) reject_share: f64,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or directory cannot be read.
    #[error("{} cannot be read: {problem}", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        problem: String,
    },
    /// The manifest says something that is not understood.
    #[error("{}: {problem}", .path.display())]
    Invalid {
        /// The manifest.
        path: PathBuf,
        /// What, and where in the file.
        problem: String,
    },
    /// The directory holds nothing that could be loaded.
    #[error(
        "{} holds no data: neither {FILE_NAME} nor a file such as products.csv or products/1.csv",
        .path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A data set has no files.
    #[error("{data_set}: no file matches {patterns} in {}", .directory.display())]
    NoFiles {
        /// The data set.
        data_set: String,
        /// What was looked for.
        patterns: String,
        /// Where.
        directory: PathBuf,
    },
    /// A file's name does not tell how its rows are written.
    #[error(
        "{data_set}: the name of {file} does not tell its format: name it .csv, .json or .ndjson, or set `format`"
    )]
    UnknownFormat {
        /// The data set.
        data_set: String,
        /// The file.
        file: String,
    },
    /// Each of two data sets would take the other's rows as vanished.
    #[error(
        "{one} and {other} are loaded into one table, {table}, where each would take the other's rows as vanished: give \
         both `vanished: keep`, or make them one data set of several files"
    )]
    SharedTable {
        /// A data set.
        one: String,
        /// Another one.
        other: String,
        /// Their table.
        table: String,
    },
    /// A data set of this name was asked for.
    #[error("there is no data set {name}; there are {known}")]
    UnknownDataSet {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl Manifest {
    /// The data compiled in: order-food's.
    #[must_use]
    pub fn embedded() -> Self {
        embedded::manifest()
    }

    /// A manifest's file.
    pub fn from_file(path: &Path) -> Result<Self, ManifestError> {
        document::read(path)
    }

    /// A data directory: by its manifest if there is one, otherwise by the names of its files.
    pub fn from_directory(path: &Path) -> Result<Self, ManifestError> {
        let manifest = path.join(FILE_NAME);
        if manifest.is_file() {
            document::read(&manifest)
        } else {
            convention::read(path)
        }
    }

    /// The data sets of these names, all if there are none, and the others.
    pub(crate) fn only(self, names: &[String]) -> Result<(Self, Self), ManifestError> {
        if let Some(name) = names.iter().find(|name| self.find(name).is_none()) {
            return Err(ManifestError::UnknownDataSet {
                name: name.clone(),
                known: self.names().join(", "),
            });
        }
        let is_wanted = |set: &DataSet| names.is_empty() || names.contains(&set.name);
        let (data_sets, others) = self.data_sets.into_iter().partition(is_wanted);
        Ok((Self { data_sets }, Self { data_sets: others }))
    }

    fn find(&self, name: &str) -> Option<&DataSet> {
        self.data_sets.iter().find(|set| set.name == name)
    }

    fn names(&self) -> Vec<String> {
        self.data_sets.iter().map(|set| set.name.clone()).collect()
    }
}

impl DataSet {
    /// A data set with the rules that hold where nothing else is said.
    fn new(name: &str, files: Files, content: Content) -> Self {
        let vanished = match content {
            Content::Rows { .. } => None,
            Content::Codes { .. } => Some(Vanished::Delete),
        };
        Self {
            name: name.to_owned(),
            table: name.to_owned(),
            files,
            content,
            columns: BTreeMap::new(),
            ignore: Vec::new(),
            key: None,
            vanished,
            mark_column: MARK_COLUMN.to_owned(),
            duplicates: Duplicates::default(),
            guards: Guards::default(),
            is_optional: false,
            reads_back: true,
        }
    }
}

impl Content {
    /// Rows in a format that the files' names tell.
    fn rows() -> Self {
        Self::Rows {
            format: None,
            csv: CsvOptions::default(),
        }
    }

    /// Coupon codes as order-food has them.
    fn coupon_codes() -> Self {
        Self::Codes {
            rule: Rule {
                minimum_length: 8,
                maximum_length: 10,
                minimum_files: 2,
            },
            column: "code".to_owned(),
        }
    }
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            encoding: Encoding::default(),
            delimiter: b',',
            null: String::new(),
        }
    }
}

impl Guards {
    /// Stops a source of which too many rows cannot be loaded.
    pub(crate) fn against_rejects(
        &self,
        read: u64,
        rejections: &Rejections,
    ) -> Result<(), Problem> {
        let rejected = rejections.count();
        self.exceeded_by_rejects(rejected, read)
            .map_or(Ok(()), |guard| {
                Err(Problem::BadData {
                    read,
                    rejected,
                    guard,
                    rejections: rejections.to_string(),
                    is_kept: true,
                })
            })
    }

    /// Stops a source that has too few rows.
    pub(crate) fn against_few_rows(&self, read: u64, valid: u64) -> Result<(), Problem> {
        if read == 0 && self.minimum_rows > 0 {
            return Err(Problem::Empty);
        }
        if valid < self.minimum_rows {
            return Err(Problem::TooFewRows {
                valid,
                minimum: self.minimum_rows,
            });
        }
        Ok(())
    }

    /// The guard that does not allow so many of the rows read to be rejected, as a message has it.
    fn exceeded_by_rejects(&self, rejected: u64, read: u64) -> Option<String> {
        let by_guard = |limit: String, guard: &str| {
            format!(", more than the {limit} that the guard {guard} allows")
        };
        if rejected > self.rejects {
            let limit = Some(self.rejects).filter(|limit| *limit > 0);
            return Some(
                limit.map_or_else(String::new, |limit| by_guard(limit.to_string(), "rejects")),
            );
        }
        (share(rejected, read) > self.reject_share)
            .then(|| by_guard(percent(self.reject_share), "reject_share"))
    }
}

/// A share from 0 to 1.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// A share as the manifest has it.
pub(crate) fn percent(share: f64) -> String {
    // A percentage such as 2.5 is no sum of powers of two.
    format!("{}%", (share * 1e6).round() / 1e4)
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            minimum_rows: 1,
            largest_shrink: 0.5,
            rejects: 0,
            reject_share: 1.0,
        }
    }
}

impl Format {
    /// As the manifest has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }

    /// From a file's name without what tells of its compression.
    pub(crate) fn of_name(name: &Path) -> Option<Self> {
        match name.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}
