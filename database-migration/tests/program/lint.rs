//! `lint`, which needs no database.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use test_process::{Ended, run};

use crate::support::{assert_golden, bare_program, last_lines};

/// A directory `migrations` with files of exactly this content, to be run in.
fn files(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let migrations = directory.path().join("migrations");
    fs::create_dir(&migrations).unwrap();
    for (name, content) in files {
        fs::write(migrations.join(name), content).unwrap();
    }
    directory
}

fn lint(directory: &Path, arguments: &[&str]) -> Ended {
    run(bare_program()
        .current_dir(directory)
        .args(["lint", "--migrations", "migrations"])
        .args(arguments))
}

/// Something for every rule of ours, and a little for squawk's.
fn all_rules() -> TempDir {
    files(&[
        (
            "1_tables.sql",
            "-- +++++ UP\nCREATE TABLE orders (id bigint);\nCREATE TABLE carts (id bigint);\nCOMMIT;\n\n\
             -- +++++ DOWN\nDROP TABLE orders, carts;\n",
        ),
        (
            "2_locks.sql",
            "-- +++++ UP\nALTER TABLE orders ADD COLUMN note text;\n\tCREATE INDEX carts_id ON carts (id);\n\n\
             -- +++++ DOWN\nALTER TABLE orders DROP COLUMN note;\nVACUUM orders;\n",
        ),
        (
            "3_reverse.sql",
            "-- lint-ignore missing-down: there is no way back\n-- lint-ignore lock-ordr\n-- +++++ UP\n\
             -- lint-ignore ban-drop-table: nothing reads it since version 2\nDROP TABLE carts;\n\
             ALTER TABLE orders DROP COLUMN note;\n-- lint-ignore ban-drop-table: none here\nSELECT 1;\n",
        ),
        (
            "4_outside.sql",
            "-- Transaction: none\n-- +++++ UP\nCREATE INDEX CONCURRENTLY ON orders (id);\nCALL fill_totals();\n",
        ),
        (
            "5_new.sql",
            "-- +++++ UP\nSELECT 1;\nMAKE TABLE orders\n  GREAT AGAIN;\n\n-- +++++ DOWN\nSELECT 'ü'; BEGIN;\n",
        ),
    ])
}

#[test]
fn findings_are_told_as_a_compiler_does() {
    let ended = lint(all_rules().path(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_golden("lint.txt", &ended.stdout);
    assert!(
        last_lines(&ended)
            .ends_with("✗ database-migration ended with exit code 1: the work failed"),
        "{ended:?}"
    );
}

#[test]
fn for_programs_standard_output_is_one_document() {
    for log_format in ["text", "json"] {
        let ended = run(bare_program()
            .current_dir(all_rules().path())
            .env("LOG_FORMAT", log_format)
            .args(["lint", "--migrations", "migrations", "--format", "json"]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_golden("lint.json", &ended.stdout);
        assert!(ended.stderr.contains("7 findings denied"), "{ended:?}");
    }
}

#[test]
fn github_gets_commands_and_nothing_else() {
    let ended = lint(all_rules().path(), &["--format", "github"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_golden("lint.github", &ended.stdout);
}

#[test]
fn what_is_compiled_in_passes() {
    let ended = run(bare_program().arg("lint"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        last_lines(&ended).contains("\n6 migrations checked: 0 denied, "),
        "{ended:?}"
    );
    assert!(
        last_lines(&ended).ends_with("\n✓ database-migration: no finding is denied"),
        "{ended:?}"
    );
    let ended = run(bare_program().args(["lint", "--format", "json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with('{'), "{ended:?}");
    assert!(
        ended.stderr.starts_with("✓ database-migration: "),
        "{ended:?}"
    );
}

#[test]
fn all_rules_can_be_listed() {
    let ended = run(bare_program().args(["lint", "--list-rules"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "warn  missing-down: a migration without SQL that undoes it (an older image can go back from a newer schema only with the down SQL that the history keeps)",
        "allow require-lock-timeout, of squawk (the runner sets it for every statement)",
    ] {
        assert!(
            ended.stdout.lines().any(|listed| listed == line),
            "{ended:?}"
        );
    }
}

#[test]
fn options_tell_what_is_an_error() {
    let directory = files(&[("1_a.sql", "-- +++++ UP\nDROP TABLE a;\n")]);
    for (arguments, code, findings) in [
        (vec![], 0, "0 denied, 2 warnings"),
        (vec!["--deny", "missing-down"], 1, "1 denied, 1 warning,"),
        (vec!["--deny", "all"], 1, "2 denied, 0 warnings"),
        (
            vec!["--deny=all", "--warn=ban-drop-table"],
            1,
            "1 denied, 1 warning,",
        ),
        (
            vec!["--deny=all", "--allow=ban-drop-table"],
            1,
            "1 denied, 0 warnings",
        ),
        (
            vec!["--allow=missing-down", "--allow=ban-drop-table"],
            0,
            "0 denied, 0 warnings",
        ),
        (
            vec!["--warn=require-table-schema"],
            0,
            "0 denied, 3 warnings",
        ),
    ] {
        let ended = lint(directory.path(), &arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stdout.contains(findings), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn the_servers_version_matters_to_some_rules() {
    let directory = files(&[(
        "1_a.sql",
        "-- +++++ UP\nALTER TABLE a ADD COLUMN b bigint DEFAULT 1;\n-- +++++ DOWN\nALTER TABLE a DROP COLUMN b;\n",
    )]);
    let found = |arguments: &[&str]| {
        let ended = lint(directory.path(), arguments);
        ended.stdout.contains("[adding-field-with-default]")
    };
    assert!(!found(&[]));
    assert!(found(&["--pg-version", "10"]));
}

#[test]
fn a_rule_that_does_not_exist_is_a_wrong_usage() {
    let directory = files(&[("1_a.sql", "-- +++++ UP\nSELECT 1;\n")]);
    for option in ["--deny", "--warn", "--allow"] {
        let ended = lint(directory.path(), &[option, "missing-dwon"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("there is no rule missing-dwon; the nearest name is missing-down"),
            "{ended:?}"
        );
    }
    for arguments in [["--format", "xml"], ["--pg-version", "new"]] {
        assert_eq!(lint(directory.path(), &arguments).code, Some(2));
    }
}

#[test]
fn files_that_cannot_be_read_are_a_wrong_usage() {
    let directory = files(&[("1_a.sql", "SELECT 1;\n")]);
    let ended = lint(directory.path(), &["--format", "json"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("migrations/1_a.sql:1: "), "{ended:?}");
}

#[test]
fn directories_may_come_from_the_variable() {
    let directory = files(&[("1_a.sql", "-- +++++ UP\nDROP TABLE a;\n")]);
    let ended = run(bare_program()
        .env("MENU_MIGRATIONS_DIR", directory.path().join("migrations"))
        .args(["lint", "--env-prefix", "MENU_"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 migration checked"), "{ended:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    use std::process::Stdio;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let process = bare_program()
        .args(["lint", "--format", "json"])
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended: Ended = process.wait_with_output().unwrap().into();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("the findings could not be written"),
        "{ended:?}"
    );
}
