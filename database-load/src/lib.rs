//! Loads and refreshes reference data.
//!
//! A manifest, or the names of the files in a directory, say which source goes into which table. A source is read row by
//! row, each row is checked against the table's own columns, and what the table does not have goes there by COPY, all in
//! one transaction: readers see the old set or the new one. A source that was loaded before is known by its hash.

mod codes;
pub mod command_line;
mod commands;
mod error;
mod history;
mod loading;
mod manifest;
mod metrics;
mod progress;
mod rejection;
mod report;
mod settings;
mod source;
mod target;

pub use commands::export::{Export, export};
pub use commands::load::load;
pub use commands::rejects::rejects;
pub use commands::status::{Status, status};
pub use commands::validate::validate;
pub use commands::verify::verify;
pub use error::{LoadError, Problem};
pub use history::{DataSetStatus, Outcome};
pub use loading::{Counts, Sample};
pub use manifest::{Format, Manifest, ManifestError};
pub use report::{DataSetReport, Summary};
pub use settings::{IfRunning, LoadSettings, Origin, Overrides, VARIABLES};
pub use source::{LayoutError, SourceError};
pub use target::TableError;
