//! Manifests, and what is said of those with mistakes.

use std::fmt::Write;

use jsonschema::Validator;
use serde_json::Value;
use test_process::{bare_command, run};

use crate::support::{ITEMS, assert_said, database, directory, loaded, program, rows, succeeded};

/// Manifests with a mistake, each with a name.
const BAD: &[(&str, &str)] = &[
    ("nothing", ""),
    ("no data sets", "data_sets: {}"),
    ("not a map", "- products"),
    ("another key", "data_sets: {}\ntables: {}"),
    (
        "a misspelt key",
        "data_sets:\n  items:\n    files: items.csv\n    vanishd: keep",
    ),
    (
        "a key of the wrong type",
        "data_sets:\n  items:\n    files: items.csv\n    optional: maybe",
    ),
    (
        "an unknown choice",
        "data_sets:\n  items:\n    files: items.csv\n    vanished: forget",
    ),
    ("no files", "data_sets:\n  items:\n    table: items"),
    (
        "an empty list of files",
        "data_sets:\n  items:\n    files: []",
    ),
    (
        "files of the wrong type",
        "data_sets:\n  items:\n    files: {a: b}",
    ),
    (
        "a share without its sign",
        "data_sets:\n  items:\n    files: items.csv\n    guards:\n      largest_shrink: '50'",
    ),
    (
        "a share as a number",
        "data_sets:\n  items:\n    files: items.csv\n    guards:\n      largest_shrink: 0.5",
    ),
    (
        "a share over 100%",
        "data_sets:\n  items:\n    files: items.csv\n    guards:\n      reject_share: 101%",
    ),
    (
        "an unknown guard",
        "data_sets:\n  items:\n    files: items.csv\n    guards:\n      maximum_rows: 5",
    ),
    (
        "a negative number",
        "data_sets:\n  items:\n    files: items.csv\n    guards:\n      rejects: -1",
    ),
    (
        "a delimiter of two characters",
        "data_sets:\n  items:\n    files: items.csv\n    delimiter: ', '",
    ),
    (
        "a quote as delimiter",
        "data_sets:\n  items:\n    files: items.csv\n    delimiter: '\"'",
    ),
    (
        "a mark column without marking",
        "data_sets:\n  items:\n    files: items.csv\n    vanished: keep\n    mark_column: gone",
    ),
    (
        "codes with a format",
        "data_sets:\n  items:\n    files: '*.gz'\n    format: csv\n    codes: {minimum_length: 1, maximum_length: 2, minimum_files: 1, column: code}",
    ),
    (
        "codes of no length",
        "data_sets:\n  items:\n    files: '*.gz'\n    codes: {minimum_length: 0, maximum_length: 2, minimum_files: 1, column: code}",
    ),
    (
        "codes of no file",
        "data_sets:\n  items:\n    files: '*.gz'\n    codes: {minimum_length: 1, maximum_length: 2, minimum_files: 0, column: code}",
    ),
    (
        "codes without a column",
        "data_sets:\n  items:\n    files: '*.gz'\n    codes: {minimum_length: 1, maximum_length: 2, minimum_files: 1}",
    ),
    (
        "an encoding of JSON",
        "data_sets:\n  items:\n    files: items.json\n    format: json\n    encoding: latin-1",
    ),
];

/// Mistakes that a schema has no words for.
const BEYOND_SCHEMA: &[(&str, &str)] = &[
    ("no YAML", "data_sets:\n  items: [\n"),
    (
        "a data set twice",
        "data_sets:\n  items:\n    files: a.csv\n  items:\n    files: b.csv",
    ),
    (
        "a column twice",
        "data_sets:\n  items:\n    files: a.csv\n    columns:\n      a: x\n      a: y",
    ),
    (
        "a field for two columns",
        "data_sets:\n  items:\n    files: a.csv\n    columns: {a: x, b: x}",
    ),
    (
        "a bad pattern",
        "data_sets:\n  items:\n    files: ['a.csv', 'a[.csv']",
    ),
    (
        "codes of impossible lengths",
        "data_sets:\n  items:\n    files: '*.gz'\n    codes: {minimum_length: 3, maximum_length: 2, minimum_files: 1, column: code}",
    ),
];

const GOOD: &[&str] = &[
    "data_sets: {items: {files: items.csv}}",
    "
data_sets:
  items:
    files: [items.csv, 'more/*.csv.gz']
    table: shop.items
    format: csv
    encoding: latin-1
    delimiter: ';'
    null: '\\N'
    columns: {name: Title}
    ignore: [Colour]
    key: [shop, number]
    vanished: mark
    mark_column: gone
    duplicates: last
    guards: {minimum_rows: 0, largest_shrink: 2.5%, rejects: 10, reject_share: 100%}
    optional: true
    read_back: false
",
    "data_sets: {a: {files: a.json, format: json, mark_column: gone}, b: {files: b, format: ndjson, vanished: delete}}",
    "data_sets: {codes: {files: '*.gz', vanished: keep, codes: {minimum_length: 8, maximum_length: 10, minimum_files: 2, column: code}}}",
    "data_sets: {items: {files: a.csv, delimiter: \"\\t\", guards: {}, duplicates: first, vanished: keep}}",
];

/// What the program says of a manifest, without the directory that it is in. No server is needed to find a mistake.
fn complaint(manifest: &str) -> (Option<i32>, String) {
    let files = directory(&[("manifest.yaml", manifest)]);
    let mut command = bare_command(env!("CARGO_BIN_EXE_database-load"));
    let ended = run(command
        .arg("--data")
        .arg(files.path())
        .args(["validate"])
        .env("DB_PORT", "1")
        .env("DB_WAIT_TIMEOUT", "0s"));
    let place = format!("{}/", files.path().display());
    (ended.code, ended.stderr.replace(&place, ""))
}

#[test]
fn mistakes_are_told_with_their_places() {
    let mut said = String::new();
    for (name, manifest) in BAD.iter().chain(BEYOND_SCHEMA) {
        let (code, complaint) = complaint(manifest);
        assert_eq!(code, Some(2), "{name}: {complaint}");
        let complaint = complaint
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("✗ database-load: ")
            .to_owned();
        writeln!(said, "{name}\n  {complaint}").unwrap();
    }
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/program/golden/manifest.txt"
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(golden).unwrap());
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(include_str!("../../manifest.schema.json")).unwrap();
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .unwrap()
}

fn is_valid(validator: &Validator, manifest: &str) -> bool {
    let document: Value = serde_yaml_ng::from_str(manifest).unwrap();
    validator.is_valid(&document)
}

/// What schema and program have against a manifest whose files are not there.
pub(crate) fn problems(manifest: &str) -> Vec<String> {
    let (code, complaint) = complaint(manifest);
    // Optional files need not be there, and then it is the server that is missing.
    let is_understood = code == Some(5) || complaint.contains("no file matches");
    let document: Value = serde_yaml_ng::from_str(manifest).unwrap();
    let validator = validator();
    let problems = validator
        .iter_errors(&document)
        .map(|error| error.to_string());
    problems
        .chain((!is_understood).then_some(complaint))
        .collect()
}

#[test]
fn the_schema_agrees_with_the_program() {
    let validator = validator();
    for (name, manifest) in BAD {
        assert!(!is_valid(&validator, manifest), "{name}");
    }
    for manifest in GOOD {
        assert_eq!(problems(manifest), [""; 0], "{manifest}");
    }
}

#[test]
fn the_schema_describes_each_key() {
    fn check(place: &str, schema: &Value) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            assert!(property["description"].is_string(), "{place}");
            if property["type"] == "object" && property.get("properties").is_some() {
                assert_eq!(property["additionalProperties"], false, "{place}");
            }
            check(&place, property);
        }
    }
    let schema: Value = serde_json::from_str(include_str!("../../manifest.schema.json")).unwrap();
    check("", &schema);
    check("data_set", &schema["$defs"]["data_set"]);
}

#[tokio::test]
async fn a_manifest_is_found_where_it_is_said_to_be() {
    let database = database(ITEMS).await;
    let files = directory(&[
        ("a/load.yaml", "data_sets: {items: {files: ../b/*.csv}}"),
        ("b/1.csv", "id\na\n"),
    ]);
    let manifest = files.path().join("a/load.yaml");
    let ended = succeeded(run(program(&database).arg("--manifest").arg(&manifest)));
    assert_said(&ended, &["items 1 inserted; "]);
    let ended = succeeded(run(program(&database).env("LOAD_MANIFEST", &manifest)));
    assert_said(&ended, &["items unchanged; "]);
}

#[tokio::test]
async fn the_files_of_a_manifest_without_a_folder_in_its_name_are_beside_it() {
    let database = database(ITEMS).await;
    let files = directory(&[
        ("load.yaml", "data_sets: {items: {files: items.csv}}"),
        ("items.csv", "id\na\n"),
    ]);
    let mut command = program(&database);
    command
        .current_dir(files.path())
        .args(["--manifest", "load.yaml"]);
    assert_said(&succeeded(run(&mut command)), &["items 1 inserted; "]);
}

#[tokio::test]
async fn two_data_sets_may_fill_one_table_where_rows_are_kept() {
    let database = database(ITEMS).await;
    let manifest =
        "data_sets: {one: {files: 1.csv, table: items}, two: {files: 2.csv, table: items}}";
    let files = [
        ("manifest.yaml", manifest),
        ("1.csv", "id\na\n"),
        ("2.csv", "id\nb\n"),
    ];
    let ended = loaded(&database, &files);
    assert_said(&ended, &["one 1 inserted; two 1 inserted, 1 kept; "]);
    assert_eq!(rows(&database, "items").await, ["(a,,,,)", "(b,,,,)"]);
    assert_said(
        &loaded(&database, &files),
        &["one unchanged; two unchanged; "],
    );
}

#[tokio::test]
async fn the_word_null_may_stand_for_null() {
    let database = database(ITEMS).await;
    for null in ["NULL", "'NULL'", "\"NULL\""] {
        database.execute("TRUNCATE items").await;
        let manifest = format!("data_sets: {{items: {{files: items.csv, null: {null}}}}}");
        loaded(
            &database,
            &[
                ("manifest.yaml", &*manifest),
                ("items.csv", "id,name\na,NULL\nb,\n"),
            ],
        );
        let names = "SELECT id || coalesce(name, ' is NULL') FROM items ORDER BY id";
        assert_eq!(database.values(names).await, ["a is NULL", "b"], "{null}");
    }
}
