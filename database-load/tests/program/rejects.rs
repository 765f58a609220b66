//! Rows that cannot be loaded: named, kept, printed, mended.

use test_process::run;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, last_counts, load, load_files, loaded,
    outcomes, program, program_on, rejected, rows, succeeded,
};

#[tokio::test]
async fn rejected_rows_are_kept_with_their_places_although_the_load_fails() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,name,price\na,x,1\n")]);
    let long = "x".repeat(21);
    let text =
        format!("id,name,price\na,y,abc\nb,{long},1\nc,x\n,x,1\nd,x,-1\ne,x,1\ne,y,2\nf,ok,2\n");
    let ended = load_files(&database, &[("items.csv", &text)]);
    assert_failed(
        &ended,
        7,
        &[
            "items: 6 of 8 rows cannot be loaded; nothing was loaded\n",
            "items.csv:2: column price: \"abc\" is not a decimal number such as 12.99\n",
            "next: database-load rejects prints these rows as a file",
            "exit code 7",
        ],
    );
    assert_eq!(
        rejected(&database).await,
        [
            "items.csv|2|price|\"abc\" is not a decimal number such as 12.99|abc",
            &format!("items.csv|3|name|\"{long}\" has 21 characters; at most 20 fit|{long}"),
            "items.csv|4|the row has 2 fields, the header 3|NULL",
            "items.csv|5|id|it is empty, but a value is required|NULL",
            "items.csv|6|price|the constraint items_price_check is not met: (price >= (0)::numeric)|-1.00",
            "items.csv|8|id|the key is already that of line 7|e",
        ]
    );
    assert_eq!(rows(&database, "items").await, ["(a,x,1.00,,)"]);
    assert_eq!(outcomes(&database, "items").await, ["loaded", "failed"]);
    assert_eq!(last_counts(&database).await, "8 2 6 0 0 0 0 0 0");
    let problem = database
        .value("SELECT problem FROM load_run WHERE outcome = 'failed'")
        .await;
    assert!(problem.starts_with("items: 6 of 8 rows cannot be loaded"));
}

#[tokio::test]
async fn within_the_budget_the_good_rows_are_loaded_and_the_others_kept() {
    let database = database(ITEMS).await;
    let manifest = "data_sets: {items: {files: items.csv, guards: {rejects: 1}}}";
    let files = directory(&[
        ("manifest.yaml", manifest),
        ("items.csv", "id,name,price\na,x,1\nb,x,abc\n"),
    ]);
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("items: 1 rows were rejected, as the guards allow; `database-load rejects items` prints them:\n"), "{ended:?}");
    assert!(
        said.contains("items.csv:3: column price: \"abc\" is not a decimal number"),
        "{ended:?}"
    );
    assert_said(&ended, &["items 1 inserted, 1 rejected; "]);
    assert_eq!(rows(&database, "items").await, ["(a,x,1.00,,)"]);
    assert_eq!(rejected(&database).await.len(), 1);
    assert_eq!(last_counts(&database).await, "2 1 1 1 0 0 0 0 0");
    // The source is known with its bad row.
    succeeded(load(&database, files.path()));
    assert_eq!(outcomes(&database, "items").await, ["loaded", "unchanged"]);
}

/// Loads a bad file, prints what was rejected, mends that and loads it with the rest of the rows.
async fn mend(
    name: &str,
    manifest_options: &str,
    text: &[u8],
    mend: impl Fn(Vec<u8>) -> Vec<u8>,
    printed: &[u8],
) {
    let database = database(ITEMS).await;
    let manifest = format!(
        "data_sets: {{items: {{files: {name}, vanished: keep, guards: {{rejects: 9}}{manifest_options}}}}}"
    );
    let files = directory(&[("manifest.yaml", manifest.as_bytes()), (name, text)]);
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rows(&database, "items").await.len(), 1);

    let output = program(&database)
        .args(["rejects", "items"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(printed)
    );
    assert_eq!(output.stdout, printed);

    let mended = directory(&[
        ("manifest.yaml", manifest.into_bytes()),
        (name, mend(output.stdout)),
    ]);
    let ended = succeeded(load(&database, mended.path()));
    assert_said(&ended, &["items 2 inserted, 1 kept; "]);
    assert_eq!(
        database
            .values("SELECT concat_ws('|', id, name, price) FROM items ORDER BY id")
            .await,
        ["a|ok|1.00", "b|Crème, \"x\"|2.00", "c|two\nlines|3.00"]
    );
}

fn replaced(text: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(text).unwrap();
    text.replace("2?", "2").replace("3?", "3").into_bytes()
}

#[tokio::test]
async fn rejected_rows_of_csv_are_mended_and_loaded() {
    mend(
        "items.csv",
        "",
        "id,name,price\na,ok,1\nb,\"Crème, \"\"x\"\"\",2?\nc,\"two\nlines\",3?\n".as_bytes(),
        replaced,
        "id,name,price\nb,\"Crème, \"\"x\"\"\",2?\nc,\"two\nlines\",3?\n".as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn rejected_rows_of_a_file_from_windows_are_mended_and_loaded() {
    mend(
        "items.csv",
        "",
        "id,name,price\r\na,ok,1\r\nb,\"Crème, \"\"x\"\"\",2?\r\nc,\"two\nlines\",3?\r\n"
            .as_bytes(),
        replaced,
        "id,name,price\nb,\"Crème, \"\"x\"\"\",2?\nc,\"two\nlines\",3?\n".as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn rejected_rows_stay_in_their_encoding_and_with_their_delimiter() {
    mend(
        "items.csv",
        ", encoding: latin-1, delimiter: ';'",
        b"id;name;price\na;ok;1\nb;\"Cr\xE8me, \"\"x\"\"\";2?\nc;\"two\nlines\";3?\n",
        |text| text.into_iter().filter(|byte| *byte != b'?').collect(),
        b"id;name;price\nb;\"Cr\xE8me, \"\"x\"\"\";2?\nc;\"two\nlines\";3?\n",
    )
    .await;
}

#[tokio::test]
async fn rejected_elements_of_json_are_mended_and_loaded() {
    mend(
        "items.json",
        "",
        r#"[{"id": "a", "name": "ok", "price": 1}, {"id": "b", "name": "Crème, \"x\"", "price": "2?"},
            {"id": "c", "name": "two\nlines", "price": "3?"}]"#
            .as_bytes(),
        replaced,
        "[\n{\"id\": \"b\", \"name\": \"Crème, \\\"x\\\"\", \"price\": \"2?\"},\n\
         {\"id\": \"c\", \"name\": \"two\\nlines\", \"price\": \"3?\"}\n]\n"
            .as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn rejected_lines_of_ndjson_are_mended_and_loaded() {
    mend(
        "items.ndjson",
        "",
        r#"{"id": "a", "name": "ok", "price": 1}
{"id": "b", "name": "Crème, \"x\"", "price": "2?"}
{"id": "c", "name": "two\nlines", "price": "3?"}"#
            .as_bytes(),
        replaced,
        "{\"id\": \"b\", \"name\": \"Crème, \\\"x\\\"\", \"price\": \"2?\"}\n\
         {\"id\": \"c\", \"name\": \"two\\nlines\", \"price\": \"3?\"}\n"
            .as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn rejected_rows_of_several_files_stand_below_their_headers() {
    let database = database(ITEMS).await;
    let ended = load_files(
        &database,
        &[
            ("items/1.csv", "id,price\na,?\nb,1\n"),
            ("items/2.csv", "price,id\n2,c\n??,d\n"),
            ("items/3.csv", "id,price\nb,1\n"),
        ],
    );
    assert_failed(
        &ended,
        7,
        &[
            "1.csv:2: ",
            "2.csv:3: ",
            "3.csv:2: column id: the key is already that of line 3 of /",
            "/items/1.csv\n",
        ],
    );
    let ended = run(program(&database).arg("rejects"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "id,price\na,?\nprice,id\n??,d\nid,price\nb,1\n"
    );
    assert!(
        ended
            .stderr
            .contains("2.csv:3: column price: \"??\" is not a decimal number"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn rejected_rows_of_files_that_differ_in_format_are_printed_by_format() {
    let database = database(ITEMS).await;
    let ended = load_files(
        &database,
        &[
            ("items/1.csv", "id,price\na,?\n"),
            ("items/2.json", "[{\"id\": \"b\", \"price\": \"?\"}]"),
            ("items/3.ndjson", "{\"id\": \"c\", \"price\": \"?\"}\n"),
        ],
    );
    assert_failed(&ended, 7, &["3 of 3 rows"]);
    let rejects = |arguments: &[&str]| run(program(&database).arg("rejects").args(arguments));
    let ended = rejects(&[]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "id,price\na,?\n"));
    for format in ["json", "ndjson"] {
        let hint = format!("`database-load rejects items --format {format}` prints those");
        assert!(ended.stderr.contains(&hint), "{ended:?}");
    }
    let ended = rejects(&["items", "--format", "json"]);
    assert_eq!(ended.stdout, "[\n{\"id\": \"b\", \"price\": \"?\"}\n]\n");
    let ended = rejects(&["items", "--format", "ndjson"]);
    assert_eq!(ended.stdout, "{\"id\": \"c\", \"price\": \"?\"}\n");
}

#[tokio::test]
async fn a_row_too_long_to_be_kept_leaves_a_file_that_can_be_read() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT CHECK (length(name) <> 70000), stock INTEGER)",
    )
    .await;
    let long = "x".repeat(70_000);
    for (stock, reason) in [
        (
            "\"many\"",
            "items.json:1: column stock: \"many\" is not a whole number",
        ),
        (
            "1",
            "items.json:1: column name: the constraint items_name_check is not met",
        ),
    ] {
        let text = format!(
            "[{{\"id\": \"a\", \"name\": \"{long}\", \"stock\": {stock}}},\n{{\"id\": \"b\", \"stock\": \"?\"}}]"
        );
        let ended = load_files(&database, &[("items.json", text)]);
        assert_failed(&ended, 7, &["2 of 2 rows", reason]);
        let ended = run(program(&database).arg("rejects"));
        assert_eq!(ended.stdout, "[\n{\"id\": \"b\", \"stock\": \"?\"}\n]\n");
        assert!(ended.stderr.contains(reason), "{ended:?}");
        assert!(
            ended.stderr.contains("1 rows are not among them"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn of_many_long_rows_so_many_are_kept_as_memory_is_allowed() {
    let database = database(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT CHECK (length(name) <> 60000), stock INTEGER)",
    )
    .await;
    let long = "x".repeat(60_000);
    for stock in ["?", "1"] {
        let lines: String = (0..300)
            .map(|id| format!("{id},{long},{stock}\n"))
            .collect();
        let ended = load_files(
            &database,
            &[("items.csv", format!("id,name,stock\n{lines}"))],
        );
        assert_failed(&ended, 7, &["300 of 300 rows"]);
        let kept = "SELECT count(*) FILTER (WHERE line > 0) || ' ' || sum(octet_length(record)) / 1024 / 1024
                    FROM load_reject WHERE run_id = (SELECT max(id) FROM load_run)";
        assert_eq!(database.value(kept).await, "300 15");
    }
}

#[tokio::test]
async fn without_rejected_rows_nothing_is_printed() {
    let database = database(ITEMS).await;
    let ended = run(program(&database).arg("rejects"));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""));
    assert!(ended.stderr.contains("no rows were rejected"));
    loaded(&database, &[("items.csv", "id\na\n")]);
    let ended = run(program(&database).args(["rejects", "items"]));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""));
    assert!(ended.stderr.contains("no rows were rejected"));
}

#[tokio::test]
async fn all_rejected_rows_are_counted_and_the_first_of_them_shown() {
    let database = database(ITEMS).await;
    let bad: String = (1..=50).map(|id| format!("{id},?\n")).collect();
    let ended = load_files(&database, &[("items.csv", format!("id,price\n{bad}"))]);
    assert_failed(
        &ended,
        7,
        &[
            "50 of 50 rows cannot be loaded",
            "items.csv:21: ",
            "and 30 more",
        ],
    );
    assert!(!ended.stderr.contains("items.csv:22: "), "{ended:?}");
    assert_eq!(rejected(&database).await.len(), 50);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_named() {
    let database = database(
        "CREATE SCHEMA shop;
         CREATE TABLE shop.brand (id INTEGER, country TEXT, PRIMARY KEY (id, country));
         INSERT INTO shop.brand VALUES (1, 'de');
         CREATE TABLE items (id TEXT PRIMARY KEY, brand INTEGER, country TEXT,
                             CONSTRAINT items_brand FOREIGN KEY (brand, country) REFERENCES shop.brand)",
    )
    .await;
    // By the direct way, and then by that of differences.
    for _ in 0..2 {
        let ended = load_files(
            &database,
            &[(
                "items.csv",
                "id,brand,country\na,1,de\nb,1,fr\nc,,fr\nd,2,de\n",
            )],
        );
        assert_failed(
            &ended,
            7,
            &[
                "2 of 4 rows",
                "items.csv:3: column brand, country: there is no such row in shop.brand (constraint items_brand)",
                "items.csv:5: column brand, country: there is no such row",
            ],
        );
        assert_eq!(
            rejected(&database).await[0],
            "items.csv|3|brand, country|there is no such row in shop.brand (constraint items_brand)|1, fr"
        );
        loaded(&database, &[("items.csv", "id,brand,country\na,1,de\n")]);
    }
}

#[tokio::test]
async fn a_reference_that_is_checked_at_the_end_is_named_all_the_same() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY);
         CREATE TABLE sales (id INTEGER PRIMARY KEY,
                             item TEXT CONSTRAINT to_item REFERENCES items DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let files = directory(&[
        ("items.csv", "id\na\n"),
        ("sales.csv", "id,item\n1,a\n2,b\n"),
    ]);
    let ended = load(&database, files.path());
    assert_failed(
        &ended,
        7,
        &[
            "sales: 1 of 2 rows cannot be loaded; nothing was loaded\n",
            "sales.csv:3: column item: there is no such row in public.items (constraint to_item)\n",
        ],
    );
    assert_eq!(rows(&database, "items").await, [""; 0]);
}

#[tokio::test]
async fn references_in_a_circle_are_met_where_they_are_checked_at_the_end() {
    let database = database(
        "CREATE TABLE persons (id TEXT PRIMARY KEY, team TEXT);
         CREATE TABLE teams (id TEXT PRIMARY KEY, head TEXT REFERENCES persons DEFERRABLE INITIALLY DEFERRED);
         ALTER TABLE persons ADD FOREIGN KEY (team) REFERENCES teams DEFERRABLE INITIALLY DEFERRED",
    )
    .await;
    let ended = loaded(
        &database,
        &[
            ("persons.csv", "id,team\nann,red\n"),
            ("teams.csv", "id,head\nred,ann\n"),
        ],
    );
    assert_said(&ended, &["teams 1 inserted; persons 1 inserted; "]);
}

#[tokio::test]
async fn rejected_rows_of_ten_runs_are_kept() {
    let database = database(ITEMS).await;
    for number in 0..12 {
        let ended = load_files(
            &database,
            &[("items.csv", format!("id,stock\n{number},?\n"))],
        );
        assert_eq!(ended.code, Some(7));
    }
    let kept = "SELECT count(DISTINCT run_id) || ' ' || min(run_id) FROM load_reject";
    assert_eq!(database.value(kept).await, "10 3");
    assert_eq!(database.value("SELECT count(*) FROM load_run").await, "12");
}

#[tokio::test]
async fn rows_that_vanish_while_others_are_rejected_are_told_from_them() {
    let database = database(ITEMS).await;
    let manifest = "data_sets: {items: {files: items.csv, vanished: delete, guards: {rejects: 2, largest_shrink: 100%}}}";
    let all = "id,stock\na,1\nb,2\nc,3\nd,4\n";
    loaded(
        &database,
        &[("manifest.yaml", manifest), ("items.csv", all)],
    );
    // The rejected row still has its key, so the row of the table has not vanished.
    let files = directory(&[
        ("manifest.yaml", manifest),
        ("items.csv", "id,stock\na,1\nb,?\nd,5\nd,6\n"),
    ]);
    let ended = run(&mut program_on(&database, files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_said(
        &ended,
        &["items 1 updated, 1 unchanged, 1 deleted, 2 rejected"],
    );
    assert_eq!(
        rows(&database, "items").await,
        ["(a,,,1,)", "(b,,,2,)", "(d,,,5,)"]
    );

    // A row whose key cannot be read may be any of them.
    let files = directory(&[
        ("manifest.yaml", manifest),
        ("items.csv", "id,stock\na,1\nd,7,x\n"),
    ]);
    let ended = run(&mut program_on(&database, files.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        format!("{}{}", ended.stdout, ended.stderr).contains(
            "items: rejected rows have keys that cannot be read, so no row of items is taken as vanished"
        ),
        "{ended:?}"
    );
    assert_eq!(rows(&database, "items").await.len(), 3);
}

#[tokio::test]
async fn what_one_data_set_rejected_is_kept_where_another_one_stops_the_load() {
    let database = database(
        "CREATE TABLE brand (id TEXT PRIMARY KEY, rank INTEGER);
         CREATE TABLE items (id TEXT PRIMARY KEY, brand TEXT REFERENCES brand)",
    )
    .await;
    let manifest =
        "data_sets: {brand: {files: brand.csv, guards: {rejects: 1}}, items: {files: items.csv}}";
    let ended = load_files(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("brand.csv", "id,rank\na,1\nb,?\n"),
            ("items.csv", "id,brand\nx,nobody\n"),
        ],
    );
    assert_failed(&ended, 7, &["items: 1 of 1 rows cannot be loaded"]);
    for (data_set, printed) in [
        ("brand", "id,rank\nb,?\n"),
        ("items", "id,brand\nx,nobody\n"),
    ] {
        let ended = run(program(&database).args(["rejects", data_set]));
        assert_eq!(ended.stdout, printed, "{ended:?}");
    }
}

#[tokio::test]
async fn codes_that_do_not_fit_are_printed() {
    let database = database("CREATE TABLE codes (code VARCHAR(8) PRIMARY KEY)").await;
    let manifest = "data_sets: {codes: {files: '*.txt', codes: {minimum_length: 8, maximum_length: 10, \
                    minimum_files: 2, column: code}}}";
    let ended = load_files(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("1.txt", "FITS0001\nTOOLONG001\n"),
            ("2.txt", "FITS0001\nTOOLONG001\nOTHER001\n"),
        ],
    );
    assert_failed(&ended, 7, &["codes: 1 of 2 rows cannot be loaded"]);
    let ended = run(program(&database).arg("rejects"));
    assert_eq!(ended.stdout, "TOOLONG001\n", "{ended:?}");
}
