//! How far a derivation has come, and a way to stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::CouponError;

/// How far a derivation has come, and a way to stop it. It may be looked at and stopped from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    pub(crate) stored_bytes: Arc<AtomicU64>,
    pub(crate) lines: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// Bytes of the files that are done with, as they are stored.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// Lines that are done with.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Makes the derivation end within 100 milliseconds, with [`CouponError::Stopped`] unless it is done just then. Only
    /// the operating system may make it wait: for a disk, or while it removes what an earlier run has left.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<(), CouponError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(CouponError::Stopped);
        }
        Ok(())
    }
}
