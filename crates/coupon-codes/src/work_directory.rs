//! The directory of temporary files.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::{CouponError, Progress};

/// All files of ours begin so, whatever else is in the directory.
const PREFIX: &str = "coupon-codes-";
/// It stays when all else is removed: who waits for it has it open already.
const LOCK: &str = "coupon-codes.lock";
/// How often it is tried to get the lock.
const PATIENCE: Duration = Duration::from_millis(20);

/// The directory of a derivation, locked against all others until it is dropped.
#[derive(Debug)]
pub struct WorkDirectory {
    path: PathBuf,
    /// The lock goes with it.
    _lock: File,
    usage: Usage,
}

/// What tells how much disk is needed, when it is full.
#[derive(Debug)]
struct Usage {
    /// Bytes of all files to be scanned, as they are stored.
    files: u64,
    /// Those that are done with.
    done: Arc<AtomicU64>,
    /// Bytes of the codes that were found in these.
    found: AtomicU64,
    /// Bytes that were written.
    written: AtomicU64,
}

impl WorkDirectory {
    /// Waits until no other derivation uses the directory. The files that will be scanned have so many bytes.
    pub(crate) fn lock(path: &Path, files: u64, progress: &Progress) -> Result<Self, CouponError> {
        fs::create_dir_all(path).map_err(|error| work_error(path, &error))?;
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| work_error(&lock_path, &error))?;
        loop {
            progress.check()?;
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => std::thread::sleep(PATIENCE),
                Err(TryLockError::Error(error)) => return Err(work_error(&lock_path, &error)),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            usage: Usage {
                files,
                done: Arc::clone(&progress.stored_bytes),
                found: AtomicU64::new(0),
                written: AtomicU64::new(0),
            },
        })
    }

    /// Removes all temporary files, when what was derived is stored; they would only spare the next run some work. An
    /// empty file `coupon-codes.lock` stays.
    pub fn clean(self) -> Result<(), CouponError> {
        self.remove_all_but(&[])
    }

    /// Removes some of the files that are kept, unless a derivation is at work in the directory.
    pub(crate) fn remove(path: &Path, names: &[String]) -> Result<(), CouponError> {
        let kept = names.iter().map(|name| kept_path(path, name));
        let kept: Vec<_> = kept.filter(|kept| kept.exists()).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .write(true)
            .open(&lock_path)
            .map_err(|error| work_error(&lock_path, &error))?;
        match lock.try_lock() {
            Ok(()) => kept.iter().try_for_each(|kept| {
                fs::remove_file(kept).map_err(|error| work_error(kept, &error))
            }),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(work_error(&lock_path, &error)),
        }
    }

    /// Removes what other runs have left.
    pub(crate) fn remove_all_but(&self, kept: &[PathBuf]) -> Result<(), CouponError> {
        for entry in fs::read_dir(&self.path).map_err(|error| self.error(&error))? {
            let entry = entry.map_err(|error| self.error(&error))?;
            let path = entry.path();
            let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_ours && !kept.contains(&path) {
                fs::remove_file(&path).map_err(|error| work_error(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Where something is kept.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        kept_path(&self.path, name)
    }

    /// A file that is gone when it is dropped.
    pub(crate) fn temporary_file(&self) -> Result<NamedTempFile, CouponError> {
        tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(".partial")
            .tempfile_in(&self.path)
            .map_err(|error| self.error(&error))
    }

    /// The error of writing to a temporary file.
    pub(crate) fn error(&self, error: &io::Error) -> CouponError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CouponError::DiskFull {
                directory: self.path.clone(),
                written: self.usage.written.load(Ordering::Relaxed),
                needed: self.usage.needed(),
            },
            _ => work_error(&self.path, error),
        }
    }

    /// Counts bytes of codes that were found.
    pub(crate) fn add_found(&self, bytes: u64) {
        self.usage.found.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were written.
    pub(crate) fn add_written(&self, bytes: u64) {
        self.usage.written.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Usage {
    /// What is yet to be read is taken to hold as many codes as what was read.
    fn needed(&self) -> u64 {
        let found = self.found.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).max(1);
        let needed = u128::from(found) * u128::from(self.files) / u128::from(done);
        u64::try_from(needed).unwrap_or(u64::MAX).max(found)
    }
}

fn kept_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{PREFIX}{name}"))
}

pub(crate) fn work_error(path: &Path, error: &io::Error) -> CouponError {
    CouponError::Work {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}
