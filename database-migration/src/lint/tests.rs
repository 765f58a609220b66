//! What rules' tests share, and what holds for all rules.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::files::MigrationSet;

/// A migration with this UP section, which may go on with a DOWN section.
pub(super) fn up(sql: &str) -> MigrationFile {
    file(&format!("-- +++++ UP\n{sql}\n"))
}

fn file(text: &str) -> MigrationFile {
    named_file("1_a.sql", text)
}

fn named_file(name: &str, text: &str) -> MigrationFile {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), text).unwrap();
    let set = MigrationSet::from_directories(&[directory.path().to_owned()]).unwrap();
    MigrationFile {
        path: PathBuf::from(name),
        ..set.files()[0].clone()
    }
}

pub(super) fn migrations(files: &[MigrationFile]) -> Migrations<'_> {
    Migrations::of(files)
}

/// The migrations as versions 1, 2, and so on.
fn numbered(files: &[MigrationFile]) -> Vec<MigrationFile> {
    let numbered = (1..).zip(files).map(|(version, file)| MigrationFile {
        version,
        path: PathBuf::from(format!("{version}_a.sql")),
        ..file.clone()
    });
    numbered.collect()
}

/// Lines and messages of what one rule finds.
pub(super) fn found(rule: &dyn Rule, files: &[MigrationFile]) -> Vec<String> {
    let files = numbered(files);
    let migrations = migrations(&files);
    let violations = rule.check(&migrations).into_iter();
    violations
        .map(|violation| {
            let script = &migrations.scripts[violation.script];
            let finding = Finding::new(rule.name(), rule.level(), violation, script);
            format!("{}: {}", finding.line, finding.message)
        })
        .collect()
}

/// Places and rules of what all rules find.
fn linted(files: &[MigrationFile], levels: Levels) -> (Vec<String>, usize) {
    let settings = LintSettings {
        levels,
        ..LintSettings::default()
    };
    let report = lint(&numbered(files), &settings);
    let findings = report.findings.iter().map(|finding| {
        let Finding {
            version,
            line,
            column,
            level,
            rule,
            ..
        } = finding;
        format!("{version}:{line}:{column} {level} {rule}")
    });
    (findings.collect(), report.ignored)
}

#[test]
fn what_is_compiled_in_has_no_denied_finding() {
    let set = MigrationSet::embedded().unwrap();
    let report = lint(set.files(), &LintSettings::default());
    assert_eq!(report.count(Level::Deny), 0, "{report:?}");
}

#[test]
fn comments_take_findings_away() {
    let header = "-- lint-ignore missing-down: nothing to go back to\n\n-- +++++ UP\n";
    let drop = "DROP TABLE a;\nDROP TABLE b;\n";
    let without = file(&format!("-- +++++ UP\n{drop}"));
    assert_eq!(
        linted(&[without], Levels::default()),
        (
            vec![
                "1:2:1 warn ban-drop-table".to_owned(),
                "1:2:1 warn missing-down".to_owned(),
                "1:3:1 warn ban-drop-table".to_owned(),
            ],
            0
        )
    );
    let one = file(&format!(
        "{header}-- lint-ignore ban-drop-table: empty\n{drop}"
    ));
    assert_eq!(
        linted(&[one], Levels::default()),
        (vec!["1:6:1 warn ban-drop-table".to_owned()], 2)
    );
    let both = file(&format!(
        "{header}-- lint-ignore ban-drop-table: empty\n\n{drop}"
    ));
    assert_eq!(linted(&[both], Levels::default()), (Vec::new(), 3));
}

#[test]
fn a_header_is_for_both_sections() {
    let text = "-- lint-ignore forbidden-in-transaction: applied by hand\n-- +++++ UP\nVACUUM a;\n-- +++++ DOWN\nVACUUM b;";
    assert_eq!(linted(&[file(text)], Levels::default()), (Vec::new(), 2));
}

#[test]
fn a_comment_above_a_statement_is_no_header_in_a_file_without_sections() {
    let text = "-- lint-ignore ban-drop-table, missing-down: empty\nDROP TABLE a;\nDROP TABLE b;\n";
    assert_eq!(
        linted(&[named_file("1_a.up.sql", text)], Levels::default()),
        (vec!["1:3:1 warn ban-drop-table".to_owned()], 2)
    );
}

#[test]
fn a_comment_for_another_section_or_migration_takes_nothing() {
    let ignoring =
        file("-- lint-ignore syntax: new\n-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\nSELECT 1;");
    let other = file("-- +++++ UP\nthis is no SQL\n-- +++++ DOWN\nSELECT 1;");
    assert_eq!(
        linted(&[ignoring, other], Levels::default()).0,
        ["1:1:1 warn unused-ignore", "2:2:1 warn syntax"]
    );
}

#[test]
fn what_is_wrong_with_a_comment_is_found() {
    let text = "SELECT 1;\n-- lint-ignore ban-drop-tabel: gone\nDROP TABLE a;\n-- lint-ignore ban-drop-table\nDROP TABLE b;\n\
                -- lint-ignore ban-drop-column: none here\nSELECT 2;\n-- +++++ DOWN\nSELECT 3;";
    assert_eq!(
        linted(&[up(text)], Levels::default()),
        (
            [
                "1:3:1 deny unknown-rule",
                "1:4:1 warn ban-drop-table",
                "1:5:1 deny ignore-without-reason",
                "1:7:1 warn unused-ignore",
            ]
            .map(str::to_owned)
            .to_vec(),
            1
        )
    );
}

#[test]
fn a_comment_is_not_unused_where_nobody_looks() {
    let allow = ["ban-drop-table".to_owned()];
    let levels = Levels::new(&[], &[], &allow).unwrap();
    let off = up("-- lint-ignore ban-drop-table: empty\nDROP TABLE a;\n-- +++++ DOWN\nSELECT 1;");
    let newer = up(
        "-- lint-ignore syntax, lock-order: newer than the parser\nthis is no SQL\n-- +++++ DOWN\nSELECT 1;",
    );
    assert_eq!(linted(&[off, newer], levels), (Vec::new(), 1));
}

#[test]
fn squawks_own_comments_hold_for_its_rules() {
    let text = "-- squawk-ignore ban-drop-table\nDROP TABLE a;\n-- squawk-ignore ban-drop-tabel\nDROP TABLE b;\n-- +++++ DOWN\nSELECT 1;";
    assert_eq!(
        linted(&[up(text)], Levels::default()).0,
        ["1:4:18 deny unknown-rule", "1:5:1 warn ban-drop-table"]
    );
}

#[test]
fn a_place_inside_a_character_is_that_of_the_character() {
    let text = "-- squawk-ignore,ü,\n-- +++++ DOWN\nSELECT 1;";
    assert_eq!(
        linted(&[up(text)], Levels::default()).0,
        ["1:2:17 deny unknown-rule"]
    );
}

#[test]
fn squawk_is_told_what_runs_in_a_transaction() {
    let text = "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT c;\n-- +++++ DOWN\nSELECT 1;";
    let outside = format!("-- Transaction: none\n{text}");
    assert_eq!(
        linted(&[up(text), up(&outside)], Levels::default()).0,
        ["1:3:15 warn constraint-missing-not-valid"]
    );
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/lint")
        .join(format!("{name}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

fn our_rules() -> impl Iterator<Item = &'static dyn Rule> {
    let last: &dyn Rule = &UnusedIgnore;
    rules::ALL.into_iter().chain(std::iter::once(last))
}

#[test]
fn every_rule_has_its_page() {
    for rule in our_rules() {
        let page = page(rule.name());
        let head = format!(
            "# {}\n\nFinds {}. Default: {}.\n",
            rule.name(),
            rule.title(),
            rule.level()
        );
        assert!(page.starts_with(&head), "{}: expected\n{head}", rule.name());
        for heading in ["## Why", "## Instead", "## Ignoring it"] {
            assert!(
                page.contains(&format!("\n{heading}\n")),
                "{}: {heading}",
                rule.name()
            );
        }
    }
}

#[test]
fn every_rule_is_listed() {
    let mut rows = String::from("| rule | default | finds | why |\n|---|---|---|---|\n");
    for rule in our_rules() {
        let (name, level, title, why) = (rule.name(), rule.level(), rule.title(), rule.why());
        writeln!(rows, "| [{name}]({name}.md) | {level} | {title} | {why} |").unwrap();
    }
    rows.push('\n');
    let list = page("README");
    assert!(
        list.contains(&rows),
        "docs/lint/README.md does not hold\n{rows}"
    );

    let mut rows = String::from("| rule | default | why |\n|---|---|---|\n");
    for (name, level, reason) in squawk::RULES {
        writeln!(rows, "| {name} | {level} | {reason} |").unwrap();
    }
    assert!(
        list.contains(&rows),
        "docs/lint/README.md does not hold\n{rows}"
    );
}

proptest! {
    #[test]
    fn any_text_is_looked_at_without_a_panic(
        sql in "(-- squawk-ignore|-file|-- lint-ignore|ban-drop-table|,|:|--|/\\*|\\*/|;|'|\\$\\$|ü|[\\s\\S]\
                |ALTER TABLE a |ADD c int|DROP COLUMN c|ADD CHECK |\\(|\\)|CREATE INDEX |CONCURRENTLY |ON a|DROP TABLE a\
                |NOT NULL |\\n| ){0,30}"
    ) {
        let script = up("SELECT 0;");
        let file = MigrationFile { sql, ..script };
        let report = lint([&file], &LintSettings::default());
        for finding in &report.findings {
            let begin = (finding.line, finding.column);
            prop_assert!(begin <= (finding.end_line, finding.end_column), "{finding:?}");
        }
        for format in [LintFormat::Text, LintFormat::Json, LintFormat::Github] {
            prop_assert!(!format.render(&report).is_empty());
        }
    }
}
