//! Many loads at once into empty tables: each succeeds, and each table is loaded once.

use std::time::Instant;

use test_postgres::Server;
use test_process::start;
use test_proof::{ensure, prove, size};

use crate::scenario::{DATA_SETS, LIMIT, Scenario, Set, database, program};

/// Whether a load waits for a row.
const IS_WAITING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock')";

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

/// As a slow run leaves it that looked before another one loaded something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_note_that_nothing_changed_does_not_hide_a_load() {
    let scenario = Scenario::new(Server::shared()).await;
    let database = database(Server::shared()).await;
    scenario.finish(&database, Set::Old).await.unwrap();
    scenario.finish(&database, Set::New).await.unwrap();
    let old = scenario.hashes(Set::Old).join("', '");
    database
        .execute(&format!(
            "INSERT INTO load_run (data_set, table_name, outcome, source_hash, mapping_hash, table_state, rows_valid,
                                   started_at)
             SELECT data_set, table_name, 'unchanged', source_hash, mapping_hash, table_state, rows_valid, now()
             FROM load_run WHERE source_hash IN ('{old}')"
        ))
        .await;
    scenario.finish(&database, Set::Old).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_with_nothing_to_do_do_not_get_in_the_way_of_a_long_one() {
    let scenario = Scenario::new(Server::shared()).await;
    let database = database(Server::shared()).await;
    scenario.finish(&database, Set::Old).await.unwrap();
    // The history is as long as it gets, so that each run removes its oldest rows.
    database
        .execute(
            "INSERT INTO load_run (data_set, table_name, outcome, started_at)
             SELECT data_set, table_name, 'failed', now() FROM load_run, generate_series(1, 600)",
        )
        .await;
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder
        .batch_execute("SELECT FROM products WHERE id = '3' FOR UPDATE")
        .await
        .unwrap();
    let long = scenario.start(&database, Set::New);
    database.until(IS_WAITING).await;
    // It finds the products unchanged, and leaves since it cannot have the coupons.
    let mut short = scenario.command(&database, Set::Old);
    let short = start(short.env("LOAD_IF_RUNNING", "leave")).end_within(LIMIT);
    assert_eq!(short.code, Some(0), "{short:?}");
    holder.rollback().await.unwrap();
    let ended = long.end_within(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    scenario.finish(&database, Set::New).await.unwrap();
}

#[tokio::test]
async fn a_product_that_is_ordered_while_it_vanishes_stays() {
    let database = database(Server::shared()).await;
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        std::fs::write(directory.path().join(name), content).unwrap();
    };
    let load = || start(&mut program(&database, directory.path()));
    write(
        "manifest.yaml",
        "data_sets: {products: {files: products.csv, vanished: delete}}",
    );
    let rows = "id,name,price\n1,a,1\n2,b,1\n3,c,1\n4,d,1\n5,e,1\n";
    write("products.csv", rows);
    assert_eq!(load().end_within(LIMIT).code, Some(0));

    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder
        .batch_execute("SELECT FROM products WHERE id = '1' FOR UPDATE")
        .await
        .unwrap();
    write("products.csv", "id,name,price\n1,changed,1\n2,b,1\n3,c,1\n");
    let running = load();
    database.until(IS_WAITING).await;
    database
        .execute(
            "INSERT INTO orders (id) VALUES ('first');
             INSERT INTO order_items (order_id, product_id, quantity) VALUES ('first', '4', 1)",
        )
        .await;
    holder.rollback().await.unwrap();
    let ended = running.end_within(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("products 1 updated, 2 unchanged, 1 deleted, 1 kept"),
        "{ended:?}"
    );
    let left = database.values("SELECT id FROM products ORDER BY id").await;
    assert_eq!(left, ["1", "2", "3", "4"]);
}
