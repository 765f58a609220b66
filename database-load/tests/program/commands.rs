//! The commands and what they print.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use test_process::{bare_command, run, start};

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, holding, load, load_files, loaded,
    program, program_on, rows, succeeded, versions, write,
};

#[test]
fn the_command_line_explains_itself_and_refuses_what_it_does_not_know() {
    let program = || bare_command(env!("CARGO_BIN_EXE_database-load"));
    let help = run(program().arg("--help"));
    assert_eq!(help.code, Some(0));
    for part in [
        "Usage:",
        "--data",
        "--manifest",
        "--only",
        "--dry-run",
        "--force",
        "--report",
        "status",
        "verify",
        "validate",
        "export",
        "rejects",
        "DATA_DIR",
        "LOAD_MANIFEST",
        "DB_HOST",
        "Exit codes:",
    ] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    let version = run(program().arg("--version"));
    assert_eq!(
        version.stdout,
        format!("database-load {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(run(program().arg("--no-such-flag")).code, Some(2));
    assert_eq!(
        run(program().args(["--data", "a", "--manifest", "b"])).code,
        Some(2)
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let database = database(ITEMS).await;
    let before = "id,name,stock\na,x,1\nb,y,2\nc,z,3\n";
    let after = "id,name,stock\na,x,1\nb,it's \\ it,2\nd,,4\n";
    let manifest = "data_sets: {items: {files: items.csv, vanished: delete}}";
    let files = directory(&[("manifest.yaml", manifest), ("items.csv", before)]);
    // Without a history and on an empty table.
    let ended = succeeded(run(program_on(&database, files.path()).arg("--dry-run")));
    assert_said(
        &ended,
        &["✓ database-load: nothing was written; this would be done: items 3 inserted; "],
    );
    assert_eq!(
        database
            .value("SELECT to_regclass('load_run') IS NULL")
            .await,
        "t"
    );

    succeeded(load(&database, files.path()));
    let ended = succeeded(run(program_on(&database, files.path()).arg("--dry-run")));
    assert_said(&ended, &["this would be done: items unchanged; "]);
    let rows_before = versions(&database, "items").await;
    write(files.path(), "items.csv", after);
    let report = files.path().join("report.json");
    let ended = succeeded(run(program_on(&database, files.path())
        .arg("--dry-run")
        .arg("--report")
        .arg(&report)));
    assert_said(
        &ended,
        &[
            "items: insert d to {\"id\":\"d\",\"name\":null,\"stock\":4}\n",
            "items: update b from {\"id\":\"b\",\"name\":\"y\",\"stock\":2} to {\"id\":\"b\",\"name\":\"it's \\\\ it\",\
             \"stock\":2}\n",
            "items: delete c, {\"id\":\"c\",\"name\":\"z\",\"stock\":3}\n",
            "this would be done: items 1 inserted, 1 updated, 1 unchanged, 1 deleted; ",
        ],
    );
    let report = report_of(&report);
    assert_eq!(report["data_sets"][0]["samples"][1]["action"], "update");
    assert_eq!(report["data_sets"][0]["samples"][2]["action"], "delete");
    assert_eq!(versions(&database, "items").await, rows_before);
    assert_eq!(database.value("SELECT count(*) FROM load_run").await, "1");

    write(files.path(), "items.csv", "id,stock\na,?\n");
    for arguments in ["--dry-run", "verify", "validate"] {
        let ended = run(program_on(&database, files.path()).arg(arguments));
        // Only a load keeps what it rejects.
        let next = "next: correct these rows in the source and run again";
        assert_failed(&ended, 7, &["1 of 1 rows cannot be loaded", next]);
    }
    assert_eq!(database.value("SELECT count(*) FROM load_run").await, "1");
}

fn report_of(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.len() <= 4096, "{} bytes", text.len());
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_report_says_what_was_done_or_what_went_wrong() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id,stock\na,1\nb,2\n")]);
    let reports = tempfile::tempdir().unwrap();
    let path = reports.path().join("report.json");
    succeeded(run(
        program_on(&database, files.path()).env("LOAD_REPORT", &path)
    ));
    let report = report_of(&path);
    assert_eq!(
        (&report["program"], &report["outcome"], &report["exit_code"]),
        (&"database-load".into(), &"done".into(), &0.into())
    );
    let items = &report["data_sets"][0];
    assert_eq!(
        (&items["data_set"], &items["table"], &items["outcome"]),
        (&"items".into(), &"items".into(), &"loaded".into())
    );
    assert_eq!(
        (&items["read"], &items["inserted"], &items["bytes"]),
        (&2.into(), &2.into(), &17.into())
    );
    assert_eq!(
        items["checksum"].as_str(),
        Some(&*database.value("SELECT checksum FROM load_run").await)
    );
    succeeded(run(program_on(&database, files.path())
        .arg("--report")
        .arg(&path)));
    assert_eq!(report_of(&path)["data_sets"][0]["outcome"], "unchanged");

    let bad: String = (0..500)
        .map(|id| format!("{id}\u{1}\"ä\\,{}\n", "?".repeat(100)))
        .collect();
    let long_name = format!("items/{}.csv", "x".repeat(200));
    write(files.path(), &long_name, format!("id,stock\n{bad}"));
    let ended = run(program_on(&database, files.path())
        .arg("--report")
        .arg(&path));
    assert_failed(&ended, 7, &["500 of 502 rows"]);
    let report = report_of(&path);
    assert_eq!(
        (
            &report["outcome"],
            &report["exit_code"],
            &report["shortened"]
        ),
        (&"failed".into(), &7.into(), &true.into())
    );
    assert!(
        report["problem"]
            .as_str()
            .unwrap()
            .starts_with("items: 500 of 502 rows cannot be loaded; nothing was loaded\n")
    );
    assert!(
        report["next"]
            .as_str()
            .unwrap()
            .starts_with("database-load rejects prints")
    );

    std::fs::remove_dir_all(files.path().join("items")).unwrap();
    write(files.path(), "manifest.yaml", "data_sets:");
    let ended = run(program_on(&database, files.path())
        .arg("--report")
        .arg(&path));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(report_of(&path)["exit_code"], 2);
    std::fs::remove_file(files.path().join("manifest.yaml")).unwrap();

    write(files.path(), "items.csv", "id\na\n");
    let ended = run(program_on(&database, files.path()).args(["--report", "/nowhere/report.json"]));
    assert_failed(&ended, 1, &["/nowhere/report.json cannot be written: "]);
    // The load itself is done.
    assert_said(
        &succeeded(load(&database, files.path())),
        &["items unchanged; "],
    );
}

#[tokio::test]
async fn status_tells_of_the_last_run_of_each_data_set() {
    let database = database(&format!(
        "{ITEMS}; CREATE TABLE brand (id TEXT PRIMARY KEY)"
    ))
    .await;
    let status = |arguments: &[&str]| run(program(&database).arg("status").args(arguments));
    assert_eq!(status(&[]).stdout, "nothing was loaded yet\n");
    assert_eq!(
        status(&["--format", "json"]).stdout,
        "{\n  \"data_sets\": []\n}\n"
    );

    let files = [
        ("brand.csv", "id\nx\n"),
        ("items.csv", "id,stock\na,1\nb,2\n"),
    ];
    loaded(&database, &files);
    load_files(&database, &[("items.csv", "id,stock\na,?\n")]);
    let ended = status(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("DATA SET  TABLE  LAST RUN  AT                   ROWS "),
        "{ended:?}"
    );
    assert!(
        lines[1].starts_with("brand     brand  loaded    "),
        "{ended:?}"
    );
    assert!(
        lines[2].starts_with("items     items  failed    ") && lines[2].contains("1 rejected"),
        "{ended:?}"
    );
    assert!(
        ended
            .stdout
            .contains("\n\nitems: 1 of 1 rows cannot be loaded; nothing was loaded\n"),
        "{ended:?}"
    );

    let ended = status(&["--format", "json"]);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let items = &document["data_sets"][1];
    assert_eq!(
        (&items["outcome"], &items["rejected"]),
        (&"failed".into(), &1.into())
    );
    let success = database
        .value("SELECT finished_at FROM load_run WHERE data_set = 'items' AND outcome = 'loaded'")
        .await;
    assert_eq!(items["last_success"], success.as_str());
    assert!(items["lag_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(document["data_sets"][0]["problem"], Value::Null);
}

#[tokio::test]
async fn verify_tells_each_difference() {
    let database =
        database("CREATE TABLE items (id TEXT PRIMARY KEY, stock INTEGER, removed_at TIMESTAMPTZ)")
            .await;
    let files = directory(&[("items.csv", "id,stock\na,1\nb,2\nc,3\n")]);
    succeeded(load(&database, files.path()));
    let ended = succeeded(run(program_on(&database, files.path()).arg("verify")));
    assert_said(
        &ended,
        &[
            "✓ items: items is as its source says (3 unchanged)\n",
            "✓ database-load: 1 data set is as its source says\n",
        ],
    );
    database.execute("DELETE FROM items WHERE id = 'a'; UPDATE items SET stock = 0 WHERE id = 'b'; INSERT INTO items VALUES ('d')").await;
    let before = versions(&database, "items").await;
    let ended = run(program_on(&database, files.path()).arg("verify"));
    assert_failed(
        &ended,
        4,
        &[
            "data sets that are not as their sources say: 1 of 1\n  items: 1 missing in the table, 1 different, \
             1 in the table only, and not marked\n",
            "exit code 4",
        ],
    );
    assert_eq!(versions(&database, "items").await, before);
}

#[tokio::test]
async fn verify_does_not_accept_rows_that_no_load_would() {
    let database = database(ITEMS).await;
    let files = directory(&[
        ("manifest.yaml", "data_sets: {items: {files: items.csv}}"),
        ("items.csv", "id,stock\na,?\n"),
    ]);
    let ended = run(program_on(&database, files.path()).arg("verify"));
    assert_failed(
        &ended,
        7,
        &[
            "items: 1 of 1 rows cannot be loaded",
            "items.csv:2: column stock: ",
        ],
    );
    write(
        files.path(),
        "manifest.yaml",
        "data_sets: {items: {files: items.csv, guards: {rejects: 1}}}",
    );
    let ended = succeeded(run(program_on(&database, files.path()).arg("verify")));
    assert_said(&ended, &["items is as its source says (1 rejected)"]);
}

#[tokio::test]
async fn validation_names_what_a_load_would_refuse() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", "id,price\na,1\nb,?\na,2\n,1\n")]);
    let ended = run(program_on(&database, files.path()).arg("validate"));
    assert_failed(
        &ended,
        7,
        &[
            "3 of 4 rows cannot be loaded",
            "items.csv:3: column price: \"?\" is not a decimal number",
            "items.csv:4: column id: the key is already that of line 2",
            "items.csv:5: column id: it is empty, but a value is required",
        ],
    );
    assert_eq!(rows(&database, "items").await.len(), 0);
    assert_eq!(
        database
            .value("SELECT to_regclass('load_run') IS NULL")
            .await,
        "t"
    );
}

#[tokio::test]
async fn only_what_is_asked_for_is_loaded() {
    let database = database(&format!(
        "{ITEMS}; CREATE TABLE brand (id TEXT PRIMARY KEY)"
    ))
    .await;
    let files = directory(&[("brand.csv", "id\nx\n"), ("items.csv", "not read")]);
    let ended = succeeded(run(
        program_on(&database, files.path()).args(["--only", "brand"])
    ));
    assert_said(&ended, &["✓ database-load: brand 1 inserted; "]);
}

#[tokio::test]
async fn a_long_load_tells_how_far_it_is() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id\na\n")]);
    let mut client = database.client().await;
    let holder = holding(&mut client, "SELECT FROM items FOR UPDATE").await;
    let files = directory(&[("items.csv", "id,stock\na,2\n")]);
    let running = start(&mut program_on(&database, files.path()));
    tokio::time::sleep(Duration::from_secs(7)).await;
    holder.rollback().await.unwrap();
    let ended = succeeded(running.end_within(Duration::from_secs(20)));
    assert_said(
        &ended,
        &["items: 1 rows read, 13 B of 13 B (100 %), the server is at work since 5 s\n"],
    );
}

#[tokio::test]
async fn a_long_export_tells_that_it_is_at_work() {
    // The catalog tells of a table without a CHECK while it is locked.
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY)").await;
    let files = directory(&[("items.csv", "id\na\n")]);
    succeeded(load(&database, files.path()));
    let mut client = database.client().await;
    let holder = holding(&mut client, "LOCK TABLE items IN ACCESS EXCLUSIVE MODE").await;
    let running = start(program_on(&database, files.path()).args(["export", "items"]));
    tokio::time::sleep(Duration::from_secs(7)).await;
    holder.rollback().await.unwrap();
    let ended = running.end_within(Duration::from_secs(20));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "id\na\n"));
    assert!(
        ended.stderr.contains("items: writing its rows since 5 s\n"),
        "{ended:?}"
    );
}
