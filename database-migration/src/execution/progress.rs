//! Telling how far a long statement is, every few seconds.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use connection::{Connection, Connector};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio_postgres::SimpleQueryMessage;
use tracing::info;

use crate::execution::Change;
use crate::session::{Running, Session};

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(5);
/// On a terminal, where a bar moves.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(1);

/// Watches one change from a connection of its own.
pub(super) struct Progress<'run> {
    connector: &'run Connector,
    running: watch::Receiver<Option<Running>>,
    process: i32,
    name: String,
}

impl<'run> Progress<'run> {
    pub(super) fn new(connector: &'run Connector, session: &Session, change: &Change<'_>) -> Self {
        Self {
            connector,
            running: session.running(),
            process: session.location().server_process,
            name: format!("{} {}", change.version, change.name),
        }
    }

    /// Runs `work` to its end and tells meanwhile how far it is.
    pub(super) async fn during<Outcome>(self, work: impl Future<Output = Outcome>) -> Outcome {
        let mut work = pin!(work);
        tokio::select! {
            outcome = &mut work => outcome,
            () = self.tell() => unreachable!("the progress is told for ever"),
        }
    }

    async fn tell(self) {
        let bar = std::io::stderr().is_terminal().then(Bar::new);
        let interval = if bar.is_some() {
            TERMINAL_INTERVAL
        } else {
            INTERVAL
        };
        let mut watching = None;
        loop {
            tokio::time::sleep(interval).await;
            let running = self.running.borrow().clone();
            let Some(running) = running.filter(|running| running.since.elapsed() >= interval / 2)
            else {
                if let Some(bar) = &bar {
                    bar.clear();
                }
                continue;
            };
            if watching.is_none() {
                watching = self.watch().await;
            }
            let phase = match &watching {
                Some(connection) => phase(connection, self.process).await,
                None => None,
            };
            let line = line(&self.name, &running, phase.as_ref());
            if let Some(bar) = &bar {
                bar.show(line, phase.as_ref());
            } else {
                info!("{line}");
            }
        }
    }

    /// The progress is worth little; where the server has no connection to spare it is left out.
    async fn watch(&self) -> Option<Connection> {
        self.connector.connect().await.ok()
    }
}

/// What PostgreSQL reports of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Phase {
    name: String,
    done: u64,
    total: u64,
    unit: String,
}

impl Phase {
    fn percent(&self) -> Option<u64> {
        (self.done * 100).checked_div(self.total)
    }
}

async fn phase(connection: &Connection, process: i32) -> Option<Phase> {
    let answer = connection
        .simple_query(&format!(
            "SELECT phase, done, total, unit FROM (
                 SELECT pid, phase, CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END,
                        CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END,
                        CASE WHEN tuples_total > 0 THEN 'rows' ELSE 'blocks' END
                 FROM pg_stat_progress_create_index
                 UNION ALL
                 SELECT pid, phase, heap_blks_scanned, heap_blks_total, 'blocks' FROM pg_stat_progress_vacuum
                 UNION ALL
                 SELECT pid, phase, heap_blks_scanned, heap_blks_total, 'blocks' FROM pg_stat_progress_cluster
                 UNION ALL
                 SELECT pid, phase, sample_blks_scanned, sample_blks_total, 'blocks' FROM pg_stat_progress_analyze
                 UNION ALL
                 SELECT pid, tuples_processed || ' rows copied', bytes_processed, bytes_total, 'bytes'
                 FROM pg_stat_progress_copy
             ) AS progress (pid, phase, done, total, unit)
             WHERE pid = {process}"
        ))
        .await
        .ok()?;
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(Phase {
            name: row.get(0)?.to_owned(),
            done: row.get(1)?.parse().ok()?,
            total: row.get(2)?.parse().ok()?,
            unit: row.get(3)?.to_owned(),
        }),
        _ => None,
    })
}

fn line(name: &str, running: &Running, phase: Option<&Phase>) -> String {
    let summary = &running.summary;
    let seconds = running.since.elapsed().as_secs();
    let line = format!("{name}: {summary} has been running for {seconds} s");
    let Some(phase) = phase else {
        return line;
    };
    let Phase {
        name: phase_name,
        done,
        total,
        unit,
    } = phase;
    match phase.percent() {
        Some(percent) => {
            format!("{line}, {phase_name}, {percent} % ({done} of {total} {unit})")
        }
        None => format!("{line}, {phase_name}"),
    }
}

/// A bar on a terminal, gone when nothing runs for long.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(100);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, line: String, phase: Option<&Phase>) {
        self.0
            .set_position(phase.and_then(Phase::percent).unwrap_or(0));
        self.0.set_message(line);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
        self.0.reset();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_line_says_what_runs_and_how_far_it_is() {
        let running = Running {
            summary: "CREATE INDEX CONCURRENTLY i".to_owned(),
            since: Instant::now(),
        };
        let phase = Phase {
            name: "building index: scanning table".to_owned(),
            done: 25,
            total: 100,
            unit: "blocks".to_owned(),
        };
        assert_eq!(
            line("7 add_index", &running, Some(&phase)),
            "7 add_index: CREATE INDEX CONCURRENTLY i has been running for 0 s, building index: scanning table, 25 % \
             (25 of 100 blocks)"
        );
        let waiting = Phase { total: 0, ..phase };
        assert!(line("7 add_index", &running, Some(&waiting)).ends_with("scanning table"));
    }
}
