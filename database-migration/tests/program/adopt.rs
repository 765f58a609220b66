//! `adopt` and `baseline`.

use std::path::Path;

use crate::support::{directory, migrate, program, table_exists, versions};
use refinery::Migration;
use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};

fn command(database: &Database<'_>, directory: &Path, arguments: &[&str]) -> Ended {
    run(program(database)
        .args(arguments)
        .arg("--migrations")
        .arg(directory))
}

fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in files {
        std::fs::write(directory.path().join(name), sql).unwrap();
    }
    directory
}

/// refinery's table, with the checksums of `files` as refinery computes them for 64-bit versions.
async fn refinery(database: &Database<'_>, files: &[(&str, &str)]) {
    database
        .execute(
            "CREATE TABLE refinery_schema_history (version int8 PRIMARY KEY, name varchar(255),
             applied_on varchar(255), checksum varchar(255))",
        )
        .await;
    for (name, sql) in files {
        let migration = Migration::unapplied(name.strip_suffix(".sql").unwrap(), sql).unwrap();
        database
            .execute(&format!(
                "INSERT INTO refinery_schema_history VALUES ({}, '{}', '2024-05-06T07:08:09Z', '{}')",
                migration.version(),
                migration.name(),
                migration.checksum()
            ))
            .await;
    }
}

#[tokio::test]
async fn refinerys_history_is_taken_over_with_its_times() {
    let database = Server::shared().database().await;
    let applied = [
        ("V1__a.sql", "CREATE TABLE a ();\n"),
        // As a checkout on Windows has it.
        ("V2__b.sql", "CREATE TABLE b ();\r\n"),
    ];
    refinery(&database, &applied).await;
    let files = files(&[
        ("V1__a.sql", "CREATE TABLE a ();\n"),
        ("U1__a.sql", "DROP TABLE a;"),
        ("V2__b.sql", "CREATE TABLE b ();\n"),
        ("V3__c.sql", "CREATE TABLE c ();\n"),
    ]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stderr.contains("database-migration adopt"),
        "{ended:?}"
    );

    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains(
            "2 migrations taken over from \"public\".\"refinery_schema_history\"; none was run"
        ),
        "{ended:?}"
    );
    assert_eq!(
        database
            .values("SELECT applied_on FROM refinery_schema_history")
            .await,
        ["2024-05-06T07:08:09Z"; 2]
    );
    assert_eq!(
        database
            .value("SELECT down_sql FROM refinery_schema_history WHERE version = 1")
            .await,
        "DROP TABLE a;"
    );
    assert!(table_exists(&database, "refinery_schema_history_adopted").await);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("✓ 3 c applied"), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("is one of database-migration already"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn plain_refinerys_versions_of_32_bits_are_known() {
    let database = Server::shared().database().await;
    // What refinery 0.10 computes for these two files without the feature int8-versions.
    database
        .execute(
            "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255),
             applied_on varchar(255), checksum varchar(255));
             INSERT INTO refinery_schema_history VALUES
             (1, 'create_users', '2026-11-21T17:00:00Z', '12099350966378232070'), (2, 'add_index', '2026-11-21T17:00:00Z', '4456674739488373040')",
        )
        .await;
    let files = files(&[
        ("V1__create_users.sql", "CREATE TABLE users (id int);\n"),
        (
            "V2__add_index.sql",
            "CREATE INDEX users_id ON users (id);\n",
        ),
    ]);
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database
            .value("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'refinery_schema_history'::regclass AND attname = 'version'")
            .await,
        "bigint"
    );
    let ended = migrate(&database, files.path());
    assert!(ended.stdout.contains("nothing to do"), "{ended:?}");
}

#[tokio::test]
async fn a_history_of_other_files_is_refused_as_a_whole() {
    let database = Server::shared().database().await;
    refinery(
        &database,
        &[
            ("V1__a.sql", "CREATE TABLE a ();"),
            ("V2__b.sql", "CREATE TABLE b ();"),
        ],
    )
    .await;
    let files = files(&[("V1__a.sql", "CREATE TABLE a (changed int);")]);
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("V1__a.sql: refinery has applied another file as version 1 a"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("version 2 b was applied, but there is no file for it"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "refinery_schema_history_adopted").await);
}

async fn golang_migrate(database: &Database<'_>, version: i64, dirty: bool) {
    database
        .execute(&format!(
            "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
             INSERT INTO schema_migrations VALUES ({version}, {dirty})"
        ))
        .await;
}

fn pairs() -> TempDir {
    files(&[
        ("000001_a.up.sql", "CREATE TABLE a ();"),
        ("000001_a.down.sql", "DROP TABLE a;"),
        ("000002_b.up.sql", "CREATE TABLE b ();"),
        ("000002_b.down.sql", "DROP TABLE b;"),
        ("000003_c.up.sql", "CREATE TABLE c ();"),
        ("000003_c.down.sql", "DROP TABLE c;"),
    ])
}

#[tokio::test]
async fn golang_migrates_version_means_all_files_up_to_it() {
    let database = Server::shared().database().await;
    golang_migrate(&database, 2, false).await;
    let files = pairs();
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2"]);
    assert!(table_exists(&database, "schema_migrations").await);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    // What undoes them came with the files.
    let ended = command(&database, files.path(), &["down", "--to", "2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn golang_migrates_table_can_become_ours() {
    let database = Server::shared().database().await;
    golang_migrate(&database, 3, false).await;
    let files = pairs();
    let ended = run(program(&database)
        .env("MIGRATION_TABLE", "schema_migrations")
        .args(["adopt", "--migrations"])
        .arg(files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("is kept as \"public\".\"schema_migrations_adopted\""),
        "{ended:?}"
    );
    assert_eq!(
        database
            .values("SELECT name FROM schema_migrations ORDER BY version")
            .await,
        ["a", "b", "c"]
    );
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_explained() {
    let database = Server::shared().database().await;
    let files = pairs();
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("there is no table \"public\".\"schema_migrations\""),
        "{ended:?}"
    );
    golang_migrate(&database, 2, true).await;
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stderr.contains("golang-migrate failed in version 2"),
        "{ended:?}"
    );
    database
        .execute("UPDATE schema_migrations SET version = 9, dirty = false")
        .await;
    let ended = command(&database, files.path(), &["adopt"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("version 9 was applied, but there is no file"),
        "{ended:?}"
    );
    database
        .execute("CREATE TABLE other (version int, what text)")
        .await;
    let ended = command(&database, files.path(), &["adopt", "--from", "other"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("has the columns version, what; known are"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[tokio::test]
async fn a_baseline_records_without_running() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE a (); CREATE TABLE b ()")
        .await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();"),
        ("3_c.sql", "CREATE TABLE c ();"),
    ]);
    let ended = command(&database, files.path(), &["baseline", "--to", "5"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = command(&database, files.path(), &["baseline", "--to", "2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("is at version 2, 2 migrations recorded and none run"),
        "{ended:?}"
    );
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    let ended = command(&database, files.path(), &["baseline", "--to", "2"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("the history holds migrations up to version 3 already"),
        "{ended:?}"
    );
}
