//! `status`.

use crate::support::{directory, migrate, program, read_only_role, table_exists, write};
use serde_json::{Value, json};
use std::path::Path;
use test_postgres::{Database, Server};
use test_process::{Ended, run, start};

fn status(database: &Database<'_>, directory: &Path, arguments: &[&str]) -> Ended {
    run(program(database)
        .arg("status")
        .args(arguments)
        .arg("--migrations")
        .arg(directory))
}

fn parsed(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("all of the standard output is one JSON document")
}

/// Version and state of each migration.
fn states(document: &Value) -> Vec<(i64, &str)> {
    document["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["version"].as_i64().unwrap(),
                row["state"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn every_state_is_told_apart() {
    let database = Server::shared().database().await;
    let applied = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();"),
        ("3_c.sql", "CREATE TABLE c ();"),
        ("7_g.sql", "CREATE TABLE g ();"),
        ("9_i.sql", "CREATE TABLE i ();"),
    ]);
    assert_eq!(migrate(&database, applied.path()).code, Some(0));
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b (changed int);"),
        ("5_e.sql", "CREATE TABLE e ();"),
        (
            "7_g.sql",
            "CREATE TABLE g ();\n-- +++++ DOWN\nDROP TABLE g;",
        ),
    ]);
    let ended = status(&database, files.path(), &["--format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document = parsed(&ended);
    assert_eq!(
        states(&document),
        [
            (1, "applied"),
            (2, "changed"),
            (3, "missing"),
            (5, "out-of-order"),
            (7, "applied"),
            (9, "ahead"),
        ]
    );
    assert_eq!(document["current"], 9);
    assert_eq!(document["pending"], 0);
    assert_eq!(
        document["history"],
        "\"public\".\"refinery_schema_history\""
    );
    assert_eq!(document["migrations"][4]["down_changed"], true);
    assert_eq!(document["migrations"][0]["reversible"], false);
    assert_eq!(
        document["migrations"][0]["applied_by"],
        "postgres@127.0.0.1"
    );

    let ended = status(&database, files.path(), &["--exit-code"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stdout.contains("changed") && ended.stderr.contains("disagree"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_is_pending_is_an_exit_code_for_whoever_asks() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = status(&database, files.path(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("has no migrations, 1 pending"),
        "{ended:?}"
    );
    // It has changed nothing.
    assert!(!table_exists(&database, "refinery_schema_history").await);
    let ended = status(&database, files.path(), &["--exit-code"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("next: apply them with database-migration up"),
        "{ended:?}"
    );
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(
        status(&database, files.path(), &["--exit-code"]).code,
        Some(0)
    );
}

#[tokio::test]
async fn the_table_is_for_people() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_create_users.sql",
        "CREATE TABLE a ();\n-- +++++ DOWN\nDROP TABLE a;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(files.path(), "20_b.sql", "CREATE TABLE b ();");
    database
        .execute(
            "UPDATE refinery_schema_history SET applied_on = '2026-11-21T17:00:00.123Z', duration_ms = 12",
        )
        .await;
    let ended = status(&database, files.path(), &[]);
    let table: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| !line.starts_with('✓'))
        .collect();
    assert_eq!(
        table.join("\n"),
        "version  name          state         applied on                 ms  down  by\n      \
         1  create_users  applied       2026-11-21T17:00:00        12  yes   postgres@127.0.0.1\n     \
         20  b             pending                                      no"
    );
}

#[tokio::test]
async fn a_migration_that_is_half_done_is_interrupted() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "-- Transaction: none\nCREATE TABLE a ();\nSELECT 1 / 0;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(1));
    let ended = status(&database, files.path(), &["--format", "json"]);
    let document = parsed(&ended);
    assert_eq!(states(&document), [(1, "interrupted")]);
    assert_eq!(document["migrations"][0]["finished_statements"], 1);
    assert_eq!(document["pending"], 1);
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_b.sql",
            "-- Transaction: none\nCREATE TABLE b ();\nSELECT 1 / 0;",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(1));
    let role = read_only_role(&database).await;
    let ended = run(program(&database)
        .env("DB_USER", role.name())
        .env("DB_PASSWORD", role.name())
        .args(["status", "--format", "json", "--migrations"])
        .arg(files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(parsed(&ended)["migrations"][0]["state"], json!("applied"));
    role.drop().await;
}

#[tokio::test]
async fn a_migration_that_is_undone_while_it_looks_is_told_as_pending() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_i.sql",
            "-- Transaction: none\nCREATE INDEX CONCURRENTLY i ON a ((1));",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    // It reads this table between the two times that it reads the history.
    let mut holder = database.client().await;
    let holder = holder.transaction().await.unwrap();
    holder
        .batch_execute("LOCK TABLE refinery_schema_history_steps")
        .await
        .unwrap();
    let looking = start(
        program(&database)
            .env("MIGRATION_LOCK_TIMEOUT", "60s")
            .args(["status", "--format", "json", "--migrations"])
            .arg(files.path()),
    );
    database
        .until(
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND database = (
                    SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    database
        .execute("DELETE FROM refinery_schema_history WHERE version = 1")
        .await;
    holder.commit().await.unwrap();
    let ended = looking.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        states(&parsed(&ended)),
        [(1, "out-of-order"), (2, "applied")]
    );
}

#[tokio::test]
async fn the_history_is_all_that_a_role_has_to_read() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "-- Transaction: none\nCREATE TABLE a ();\nSELECT 1;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let role = read_only_role(&database).await;
    let name = role.name();
    database
        .execute(&format!(
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name};
             GRANT SELECT ON refinery_schema_history TO {name}"
        ))
        .await;
    write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let look = |command: &str| {
        run(program(&database)
            .env("DB_USER", name)
            .env("DB_PASSWORD", name)
            .args([command, "--migrations"])
            .arg(files.path()))
    };
    let hidden =
        "is half done is not known: permission denied for table refinery_schema_history_steps";
    for (command, told) in [("status", "1 pending"), ("plan", "1 migration pending")] {
        let ended = look(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains(hidden), "{ended:?}");
        let everything = format!("{}{}", ended.stdout, ended.stderr);
        assert!(everything.contains(told), "{ended:?}");
    }

    // The description of the schema is made anew, for whoever may read the history.
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = look("verify");
    assert_eq!(ended.code, Some(4), "{ended:?}");
    for told in [
        "not so: no migration is half done\n  permission denied",
        "1 of the checks above failed",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
    database
        .execute(&format!(
            "GRANT SELECT ON refinery_schema_history_steps TO {name}"
        ))
        .await;
    let ended = look("verify");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    role.drop().await;
}

#[tokio::test]
async fn who_may_read_the_history_may_read_how_far_migrations_came() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let role = read_only_role(&database).await;
    let name = role.name();
    database
        .execute(&format!(
            "GRANT SELECT ON refinery_schema_history TO {name}"
        ))
        .await;
    write(
        files.path(),
        "2_b.sql",
        "-- Transaction: none\nCREATE TABLE b ();\nSELECT 1;",
    );
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = run(program(&database)
        .env("DB_USER", name)
        .env("DB_PASSWORD", name)
        .args(["status", "--migrations"])
        .arg(files.path()));
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    role.drop().await;
}
