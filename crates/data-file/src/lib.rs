//! Reads data files, compressed or not, and tells whether they have changed.
//!
//! A file is read twice: once for the hash of its content, which tells whether there is anything to do, and once for its
//! rows. The second reading must find what the first one did, so that a file that is replaced, written to or cut off
//! meanwhile is not taken for the one that was looked at.

mod compression;
mod content_hash;
mod reader;
mod zstandard;

use std::path::PathBuf;

pub use compression::Compression;
pub use content_hash::ContentHash;
pub use reader::{Reader, open, open_bytes};

/// Files are read in pieces of this size, in bytes.
const PIECE: usize = 256 * 1024;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataFileError {
    /// It cannot be opened.
    #[error("{} cannot be opened: {problem}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        problem: String,
    },
    /// Reading broke off.
    #[error("{}: reading broke off: {problem}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason of the operating system, or of the decompression.
        problem: String,
    },
    /// It is not what it was when its hash was taken.
    #[error("{} was changed while it was read", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}
