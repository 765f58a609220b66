//! Many runs at once on an empty database: each succeeds, and each migration is applied once.

use std::time::Instant;

use test_postgres::Server;
use test_process::start;
use test_proof::{ensure, prove, size};

use crate::scenario::{LIMIT, database, directory, program, versions_of};

const MIGRATIONS: [(&str, &str); 3] = [
    (
        "1_table.sql",
        "-- +++++ UP
         CREATE TABLE a (b int);
         INSERT INTO a SELECT generate_series(1, 1000);
         UPDATE counter SET n = n + 1;",
    ),
    (
        "2_index.sql",
        "-- +++++ UP
         -- Transaction: none
         UPDATE counter SET n = n + 1;
         CREATE INDEX CONCURRENTLY i ON a (b);
         CREATE INDEX CONCURRENTLY j ON a (b) WHERE b > 1;
         DROP INDEX CONCURRENTLY i;",
    ),
    (
        "3_last.sql",
        "-- +++++ UP
         UPDATE counter SET n = n + 1;",
    ),
];

#[tokio::test]
async fn all_of_many_runs_at_once_succeed() {
    let processes: usize = size("PROOF_RACE_PROCESSES", 12);
    let directory = directory(&MIGRATIONS);
    prove(
        &format!("{processes} runners at once"),
        size("PROOF_RACE_ROUNDS", 3),
        "until the last has ended",
        async |_| {
            let database = database(Server::shared()).await;
            let started = Instant::now();
            let runs: Vec<_> = (0..processes)
                .map(|_| start(&mut program(&database, &directory)))
                .collect();
            for run in runs {
                let ended = run.end_within(LIMIT);
                ensure(ended.code == Some(0), || format!("{ended:?}"))?;
            }
            let duration = started.elapsed();

            let count = database.value("SELECT n FROM counter").await;
            ensure(count == "3", || format!("counted {count}"))?;
            let versions = versions_of(&database).await;
            ensure(versions == ["1", "2", "3"], || {
                format!("the history has {versions:?}")
            })?;
            let indexes = database
                .values(
                    "SELECT format('%s %s', indexrelid::regclass, indisvalid) FROM pg_index
                     WHERE indrelid = 'a'::regclass",
                )
                .await;
            ensure(indexes == ["j t"], || {
                format!("the indexes are {indexes:?}")
            })?;
            Ok(duration)
        },
    )
    .await;
}
