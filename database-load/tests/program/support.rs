//! What the tests of this program share.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};
use tokio_postgres::{Client, Transaction};

/// A table with columns of the types that the program checks itself.
pub(crate) const ITEMS: &str = "
    CREATE TABLE items (
        id TEXT PRIMARY KEY,
        name VARCHAR(20),
        price NUMERIC(6, 2) CHECK (price >= 0),
        stock INTEGER,
        is_new BOOLEAN
    )";

/// An empty database.
pub(crate) async fn empty() -> Database<'static> {
    Server::shared().database().await
}

/// A database with these tables.
pub(crate) async fn database(statements: &str) -> Database<'static> {
    let database = empty().await;
    database.execute(statements).await;
    database
}

/// A database with order-food's tables.
pub(crate) async fn migrated() -> Database<'static> {
    let migrations = database_migration::MigrationSet::embedded().unwrap();
    let statements: String = migrations
        .files()
        .iter()
        .map(|file| file.sql.clone() + ";\n")
        .collect();
    database(&statements).await
}

/// The program, led to a test's database.
pub(crate) fn program(database: &Database<'_>) -> Command {
    database.command(env!("CARGO_BIN_EXE_database-load"))
}

/// A transaction that has run a statement, and keeps what it locked until it ends.
pub(crate) async fn holding<'client>(
    client: &'client mut Client,
    statement: &str,
) -> Transaction<'client> {
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(statement).await.unwrap();
    transaction
}

/// A directory of files.
pub(crate) fn directory<Content: AsRef<[u8]>>(files: &[(&str, Content)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(directory.path(), name, content);
    }
    directory
}

/// Writes a file, and the folder that it is in.
pub(crate) fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The program on a directory.
pub(crate) fn program_on(database: &Database<'_>, directory: &Path) -> Command {
    let mut command = program(database);
    command.arg("--data").arg(directory);
    command
}

/// Loads a directory.
pub(crate) fn load(database: &Database<'_>, directory: &Path) -> Ended {
    run(&mut program_on(database, directory))
}

/// Loads these files.
pub(crate) fn load_files<Content: AsRef<[u8]>>(
    database: &Database<'_>,
    files: &[(&str, Content)],
) -> Ended {
    load(database, directory(files).path())
}

/// Loads files and expects that to succeed.
pub(crate) fn loaded<Content: AsRef<[u8]>>(
    database: &Database<'_>,
    files: &[(&str, Content)],
) -> Ended {
    succeeded(load_files(database, files))
}

/// A run that ended well and said nothing on standard error.
pub(crate) fn succeeded(ended: Ended) -> Ended {
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    ended
}

/// A run that ended with an exit code and said each of these texts on standard error.
pub(crate) fn assert_failed(ended: &Ended, code: i32, texts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for text in texts {
        assert!(ended.stderr.contains(text), "{text:?}: {}", ended.stderr);
    }
}

/// A run that said each of these texts on standard output.
pub(crate) fn assert_said(ended: &Ended, texts: &[&str]) {
    for text in texts {
        assert!(ended.stdout.contains(text), "{text:?}: {}", ended.stdout);
    }
}

/// A table's rows as PostgreSQL writes records, in their order.
pub(crate) async fn rows(database: &Database<'_>, table: &str) -> Vec<String> {
    let query = format!("SELECT row FROM (SELECT * FROM {table}) AS row ORDER BY row::text");
    database.values(&query).await
}

/// Which version of each row is there: a row that is written again gets another.
pub(crate) async fn versions(database: &Database<'_>, table: &str) -> Vec<String> {
    let query = format!(
        "SELECT concat_ws(' ', xmin, ctid, {table}::text) FROM {table} ORDER BY {table}::text"
    );
    database.values(&query).await
}

/// The outcomes of all runs of a data set, the first one first.
pub(crate) async fn outcomes(database: &Database<'_>, data_set: &str) -> Vec<String> {
    let query = format!("SELECT outcome FROM load_run WHERE data_set = '{data_set}' ORDER BY id");
    database.values(&query).await
}

/// The counts of the last run: read, valid, rejected, inserted, updated, unchanged, marked, deleted, kept.
pub(crate) async fn last_counts(database: &Database<'_>) -> String {
    database
        .value(
            "SELECT concat_ws(' ', rows_read, rows_valid, rows_rejected, rows_inserted, rows_updated, rows_unchanged,
                              rows_marked, rows_deleted, rows_kept)
             FROM load_run ORDER BY id DESC LIMIT 1",
        )
        .await
}

/// The rejected rows of the last run, without the headers of files.
pub(crate) async fn rejected(database: &Database<'_>) -> Vec<String> {
    database
        .values(
            "SELECT concat_ws('|', regexp_replace(file, '.*/', ''), line, column_name, reason, coalesce(value, 'NULL'))
             FROM load_reject WHERE line > 0 AND run_id = (SELECT max(id) FROM load_run) ORDER BY position",
        )
        .await
}
