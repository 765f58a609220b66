//! Migration files: which there are, and what they say.

mod name;
mod sectioned;
mod set;

pub use set::{FileError, MigrationFile, MigrationSet, Problem};
