//! The hash of a file's content.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{DataFileError, PIECE};

/// BLAKE3 of a file's bytes as they are stored, compressed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Reads a whole file for its hash.
    pub fn of_file(path: &Path) -> Result<Self, DataFileError> {
        let mut file = File::open(path).map_err(|error| DataFileError::Open {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(Self::finish(&hasher)),
                Ok(length) => {
                    hasher.update(&piece[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(DataFileError::Read {
                        path: path.to_owned(),
                        problem: error.to_string(),
                    });
                }
            }
        }
    }

    /// Of bytes that are in memory.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Of several files, in their order.
    #[must_use]
    pub fn of_all(parts: &[Self]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&part.0);
        }
        Self::finish(&hasher)
    }

    pub(crate) fn finish(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}
