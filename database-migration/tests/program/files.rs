//! Migration files: styles, directories, and what is wrong with them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use database_migration::MigrationSet;
use refinery::Runner;
use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};

use crate::support::{bare_program, directory, migrate, program, table_exists, versions, write};

/// A directory of files with exactly this content.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

/// The program in a directory, on the named ones below it.
fn in_directory(mut command: Command, directory: &Path, migrations: &[&str]) -> Ended {
    command.current_dir(directory);
    for path in migrations {
        command.args(["--migrations", path]);
    }
    run(&mut command)
}

async fn history(database: &Database<'_>) -> Vec<String> {
    database
        .values(
            "SELECT concat_ws('|', version, name, down_sql) FROM refinery_schema_history ORDER BY version",
        )
        .await
}

#[tokio::test]
async fn a_directory_is_named_by_flag_or_variable() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(table_exists(&database, "a").await);

    write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let ended = run(program(&database).env("MIGRATIONS_DIR", files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(table_exists(&database, "b").await);
    assert_eq!(versions(&database).await, ["1", "2"]);
}

#[tokio::test]
async fn several_directories_of_different_styles_are_one_set() {
    let files = files(&[
        ("base/1_a.sql", b"-- +++++ UP\nCREATE TABLE a ();"),
        (
            "base/3_c.sql",
            b"-- +++++ UP\nALTER TABLE b ADD c int;\n-- +++++ DOWN\nALTER TABLE b DROP c;",
        ),
        ("service/V2__b.sql", b"CREATE TABLE b ();\n"),
        ("service/U2__b.sql", b"DROP TABLE b;\n"),
        (
            "late/20261121120000_add-d.up.sql",
            b"ALTER TABLE b ADD d int;\n",
        ),
        ("late/20261121120000_add-d.down.sql", b""),
    ]);
    let expected = [
        "1|a",
        "2|b|DROP TABLE b;\n",
        "3|c|ALTER TABLE b DROP c;",
        "20261121120000|add_d",
    ];

    let database = Server::shared().database().await;
    let ended = in_directory(
        program(&database),
        files.path(),
        &["late", "base", "service"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(history(&database).await, expected);

    let database = Server::shared().database().await;
    let mut command = program(&database);
    command.env("MIGRATIONS_DIR", "base:service:late");
    let ended = in_directory(command, files.path(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(history(&database).await, expected);
}

#[tokio::test]
async fn a_list_of_directories_has_no_empty_ones() {
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let list = format!("{}:", files.path().display());
    let ended = run(bare_program().env("MIGRATIONS_DIR", list));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("MIGRATIONS_DIR=\"\": expected a directory"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn refinery_finds_its_own_files_applied() {
    let files = files(&[
        (
            "V1__create_users.sql",
            b"\n-- first\nCREATE TABLE users (\n);\n\n",
        ),
        ("V002__größe.sql", b"CREATE TABLE b ();"),
        (
            "V20261121120000___c.sql",
            b"-- Description: c\nCREATE TABLE c ();\n",
        ),
    ]);
    let refinerys = refinery::load_sql_migrations(files.path()).unwrap();
    let set = MigrationSet::from_directories(&[files.path().to_owned()]).unwrap();
    assert_eq!(set.files().len(), refinerys.len());
    for (ours, refinerys) in set.files().iter().zip(&refinerys) {
        assert!(ours.is(refinerys), "{ours:?}");
    }

    let database = Server::shared().database().await;
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let mut client = database.client().await;
    let report = Runner::new(&refinerys)
        .run_async(&mut client)
        .await
        .unwrap();
    assert_eq!(report.applied_migrations().len(), 0);
}

#[tokio::test]
async fn a_mounted_config_map_is_read_as_its_author_means_it() {
    let database = Server::shared().database().await;
    let files = directory(&[]);
    // As the kubelet lays it out: a hidden directory, a link to it, and links through that one.
    let hidden = files.path().join("..2026_11_21");
    fs::create_dir(&hidden).unwrap();
    symlink("..2026_11_21", files.path().join("..data")).unwrap();
    for name in ["1_a.up.sql", "1_a.down.sql"] {
        fs::write(hidden.join(name), "CREATE TABLE a ();").unwrap();
        symlink(format!("..data/{name}"), files.path().join(name)).unwrap();
    }
    fs::create_dir(files.path().join("lost+found")).unwrap();
    fs::write(files.path().join("README.md"), "about").unwrap();

    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1"]);
    assert!(
        ended
            .stderr
            .contains("README.md does not end in .sql and was left alone"),
        "{ended:?}"
    );

    // An update of it: another hidden directory, and the one link changed.
    let newer = files.path().join("..2026_11_22");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("1_a.up.sql"), "CREATE TABLE a (id int);").unwrap();
    fs::write(newer.join("1_a.down.sql"), "").unwrap();
    fs::remove_file(files.path().join("..data")).unwrap();
    symlink("..2026_11_22", files.path().join("..data")).unwrap();
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
}

#[tokio::test]
async fn every_problem_of_every_directory_is_reported_at_once() {
    let files = files(&[
        ("one/1_a.sql", b"-- +++++ UP\nCREATE TABLE a ();"),
        ("one/01_b.sql", b"-- +++++ UP\nCREATE TABLE b ();"),
        ("one/2_add-hyphen.sql", b"-- +++++ UP\nCREATE TABLE c ();"),
        ("one/3_d.sql", b"CREATE TABLE d ();"),
        ("one/4_e.sql", b"-- +++++ UP\nSELECT '\xFF';"),
        (
            "one/5_f.sql",
            b"SELECT 0;\n-- +++++ UP\n-- Transaction: off\nSELECT 1;\n-- +++++ Down\n",
        ),
        ("one/6_g.SQL", b"-- +++++ UP\nSELECT 1;"),
        ("one/7_h.sql/content", b""),
        ("one/V8__i.sql", b"SELECT 1;\n-- +++++ DOWN\nSELECT 2;\n"),
        ("one/seed.sql", b"SELECT 1;"),
        ("one/9223372036854775808_j.sql", b"-- +++++ UP\nSELECT 1;"),
        ("other/V1__a.sql", b"SELECT 1;"),
        ("other/V1.2__b.sql", b"SELECT 1;"),
        ("other/R__views.sql", b"SELECT 1;"),
        ("other/U9__k.sql", b"SELECT 1;"),
        ("other/V11__l.sql", b"\xFF\xFES\0"),
        ("other/V12__m.sql", b"SELECT 1;\r\n\0\r\n"),
        ("other/V13__n.sql", b"\n"),
        ("empty/README.md", b"about"),
    ]);
    symlink("nowhere", files.path().join("other/V10__z.sql")).unwrap();
    let database = Server::shared().database().await;
    let ended = in_directory(program(&database), files.path(), &["one", "other", "empty"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let report = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("warning: "))
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(report, include_str!("every_problem.txt").trim_end());
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[test]
fn problems_are_told_without_waiting_for_a_server() {
    let files = directory(&[("x.sql", "SELECT 1;")]);
    let started = Instant::now();
    let ended = run(bare_program()
        .args(["--migrations".as_ref(), files.path().as_os_str()])
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", "1")
        .env("DB_WAIT_TIMEOUT", "10min"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(started.elapsed() < Duration::from_mins(1));
}

/// As many as fill the largest ConfigMap twice.
fn thousands(count: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for version in 1..=count {
        let sql = format!("CREATE TABLE a{version} ();\n-- {}", "x".repeat(200));
        write(directory.path(), &format!("{version:06}_a.sql"), &sql);
    }
    directory
}

#[test]
fn thousands_of_files_are_read_in_the_order_of_their_versions() {
    let directory = thousands(8_000);
    let set = MigrationSet::from_directories(&[directory.path().to_owned()]).unwrap();
    assert_eq!(set.files().len(), 8_000);
    for (file, version) in set.files().iter().zip(1..) {
        assert_eq!(file.version, version);
        assert!(file.sql.starts_with(&format!("CREATE TABLE a{version} (")));
    }

    // One problem in each half, which another thread reads.
    let broken: Vec<PathBuf> = ["000002_a.sql", "007999_a.sql"]
        .map(|name| directory.path().join(name))
        .to_vec();
    for path in &broken {
        fs::write(path, "SELECT 1;").unwrap();
    }
    let error = MigrationSet::from_directories(&[directory.path().to_owned()]).unwrap_err();
    let database_migration::FileError::Problems(problems) = error;
    let paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, broken);
}

#[tokio::test]
async fn a_thousand_migrations_are_applied_once() {
    let database = Server::shared().database().await;
    let directory = thousands(1_000);
    let ended = migrate(&database, directory.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let count = "SELECT count(*) FROM pg_class WHERE relname ~ '^a[0-9]+$'";
    assert_eq!(database.value(count).await, "1000");
    let ended = migrate(&database, directory.path());
    assert!(
        ended.stdout.contains("is at version 1000 a, nothing to do"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_directory_without_migrations_stops() {
    let database = Server::shared().database().await;
    let files = directory(&[]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains(": there is no migration file in it"),
        "{ended:?}"
    );
}
