//! A reader that looks at the tables for as long as a run lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use test_postgres::Database;
use tokio::task::JoinHandle;

use crate::scenario::{Content, content};

/// Notes what readers see, one after the other.
pub(crate) struct Watcher {
    is_over: Arc<AtomicBool>,
    seen: JoinHandle<Vec<Content>>,
}

impl Watcher {
    pub(crate) async fn start(database: &Database<'_>) -> Self {
        let client = database.client().await;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let seen = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                // A crash of the server ends its connection, too.
                let Ok(content) = content(&client).await else {
                    break;
                };
                if seen.last() != Some(&content) {
                    seen.push(content);
                }
            }
            seen
        });
        Self { is_over, seen }
    }

    /// What was seen, each time that it was something else than before.
    pub(crate) async fn end(self) -> Vec<Content> {
        self.is_over.store(true, Ordering::Relaxed);
        self.seen.await.unwrap()
    }
}
