//! Reading a file's content, decompressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::zstandard::Zstandard;
use crate::{Compression, ContentHash, DataFileError, PIECE};

/// A file's content, decompressed. At its end the file is compared with the hash it is expected to have; a difference is
/// an error of the last read, as is a compressed file that is cut off.
pub struct Reader {
    path: PathBuf,
    expected: ContentHash,
    content: Box<dyn Read + Send>,
}

/// Opens a file. `progress` is raised by the bytes that are read of it, as they are stored.
pub fn open(
    path: &Path,
    expected: ContentHash,
    progress: Arc<AtomicU64>,
) -> Result<Reader, DataFileError> {
    let file = File::open(path).map_err(|error| DataFileError::Open {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    Reader::new(path, file, expected, progress)
}

/// Opens bytes that are in memory like a file; the path is for messages.
pub fn open_bytes(
    path: &Path,
    bytes: &'static [u8],
    progress: Arc<AtomicU64>,
) -> Result<Reader, DataFileError> {
    Reader::new(path, bytes, ContentHash::of_bytes(bytes), progress)
}

impl Reader {
    fn new(
        path: &Path,
        bytes: impl Read + Send + 'static,
        expected: ContentHash,
        progress: Arc<AtomicU64>,
    ) -> Result<Self, DataFileError> {
        let stored = Stored {
            bytes,
            hasher: blake3::Hasher::new(),
            expected,
            progress,
        };
        let mut stored = BufReader::with_capacity(PIECE, stored);
        let start = stored
            .fill_buf()
            .map_err(|error| Reader::error(path, &error))?;
        let content: Box<dyn Read + Send> = match Compression::of(start) {
            Compression::None => Box::new(stored),
            Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
            Compression::Zstandard => Box::new(Zstandard::new(stored)),
        };
        Ok(Self {
            path: path.to_owned(),
            expected,
            content,
        })
    }

    /// The error of this file that a failed read stands for.
    #[must_use]
    pub fn error(path: &Path, error: &io::Error) -> DataFileError {
        let path = path.to_owned();
        if matches!(error.get_ref(), Some(inner) if inner.is::<Changed>()) {
            return DataFileError::Changed { path };
        }
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the compressed file is cut off".to_owned(),
            _ => error.to_string(),
        };
        DataFileError::Read { path, problem }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A change in the middle of a compressed file shows as damage before the end is reached.
    fn is_changed(&self) -> bool {
        ContentHash::of_file(&self.path).is_ok_and(|hash| hash != self.expected)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::Interrupted => error,
                _ if self.is_changed() => io::Error::other(Changed),
                _ => error,
            })
    }
}

/// The error of a file that is not what it was.
#[derive(Debug, thiserror::Error)]
#[error("the file was changed while it was read")]
struct Changed;

/// A file's bytes as they are stored.
struct Stored<Bytes> {
    bytes: Bytes,
    hasher: blake3::Hasher,
    expected: ContentHash,
    progress: Arc<AtomicU64>,
}

impl<Bytes: Read> Read for Stored<Bytes> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        if length == 0 && !buffer.is_empty() && ContentHash::finish(&self.hasher) != self.expected {
            return Err(io::Error::other(Changed));
        }
        self.hasher.update(&buffer[..length]);
        self.progress.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
