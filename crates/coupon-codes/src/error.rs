//! Why codes cannot be derived.

use std::path::PathBuf;

use data_file::DataFileError;

/// Why codes cannot be derived.
#[derive(Debug, thiserror::Error)]
pub enum CouponError {
    /// Two of the files are the same, so each code of theirs would count twice.
    #[error("{} and {} have the same content, so each code of theirs would count twice", .one_path.display(), .other_path.display())]
    SameContent {
        /// A file.
        one_path: PathBuf,
        /// Its copy.
        other_path: PathBuf,
    },
    /// Two of the files differ in the endings of their names only, so they are taken for copies of one.
    #[error("{} and {} are the same file by their names, so each code of theirs would count twice", .one_path.display(), .other_path.display())]
    SameName {
        /// A file.
        one_path: PathBuf,
        /// Its copy.
        other_path: PathBuf,
    },
    /// A file of codes cannot be read, or was changed since its hash was taken.
    #[error(transparent)]
    File(#[from] DataFileError),
    /// The work directory, or a file in it, cannot be made, locked, read, written or removed.
    #[error("{}: {problem}", .path.display())]
    Work {
        /// The directory or the file.
        path: PathBuf,
        /// The operating system's reason.
        problem: String,
    },
    /// The work directory's disk is full, or a quota is used up. Finished scans are kept.
    #[error("the disk of {} is full: {written} bytes were written, about {needed} are needed in all", .directory.display())]
    DiskFull {
        /// The work directory.
        directory: PathBuf,
        /// Bytes that this run had written, besides those of kept scans.
        written: u64,
        /// Bytes that all scans will need, as far as can be told from what was read.
        needed: u64,
    },
    /// [`Progress::stop`](crate::Progress::stop) was called.
    #[error("the derivation was stopped")]
    Stopped,
}
