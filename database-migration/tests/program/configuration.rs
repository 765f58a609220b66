//! The configuration file, as its user meets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, run};

use crate::support::{bare_program, last_lines, versions, write};

/// A directory with a configuration file that leads to a test's database, and with one migration.
struct Service {
    directory: TempDir,
}

impl Service {
    fn new(database: &Database<'_>, migration_section: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let migrations = directory.path().join("migrations");
        fs::create_dir(&migrations).unwrap();
        write(&migrations, "1_a.sql", "CREATE TABLE a ();");
        let service = Self { directory };
        service.configure(&format!(
            "database:\n  host: 127.0.0.1\n  port: {}\n  username: postgres\n  password: {}\n  database: {}\n  \
             sslmode: disable\nmigration:\n  directories: [migrations]\n{migration_section}",
            Server::shared().port(),
            Server::shared().password(),
            database.name(),
        ));
        service
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    fn configure(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn program(&self) -> Command {
        let mut command = bare_program();
        command.arg("--config").arg(self.file());
        command
    }
}

/// Runs the program in a directory whose `config.yaml` holds `text`.
fn run_with(text: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.yaml"), text).unwrap();
    run(bare_program()
        .args(["--config", "config.yaml"])
        .current_dir(directory.path()))
}

#[tokio::test]
async fn the_file_alone_leads_to_database_table_and_migrations() {
    let database = Server::shared().database().await;
    let service = Service::new(&database, "  table_name: schema_migrations\n");
    let ended = run(&mut service.program());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        database.values("SELECT name FROM schema_migrations").await,
        ["a"]
    );
    let waited = run(service.program().arg("wait"));
    assert_eq!(waited.code, Some(0), "{waited:?}");
}

#[tokio::test]
async fn flags_win_over_variables_and_variables_over_the_file() {
    let database = Server::shared().database().await;
    let service = Service::new(&database, "  table_name: of_the_file\n");
    let others = tempfile::tempdir().unwrap();
    write(others.path(), "7_b.sql", "SELECT 1;");
    let ended = run(service
        .program()
        .arg("--migrations")
        .arg(others.path())
        .env("MIGRATIONS_DIR", "/nowhere")
        .env("MIGRATION_CONFIG", "/nowhere")
        .env("MIGRATION_TABLE", "refinery_schema_history"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["7"]);

    for (variable, value, verdict) in [
        ("DB_HOST", "host.invalid", "host.invalid:"),
        ("DB_USERNAME", "nobody", "nobody"),
        ("DB_PASSWORD_FILE", "/nowhere", "DB_PASSWORD_FILE="),
        (
            "DATABASE_URL",
            "postgres://127.0.0.1:1/elsewhere",
            "127.0.0.1:1/elsewhere",
        ),
    ] {
        let ended = run(service
            .program()
            .env(variable, value)
            .env("DB_WAIT_TIMEOUT", "1s"));
        assert_ne!(ended.code, Some(0), "{variable}: {ended:?}");
        assert!(
            last_lines(&ended).contains(verdict),
            "{variable}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_variable_names_the_file_and_a_prefix_keeps_services_apart() {
    let database = Server::shared().database().await;
    let service = Service::new(&database, "");
    let ended = run(bare_program()
        .env("MIGRATION_CONFIG", service.file())
        .env("MIGRATION_TABLE", "by_variable"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(database.value("SELECT version FROM by_variable").await, "1");

    database.execute("DROP TABLE a").await;
    let ended = run(bare_program()
        .args(["--env-prefix", "MENU_"])
        .env("MENU_MIGRATION_CONFIG", service.file())
        .env("MENU_MIGRATION_TABLE", "by_prefix")
        .env("MIGRATION_TABLE", "of_somebody_else")
        .env("DB_HOST", "host.invalid"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(database.value("SELECT version FROM by_prefix").await, "1");
}

#[test]
fn what_cannot_be_used_is_told_with_file_and_line_or_key() {
    for (text, expected) in [
        (
            "database:\n  prot: 1\n",
            "config.yaml:2:3: unknown key \"prot\" in database",
        ),
        (
            "database:\n  port: []\n",
            "config.yaml:2:9: database.port: expected one value",
        ),
        (
            "database:\n  host: a\n  host: b\n",
            "config.yaml:3:3: database.host stands here for the second time",
        ),
        ("database: [\n", "config.yaml:2:1: it is no YAML: "),
        (
            "database:\n  port: abc\n",
            "config.yaml: database.port=\"abc\": expected a port",
        ),
        (
            "database: {sslmode: on}",
            "config.yaml: database.sslmode=\"on\": expected disable",
        ),
        (
            "database: {sslmode: verify-full, sslrootcert: no.crt}",
            "config.yaml: database.sslrootcert=\"no.crt\": expected a file",
        ),
        (
            "database: {wait_timeout: soon}",
            "config.yaml: database.wait_timeout=\"soon\": expected",
        ),
        (
            "migration: {directories: [no]}",
            "config.yaml: migration.directories=\"no\": expected a directory",
        ),
        (
            "migration: {table_name: a.b.c}",
            "config.yaml: migration.table_name=\"a.b.c\": expected",
        ),
        (
            "migration: {rollback_safety: yes}",
            "config.yaml: migration.rollback_safety=\"yes\": expected true or false",
        ),
        (
            "migration: {checksum_validation: 1}",
            "config.yaml: migration.checksum_validation=\"1\": expected",
        ),
        (
            "migration: {out_of_order: 1}",
            "config.yaml: migration.out_of_order=\"1\": expected",
        ),
        (
            "database: {password: a, password_file: b}",
            "config.yaml: database.password and config.yaml: database.password_file are both set",
        ),
    ] {
        let ended = run_with(text);
        assert_eq!(ended.code, Some(2), "{text}: {ended:?}");
        let verdict = last_lines(&ended);
        assert!(
            verdict.contains(&format!("✗ database-migration: {expected}")),
            "{text}: {verdict}"
        );
    }
    let missing = run(bare_program().args(["--config", "/nowhere"]));
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(
        missing
            .stderr
            .contains("--config=\"/nowhere\": expected a file"),
        "{missing:?}"
    );
    let directory = run(bare_program().env("MIGRATION_CONFIG", Path::new("/")));
    assert_eq!(directory.code, Some(2), "{directory:?}");
    assert!(
        directory.stderr.contains("MIGRATION_CONFIG=\"/\""),
        "{directory:?}"
    );
}

#[test]
fn no_message_holds_a_secret_of_the_file() {
    for text in [
        "database:\n  password: hush\n  port: abc\n",
        "database:\n  password: [hush]\n",
        "database:\n  password: {hush: 1}\n",
        "database: {password:hush}\n",
        "database:\n  password: \"hush\n",
        "database: password:hush\n",
        "database: postgres://u:hush@h/d\n",
        "database:\n  url: http://u:hush@h/d\n",
        "database:\n  url: postgres://u:hush@h:port/d\n",
        "database:\n  url: postgres://u:hush@h/d?nothing=1\n",
        "database:\n  url: postgres://u:hush@127.0.0.1:1/d\n  wait_timeout: 0s\n",
        "database:\n  host: 127.0.0.1\n  port: 1\n  password: hush\n  wait_timeout: 0s\n",
        "hush",
    ] {
        let ended = run_with(text);
        assert_ne!(ended.code, Some(0), "{text}: {ended:?}");
        assert!(!ended.stderr.contains("hush"), "{text}: {ended:?}");
        assert!(!ended.stdout.contains("hush"), "{text}: {ended:?}");
    }
}

#[test]
fn the_documentation_has_every_variable_and_every_global_option() {
    let page = include_str!("../../../docs/configuration.md");
    let help = run(bare_program().arg("--help")).stdout;
    let (_, global) = help.split_once("Global options:").unwrap();
    let (options, variables) = global.split_once("Environment variables").unwrap();
    let (variables, _) = variables.split_once("Exit codes:").unwrap();
    let mut names: Vec<_> = options
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .collect();
    let first_words = variables.lines().filter_map(|line| line.strip_prefix("  "));
    names.extend(
        first_words
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_whitespace().next()),
    );
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        let documented = if name.starts_with("OTEL_") {
            "`OTEL_...`"
        } else {
            name
        };
        assert!(page.contains(documented), "{name}");
    }
}
