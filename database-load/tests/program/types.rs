//! Columns of types that only the server understands.

use test_process::run;

use crate::support::{
    assert_failed, assert_said, database, directory, last_counts, load, load_files, loaded,
    program_on, rejected, rows, succeeded, versions,
};

const TABLE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN percentage AS INTEGER CHECK (VALUE BETWEEN 0 AND 100);
    CREATE TABLE items (
        id TEXT PRIMARY KEY, at TIMESTAMPTZ, day DATE, code UUID, document JSONB, note JSON, mood mood,
        share percentage, tags TEXT[], bytes BYTEA, number NUMERIC, short CHAR(3), bits BIT(2)
    )";

const HEADER: &str = "id,at,day,code,document,note,mood,share,tags,bytes,number,short,bits\n";

const GOOD: &str = r#"a,2026-01-02T03:04:05Z,2026-02-28,6F9619FF-8B86-D011-B42D-00CF4FC964FF,"{""b"": 1,  ""a"": [null]}","{""b"":  1}",ok,100,"{x,""y z""}",\x00ff,1.50,ab,01
b,,,,,,,,,,,,
"#;

#[tokio::test]
async fn values_are_loaded_and_the_same_values_are_not_written_again() {
    let database = database(TABLE).await;
    loaded(&database, &[("items.csv", format!("{HEADER}{GOOD}"))]);
    let loaded_rows = rows(&database, "items").await;
    assert_eq!(
        database
            .value(
                "SELECT concat_ws('|', at AT TIME ZONE 'UTC', day, code, document, note, mood, share, tags, bytes, number,
                                  short, bits)
                 FROM items WHERE id = 'a'"
            )
            .await,
        r#"2026-01-02 03:04:05|2026-02-28|6f9619ff-8b86-d011-b42d-00cf4fc964ff|{"a": [null], "b": 1}|{"b":  1}|ok|100|{x,"y z"}|\x00ff|1.50|ab |01"#
    );
    let before = versions(&database, "items").await;
    let ended = loaded(
        &database,
        &[("items.csv", format!("{HEADER}{GOOD}c,,,,,,,,,,,,\n"))],
    );
    assert_said(&ended, &["items 1 inserted, 2 unchanged; "]);
    assert_eq!(versions(&database, "items").await[..2], before);
    // What has the same value in another text is the same, unless the text is what is kept.
    for (from, to, said) in [
        ("03:04:05Z", "04:04:05+01", "items 2 unchanged, 1 kept; "),
        ("1.50", "1.5", "items 1 updated, 1 unchanged, 1 kept; "),
        (
            r#"""b"":  1}"#,
            r#"""b"": 1}"#,
            "items 1 updated, 1 unchanged, 1 kept; ",
        ),
    ] {
        loaded(&database, &[("items.csv", format!("{HEADER}{GOOD}"))]);
        assert_eq!(rows(&database, "items").await[..2], loaded_rows);
        let ended = loaded(
            &database,
            &[("items.csv", format!("{HEADER}{}", GOOD.replace(from, to)))],
        );
        assert_said(&ended, &[said]);
    }
}

#[tokio::test]
async fn texts_that_are_no_values_are_rejected_by_row_and_column() {
    let database = database(TABLE).await;
    // By the direct way, then by that of differences.
    for _ in 0..2 {
        let bad = "a,soon,,,,,,,,,,,\nb,,2026-02-30,,,,,,,,,,\nc,,,x,,,,,,,,,\nd,,,,{,,,,,,,,\ne,,,,,[1,,,,,,,\n\
                   f,,,,,,angry,,,,,,\ng,,,,,,,101,,,,,\nh,,,,,,,,\"{x\",,,,\ni,,,,,,,,,\\x0,,,\nj,,,,,,,,,,1e,,\n\
                   k,,,,,,,,,,,abcd,\nl,,,,,,,,,,,,101\nm,,,,,,,x,,,,,\nok,,,,,,,,,,,,\n";
        let ended = load_files(&database, &[("items.csv", format!("{HEADER}{bad}"))]);
        assert_failed(
            &ended,
            7,
            &[
                "items: 13 of 14 rows cannot be loaded; nothing was loaded",
                "items.csv:2: column at: invalid input syntax for type timestamp with time zone: \"soon\"\n",
                "items.csv:3: column day: date/time field value out of range: \"2026-02-30\"\n",
                "items.csv:4: column code: invalid input syntax for type uuid: \"x\"\n",
                "items.csv:5: column document: invalid input syntax for type json\n",
                "items.csv:6: column note: invalid input syntax for type json\n",
                "items.csv:7: column mood: invalid input value for enum mood: \"angry\"\n",
                "items.csv:8: column share: value for domain percentage violates check constraint \"percentage_check\"\n",
                "items.csv:9: column tags: malformed array literal: \"{x\"\n",
                "items.csv:10: column bytes: invalid hexadecimal data: odd number of digits\n",
                "items.csv:11: column number: invalid input syntax for type numeric: \"1e\"\n",
                "items.csv:12: column short: value too long for type character(3)\n",
                "items.csv:13: column bits: bit string length 3 does not match type bit(2)\n",
                "items.csv:14: column share: invalid input syntax for type integer: \"x\"\n",
            ],
        );
        assert_eq!(
            rejected(&database).await[10],
            "items.csv|12|short|value too long for type character(3)|abcd"
        );
        loaded(&database, &[("items.csv", format!("{HEADER}{GOOD}"))]);
    }
}

#[tokio::test]
async fn a_domain_may_require_a_value() {
    let database = database(
        "CREATE DOMAIN title AS TEXT NOT NULL;
         CREATE TABLE items (id INTEGER PRIMARY KEY, name title)",
    )
    .await;
    let ended = load_files(&database, &[("items.csv", "id,name\n1,\n2,x\n")]);
    assert_failed(
        &ended,
        7,
        &["items.csv:2: column name: it is empty, but a value is required"],
    );
    let ended = load_files(&database, &[("items.csv", "id\n1\n")]);
    assert_failed(&ended, 7, &["the column \"name\" (title) is missing"]);
}

#[tokio::test]
async fn a_key_may_be_of_such_a_type() {
    let database =
        database("CREATE TABLE items (id UUID PRIMARY KEY, at DATE, gone TIMESTAMPTZ)").await;
    let id = |number: u32| format!("00000000-0000-0000-0000-00000000000{number}");
    let manifest =
        "data_sets: {items: {files: items.csv, mark_column: gone, guards: {rejects: 9}}}";
    let csv = |lines: &[String]| format!("id,at\n{}\n", lines.join("\n"));
    let all = csv(&[id(1) + ",", id(2) + ",", id(3) + ","]);
    loaded(
        &database,
        &[("manifest.yaml", manifest.to_owned()), ("items.csv", all)],
    );
    let ended = loaded(
        &database,
        &[
            ("manifest.yaml", manifest.to_owned()),
            ("items.csv", csv(&[id(1) + ",", id(2) + ",2026-01-01"])),
        ],
    );
    assert_said(&ended, &["items 1 updated, 1 unchanged, 1 marked; "]);
    let rows = [
        id(1) + ",",
        id(1).replace('-', "") + ",",
        "x,".to_owned(),
        id(4) + ",never",
    ];
    let files = directory(&[
        ("manifest.yaml", manifest.to_owned()),
        ("items.csv", csv(&rows)),
    ]);
    let ended = load(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(last_counts(&database).await, "4 1 3 0 0 1 0 0 0");
    assert!(
        ended
            .stderr
            .contains("so no row of items is taken as vanished"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("items.csv:3: column id: the key is already that of line 2"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("items.csv:4: column id: invalid input syntax for type uuid: \"x\""),
        "{ended:?}"
    );
}

#[tokio::test]
async fn texts_that_a_collation_calls_equal_are_one_key_and_two_values() {
    let database = database(
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE items (id TEXT COLLATE folded PRIMARY KEY, name TEXT COLLATE folded, code CHAR(2) COLLATE folded)",
    )
    .await;
    loaded(
        &database,
        &[("items.csv", "id,name,code\na,abc,xy\nb,b,b\n")],
    );
    let files = directory(&[("items.csv", "id,name,code\nA,Abc,XY\nb,b,b\nc,c,c\n")]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 inserted, 1 updated, 1 unchanged; "]);
    // The table's spelling of a key is as good as the source's, and stays.
    let expected = ["(a,Abc,XY)", "(b,b,\"b \")", "(c,c,\"c \")"];
    assert_eq!(rows(&database, "items").await, expected);
    succeeded(run(program_on(&database, files.path()).arg("verify")));
    let ended = load_files(&database, &[("items.csv", "id,name,code\na,a,a\nA,a,a\n")]);
    assert_failed(
        &ended,
        7,
        &["items.csv:3: column id: the key is already that of line 2"],
    );
}

#[tokio::test]
async fn a_key_that_a_collation_calls_equal_is_rejected_whatever_type_of_text_it_has() {
    let database = database(
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    .await;
    for kind in ["TEXT", "VARCHAR(5)", "CHAR(3)"] {
        database
            .execute(&format!(
                "DROP TABLE IF EXISTS items; CREATE TABLE items (id {kind} COLLATE folded PRIMARY KEY)"
            ))
            .await;
        let ended = load_files(&database, &[("items.csv", "id\na\nb\nA\n")]);
        let reason = "items.csv:4: column id: the key is already that of line 2";
        assert_failed(&ended, 7, &["1 of 3 rows", reason]);
    }
}

#[tokio::test]
async fn values_are_compared_and_exported_whatever_texts_the_database_is_set_to() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, day DATE, number FLOAT8, span INTERVAL, bytes BYTEA)",
    )
    .await;
    for setting in [
        "DateStyle = 'SQL, DMY'",
        "extra_float_digits = 0",
        "IntervalStyle = sql_standard",
        "bytea_output = escape",
    ] {
        let name = database.name();
        database
            .execute(&format!("ALTER DATABASE \"{name}\" SET {setting}"))
            .await;
    }
    let header = "id,day,number,span,bytes\n";
    let text = format!("{header}a,03/02/2026,0.3,-1 +2:03:04,\\x00ff\n");
    loaded(&database, &[("items.csv", text.clone())]);
    // A date is read in the order that is set, and numbers that look alike are not the same.
    let files = directory(&[("items.csv", text.replace("0.3", "0.30000000000000004"))]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 updated; "]);
    let ended = run(program_on(&database, files.path()).args(["export", "items"]));
    let exported = format!("{header}a,2026-02-03,0.30000000000000004,-1 days +02:03:04,\\x00ff\n");
    assert_eq!((ended.code, &ended.stdout), (Some(0), &exported));
}
