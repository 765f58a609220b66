//! The migration files that were compiled into the program.

use std::path::PathBuf;

use crate::files::directory::Entry;
use crate::files::problem::Problem;
use crate::files::read::{self, ReadFile};

/// File names and contents, which the build script has found.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Parses all of them.
pub(super) fn all() -> Vec<Result<ReadFile, Vec<Problem>>> {
    FILES
        .iter()
        .map(|(name, content)| {
            let entry = Entry::new(PathBuf::from(name)).map_err(|problem| vec![problem])?;
            read::parse(entry, content)
        })
        .collect()
}
