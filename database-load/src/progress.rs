//! Telling how far a load is, every few seconds.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tracing::info;

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(5);
/// On a terminal, where a bar moves.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// Runs `work` to its end and tells meanwhile what it is at, where nothing tells how far that is.
pub(crate) async fn telling<Outcome>(what: &str, work: impl Future<Output = Outcome>) -> Outcome {
    let started = Instant::now();
    let mut work = pin!(work);
    loop {
        if let Ok(outcome) = tokio::time::timeout(INTERVAL, &mut work).await {
            return outcome;
        }
        info!("{what} since {} s", started.elapsed().as_secs());
    }
}

/// How far the reading of one data set is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Bytes read of the source, as they are stored.
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) rows: AtomicU64,
    /// Of codes, which are counted while they are derived.
    pub(crate) codes: coupon_codes::Progress,
    name: String,
    total: u64,
    started: Instant,
}

impl Progress {
    /// Of a data set whose source has `total` bytes.
    pub(crate) fn new(name: &str, total: u64) -> Self {
        Self {
            bytes: Arc::default(),
            rows: AtomicU64::default(),
            codes: coupon_codes::Progress::default(),
            name: name.to_owned(),
            total,
            started: Instant::now(),
        }
    }

    /// The source is read from its start once more.
    pub(crate) fn restart(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.codes.stored_bytes()
    }

    /// Runs `work` to its end and tells meanwhile how far it is.
    pub(crate) async fn during<Outcome>(&self, work: impl Future<Output = Outcome>) -> Outcome {
        let mut work = pin!(work);
        tokio::select! {
            outcome = &mut work => outcome,
            () = self.tell() => unreachable!("the progress is told for ever"),
        }
    }

    async fn tell(&self) {
        let bar = std::io::stderr().is_terminal().then(Bar::new);
        loop {
            tokio::time::sleep(bar.as_ref().map_or(INTERVAL, |_| TERMINAL_INTERVAL)).await;
            let line = self.line(self.started.elapsed());
            if let Some(bar) = &bar {
                bar.show(line, self.percent());
            } else {
                info!("{line}");
            }
        }
    }

    fn percent(&self) -> u64 {
        let bytes = self.bytes().min(self.total);
        (bytes * 100).checked_div(self.total).unwrap_or(100)
    }

    fn line(&self, elapsed: Duration) -> String {
        let rows = self.rows.load(Ordering::Relaxed).max(self.codes.lines());
        let bytes = self.bytes().min(self.total);
        let line = format!(
            "{}: {} rows read, {} of {} ({} %)",
            self.name,
            HumanCount(rows),
            HumanBytes(bytes),
            HumanBytes(self.total),
            self.percent()
        );
        if bytes == self.total || bytes == 0 {
            return format!(
                "{line}, the server is at work since {} s",
                elapsed.as_secs()
            );
        }
        let milliseconds = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = bytes.saturating_mul(1000) / milliseconds;
        let rest = (self.total - bytes).checked_div(rate.max(1)).unwrap_or(0);
        format!("{line}, {}/s, about {rest} s to go", HumanBytes(rate))
    }
}

/// A bar on a terminal, gone at the end.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(100);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, line: String, percent: u64) {
        self.0.set_position(percent);
        self.0.set_message(line);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_may_take() {
        let progress = Progress::new("products", 4 << 20);
        progress.bytes.store(1 << 20, Ordering::Relaxed);
        progress.rows.store(12_345, Ordering::Relaxed);
        assert_eq!(
            progress.line(Duration::from_secs(10)),
            "products: 12,345 rows read, 1.00 MiB of 4.00 MiB (25 %), 102.40 KiB/s, about 30 s to go"
        );
        progress.bytes.store(4 << 20, Ordering::Relaxed);
        assert_eq!(
            progress.line(Duration::from_secs(10)),
            "products: 12,345 rows read, 4.00 MiB of 4.00 MiB (100 %), the server is at work since 10 s"
        );
    }
}
