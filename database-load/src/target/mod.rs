//! The table that is loaded: its columns, the staging table beside it, and the comparison of the two.

mod column;
mod difference;
mod staging;
mod table;

pub(crate) use difference::{Difference, write_difference};
pub(crate) use staging::{Staging, rejections};
pub(crate) use table::Table;
pub use table::TableError;
