//! A migration that locks a busy table while a long transaction reads it: the application's queries do not queue.

use std::time::{Duration, Instant};

use test_postgres::{Database, Server};
use test_process::start;
use test_proof::{ensure, prove, size};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::scenario::{LIMIT, directory, program, versions_of};

const LOCK_TIMEOUT: &str = "300ms";
const READER: Duration = Duration::from_secs(8);
/// Five times the lock timeout and a little, for a busy machine; a query that waits for the reader takes longer.
const QUEUED: Duration = Duration::from_millis(1_800);
const CLIENTS: i32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn queries_do_not_queue_behind_a_migration_that_waits_for_its_lock() {
    let directory = directory(&[(
        "1_column.sql",
        "-- +++++ UP\nALTER TABLE busy ALTER COLUMN n TYPE bigint;",
    )]);
    prove(
        "lock storm",
        size("PROOF_STORM_ROUNDS", 1),
        "longest wait of a query",
        async |random| {
            let database = Server::shared().database().await;
            database
                .execute(
                    "CREATE TABLE busy (id int PRIMARY KEY, n int);
                     INSERT INTO busy SELECT generate_series(1, 100), 0",
                )
                .await;
            let mut reader = database.client().await;
            let reader = reader.transaction().await.unwrap();
            reader.batch_execute("SELECT FROM busy").await.unwrap();
            let mut traffic = JoinSet::new();
            for client in 1..=CLIENTS {
                traffic.spawn(queries(database.client().await, client));
            }

            sleep(random.moment(Duration::from_millis(500))).await;
            let migration =
                start(program(&database, &directory).env("MIGRATION_LOCK_TIMEOUT", LOCK_TIMEOUT));
            sleep(READER).await;
            let is_too_early = is_applied(&database).await;
            reader.commit().await.unwrap();
            let ended = tokio::task::spawn_blocking(|| migration.end_within(LIMIT));
            let ended = ended.await.unwrap();
            database.execute("DROP TABLE busy").await;
            let longest = traffic.join_all().await.into_iter().max().unwrap();

            ensure(!is_too_early, || {
                "it did not wait for the reader".to_owned()
            })?;
            ensure(ended.code == Some(0), || format!("{ended:?}"))?;
            ensure(ended.stderr.contains("attempt 3 follows"), || {
                format!("it was not tried again and again: {ended:?}")
            })?;
            let versions = versions_of(&database).await;
            ensure(versions == ["1"], || {
                format!("the history has {versions:?}")
            })?;
            ensure(longest < QUEUED, || format!("a query waited {longest:?}"))?;
            Ok(longest)
        },
    )
    .await;
}

async fn is_applied(database: &Database<'_>) -> bool {
    !versions_of(database).await.is_empty()
}

/// Reads and updates single rows until the table is gone, and returns the longest time that this took.
async fn queries(client: tokio_postgres::Client, number: i32) -> Duration {
    let update = format!("UPDATE busy SET n = n + 1 WHERE id = {number}");
    let read = format!("SELECT n FROM busy WHERE id = {number}");
    let mut longest = Duration::ZERO;
    for query in [&update, &read].into_iter().cycle() {
        let started = Instant::now();
        if client.batch_execute(query).await.is_err() {
            break;
        }
        longest = longest.max(started.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    longest
}
