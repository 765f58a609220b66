//! What is exported is what was loaded, and what is loaded is what was exported.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use test_postgres::Database;
use test_process::run;
use tokio::runtime::Runtime;

use crate::support::{
    assert_failed, database, directory, load, loaded, program_on, rows, succeeded, write,
};

/// Exports a data set into its own source.
fn exported(database: &Database<'_>, files: &TempDir, data_set: &str, output: &str) -> Command {
    let mut command = program_on(database, files.path());
    command
        .args(["export", data_set, "--output"])
        .arg(files.path().join(output));
    command
}

/// Texts of everything that has a meaning in one of the formats.
fn texts() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "",
            "a",
            "\"",
            "\"\"",
            "'",
            "\n",
            "\r\n",
            "\r",
            "\t",
            "\\",
            "\\N",
            "\\.",
            ",",
            ";",
            "ä",
            "🍏",
            "\u{2028}",
            "\u{1}",
            "\u{8}\u{B}\u{C}",
            "\u{FEFF}",
            "null",
            "NULL",
            " ",
            "{}",
            "[1]",
            "$1",
            "\u{7F}",
        ][..],
    );
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// The table's columns.
type Row = (String, Option<String>, Option<i64>, Option<bool>, i64);

fn contents() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        texts(),
        prop::option::of(texts()),
        prop::option::of(any::<i64>()),
        any::<Option<bool>>(),
        -999_999..999_999_i64,
    );
    prop::collection::vec(row, 0..12)
}

async fn fill(database: &Database<'_>, content: &[Row]) {
    let client = database.client().await;
    client.batch_execute("TRUNCATE items").await.unwrap();
    for (number, (id, name, count, truth, price)) in content.iter().enumerate() {
        let id = format!("{id}{number}");
        client
            .execute(
                "INSERT INTO items VALUES ($1, $2, $3, $4, $5::bigint / 100.0, 'end')",
                &[&id, name, count, truth, price],
            )
            .await
            .unwrap();
    }
}

#[test]
fn any_content_is_exported_loaded_and_exported_again() {
    const TABLE: &str = "
        CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT, count BIGINT, is_new BOOLEAN, price NUMERIC(10, 2), last TEXT)";
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(database(TABLE));
    let config = Config {
        cases: 8,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&contents(), |content| {
            runtime.block_on(async {
                fill(&database, &content).await;
                let before = rows(&database, "items").await;
                for (name, header) in [
                    ("items.csv", "id,name,count,is_new,price,last\n"),
                    ("items.json", r#"[{"id":"","name":"","count":1,"is_new":true,"price":1,"last":""}]"#),
                    ("items.ndjson", r#"{"id":"","name":"","count":1,"is_new":true,"price":1,"last":""}"#),
                ] {
                    let manifest = format!(
                        "data_sets: {{items: {{files: {name}, null: '(null)', guards: {{minimum_rows: 0}}}}}}"
                    );
                    let manifest = if name == "items.csv" { manifest } else { manifest.replace(" null: '(null)',", "") };
                    let files = directory(&[("manifest.yaml", &*manifest), (name, header)]);
                    succeeded_quietly(exported(&database, &files, "items", name));
                    let first = std::fs::read(files.path().join(name)).unwrap();
                    database.execute("TRUNCATE items").await;
                    let ended = load(&database, files.path());
                    assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
                    assert_eq!(rows(&database, "items").await, before, "{name}");
                    succeeded_quietly(exported(&database, &files, "items", name));
                    assert_eq!(std::fs::read(files.path().join(name)).unwrap(), first);
                }
            });
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async { drop(database) });
}

fn succeeded_quietly(mut command: Command) {
    let ended = run(&mut command);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn what_was_loaded_is_exported_in_the_same_format_with_the_same_names() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT, price NUMERIC(6, 2), flag BOOLEAN)",
    )
    .await;
    for (name, options, text) in [
        (
            "items.csv",
            "",
            "id,Title,price,flag\n1,\"a \"\"b\"\"\",1.50,t\n2,,,f\n3,\"c,\nd\",0.10,\n",
        ),
        (
            "items.csv",
            ", delimiter: ';', null: '-'",
            "price;id;Title;flag\n1.50;1;;t\n-;2;-;-\n",
        ),
        (
            "items.json",
            "",
            "[\n{\"Title\":\"a \\\"b\\\"\",\"flag\":true,\"id\":\"1\",\"price\":1.50},\n{\"Title\":null,\"flag\":null,\"id\":\"2\",\"price\":null}\n]\n",
        ),
        (
            "items.ndjson",
            "",
            "{\"Title\":\"ä\\n\",\"flag\":false,\"id\":\"1\",\"price\":0.00}\n",
        ),
    ] {
        database.execute("TRUNCATE items").await;
        let manifest =
            format!("data_sets: {{items: {{files: {name}, columns: {{name: Title}}{options}}}}}");
        let files = directory(&[("manifest.yaml", &*manifest), (name, text)]);
        succeeded(load(&database, files.path()));
        let ended = run(program_on(&database, files.path()).args(["export", "items"]));
        assert_eq!((ended.code, &*ended.stdout), (Some(0), text), "{ended:?}");
    }
}

#[tokio::test]
async fn what_a_file_has_no_form_for_is_not_exported() {
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT)").await;
    let files = directory(&[("items.csv", "id,name\n")]);
    for (name, reason) in [
        (
            "''",
            "name holds the text \"\", which stands for NULL in the file; set another `null` in the manifest",
        ),
        (
            "E'x\\r'",
            "name holds the text \"x\\r\", whose carriage return would be read as part of the line's end",
        ),
    ] {
        database
            .execute(&format!(
                "TRUNCATE items; INSERT INTO items VALUES ('1', {name})"
            ))
            .await;
        let ended = run(program_on(&database, files.path()).args(["export", "items"]));
        assert_failed(&ended, 1, &[reason]);
    }
    let manifest = "data_sets: {items: {files: items.csv, encoding: latin-1}}";
    write(files.path(), "manifest.yaml", manifest);
    database
        .execute("TRUNCATE items; INSERT INTO items VALUES ('1', '€')")
        .await;
    let ended = run(program_on(&database, files.path()).args(["export", "items"]));
    assert_failed(&ended, 1, &["\"€\" cannot be written as Latin-1"]);
    database.execute("UPDATE items SET name = 'é'").await;
    let output = program_on(&database, files.path())
        .args(["export", "items"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"id,name\n1,\xE9\n");
}

#[tokio::test]
async fn an_export_that_fails_leaves_the_file_that_was_there() {
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT)").await;
    let files = directory(&[("items.csv", "id,name\n")]);
    let results = directory(&[("items.csv", "old\n")]);
    let result = results.path().join("items.csv");
    let export = || {
        let mut command = program_on(&database, files.path());
        run(command.args(["export", "items", "--output"]).arg(&result))
    };
    let names = || {
        let entries = std::fs::read_dir(results.path()).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names
    };
    database
        .execute("INSERT INTO items VALUES ('1', 'a'), ('2', '')")
        .await;
    assert_failed(&export(), 1, &["name holds the text \"\""]);
    assert_eq!(std::fs::read_to_string(&result).unwrap(), "old\n");
    assert_eq!(names(), ["items.csv"]);

    let permissions = Permissions::from_mode(0o640);
    std::fs::set_permissions(&result, permissions.clone()).unwrap();
    database.execute("DELETE FROM items WHERE id = '2'").await;
    assert_eq!(export().code, Some(0));
    assert_eq!(std::fs::read_to_string(&result).unwrap(), "id,name\n1,a\n");
    let mode = result.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, permissions.mode());
    assert_eq!(names(), ["items.csv"]);

    // What is no file cannot be replaced, and is written to.
    let mut command = program_on(&database, files.path());
    let ended = run(command.args(["export", "items", "--output", "/dev/stdout"]));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "id,name\n1,a\n"));
}

#[tokio::test]
async fn marked_rows_are_not_exported_and_an_unknown_data_set_is_told() {
    let database =
        database("CREATE TABLE items (id TEXT PRIMARY KEY, removed_at TIMESTAMPTZ)").await;
    let files = directory(&[("items.csv", "id\na\n")]);
    loaded(&database, &[("items.csv", "id\na\nb\n")]);
    loaded(&database, &[("items.csv", "id\na\n")]);
    let ended = run(program_on(&database, files.path()).args(["export", "items"]));
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), "id\na\n"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("✓ database-load: 1 rows\n"),
        "{ended:?}"
    );
    let ended = run(program_on(&database, files.path()).args(["export", "other"]));
    assert_failed(&ended, 2, &["there is no data set other; there are items"]);
    let ended = run(program_on(&database, files.path()).args([
        "export",
        "items",
        "--output",
        "/nowhere/x",
    ]));
    assert_failed(
        &ended,
        1,
        &[
            "/nowhere/x cannot be written: ",
            "next: name a file that can be written",
        ],
    );
}

#[tokio::test]
async fn values_of_other_types_come_back_in_each_format() {
    const TABLE: &str = r#"
        CREATE TYPE mood AS ENUM ('sad', 'very ok');
        CREATE TABLE items (id UUID PRIMARY KEY, at TIMESTAMPTZ, day DATE, document JSONB, note JSON, mood mood,
                            tags TEXT[], bytes BYTEA, number NUMERIC, real DOUBLE PRECISION, price NUMERIC(5, 2));
        INSERT INTO items VALUES
            (gen_random_uuid(), '2026-01-02 03:04:05.678+09', '2026-02-28', '{"a": [1, "x"]}', '{"b" :  "\\",
             "a": 1}', 'very ok', '{a,"b,c",NULL,"\"\\"}', '\x00ff5c', 1e30, 'NaN', 1.50),
            (gen_random_uuid(), 'infinity', '0044-03-15 BC', '"text"', '"te\u00e4xt"', 'sad', '{}', '', -0.10, 1e-300, -0.5),
            (gen_random_uuid(), NULL, NULL, 'null', 'null', NULL, NULL, NULL, 'NaN', '-Infinity', NULL),
            (gen_random_uuid(), NULL, NULL, '12.50', ' true ', NULL, NULL, NULL, NULL, NULL, NULL),
            (gen_random_uuid(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#;
    const NAMES: &str = "id,at,day,document,note,mood,tags,bytes,number,real";
    let database = database(TABLE).await;
    let before = rows(&database, "items").await;
    let members = NAMES
        .split(',')
        .map(|name| format!("\"{name}\":null"))
        .collect::<Vec<_>>()
        .join(",");
    for (name, text) in [
        ("items.csv", format!("{NAMES},price\n")),
        ("items.json", format!("[{{{members},\"price\":1}}]")),
        ("items.ndjson", format!("{{{members},\"price\":1}}")),
    ] {
        let options = if name == "items.csv" {
            ", null: '(null)'"
        } else {
            ""
        };
        let files = directory(&[
            (
                "manifest.yaml",
                format!("data_sets: {{items: {{files: {name}{options}}}}}"),
            ),
            (name, text),
        ]);
        succeeded_quietly(exported(&database, &files, "items", name));
        database.execute("TRUNCATE items").await;
        succeeded(load(&database, files.path()));
        assert_eq!(rows(&database, "items").await, before, "{name}");
        // The same once more, by the difference.
        let ended = succeeded(run(program_on(&database, files.path()).arg("--force")));
        assert!(
            ended.stdout.contains("items 5 unchanged; "),
            "{name}: {ended:?}"
        );
    }
}
