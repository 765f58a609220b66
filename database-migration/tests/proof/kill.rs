//! The runner is killed at any moment: the next run goes on where it stopped.

use std::time::{Duration, Instant};

use test_postgres::{Database, Server};
use test_proof::{Random, prove, size};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::scenario::{Direction, LIMIT, Scenario, database};

/// Short transactions on the table, one after the other. What is done concurrently waits for them at each of its steps,
/// so that a kill meets it there, too.
const TRAFFIC: &str = "DO $$
    BEGIN
        IF to_regclass('wide') IS NOT NULL THEN
            PERFORM FROM wide LIMIT 1;
        END IF;
        PERFORM pg_sleep(0.02);
    END
    $$";

/// Ends what the server still does for the killed run, as it does itself after some time.
const NOTICE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'database-migration%'";

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_next_run_completes_the_schema() {
    let server = Server::shared();
    let scenario = Scenario::new(server).await;
    prove(
        "kill -9 of the runner",
        size("PROOF_KILL_ROUNDS", 15),
        "longest next run",
        async |random| {
            let database = database(server).await;
            let traffic = traffic(&database).await;
            let mut longest = Duration::ZERO;
            for direction in [Direction::Up, Direction::Down] {
                // One in three of the runs that go on is killed, too.
                loop {
                    let mut run = scenario.start(&database, direction);
                    moment(&database, random, direction, scenario.duration(direction)).await;
                    run.signal("KILL");
                    run.end_within(LIMIT);
                    // The server finishes the statement, or notices soon that its client has gone.
                    if random.below(2) == 0 {
                        database.execute(NOTICE).await;
                    }
                    if random.below(3) > 0 {
                        break;
                    }
                }
                longest = longest.max(scenario.finish(&database, direction).await?);
            }
            traffic.abort();
            Ok(longest)
        },
    )
    .await;
}

/// Waits for a moment of a run: half of them are anywhere in it, half at a statement that would else be met too rarely.
async fn moment(
    database: &Database<'_>,
    random: &mut Random,
    direction: Direction,
    duration: Duration,
) {
    if random.below(2) == 0 {
        sleep(random.moment(duration)).await;
        return;
    }
    let statements = match direction {
        Direction::Up => [
            "CREATE INDEX",
            "DROP INDEX",
            "REINDEX INDEX",
            "ALTER TABLE parts",
        ],
        Direction::Down => ["CREATE INDEX", "DROP INDEX", "UPDATE", "INSERT"],
    };
    let statement = statements[usize::try_from(random.below(4)).unwrap()];
    let condition = format!(
        "SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'database-migration%'
           AND state = 'active' AND query LIKE '{statement}%'"
    );
    let client = database.client().await;
    let started = Instant::now();
    // A run that goes on after an earlier kill may have the statement behind it.
    while started.elapsed() < duration {
        if client.query_opt(&condition, &[]).await.unwrap().is_some() {
            sleep(random.moment(Duration::from_millis(50))).await;
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn traffic(database: &Database<'_>) -> JoinHandle<()> {
    let client = database.client().await;
    tokio::spawn(async move { while client.batch_execute(TRAFFIC).await.is_ok() {} })
}
