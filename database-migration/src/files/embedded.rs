//! The migration files that were compiled into the program.

use std::path::PathBuf;

use crate::files::directory::{self, Entry, Source};
use crate::files::problem::Problem;

/// File names and contents, which the build script has found.
pub(super) const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Lists such files as if they were in one directory.
pub(super) fn list(files: &[(&str, &'static [u8])], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, content) in files {
        match Entry::new(PathBuf::from(name), Source::Embedded(content)) {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    directory::require_one_style(&entries, problems);
    entries
}
