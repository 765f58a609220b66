//! SIGTERM and SIGINT as something that can be awaited.
//!
//! Kubernetes sends SIGTERM; a process with id 1 gets no default handler from the kernel, so a container that does not
//! listen is killed after its grace period.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long interrupted work may take to roll back.
pub const GRACE: Duration = Duration::from_secs(1);
/// How long it may take to interrupt it: a server that is no longer there does not answer.
const INTERRUPTION: Duration = Duration::from_millis(400);

/// Tells whether the process was asked to stop. Clones share the state.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

impl Shutdown {
    /// Installs the signal handlers. Must be called inside a Tokio runtime.
    pub fn listen() -> std::io::Result<Self> {
        let (sender, requested) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_replace(true);
            // Kept alive so that receivers see the value for the rest of the process's life.
            sender.closed().await;
        });
        Ok(Self { requested })
    }

    /// A shutdown that is never requested, for callers that handle signals themselves.
    #[must_use]
    pub fn never() -> Self {
        let (sender, requested) = watch::channel(false);
        drop(sender);
        Self { requested }
    }

    /// Runs `work` to its end, or until the process is asked to stop: then `interrupt` is run, `work` gets [`GRACE`] to
    /// roll back, and the outcome is `None`. What it is still at after that is interrupted, too. All of it takes less than
    /// two seconds.
    pub async fn guard<Outcome>(
        &self,
        work: impl Future<Output = Outcome>,
        interrupt: impl AsyncFn(),
    ) -> Option<Outcome> {
        let mut work = pin!(work);
        tokio::select! {
            outcome = &mut work => return Some(outcome),
            () = self.requested() => {}
        }
        // Whether it was interrupted in time or not, there is nothing else to be done.
        let interrupted = async || drop(tokio::time::timeout(INTERRUPTION, interrupt()).await);
        interrupted().await;
        if tokio::time::timeout(GRACE, work).await.is_err() {
            interrupted().await;
        }
        None
    }

    /// Returns once the process was asked to stop.
    pub async fn requested(&self) {
        let mut requested = self.requested.clone();
        if requested.wait_for(|requested| *requested).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn an_interruption_that_nobody_answers_does_not_hold_the_process() {
        let (_sender, requested) = watch::channel(true);
        let shutdown = Shutdown { requested };
        let guarded = shutdown.guard(pending::<()>(), async || pending().await);
        let outcome = tokio::time::timeout(Duration::from_secs(20), guarded).await;
        assert_eq!(outcome, Ok(None));
    }
}
