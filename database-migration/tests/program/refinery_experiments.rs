//! What went wrong when refinery was tried out, sixteen experiments, and what this program does instead.

use std::time::Duration;

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run, start};

use crate::support::{migrate, program, table_exists, versions};

/// A directory of files in refinery's own style.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in files {
        std::fs::write(directory.path().join(name), sql).unwrap();
    }
    directory
}

const ONE: (&str, &str) = ("V1__one.sql", "CREATE TABLE one ();");
const TWO: (&str, &str) = ("V2__two.sql", "CREATE TABLE two ();");
const THREE: (&str, &str) = ("V3__three.sql", "CREATE TABLE three ();");

/// A database to which some files were applied.
async fn applied<'server>(applied: &[(&str, &str)]) -> Database<'server> {
    let database = Server::shared().database().await;
    let ended = migrate(&database, files(applied).path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    database
}

fn to(database: &Database<'_>, directory: &TempDir, version: &str) -> Ended {
    run(program(database)
        .args(["up", "--to", version, "--migrations"])
        .arg(directory.path()))
}

/// It ended so, and said so.
fn assert_said(ended: &Ended, code: i32, text: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let said = ended.stdout.contains(text) || ended.stderr.contains(text);
    assert!(said, "{text}: {ended:?}");
}

#[tokio::test]
async fn experiment_01_eight_processes_at_once_all_succeed() {
    let database = Server::shared().database().await;
    let files = files(&[ONE, TWO, THREE]);
    let runs: Vec<_> = (0..8)
        .map(|_| start(program(&database).env("MIGRATIONS_DIR", files.path())))
        .collect();
    for run in runs {
        let ended = run.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn experiment_02_a_concurrent_index_is_built_where_its_file_says_that_it_runs_without_a_transaction()
 {
    let database = applied(&[ONE]).await;
    let index = "CREATE INDEX CONCURRENTLY i ON two (b);";
    let two = "CREATE TABLE two (b int);";
    let ended = migrate(
        &database,
        files(&[ONE, ("V2__two.sql", two), ("V3__i.sql", index)]).path(),
    );
    assert_said(
        &ended,
        2,
        "V3__i.sql:1: CREATE INDEX CONCURRENTLY i ON two (b) cannot run in a transaction",
    );
    let index = format!("-- Transaction: none\n{index}");
    let ended = migrate(
        &database,
        files(&[ONE, ("V2__two.sql", two), ("V3__i.sql", &index)]).path(),
    );
    assert_said(&ended, 0, "✓ 3 i applied");
}

#[tokio::test]
async fn experiment_03_a_history_of_the_narrow_integer_type_is_refused_and_not_a_panic() {
    let database = Server::shared().database().await;
    database
        .execute(
            "CREATE TABLE refinery_schema_history
                 (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))",
        )
        .await;
    let ended = migrate(&database, files(&[ONE]).path());
    assert_said(&ended, 4, "database-migration adopt");
}

#[tokio::test]
async fn experiment_04_a_file_name_that_is_not_understood_stops() {
    let database = Server::shared().database().await;
    let files = files(&[
        ONE,
        ("V2__add-hyphen.sql", "SELECT 1;"),
        ("V1__a.down.sql", "SELECT 1;"),
    ]);
    let ended = migrate(&database, files.path());
    assert_said(
        &ended,
        2,
        "V2__add-hyphen.sql:1: the name \"add-hyphen\" may hold only",
    );
    assert_said(&ended, 2, "V1__a.down.sql:1: ");
    assert!(!table_exists(&database, "one").await);
}

#[tokio::test]
async fn experiment_05_a_version_that_is_no_number_is_named_with_its_file() {
    let database = Server::shared().database().await;
    let ended = migrate(&database, files(&[("V1.5__x.sql", "SELECT 1;")]).path());
    assert_said(
        &ended,
        2,
        "V1.5__x.sql:1: the version 1.5 is not one number",
    );
}

#[tokio::test]
async fn experiment_06_two_files_of_one_version_stop_before_anything_runs() {
    let database = Server::shared().database().await;
    let ended = migrate(
        &database,
        files(&[ONE, ("V1__other.sql", "CREATE TABLE other ();")]).path(),
    );
    assert_said(&ended, 2, "version 1 is also that of");
    assert!(!table_exists(&database, "one").await && !table_exists(&database, "other").await);
}

#[tokio::test]
async fn experiment_07_other_line_ends_are_no_change() {
    let database = applied(&[("V1__one.sql", "CREATE TABLE one (\n);\n")]).await;
    let ended = migrate(
        &database,
        files(&[("V1__one.sql", "CREATE TABLE one (\r\n);\r\n")]).path(),
    );
    assert_said(&ended, 0, "nothing to do");
}

#[tokio::test]
async fn experiment_08_a_target_below_the_database_or_without_a_file_stops() {
    let database = applied(&[ONE, TWO]).await;
    let files = files(&[ONE, TWO]);
    let below = to(&database, &files, "1");
    assert_said(&below, 2, "the database is at version 2, above 1");
    assert_said(&below, 2, "database-migration down --to 1");
    assert_said(&to(&database, &files, "7"), 2, "there is no version 7");
}

#[tokio::test]
async fn experiment_09_a_late_file_is_called_what_it_is() {
    let database = applied(&[ONE, THREE]).await;
    let ended = migrate(&database, files(&[ONE, TWO, THREE]).path());
    assert_said(&ended, 4, "V2__two.sql: not applied, though version 3 is");
}

#[tokio::test]
async fn experiment_10_an_image_of_fewer_files_starts() {
    let database = applied(&[ONE, TWO]).await;
    let ended = migrate(&database, files(&[ONE]).path());
    assert_said(
        &ended,
        0,
        "the database is ahead of this program by 1 migrations",
    );
}

#[tokio::test]
async fn experiment_11_a_commit_in_a_file_is_found_before_anything_runs() {
    let database = Server::shared().database().await;
    let halves = "CREATE TABLE half ();\nCOMMIT;\nSELECT 1 / 0;";
    let ended = migrate(&database, files(&[ONE, ("V2__halves.sql", halves)]).path());
    assert_said(
        &ended,
        2,
        "V2__halves.sql:2: COMMIT would end the transaction",
    );
    assert!(!table_exists(&database, "one").await && !table_exists(&database, "half").await);
}

#[tokio::test]
async fn experiment_12_a_file_of_pg_dump_that_empties_the_search_path_is_applied() {
    let dump =
        "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.dumped ();";
    let database = applied(&[("V1__dump.sql", dump), TWO]).await;
    assert!(table_exists(&database, "public.dumped").await);
    assert_eq!(versions(&database).await, ["1", "2"]);
}

#[tokio::test]
async fn experiment_13_what_comes_before_a_broken_file_is_kept_and_the_file_rolled_back() {
    let database = Server::shared().database().await;
    let broken = ("V3__broken.sql", "CREATE TABLE half ();\nSELECT 1 / 0;");
    let four = ("V4__four.sql", "SELECT 1;");
    let ended = migrate(&database, files(&[ONE, TWO, broken, four]).path());
    assert_said(&ended, 1, "state: the database is at version 2 two");
    assert_eq!(versions(&database).await, ["1", "2"]);
    assert!(!table_exists(&database, "half").await);
}

#[tokio::test]
async fn experiment_14_the_state_can_be_asked_for_before_the_first_run() {
    let database = Server::shared().database().await;
    let directory = files(&[ONE]);
    let ended = run(program(&database)
        .arg("status")
        .arg("--migrations")
        .arg(directory.path()));
    assert_said(&ended, 0, "pending");
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[tokio::test]
async fn experiment_15_a_statement_ends_soon_after_its_client_was_killed() {
    let database = Server::shared().database().await;
    let endless = files(&[(
        "V1__endless.sql",
        "CREATE TABLE half ();\nSELECT pg_sleep(600);",
    )]);
    let mut killed = start(program(&database).env("MIGRATIONS_DIR", endless.path()));
    let sleeping = "SELECT count(*) > 0 FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(600);%' AND state = 'active'";
    database.until(sleeping).await;
    killed.signal("KILL");
    killed.end();
    // The next run gets the lock only once the server has noticed.
    let one = files(&[ONE]);
    let next = start(program(&database).env("MIGRATIONS_DIR", one.path()));
    assert_said(
        &next.end_within(Duration::from_mins(1)),
        0,
        "✓ 1 one applied",
    );
    assert!(!table_exists(&database, "half").await);
}

#[tokio::test]
async fn experiment_16_a_late_file_is_never_skipped_for_those_behind_it() {
    let database = applied(&[ONE, THREE]).await;
    let four = ("V4__four.sql", "CREATE TABLE four ();");
    let ended = migrate(&database, files(&[ONE, TWO, THREE, four]).path());
    assert_said(&ended, 4, "V2__two.sql: not applied, though version 3 is");
    assert!(!table_exists(&database, "four").await);
}
