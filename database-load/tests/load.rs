//! Loading and refreshing, as the loader's user meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, bare_command, run};

const HEADER: &str = "id,name,price,category\n";

/// An empty database with order-food's schema.
async fn migrated() -> Database<'static> {
    let database = Server::shared().database().await;
    for file in database_migration::MigrationSet::embedded()
        .unwrap()
        .files()
    {
        database.execute(&file.sql).await;
    }
    database
}

fn program(database: &Database<'_>) -> Command {
    database.command(env!("CARGO_BIN_EXE_database-load"))
}

/// A directory with a file products.csv.
fn directory(content: impl AsRef<[u8]>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("products.csv"), content).unwrap();
    directory
}

fn load(database: &Database<'_>, directory: &Path) -> Ended {
    run(program(database).arg("--data").arg(directory))
}

/// All products as the table holds them.
async fn products(database: &Database<'_>) -> Vec<String> {
    database
        .values("SELECT concat_ws('|', id, name, price, category) FROM products ORDER BY id")
        .await
}

/// Which version of each row is there, and where: a row that is written again gets another.
async fn versions(database: &Database<'_>) -> Vec<String> {
    database
        .values("SELECT concat_ws(' ', id, xmin, ctid, updated_at) FROM products ORDER BY id")
        .await
}

#[tokio::test]
async fn the_ten_products_are_loaded_exactly() {
    let database = migrated().await;
    let ended = run(&mut program(&database));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("✓ database-load: products 10 inserted; coupons 8 inserted; "),
        "{ended:?}"
    );
    let expected = include_str!("../data/products.csv").replace(',', "|");
    let mut expected: Vec<_> = expected.lines().skip(1).collect();
    expected.sort_by_key(|line| line.split('|').next());
    assert_eq!(products(&database).await, expected);
}

#[tokio::test]
async fn a_second_run_writes_nothing() {
    let database = migrated().await;
    assert_eq!(run(&mut program(&database)).code, Some(0));
    let before = versions(&database).await;
    let ended = run(&mut program(&database));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("✓ database-load: products unchanged; coupons unchanged; "),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, before);
}

#[tokio::test]
async fn only_what_differs_is_written() {
    let database = migrated().await;
    let first = directory(format!("{HEADER}1,a,1.00,x\n2,b,2.00,\n3,c,3.00,z\n"));
    assert_eq!(load(&database, first.path()).code, Some(0));
    let before = versions(&database).await;

    let second = directory(format!("{HEADER}1,a,1,x\n2,b,2.00,y\n4,d,4.00,\n"));
    let ended = run(program(&database).env("DATA_DIR", second.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("products 1 inserted, 1 updated, 1 unchanged, 1 marked"),
        "{ended:?}"
    );
    assert_eq!(
        products(&database).await,
        ["1|a|1.00|x", "2|b|2.00|y", "3|c|3.00|z", "4|d|4.00"]
    );
    assert_eq!(
        database
            .values("SELECT id FROM products WHERE removed_at IS NOT NULL")
            .await,
        ["3"]
    );
    let after = versions(&database).await;
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    assert_eq!(
        database
            .value("SELECT updated_at > created_at FROM products WHERE id = '2'")
            .await,
        "t"
    );
}

#[tokio::test]
async fn a_broken_row_loads_nothing_and_is_named() {
    let database = migrated().await;
    assert_eq!(run(&mut program(&database)).code, Some(0));
    let before = versions(&database).await;
    let long = "x".repeat(256);
    for (rows, place, reason) in [
        (
            "1,a,abc,x",
            "products.csv:2: column price",
            "\"abc\" is not a decimal number",
        ),
        (
            "1,a,1.00,x\n2,b,1.999,x",
            "products.csv:3: column price",
            "more than 2 digits after the point",
        ),
        (
            "1,a,123456789.00,x",
            "products.csv:2: column price",
            "more than 8 digits before the point",
        ),
        (
            "1,a,-1.00,x",
            "products.csv:2: column price",
            "the constraint products_price_check is not met",
        ),
        (
            ",a,1.00,x",
            "products.csv:2: column id",
            "a value is required",
        ),
        (
            "1,,1.00,x",
            "products.csv:2: column name",
            "a value is required",
        ),
        (
            "1,a,1.00",
            "products.csv:2: the row has 3 fields, the header 4",
            "",
        ),
        (
            "1,a,1.00,x,y",
            "products.csv:2: the row has 5 fields, the header 4",
            "",
        ),
        (
            "1,a,1.00,x\n1,b,2.00,y",
            "products.csv:3: column id",
            "the key is already that of line 2",
        ),
        ("1,a\0b,1.00,x", "products.csv:2: column name", "a NUL byte"),
        (
            &format!("1,{long},1.00,x"),
            "products.csv:2: column name",
            "has 256 characters; at most 255 fit",
        ),
    ] {
        let files = directory(format!("{HEADER}{rows}\n"));
        let ended = load(&database, files.path());
        assert_eq!(ended.code, Some(7), "{rows}: {ended:?}");
        assert!(ended.stderr.contains(place), "{rows}: {ended:?}");
        assert!(ended.stderr.contains(reason), "{rows}: {ended:?}");
        assert!(ended.stderr.contains("nothing was loaded"), "{ended:?}");
    }
    assert_eq!(versions(&database).await, before);
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_named_and_not_guessed() {
    let database = migrated().await;
    let files = directory(b"id,name,price,category\n1,Cr\xE8me,1.00,x\n");
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("products.csv:2: column name: byte 3 is not UTF-8"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn all_broken_rows_are_counted_and_the_first_of_them_shown() {
    let database = migrated().await;
    let rows: String = (1..=50).map(|id| format!("{id},a,?,x\n")).collect();
    let files = directory(format!("{HEADER}{rows}"));
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(
        ended.stderr.contains("50 of 50 rows cannot be loaded"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("and 30 more"), "{ended:?}");
}

#[tokio::test]
async fn the_header_is_held_against_the_table() {
    let database = migrated().await;
    for (content, reason) in [
        (
            "id,name,price,colour\n",
            "has no column \"colour\"; it has id, name, price",
        ),
        (
            "id,name,category\n1,a,x\n",
            "the column \"price\" (numeric(10,2)) is missing",
        ),
        ("id,name,price,id\n", "the column \"id\" stands there twice"),
        ("id,name,price,category\n", "holds no rows"),
        ("", "is missing"),
    ] {
        let files = directory(content);
        let ended = load(&database, files.path());
        assert_eq!(ended.code, Some(7), "{content:?}: {ended:?}");
        assert!(ended.stderr.contains(reason), "{content:?}: {ended:?}");
    }
}

#[tokio::test]
async fn spreadsheets_way_of_writing_csv_is_understood() {
    let database = migrated().await;
    let files = directory("\u{FEFF}price,id,name\r\n12.5,1,\"Say \"\"hi\"\",\nplease\t\\N\"\r\n");
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database.value("SELECT name FROM products").await,
        "Say \"hi\",\nplease\t\\N"
    );
    assert_eq!(
        database
            .value("SELECT price || ' ' || (category IS NULL) FROM products")
            .await,
        "12.50 true"
    );
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let database = Server::shared().database().await;
    let ended = run(program(&database).args(["--only", "products"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("there is no table products"));
    assert!(ended.stderr.contains("run database-migration first"));

    let database = migrated().await;
    let empty = tempfile::tempdir().unwrap();
    let ended = load(&database, empty.path());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("holds no data"), "{ended:?}");

    for (variable, value) in [
        ("DATA_DIR", "/nowhere"),
        ("LOAD_LOCK_TIMEOUT", "soon"),
        ("DB_PORT", "x"),
    ] {
        let ended = run(program(&database).env(variable, value));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended
                .stderr
                .contains(&format!("✗ database-load: {variable}=")),
            "{ended:?}"
        );
    }
}

#[test]
fn the_command_line_explains_itself_and_refuses_what_it_does_not_know() {
    let program = || bare_command(env!("CARGO_BIN_EXE_database-load"));
    let help = run(program().arg("--help"));
    assert_eq!(help.code, Some(0));
    for part in ["Usage:", "--data", "DATA_DIR", "DB_HOST", "Exit codes:"] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    let version = run(program().arg("--version"));
    assert_eq!(
        version.stdout,
        format!("database-load {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(run(program().arg("--no-such-flag")).code, Some(2));
}

#[tokio::test]
async fn loads_at_once_exclude_each_other() {
    let database = migrated().await;
    let running: Vec<_> = (0..8).map(|_| start(&mut program(&database))).collect();
    let mut inserted = 0;
    for process in running {
        let ended: Ended = process.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let verdict = ended.stdout.lines().last().unwrap().to_owned();
        inserted += usize::from(verdict.contains("products 10 inserted"));
    }
    assert_eq!(inserted, 1);
}

/// The products that are compiled in, of which the first has another name.
fn changed_products() -> String {
    include_str!("../data/products.csv").replace("Chicken Waffle", "changed")
}

/// Starts the program and returns while it runs.
fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn until_a_load_waits_for_a_row(database: &Database<'_>) {
    let started = Instant::now();
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid IN (
                       SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
    while database.value(waiting).await != "t" {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_load_waits_for_another_and_waiting_can_be_limited() {
    let database = migrated().await;
    assert_eq!(run(&mut program(&database)).code, Some(0));
    let mut client = database.client().await;
    let reader = client.transaction().await.unwrap();
    reader
        .batch_execute("SELECT * FROM products WHERE id = '1' FOR UPDATE")
        .await
        .unwrap();
    let files = directory(changed_products());
    let first = start(
        program(&database)
            .env("HOSTNAME", "pod-one")
            .arg("--data")
            .arg(files.path()),
    );
    until_a_load_waits_for_a_row(&database).await;

    let other = directory(changed_products() + "11,new,1.00,x\n");
    let mut second = program(&database);
    second.env("DATA_DIR", other.path());
    let left = run(second.env("LOAD_IF_RUNNING", "leave"));
    assert_eq!(left.code, Some(0), "{left:?}");
    assert!(left.stdout.contains("another load is at work"), "{left:?}");
    second.env_remove("LOAD_IF_RUNNING");
    let second = run(second.env("LOAD_RUNNER_WAIT", "300ms"));
    assert_eq!(second.code, Some(6), "{second:?}");
    assert!(
        second
            .stderr
            .contains("it is held by database-load pod-one at 127.0.0.1"),
        "{second:?}"
    );
    reader.rollback().await.unwrap();
    let first: Ended = first.wait_with_output().unwrap().into();
    assert_eq!(first.code, Some(0), "{first:?}");
}

#[tokio::test]
async fn sigterm_rolls_the_load_back() {
    let database = migrated().await;
    assert_eq!(run(&mut program(&database)).code, Some(0));
    let before = versions(&database).await;
    let mut client = database.client().await;
    let reader = client.transaction().await.unwrap();
    reader
        .batch_execute("SELECT * FROM products WHERE id = '1' FOR UPDATE")
        .await
        .unwrap();

    let files = directory(changed_products() + "11,new,1.00,x\n");
    let process = start(program(&database).arg("--data").arg(files.path()));
    until_a_load_waits_for_a_row(&database).await;
    let status = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let ended: Ended = process.wait_with_output().unwrap().into();
    assert_eq!(ended.code, Some(143), "{ended:?}");
    reader.rollback().await.unwrap();
    assert_eq!(versions(&database).await, before);
}
