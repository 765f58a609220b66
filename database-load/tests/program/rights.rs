//! What a role needs.

use std::process::Command;

use test_postgres::Database;
use test_process::run;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, load, program_on, rows, succeeded,
};

/// A role of this database with some rights and no others.
async fn role(database: &Database<'_>, grants: &str) -> String {
    let role = format!("loader_{}", database.name());
    database
        .execute(&format!(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             CREATE ROLE {role} LOGIN PASSWORD 'secret';
             {}",
            grants.replace("loader", &role)
        ))
        .await;
    role
}

fn as_role<'command>(command: &'command mut Command, role: &str) -> &'command mut Command {
    command.env("DB_USER", role).env("DB_PASSWORD", "secret")
}

#[tokio::test]
async fn a_loader_needs_to_read_and_write_rows_and_no_more() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id\na\n")]);
    succeeded(load(&database, files.path()));
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items, load_run, load_reject TO loader",
    )
    .await;
    let manifest =
        "data_sets: {items: {files: items.csv, vanished: delete, guards: {largest_shrink: 100%}}}";
    for csv in ["id\na\nb\nc\n", "id,stock\nd,1\ne,\n"] {
        let files = directory(&[("manifest.yaml", manifest), ("items.csv", csv)]);
        // It cannot analyse the table, and does not try.
        succeeded(run(as_role(
            &mut program_on(&database, files.path()),
            &role,
        )));
    }
    assert_eq!(rows(&database, "items").await, ["(d,,,1,)", "(e,,,,)"]);
    let bad = directory(&[
        ("manifest.yaml", manifest),
        ("items.csv", "id,stock\nd,?\n"),
    ]);
    let ended = run(as_role(&mut program_on(&database, bad.path()), &role));
    assert_failed(&ended, 7, &["1 of 1 rows"]);
    assert!(!ended.stderr.contains("warning"), "{ended:?}");
}

#[tokio::test]
async fn a_table_whose_policies_apply_to_the_loader_is_loaded() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id\na\n")]);
    succeeded(load(&database, files.path()));
    database
        .execute(
            "TRUNCATE items;
             ALTER TABLE items ENABLE ROW LEVEL SECURITY;
             CREATE POLICY all_but_secrets ON items USING (id <> 'secret')",
        )
        .await;
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items, load_run, load_reject TO loader",
    )
    .await;
    for (csv, said) in [
        ("id,stock\na,1\nb,1\n", "items 2 inserted; "),
        ("id,stock\na,2\nb,1\n", "items 1 updated, 1 unchanged; "),
    ] {
        let files = directory(&[("items.csv", csv)]);
        let ended = run(as_role(&mut program_on(&database, files.path()), &role));
        assert_said(&succeeded(ended), &[said]);
    }
}

#[tokio::test]
async fn what_rows_refer_to_has_to_be_readable() {
    let database = database(
        "CREATE TABLE kinds (id TEXT PRIMARY KEY);
         INSERT INTO kinds VALUES ('known');
         CREATE TABLE items (id TEXT PRIMARY KEY, kind TEXT REFERENCES kinds)",
    )
    .await;
    let files = directory(&[("items.csv", "id,kind\na,known\n")]);
    succeeded(load(&database, files.path()));
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items, load_run, load_reject TO loader",
    )
    .await;
    let files = directory(&[("items.csv", "id,kind\na,known\nb,known\n")]);
    let ended = run(as_role(&mut program_on(&database, files.path()), &role));
    assert_failed(
        &ended,
        1,
        &[
            "items: the load was rolled back: permission denied for table kinds",
            "next: grant the user SELECT, INSERT, UPDATE and DELETE on the table and SELECT on those that it refers to",
        ],
    );
    assert_eq!(rows(&database, "items").await, ["(a,known)"]);
    database
        .execute(&format!("GRANT SELECT ON kinds TO {role}"))
        .await;
    succeeded(run(as_role(
        &mut program_on(&database, files.path()),
        &role,
    )));
}

#[tokio::test]
async fn a_sequence_that_may_not_be_moved_on_is_named() {
    let database = database("CREATE TABLE items (id SERIAL PRIMARY KEY)").await;
    let files = directory(&[("items.csv", "id\n1\n")]);
    succeeded(load(&database, files.path()));
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items, load_run, load_reject TO loader",
    )
    .await;
    let files = directory(&[("items.csv", "id\n1\n2\n")]);
    let ended = run(as_role(&mut program_on(&database, files.path()), &role));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "items: items_id_seq, which gives id its values, may be behind what was loaded: whoever loads needs SELECT \
             and UPDATE on it"
        ),
        "{ended:?}"
    );
    assert_eq!(rows(&database, "items").await, ["(1)", "(2)"]);
}

#[tokio::test]
async fn an_owner_has_the_planner_told_of_large_changes() {
    let database = database(ITEMS).await;
    let lines: String = (0..100).map(|id| format!("{id}\n")).collect();
    let estimate = "SELECT reltuples::integer FROM pg_class WHERE relname = 'items'";
    crate::support::loaded(&database, &[("items.csv", format!("id\n{lines}"))]);
    assert_eq!(database.value(estimate).await, "100");
    crate::support::loaded(&database, &[("items.csv", format!("id\n{lines}x\n"))]);
    assert_eq!(database.value(estimate).await, "100");
}

#[tokio::test]
async fn without_rights_on_the_history_it_is_said_which_are_needed() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id\na\n")]);
    succeeded(load(&database, files.path()));
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items TO loader",
    )
    .await;
    let other = directory(&[("items.csv", "id\na\nb\n")]);
    let needed = "the history of loads: permission denied for table load_run (SQLSTATE 42501); its tables load_run and \
                  load_reject are made by migration 004 of database-migration, and whoever loads needs SELECT, INSERT, \
                  UPDATE and DELETE on them";
    for granted in ["", "SELECT"] {
        if !granted.is_empty() {
            database
                .execute(&format!(
                    "GRANT {granted} ON load_run, load_reject TO {role}"
                ))
                .await;
        }
        let ended = run(as_role(&mut program_on(&database, other.path()), &role));
        assert_failed(&ended, 1, &[needed]);
        assert_eq!(rows(&database, "items").await.len(), 1);
    }
    let loaded = async |granted: &str| {
        database
            .execute(&format!(
                "GRANT {granted} ON load_run, load_reject TO {role}"
            ))
            .await;
        run(as_role(&mut program_on(&database, other.path()), &role))
    };
    succeeded(loaded("INSERT").await);
    assert_eq!(rows(&database, "items").await.len(), 2);
    fill_history(&database).await;
    let warned = loaded("DELETE").await;
    assert_eq!(warned.code, Some(0), "{warned:?}");
    assert!(
        warned
            .stderr
            .contains("old runs stay in the history: permission denied"),
        "{warned:?}"
    );
    succeeded(loaded("UPDATE").await);
}

/// Notes so many runs that old ones are removed by the next.
async fn fill_history(database: &Database<'_>) {
    database
        .execute(
            "INSERT INTO load_run (data_set, table_name, outcome, started_at)
             SELECT 'items', 'items', 'failed', now() FROM generate_series(1, 600)",
        )
        .await;
}

#[tokio::test]
async fn a_long_history_is_pruned_but_for_what_the_next_run_goes_by() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id\na\n")]);
    succeeded(load(&database, files.path()));
    fill_history(&database).await;
    let outcomes = "SELECT string_agg(outcome || ' ' || number, ', ' ORDER BY outcome)
                    FROM (SELECT outcome, count(*) AS number FROM load_run GROUP BY outcome) AS outcomes";
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items: the source is unchanged"]);
    assert_eq!(
        database.value(outcomes).await,
        "failed 499, loaded 1, unchanged 1"
    );
    succeeded(load(&database, files.path()));
    assert_eq!(
        database.value(outcomes).await,
        "failed 499, loaded 1, unchanged 2"
    );
}

#[tokio::test]
async fn a_history_that_is_missing_is_made_where_that_is_allowed_and_explained_otherwise() {
    let database = database(ITEMS).await;
    let role = role(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON items TO loader",
    )
    .await;
    let files = directory(&[("items.csv", "id\na\n")]);
    let ended = run(as_role(&mut program_on(&database, files.path()), &role));
    assert_failed(
        &ended,
        1,
        &[
            "the history of loads: permission denied for schema public",
            "are made by migration 004 of database-migration",
            "next: run database-migration first",
        ],
    );
    database
        .execute(&format!("GRANT CREATE ON SCHEMA public TO {role}"))
        .await;
    succeeded(run(as_role(
        &mut program_on(&database, files.path()),
        &role,
    )));
    assert_eq!(database.value("SELECT count(*) FROM load_run").await, "1");
}

#[tokio::test]
async fn a_role_that_only_reads_can_look_at_everything() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id\na\nb\n")]);
    succeeded(load(&database, files.path()));
    let role = role(
        &database,
        "GRANT SELECT ON items, load_run, load_reject TO loader",
    )
    .await;
    for arguments in [
        &["status"][..],
        &["verify"],
        &["validate"],
        &["--dry-run"],
        &["--dry-run", "--force"],
        &["rejects"],
        &["export", "items"],
    ] {
        let mut command = program_on(&database, files.path());
        let ended = run(as_role(command.args(arguments), &role));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
    let other = directory(&[("items.csv", "id,stock\na,1\nc,2\n")]);
    let ended = run(as_role(
        program_on(&database, other.path()).arg("verify"),
        &role,
    ));
    assert_failed(&ended, 4, &["items: 1 missing in the table, 1 different"]);
    let ended = run(as_role(&mut program_on(&database, other.path()), &role));
    assert_failed(&ended, 1, &["permission denied for table items"]);
}

#[tokio::test]
async fn validation_needs_the_catalog_only() {
    let database = database(ITEMS).await;
    let role = role(&database, "").await;
    let files = directory(&[("items.csv", "id,price\na,1\n")]);
    let ended = succeeded(run(as_role(
        program_on(&database, files.path()).arg("validate"),
        &role,
    )));
    assert_said(
        &ended,
        &["✓ database-load: 1 data set can be loaded, as far as columns and keys tell\n"],
    );
    let files = directory(&[("items.csv", "id,price\na,?\n")]);
    let ended = run(as_role(
        program_on(&database, files.path()).arg("validate"),
        &role,
    ));
    assert_failed(
        &ended,
        7,
        &["items.csv:2: column price: \"?\" is not a decimal number"],
    );
    assert_eq!(
        database
            .value("SELECT to_regclass('load_run') IS NULL")
            .await,
        "t"
    );
}
