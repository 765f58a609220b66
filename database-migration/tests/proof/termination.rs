//! SIGTERM at any moment: the runner ends with 143, and nothing of it is left on the server.

use std::time::{Duration, Instant};

use test_postgres::Server;
use test_process::start;
use test_proof::{Random, ensure, prove, size};
use tokio_postgres::IsolationLevel;

use crate::scenario::{LIMIT, database, directory, program, versions_of};

/// What begins before the long statement; the moment may fall between two of its statements.
const SHORT: u32 = 30;

/// Long statements: each takes ever so long as it stands, and ends at once when `patience` is empty and nobody reads.
const LONG: [&str; 4] = [
    "CREATE TABLE half ();\nSELECT pg_sleep(seconds) FROM patience;",
    "-- Transaction: none\nDO $$ BEGIN PERFORM pg_sleep(seconds) FROM patience; END $$;",
    "-- Transaction: none\nUPDATE counter SET n = n + (SELECT 1 + count(pg_sleep(seconds)) FROM patience);",
    "-- Transaction: none\nCREATE INDEX CONCURRENTLY i ON counter (n);",
];

#[tokio::test]
async fn after_sigterm_nothing_is_left_running_or_half_done() {
    prove(
        "SIGTERM",
        size("PROOF_TERMINATION_ROUNDS", 6),
        "until the server has forgotten the runner",
        round,
    )
    .await;
}

async fn round(random: &mut Random) -> Result<Duration, String> {
    let database = database(Server::shared()).await;
    database
        .execute("CREATE TABLE patience (seconds int); INSERT INTO patience VALUES (600)")
        .await;
    let kind = usize::try_from(random.below(LONG.len() as u64)).unwrap();
    let short = "UPDATE counter SET n = n + 1;\n".repeat(SHORT as usize);
    let short = format!("-- +++++ UP\n-- Transaction: none\n{short}");
    let long = format!("-- +++++ UP\n{}", LONG[kind]);
    let directory = directory(&[("1_short.sql", &short), ("2_long.sql", &long)]);
    let mut reader = database.client().await;
    let reader = reader
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead);
    let reader = reader.start().await.unwrap();
    reader.batch_execute("SELECT FROM counter").await.unwrap();

    let mut run = start(&mut program(&database, &directory));
    tokio::time::sleep(random.moment(Duration::from_millis(600))).await;
    let started = Instant::now();
    run.signal("TERM");
    let ended = run.end_within(LIMIT);
    database
        .until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
                                WHERE datname = current_database() AND application_name LIKE 'database-migration%')
                AND NOT EXISTS (SELECT FROM pg_locks
                                JOIN pg_database ON pg_database.oid = database AND datname = current_database()
                                WHERE locktype = 'advisory')",
        )
        .await;
    let duration = started.elapsed();

    // Before the handlers are there, the signal itself ends the program.
    let is_too_early = ended.code.is_none() && ended.stdout.is_empty();
    ensure(ended.code == Some(143) || is_too_early, || {
        format!("{ended:?}")
    })?;
    let is_half_done = database
        .value("SELECT to_regclass('half') IS NOT NULL")
        .await;
    ensure(is_half_done == "f", || {
        "half a migration is left".to_owned()
    })?;

    database.execute("DELETE FROM patience").await;
    reader.commit().await.unwrap();
    let ended = start(&mut program(&database, &directory)).end_within(LIMIT);
    ensure(ended.code == Some(0), || format!("the next run: {ended:?}"))?;
    let versions = versions_of(&database).await;
    ensure(versions == ["1", "2"], || {
        format!("the history has {versions:?}")
    })?;
    let expected = SHORT + u32::from(LONG[kind].contains("UPDATE counter"));
    let count = database.value("SELECT n FROM counter").await;
    ensure(count == expected.to_string(), || format!("counted {count}"))?;
    Ok(duration)
}
