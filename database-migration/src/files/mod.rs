//! Migration files: which there are, and what they say.
//!
//! How a file is named and laid out is its [`style::Style`]; a further style is one more file here and its line in
//! [`style::STYLES`].

mod checksum;
mod directory;
mod draft;
mod embedded;
#[cfg(test)]
pub(crate) mod fuzz;
mod header;
mod migration_file;
mod name;
mod pairs;
mod problem;
mod read;
mod refinery_style;
mod sectioned;
mod set;
mod style;
mod text;

pub(crate) use draft::{NewFile, Surroundings, name_of_words};
pub(crate) use header::transaction_of;
pub use header::{Header, HeaderLine, Transaction};
pub use migration_file::{DownScript, MigrationFile};
pub(crate) use problem::list;
pub use problem::{FileError, Problem};
pub use set::MigrationSet;
pub use style::Direction;
