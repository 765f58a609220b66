//! Many loads at once into empty tables: each succeeds, and each table is loaded once.

use std::time::Instant;

use test_postgres::Server;
use test_proof::{ensure, prove, size};

use crate::scenario::{DATA_SETS, LIMIT, Scenario, Set, database};

#[tokio::test(flavor = "multi_thread")]
async fn all_of_many_loads_at_once_succeed() {
    let processes: usize = size("PROOF_RACE_PROCESSES", 12);
    let scenario = Scenario::new(Server::shared()).await;
    prove(
        &format!("{processes} loaders at once"),
        size("PROOF_RACE_ROUNDS", 2),
        "until the last has ended",
        async |_| {
            let database = database(Server::shared()).await;
            let started = Instant::now();
            let runs: Vec<_> = (0..processes)
                .map(|_| scenario.start(&database, Set::Old))
                .collect();
            for run in runs {
                let ended = run.end_within(LIMIT);
                ensure(ended.code == Some(0), || format!("{ended:?}"))?;
            }
            let duration = started.elapsed();
            for data_set in DATA_SETS {
                let outcomes = database
                    .values(&format!(
                        "SELECT outcome || ' ' || count(*) FROM load_run
                         WHERE data_set = '{data_set}' GROUP BY outcome ORDER BY outcome"
                    ))
                    .await;
                let expected = [
                    "loaded 1".to_owned(),
                    format!("unchanged {}", processes - 1),
                ];
                ensure(outcomes == expected, || format!("{data_set}: {outcomes:?}"))?;
            }
            scenario.finish(&database, Set::Old).await?;
            Ok(duration)
        },
    )
    .await;
}
