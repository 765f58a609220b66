//! SIGTERM at any moment: the loader ends with 143 within two seconds, and nothing of it is left on the server.

use std::time::{Duration, Instant};

use test_postgres::Server;
use test_proof::{ensure, prove, size};
use tokio::time::sleep;

use crate::scenario::{LIMIT, Scenario, database, program};

const PATIENCE: Duration = Duration::from_secs(2);
/// A file of zeros, whose hash takes longer than any test; it takes no room on the disk.
const HUGE: u64 = 1 << 40;

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_each_table_is_whole_and_nothing_is_left_running() {
    let server = Server::shared();
    let scenario = Scenario::new(server).await;
    let database = database(server).await;
    prove(
        "SIGTERM",
        size("PROOF_TERMINATION_ROUNDS", 10),
        "until the server has forgotten the loader",
        async |random| {
            let mut attempt = scenario.begin(&database, random).await;
            sleep(scenario.moment(random)).await;
            let started = Instant::now();
            attempt.run.signal("TERM");
            let target = attempt.target;
            let (ended, forgotten) = attempt.judge().await?;
            let duration = forgotten - started;
            // Before the handlers are there, the signal itself ends the program.
            let is_too_early = ended.code.is_none() && ended.stdout.is_empty();
            let is_too_late = ended.code == Some(0);
            ensure(
                ended.code == Some(143) || is_too_early || is_too_late,
                || format!("{ended:?}"),
            )?;
            ensure(duration < PATIENCE, || {
                format!("it took {duration:?}: {ended:?}")
            })?;
            scenario.finish(&database, target).await?;
            Ok(duration)
        },
    )
    .await;
}

#[tokio::test]
async fn sigterm_ends_the_reading_of_a_huge_source() {
    let database = database(Server::shared()).await;
    let directory = tempfile::tempdir().unwrap();
    let source = std::fs::File::create(directory.path().join("products.csv")).unwrap();
    source.set_len(HUGE).unwrap();
    let mut run = test_process::start(&mut program(&database, directory.path()));
    database
        .until(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'database-load%')",
        )
        .await;
    let started = Instant::now();
    run.signal("TERM");
    let ended = run.end_within(LIMIT);
    assert_eq!(ended.code, Some(143), "{ended:?}");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}
