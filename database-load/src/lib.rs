//! Loads and refreshes reference data.
//!
//! A data set's source is read row by row, each row is checked against the table's own columns, and the rows go by COPY
//! into a staging table. There source and table are compared, and only what differs is written, all in one transaction:
//! readers see the old set or the new one.

pub mod command_line;
mod commands;
mod data_set;
mod rejection;
mod settings;
mod source;
mod target;

pub use commands::load::{LoadError, Summary, load};
pub use rejection::{Rejection, Rejections};
pub use settings::{LoadSettings, VARIABLES};
pub use source::SourceError;
pub use target::TableError;
