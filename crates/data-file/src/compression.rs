//! How a file is compressed.

use std::path::Path;

/// How a file is compressed, as its first bytes say, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878.
    Zstandard,
}

impl Compression {
    /// From the first four bytes of a file, or fewer if there are no more.
    pub(crate) fn of(start: &[u8]) -> Self {
        if start.starts_with(&[0x1F, 0x8B]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            Self::Zstandard
        } else {
            Self::None
        }
    }

    /// A file's name without the ending that only tells of its compression.
    #[must_use]
    pub fn strip_extension(path: &Path) -> &Path {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz" | "zst") => path.file_stem().map_or(path, Path::new),
            _ => path.file_name().map_or(path, Path::new),
        }
    }
}
