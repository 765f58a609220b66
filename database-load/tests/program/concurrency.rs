//! Loads beside each other, beside readers and beside whoever holds rows and tables.

use std::process::Command;
use std::time::Duration;

use test_postgres::Database;
use test_process::{Running, run, start};

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, holding, last_counts, load, loaded,
    migrated, outcomes, program, program_on, rows, succeeded, versions,
};

const LIMIT: Duration = Duration::from_secs(30);

const WAITS: &str = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid IN (
                         SELECT pid FROM pg_stat_activity WHERE datname = current_database())";

/// Starts a load that will wait for somebody.
async fn started_and_waiting(database: &Database<'_>, command: &mut Command) -> Running {
    let running = start(command);
    database.until(WAITS).await;
    running
}

#[tokio::test]
async fn loads_at_once_exclude_each_other() {
    let database = migrated().await;
    let running: Vec<_> = (0..8).map(|_| start(&mut program(&database))).collect();
    let mut inserted = 0;
    for process in running {
        let ended = succeeded(process.end_within(LIMIT));
        let verdict = ended.stdout.lines().last().unwrap().to_owned();
        inserted += usize::from(verdict.contains("products 10 inserted"));
    }
    assert_eq!(inserted, 1);
    assert_eq!(outcomes(&database, "products").await.len(), 8);
}

#[tokio::test]
async fn a_load_waits_for_another_or_leaves_as_configured() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[("items.csv", "id,stock\na,2\n")]);
    let mut first = program_on(&database, files.path());
    let first = started_and_waiting(&database, first.env("HOSTNAME", "pod-one")).await;

    let other = directory(&[("items.csv", "id,stock\na,3\n")]);
    for leave in [&["--if-running", "leave"][..], &[]] {
        let mut command = program_on(&database, other.path());
        let left = run(command.args(leave).env("LOAD_IF_RUNNING", "leave"));
        assert_said(
            &succeeded(left),
            &["✓ database-load: another load is at work, so this one leaves; "],
        );
    }
    let mut command = program_on(&database, other.path());
    let ended = run(command
        .env("LOAD_IF_RUNNING", "leave")
        .env("LOAD_RUNNER_WAIT", "300ms")
        .args(["--if-running", "wait"]));
    assert_failed(
        &ended,
        6,
        &["it is held by database-load pod-one at 127.0.0.1"],
    );
    // Who has nothing to do need not wait.
    let known = directory(&[("items.csv", "id,stock\na,1\n")]);
    assert_said(
        &succeeded(load(&database, known.path())),
        &["items unchanged; "],
    );

    let second = start(&mut program_on(&database, other.path()));
    holder.rollback().await.unwrap();
    succeeded(first.end_within(LIMIT));
    succeeded(second.end_within(LIMIT));
    assert_eq!(rows(&database, "items").await, ["(a,,,3,)"]);
}

#[tokio::test]
async fn one_of_two_loads_of_the_same_source_finds_it_loaded() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[
        (
            "manifest.yaml",
            "data_sets: {items: {files: items.csv, guards: {rejects: 1}}}",
        ),
        ("items.csv", "id,stock\na,2\nb,?\n"),
    ]);
    let first = started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    let second = start(&mut program_on(&database, files.path()));
    // It asks for the lock again and again.
    database
        .until(
            "SELECT count(*) = 2 FROM pg_stat_activity
             WHERE application_name LIKE 'database-load%' AND datname = current_database()",
        )
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    holder.rollback().await.unwrap();
    let first = first.end_within(LIMIT);
    assert_said(&first, &["items 1 updated, 1 rejected; "]);
    let second = succeeded(second.end_within(LIMIT));
    assert_said(
        &second,
        &[
            "✓ items: another load did it meanwhile",
            "items unchanged; ",
        ],
    );
    assert_eq!(
        outcomes(&database, "items").await,
        ["loaded", "loaded", "unchanged"]
    );
    // What the other one did is not counted twice, and what it rejected is not hidden.
    assert_eq!(last_counts(&database).await, "2 1 0 0 0 1 0 0 0");
    let printed = run(program(&database).args(["rejects", "items"]));
    assert_eq!(printed.stdout, "id,stock\nb,?\n");
}

#[tokio::test]
async fn sigterm_rolls_the_load_back() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let before = versions(&database, "items").await;
    let mut client = database.client().await;
    let holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[("items.csv", "id,stock\na,2\nb,1\n")]);
    let mut running =
        started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    running.signal("TERM");
    let ended = running.end_within(LIMIT);
    assert_failed(
        &ended,
        143,
        &["stopped as asked; the load that was running is rolled back"],
    );
    holder.rollback().await.unwrap();
    assert_eq!(versions(&database, "items").await, before);
}

#[tokio::test]
async fn a_failure_before_sigterm_is_told() {
    let database = database(&format!(
        "CREATE TABLE brand (id TEXT PRIMARY KEY, rank INTEGER); {ITEMS}"
    ))
    .await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let _holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[
        ("brand.csv", "id,rank\na,?\n"),
        ("items.csv", "id,stock\na,2\n"),
    ]);
    let mut running =
        started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    running.signal("TERM");
    assert_failed(
        &running.end_within(LIMIT),
        143,
        &["brand: 1 of 1 rows cannot be loaded", "brand.csv:2: "],
    );
}

#[tokio::test]
async fn sigterm_ends_what_only_reads_at_the_server_as_well() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id,stock\na,1\n")]);
    succeeded(load(&database, files.path()));
    let mut client = database.client().await;
    for arguments in [
        &["verify"][..],
        &["export", "items"],
        &["status"],
        &["rejects"],
    ] {
        let holder = holding(
            &mut client,
            "LOCK TABLE items, load_run IN ACCESS EXCLUSIVE MODE",
        )
        .await;
        let mut command = program_on(&database, files.path());
        let mut running = started_and_waiting(&database, command.args(arguments)).await;
        running.signal("TERM");
        assert_failed(&running.end_within(LIMIT), 143, &["stopped as asked"]);
        database.until(&format!("SELECT NOT ({WAITS})")).await;
        holder.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn who_reads_meanwhile_sees_the_old_rows_or_the_new_ones() {
    let database = database(ITEMS).await;
    let csv = |version: usize| {
        let lines: String = (0..300).map(|id| format!("{id},{version}\n")).collect();
        directory(&[("items.csv", format!("id,stock\n{lines}"))])
    };
    succeeded(load(&database, csv(0).path()));
    let reader = database.client().await;
    let mut seen = Vec::new();
    for version in 1..4 {
        let files = csv(version);
        let command = program_on(&database, files.path());
        let loading = tokio::task::spawn_blocking(move || {
            let mut command = command;
            run(&mut command)
        });
        while !loading.is_finished() {
            let row = reader
                .query_one(
                    "SELECT count(*), count(DISTINCT stock), min(stock) FROM items",
                    &[],
                )
                .await
                .unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (300, 1));
            seen.push(row.get::<_, i32>(2));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        succeeded(loading.await.unwrap());
    }
    assert!(seen.is_sorted() && seen.first() < seen.last(), "{seen:?}");
}

#[tokio::test]
async fn a_table_or_row_that_stays_locked_ends_the_load() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    for statement in ["LOCK TABLE items", "SELECT FROM items FOR UPDATE"] {
        let holder = holding(&mut client, statement).await;
        let files = directory(&[("items.csv", "id,stock\na,2\n")]);
        let ended = run(program_on(&database, files.path()).env("LOAD_LOCK_TIMEOUT", "200ms"));
        assert_failed(
            &ended,
            6,
            &[
                "items: ",
                "canceling statement due to lock timeout",
                "next: run again",
                "exit code 6: a lock was not obtained in time",
            ],
        );
        holder.rollback().await.unwrap();
    }
    assert_eq!(rows(&database, "items").await, ["(a,,,1,)"]);
}

#[tokio::test]
async fn a_statement_may_take_only_so_long() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let _holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[("items.csv", "id,stock\na,2\n")]);
    let ended = run(program_on(&database, files.path()).env("LOAD_STATEMENT_TIMEOUT", "300ms"));
    assert_failed(
        &ended,
        1,
        &["items: ", "canceling statement due to statement timeout"],
    );
}

#[tokio::test]
async fn a_load_that_gave_way_to_another_transaction_is_tried_again() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let other = holding(&mut client, "UPDATE items SET stock = 5").await;
    let files = directory(&[("items.csv", "id,stock\na,2\n")]);
    let running = started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    other.commit().await.unwrap();
    let ended = succeeded(running.end_within(LIMIT));
    assert_said(
        &ended,
        &[
            "could not serialize access due to concurrent update",
            "; the load is tried again\n",
            "items 1 updated; ",
        ],
    );
    assert_eq!(rows(&database, "items").await, ["(a,,,2,)"]);
    assert_eq!(outcomes(&database, "items").await, ["loaded", "loaded"]);
}

#[tokio::test]
async fn a_row_that_somebody_begins_to_refer_to_meanwhile_is_kept() {
    let manifest =
        "data_sets: {items: {files: items.csv, vanished: delete, guards: {largest_shrink: 100%}}}";
    for deferred in ["", " DEFERRABLE INITIALLY DEFERRED"] {
        let database = database(&format!(
            "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT);
             CREATE TABLE sale (item TEXT REFERENCES items{deferred})"
        ))
        .await;
        loaded(
            &database,
            &[
                ("manifest.yaml", manifest),
                ("items.csv", "id,name\na,1\nb,1\nc,1\n"),
            ],
        );
        // Until the load has to wait for this, it has seen that nothing refers to any row.
        let mut client = database.client().await;
        let transaction = holding(&mut client, "SELECT FROM items WHERE id = 'a' FOR UPDATE").await;
        let files = directory(&[("manifest.yaml", manifest), ("items.csv", "id,name\na,2\n")]);
        let running =
            started_and_waiting(&database, &mut program_on(&database, files.path())).await;
        database.execute("INSERT INTO sale VALUES ('b')").await;
        transaction.rollback().await.unwrap();
        let ended = succeeded(running.end_within(LIMIT));
        assert_said(&ended, &["items 1 updated, 1 deleted, 1 kept; "]);
        assert_eq!(rows(&database, "items").await, ["(a,2)", "(b,1)"]);
    }
}

#[tokio::test]
async fn a_load_that_lost_a_deadlock_is_tried_again() {
    let database = database(
        "CREATE TABLE one (id TEXT PRIMARY KEY, name TEXT);
         CREATE TABLE two (id TEXT PRIMARY KEY REFERENCES one, name TEXT)",
    )
    .await;
    loaded(
        &database,
        &[("one.csv", "id,name\na,1\n"), ("two.csv", "id,name\na,1\n")],
    );
    let mut client = database.client().await;
    let other = holding(&mut client, "UPDATE two SET name = 'other'").await;
    let files = directory(&[("one.csv", "id,name\na,2\n"), ("two.csv", "id,name\na,2\n")]);
    let running = started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    other
        .batch_execute("UPDATE one SET name = 'other'")
        .await
        .unwrap();
    other.commit().await.unwrap();
    let ended = succeeded(running.end_within(LIMIT));
    assert_said(
        &ended,
        &[
            "deadlock detected",
            "; the load is tried again\n",
            "one 1 updated; two 1 updated; ",
        ],
    );
    assert_eq!(rows(&database, "two").await, ["(a,2)"]);
}

#[tokio::test]
async fn a_row_that_somebody_else_wrote_first_is_no_bad_data() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,stock\na,1\n")]);
    let mut client = database.client().await;
    let other = holding(&mut client, "INSERT INTO items (id, stock) VALUES ('b', 1)").await;
    let files = directory(&[("items.csv", "id,stock\na,1\nb,2\n")]);
    let running = started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    other.commit().await.unwrap();
    let ended = succeeded(running.end_within(LIMIT));
    assert_said(
        &ended,
        &[
            "duplicate key value violates unique constraint \"items_pkey\"",
            "; the load is tried again\n",
            "items 1 updated, 1 unchanged; ",
        ],
    );
}

#[tokio::test]
async fn a_row_whose_reference_somebody_took_away_meanwhile_is_named() {
    let database = database(
        "CREATE TABLE brand (id TEXT PRIMARY KEY);
         INSERT INTO brand VALUES ('x');
         CREATE TABLE items (id TEXT PRIMARY KEY, brand TEXT REFERENCES brand)",
    )
    .await;
    let mut client = database.client().await;
    let other = holding(&mut client, "DELETE FROM brand").await;
    let files = directory(&[("items.csv", "id,brand\na,x\n")]);
    let running = started_and_waiting(&database, &mut program_on(&database, files.path())).await;
    other.commit().await.unwrap();
    let ended = running.end_within(LIMIT);
    assert_said(&ended, &["; the load is tried again\n"]);
    assert_failed(
        &ended,
        7,
        &["items.csv:2: column brand: there is no such row in public.brand"],
    );
}

#[tokio::test]
async fn a_unique_value_that_is_no_key_is_refused_at_once() {
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT UNIQUE)").await;
    loaded(&database, &[("items.csv", "id,name\na,x\n")]);
    let ended = load(
        &database,
        directory(&[("items.csv", "id,name\na,x\nb,x\n")]).path(),
    );
    assert_failed(&ended, 7, &["items_name_key"]);
    assert!(!ended.stdout.contains("tried again"), "{ended:?}");
}
