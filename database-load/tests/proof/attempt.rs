//! A run that is disturbed, and the judgement of what it left.

use std::time::Instant;

use test_postgres::Database;
use test_process::{Ended, Running};
use test_proof::ensure;
use tokio_postgres::Client;

use crate::scenario::{Content, DATA_SETS, LIMIT, PARTS, Scenario, Set, content, nothing_is_left};
use crate::watcher::Watcher;

pub(crate) struct Attempt<'run> {
    scenario: &'run Scenario,
    database: &'run Database<'run>,
    pub(crate) before: Content,
    /// The last number in the history.
    last_run: i64,
    pub(crate) target: Set,
    watcher: Watcher,
    pub(crate) run: Running,
}

impl<'run> Attempt<'run> {
    pub(crate) async fn begin(
        scenario: &'run Scenario,
        database: &'run Database<'run>,
        target: Set,
    ) -> Self {
        let client = database.client().await;
        let last_run = "SELECT coalesce(max(id), 0) FROM load_run";
        Self {
            scenario,
            database,
            before: content(&client).await.unwrap(),
            last_run: client.query_one(last_run, &[]).await.unwrap().get(0),
            target,
            watcher: Watcher::start(database).await,
            run: scenario.start(database, target),
        }
    }

    /// Waits for the end, and looks whether each table is as before or as the source, and was at any moment. Returns
    /// also when the server had forgotten the loader.
    pub(crate) async fn judge(self) -> Result<(Ended, Instant), String> {
        let ended = self.run.end_within(LIMIT);
        nothing_is_left(self.database).await?;
        let forgotten = Instant::now();
        let client = self.database.client().await;
        let after = content(&client).await.unwrap();
        let target = self.scenario.content(self.target);
        ensure(ended.code != Some(0) || after == *target, || {
            format!("it ended well without having loaded: {ended:?}")
        })?;
        let mut seen = self.watcher.end().await;
        seen.insert(0, self.before.clone());
        seen.push(after.clone());
        for part in [0, 1] {
            let mut found: Vec<_> = seen
                .iter()
                .map(|content| self.scenario.name(&content[part], part))
                .collect();
            found.dedup();
            let [old, new] =
                [&self.before, target].map(|content| self.scenario.name(&content[part], part));
            ensure(found == [&old[..]] || found == [old, new], || {
                format!("part {part} of the tables was, in turn, {found:?}")
            })?;
        }
        for (number, data_set) in DATA_SETS.iter().enumerate() {
            let part = PARTS[number];
            let told = told(&client, data_set, self.last_run).await;
            let loaded = format!("loaded {}", self.scenario.hashes(self.target)[number]);
            let is_true = if after[part] == self.before[part] {
                told.iter().all(|told| told.starts_with("failed"))
            } else {
                told == [loaded]
            };
            ensure(is_true, || {
                format!(
                    "{data_set} holds {}, and the history tells of {told:?}",
                    self.scenario.name(&after[part], part)
                )
            })?;
        }
        Ok((ended, forgotten))
    }
}

/// What the history tells of the runs since.
async fn told(client: &Client, data_set: &str, last_run: i64) -> Vec<String> {
    let query = "SELECT concat_ws(' ', outcome, source_hash) FROM load_run
                 WHERE data_set = $1 AND id > $2 ORDER BY id";
    let rows = client.query(query, &[&data_set, &last_run]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
