//! New migrations, as their author meets them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use database_migration::{MigrationSet, Transaction};
use test_postgres::Server;
use test_process::run;

use crate::support::{bare_program, directory, migrate, versions};

const TEMPLATES: [&str; 5] = ["empty", "table", "column", "index", "foreign-key"];

fn create(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = bare_program();
    command
        .args(["create", "--migrations"])
        .arg(directory)
        .args(arguments);
    command
}

/// Creates a migration, and returns the paths it printed.
fn created(directory: &Path, arguments: &[&str]) -> Vec<PathBuf> {
    let ended = run(&mut create(directory, arguments));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout.lines().map(PathBuf::from).collect()
}

#[test]
fn every_template_can_be_read_in_every_style() {
    for existing in [
        vec![],
        vec![("V1__a.sql", "SELECT 1;"), ("U1__a.sql", "SELECT 2;")],
        vec![("1_a.up.sql", "SELECT 1;"), ("1_a.down.sql", "SELECT 2;")],
    ] {
        let files = tempfile::tempdir().unwrap();
        for (name, sql) in &existing {
            fs::write(files.path().join(name), sql).unwrap();
        }
        for template in TEMPLATES {
            let name = template.replace('-', "_");
            let paths = created(files.path(), &[&name, "--template", template]);
            assert_eq!(paths.len(), existing.len().max(1), "{paths:?}");
        }
        let set = MigrationSet::from_directories(&[files.path().to_owned()]).unwrap();
        let new = &set.files()[set.files().len() - TEMPLATES.len()..];
        for (file, template) in new.iter().zip(TEMPLATES) {
            let name = template.replace('-', "_");
            assert_eq!(file.name, name);
            assert_eq!(file.header.migration.as_deref(), Some(name.as_str()));
            let down = file.down.as_ref().unwrap();
            for transaction in [file.transaction, down.transaction] {
                let is_none = matches!(transaction, Transaction::None { .. });
                let expected = ["index", "foreign-key"].contains(&template);
                assert_eq!(is_none, expected, "{}", file.path.display());
            }
        }
    }
}

#[tokio::test]
async fn what_was_created_is_applied() {
    let database = Server::shared().database().await;
    let files = tempfile::tempdir().unwrap();
    let missing = files.path().join("not/yet/there");
    for (words, template) in [
        ("Add  examples", "table"),
        ("add amount", "column"),
        ("nothing", "empty"),
    ] {
        created(&missing, &[words, "--template", template]);
    }
    assert!(missing.join("001_add_examples.sql").exists());
    let ended = migrate(&database, &missing);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
    assert_eq!(
        database.value("SELECT count(amount) FROM example").await,
        "0"
    );
}

#[test]
fn a_file_is_a_template_too() {
    let files = directory(&[("07_a.sql", "SELECT 1;")]);
    let template = files.path().join("my-template");
    fs::write(
        &template,
        "\u{FEFF}-- +++++ UP\r\nSELECT '{{name}} {{version}} {{1,2}}';\r\n",
    )
    .unwrap();
    let paths = created(
        files.path(),
        &["b", "--template", template.to_str().unwrap()],
    );
    assert_eq!(paths, [files.path().join("08_b.sql")]);
    assert_eq!(
        fs::read_to_string(&paths[0]).unwrap(),
        "-- +++++ UP\nSELECT 'b 08 {{1,2}}';\n"
    );
    let relative =
        run(create(files.path(), &["c", "--template", "my-template"]).current_dir(files.path()));
    assert_eq!(relative.code, Some(0), "{relative:?}");
}

#[test]
fn the_last_of_several_directories_is_written_to() {
    let first = directory(&[("0041_a.sql", "SELECT 1;")]);
    let last = tempfile::tempdir().unwrap();
    let both = format!("{}:{}", first.path().display(), last.path().display());
    let by_variable = run(bare_program()
        .args(["create", "b"])
        .env("MIGRATIONS_DIR", both));
    assert_eq!(by_variable.code, Some(0), "{by_variable:?}");
    let configuration = last.path().join("config.yaml");
    let first = first.path().display();
    fs::write(
        &configuration,
        format!("migration:\n  directories: [\"{first}\", .]\n"),
    )
    .unwrap();
    let by_file = run(bare_program()
        .args(["create", "c", "--config"])
        .arg(&configuration));
    assert_eq!(by_file.code, Some(0), "{by_file:?}");
    for name in ["0042_b.sql", "0043_c.sql"] {
        assert!(last.path().join(name).exists(), "{name}");
    }
}

#[test]
fn what_cannot_be_written_says_why() {
    let files = directory(&[("1_a.sql", "SELECT 1;")]);
    let odd = directory(&[("seed.sql", "SELECT 1;")]);
    let full = directory(&[("9223372036854775807_a.sql", "SELECT 1;")]);
    let broken = files.path().join("broken.template");
    fs::write(&broken, "-- +++++ UP\n").unwrap();
    let broken = broken.to_str().unwrap();
    for (directory, arguments, code, expected) in [
        (
            files.path(),
            vec!["a.b"],
            2,
            "'.' is neither a letter nor a digit",
        ),
        (files.path(), vec![" - "], 2, "it has no words"),
        (
            files.path(),
            vec!["b", "--template", "tables"],
            2,
            "there is no template \"tables\"; expected empty, table",
        ),
        (
            files.path(),
            vec!["b", "--template", "./no.sql"],
            2,
            "the template ./no.sql cannot be read",
        ),
        (
            files.path(),
            vec!["b", "--template", broken],
            2,
            "broken.template:1: the UP section is empty",
        ),
        (
            odd.path(),
            vec!["b"],
            2,
            "seed.sql:1: no style of migration files has such names",
        ),
        (full.path(), vec!["b"], 2, "no version is left above"),
        (
            Path::new("/proc/none"),
            vec!["b"],
            1,
            "/proc/none cannot be written",
        ),
    ] {
        let ended = run(&mut create(directory, &arguments));
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("✗ database-migration ended with exit code"),
            "{ended:?}"
        );
        assert_eq!(ended.stdout, "");
    }
    let nowhere = run(bare_program().args(["create", "b"]));
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(
        nowhere.stderr.contains("name it with --migrations"),
        "{nowhere:?}"
    );
    assert_eq!(
        fs::read_dir(files.path()).unwrap().count(),
        2,
        "nothing was written"
    );
}
