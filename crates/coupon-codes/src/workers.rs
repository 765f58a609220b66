//! Doing several tasks side by side.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::{CouponError, Progress};

/// The most threads at a time. Each needs memory of its own, so more would break the bound.
pub(crate) const MOST: usize = 4;

/// Threads that share some tasks, until one fails or all are stopped.
pub(crate) struct Workers<'a> {
    tasks: usize,
    next: AtomicUsize,
    failed: AtomicBool,
    progress: &'a Progress,
}

impl<'a> Workers<'a> {
    pub(crate) fn new(tasks: usize, progress: &'a Progress) -> Self {
        Self {
            tasks,
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            progress,
        }
    }

    /// Runs some threads, each of which does tasks until there are no more, and gives what each of them ends with.
    pub(crate) fn run<R: Send>(
        &self,
        threads: usize,
        work: impl Fn() -> Result<R, CouponError> + Sync,
    ) -> Result<Vec<R>, CouponError> {
        let work = || work().inspect_err(|_| self.failed.store(true, Ordering::Relaxed));
        let mut ends: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        // Others stop when one fails; the reason is what that one says.
        ends.sort_by_key(|end| matches!(end, Err(CouponError::Stopped)));
        ends.into_iter().collect()
    }

    /// The next task.
    pub(crate) fn next(&self) -> Option<usize> {
        let task = self.next.fetch_add(1, Ordering::Relaxed);
        (task < self.tasks).then_some(task)
    }

    /// To be called every few milliseconds.
    pub(crate) fn check(&self) -> Result<(), CouponError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(CouponError::Stopped);
        }
        self.progress.check()
    }
}
