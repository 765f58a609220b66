//! `down` and `redo`.

use std::path::Path;

use crate::support::{bare_program, migrate, program, table_exists, versions};
use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};

/// Sectioned files, each with what applies it and what undoes it.
fn reversible(files: &[(&str, &str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, up, down) in files {
        write(directory.path(), name, up, down);
    }
    directory
}

fn write(directory: &Path, name: &str, up: &str, down: &str) {
    let down = match down {
        "" => String::new(),
        down => format!("-- +++++ DOWN\n{down}\n"),
    };
    std::fs::write(directory.join(name), format!("-- +++++ UP\n{up}\n{down}")).unwrap();
}

fn down(database: &Database<'_>, arguments: &[&str]) -> Ended {
    run(program(database).arg("down").args(arguments))
}

async fn three<'server>() -> Database<'server> {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", "DROP TABLE a;"),
        ("2_b.sql", "CREATE TABLE b ();", "DROP TABLE b;"),
        ("3_c.sql", "CREATE TABLE c ();", "DROP TABLE c;"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    database
}

#[tokio::test]
async fn it_works_without_files_newest_first() {
    let database = three().await;
    let ended = down(&database, &["--to", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().skip(1).collect();
    assert!(lines[0].starts_with("✓ 3 c undone ("), "{ended:?}");
    assert!(lines[1].starts_with("✓ 2 b undone ("), "{ended:?}");
    assert!(
        lines[2].contains("is at version 1 a, 2 undone"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1"]);
    assert!(table_exists(&database, "a").await);
    assert!(!table_exists(&database, "b").await);

    let ended = down(&database, &["--to", "0"]);
    assert!(
        ended.stdout.contains("has no migrations, 1 undone"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, [""; 0]);
}

#[tokio::test]
async fn steps_are_counted_from_the_newest() {
    let database = three().await;
    assert_eq!(down(&database, &["--steps", "1"]).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2"]);
    assert_eq!(down(&database, &["--steps", "10"]).code, Some(0));
    assert_eq!(versions(&database).await, [""; 0]);
    let ended = down(&database, &["--steps", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("nothing to do"), "{ended:?}");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let database = three().await;
    let ended = down(&database, &["--to", "1", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("would undo 3 c\nwould undo 2 b\n"),
        "{ended:?}"
    );
    assert!(
        ended
            .stdout
            .contains("is at version 3 c, 2 would be undone; nothing was changed"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn how_far_has_to_be_said_and_has_to_be_possible() {
    let database = three().await;
    for arguments in [&[][..], &["--to", "1", "--steps", "1"]] {
        let ended = run(bare_program().arg("down").args(arguments));
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    for (target, problem) in [
        (
            "4",
            "the database is at version 3, below 4; nothing was changed",
        ),
        ("-1", "there is no version -1"),
    ] {
        let ended = down(&database, &[&format!("--to={target}")]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(problem), "{ended:?}");
    }
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn what_would_be_lost_is_counted_before_it_is_allowed() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        (
            "1_a.sql",
            "CREATE TABLE a (b int); CREATE TABLE empty ();",
            "DROP TABLE a; DROP TABLE empty; DROP TABLE IF EXISTS never; DO $$ BEGIN NULL; END $$;",
        ),
        (
            "2_c.sql",
            "ALTER TABLE a ADD COLUMN c int;",
            "ALTER TABLE a DROP COLUMN c;",
        ),
        (
            "3_d.sql",
            "INSERT INTO a VALUES (1, 1), (2, NULL), (3, NULL);",
            "DELETE FROM a WHERE b > 1;",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = down(&database, &["--to", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "this would destroy:\n  \
             rows of table a, 2 rows\n  \
             column c of table a, 1 row\n  \
             table a, 3 rows\n  \
             whatever DO $$ BEGIN NULL; END $$ takes with it, rows not counted\n\
             nothing was changed\n  \
             next: make a backup of what is still needed, then run again with --allow-data-loss"
        ),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    let ended = down(&database, &["--to", "0", "--allow-data-loss"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("warning: this destroys table a, 3 rows"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
}

#[tokio::test]
async fn what_is_only_found_under_its_name_later_is_not_taken_for_empty() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        (
            "1_items.sql",
            "CREATE SCHEMA menu; CREATE TABLE menu.items (); CREATE TABLE items ();
             INSERT INTO menu.items DEFAULT VALUES;",
            "SET search_path = menu; DROP TABLE items;",
        ),
        (
            "2_orders.sql",
            "CREATE TABLE orders (); INSERT INTO orders DEFAULT VALUES;",
            "DROP TABLE orders;",
        ),
        (
            "3_purchases.sql",
            "ALTER TABLE orders RENAME TO purchases;",
            "ALTER TABLE purchases RENAME TO orders;",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = down(&database, &["--to", "1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("this would destroy:\n  table orders, rows not counted\nnothing"),
        "{ended:?}"
    );
    assert_eq!(
        down(&database, &["--to", "1", "--allow-data-loss"]).code,
        Some(0)
    );
    let ended = down(&database, &["--to", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("this would destroy:\n  table items, rows not counted\nnothing"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_overwrites_values_is_asked_about() {
    let database = Server::shared().database().await;
    let files = reversible(&[(
        "1_a.sql",
        "CREATE TABLE a (b int, c text); INSERT INTO a VALUES (1, 'x'), (2, NULL);",
        "UPDATE a SET b = 0 WHERE b > 1;
         ALTER TABLE a ALTER COLUMN c TYPE varchar(1) USING left(c, 1);
         WITH gone AS (DELETE FROM a RETURNING b) SELECT count(*) FROM gone;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = down(&database, &["--steps", "1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "this would destroy:\n  \
             values of table a, 1 row\n  \
             what another type does not hold of column c of table a, 1 row\n  \
             rows of table a, rows not counted\n\
             nothing was changed"
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_nothing_undoes_is_named_before_anything_runs() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", ""),
        ("2_b.sql", "CREATE TABLE b ();", "DROP TABLE b;"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = down(&database, &["--to", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("nothing undoes 1 a; nothing was changed"),
        "{ended:?}"
    );
    assert!(table_exists(&database, "b").await);
    let ended = down(&database, &["--to", "0", "--forget-irreversible"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("1 a was taken out of the history; nothing undoes what it has done"),
        "{ended:?}"
    );
    assert!(table_exists(&database, "a").await);
    assert!(!table_exists(&database, "b").await);
    assert_eq!(versions(&database).await, [""; 0]);
}

#[tokio::test]
async fn one_that_fails_leaves_the_database_at_its_version() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", "DROP TABLE a;"),
        (
            "2_b.sql",
            "CREATE TABLE b ();",
            "DROP TABLE b;\nDROP TABLE nosuchtable;",
        ),
        ("3_c.sql", "CREATE TABLE c ();", "DROP TABLE c;"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = down(&database, &["--to", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "2_b (down, as the history has it):2:1: table \"nosuchtable\" does not exist (SQLSTATE 42P01)",
        "2 | DROP TABLE nosuchtable;",
        "state: the database is at version 2 b",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(versions(&database).await, ["1", "2"]);
    assert!(table_exists(&database, "b").await);
}

#[tokio::test]
async fn it_runs_without_a_transaction_where_the_file_says_so() {
    let database = Server::shared().database().await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("1_a.sql"),
        "-- Transaction: none\n-- +++++ UP\nCREATE TABLE a (b int);\nCREATE INDEX CONCURRENTLY i ON a (b);\n\
         -- +++++ DOWN\nDROP INDEX CONCURRENTLY i;\nSELECT 1 / count(*) FROM a;\n",
    )
    .unwrap();
    assert_eq!(migrate(&database, directory.path()).code, Some(0));
    let ended = down(&database, &["--steps", "1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("done: the first of the 2 statements"),
        "{ended:?}"
    );

    // Half undone is no state to go up from.
    let ended = migrate(&database, directory.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stderr.contains(
            "version 1 was being undone when that was interrupted, after 1 of its statements"
        ),
        "{ended:?}"
    );
    database.execute("INSERT INTO a VALUES (1)").await;
    let ended = down(&database, &["--steps", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, [""; 0]);
    assert_eq!(
        database
            .value("SELECT count(*) FROM refinery_schema_history_steps")
            .await,
        "0"
    );
}

#[tokio::test]
async fn nothing_is_undone_below_a_migration_that_is_half_applied() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", "DROP TABLE a;"),
        (
            "2_b.sql",
            "-- Transaction: none\nCREATE TABLE b ();\nSELECT 1 / 0;",
            "DROP TABLE b;",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(1));
    let ended = down(&database, &["--to", "0"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("run database-migration repair --forget-unfinished 2"),
        "{ended:?}"
    );
    let repair = |version| {
        run(program(&database)
            .args(["repair", "--forget-unfinished", version, "--migrations"])
            .arg(files.path()))
    };
    assert_eq!(repair("1").code, Some(2));
    let ended = repair("2");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(down(&database, &["--to", "0"]).code, Some(0));
}

#[tokio::test]
async fn redo_applies_the_newest_again_as_its_file_is_now() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", "DROP TABLE a;"),
        ("2_b.sql", "CREATE TABLE b (c int);", "DROP TABLE b;"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(
        files.path(),
        "2_b.sql",
        "CREATE TABLE b (d int);",
        "DROP TABLE b;",
    );
    let redo = |arguments: &[&str]| {
        run(program(&database)
            .arg("redo")
            .args(arguments)
            .arg("--migrations")
            .arg(files.path()))
    };
    let ended = redo(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("is at version 2 b, undone and applied again"),
        "{ended:?}"
    );
    database.execute("INSERT INTO b (d) VALUES (1)").await;
    let ended = redo(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("table b, 1 row"), "{ended:?}");
    assert_eq!(redo(&["--allow-data-loss"]).code, Some(0));
    assert_eq!(database.value("SELECT count(*) FROM b").await, "0");
}

#[tokio::test]
async fn redo_leaves_alone_what_nothing_undoes() {
    let database = Server::shared().database().await;
    let files = reversible(&[("1_a.sql", "CREATE TABLE a ();", "")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    for safety in ["true", "false"] {
        let ended = run(program(&database)
            .env("MIGRATION_ROLLBACK_SAFETY", safety)
            .args(["redo", "--migrations"])
            .arg(files.path()));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("nothing undoes 1 a; nothing was changed"),
            "{ended:?}"
        );
        assert_eq!(versions(&database).await, ["1"]);
    }
}

#[tokio::test]
async fn up_stops_at_the_version_that_is_asked_for() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        ("1_a.sql", "CREATE TABLE a ();", ""),
        ("2_b.sql", "CREATE TABLE b ();", ""),
        ("3_c.sql", "CREATE TABLE c ();", ""),
    ]);
    let up = |arguments: &[&str]| {
        run(program(&database)
            .arg("up")
            .args(arguments)
            .arg("--migrations")
            .arg(files.path()))
    };
    let ended = up(&["--to", "2", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("would apply 1 a\nwould apply 2 b\n"),
        "{ended:?}"
    );
    assert!(
        ended
            .stdout
            .contains("2 would be applied; nothing was changed"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "refinery_schema_history").await);

    assert_eq!(up(&["--to", "2"]).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2"]);
    let ended = up(&["--to", "1"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("run database-migration down --to 1"),
        "{ended:?}"
    );
    let ended = up(&["--to", "7"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("there is no version 7"), "{ended:?}");
    assert_eq!(up(&[]).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn without_rollback_safety_nothing_is_asked() {
    let database = Server::shared().database().await;
    let files = reversible(&[
        (
            "1_a.sql",
            "CREATE TABLE a (); INSERT INTO a DEFAULT VALUES;",
            "",
        ),
        (
            "2_b.sql",
            "CREATE TABLE b (); INSERT INTO b DEFAULT VALUES;",
            "DROP TABLE b;",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = run(program(&database)
        .env("MIGRATION_ROLLBACK_SAFETY", "false")
        .args(["down", "--to", "0"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("warning: this destroys table b, 1 row"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, [""; 0]);
}
