//! What a source may be written in.

use std::io::Write;

use test_postgres::Database;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, last_counts, load_files, loaded, rejected, rows,
    write,
};

const EXPECTED: [&str; 3] = [
    "(a,Apple,1.50,7,t)",
    "(b,,0.00,,f)",
    "(c,\"Cherry, red\",,-1,)",
];

const CSV: &str =
    "id,name,price,stock,is_new\na,Apple,1.5,7,true\nb,,0,,no\nc,\"Cherry, red\",,-1,\n";

const JSON: &str = r#"[
  {"id": "a", "name": "Apple", "price": 1.5, "stock": 7, "is_new": true},
  {"id": "b", "price": "0", "stock": null, "is_new": false},
  {"id": "c", "name": "Cherry, red", "stock": -1}
]"#;

const NDJSON: &str = r#"{"id": "a", "name": "Apple", "price": 1.50, "stock": 7, "is_new": true}

{"id": "b", "name": null, "price": 0, "is_new": "f"}
{"stock": "-1", "id": "c", "name": "Cherry, red"}"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut process = std::process::Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    process.wait_with_output().unwrap().stdout
}

/// A Zstandard frame of one raw block, as RFC 8878, section 3.1.1, describes it.
fn zstandard(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test]
async fn each_format_is_loaded_plain_and_compressed() {
    let database = database(ITEMS).await;
    for (format, text) in [
        ("csv", CSV),
        ("json", JSON),
        ("ndjson", NDJSON),
        ("jsonl", NDJSON),
    ] {
        for (ending, content) in [
            ("", text.as_bytes().to_vec()),
            (".gz", gzip(text)),
            (".zst", zstandard(text)),
        ] {
            database.execute("TRUNCATE items").await;
            let name = format!("items.{format}{ending}");
            let ended = loaded(&database, &[(&name, content)]);
            assert_said(&ended, &["✓ database-load: items 3 inserted; "]);
            assert_eq!(rows(&database, "items").await, EXPECTED, "{name}");
            assert_eq!(last_counts(&database).await, "3 3 0 3 0 0 0 0 0");
        }
    }
}

#[tokio::test]
async fn files_of_a_data_set_may_differ_in_format_and_are_read_in_the_order_of_their_names() {
    let database = database(ITEMS).await;
    let manifest =
        "data_sets:\n  items:\n    files: ['*.csv', 'more/*', '2*']\n    duplicates: last\n";
    let ended = loaded(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("1.csv", "id,name\na,first\nb,one\n"),
            ("2.json", "[{\"id\": \"a\", \"name\": \"second\"}]"),
            ("more/3.ndjson", "{\"id\": \"a\", \"name\": \"third\"}"),
        ],
    );
    assert_said(&ended, &["items 2 inserted"]);
    assert_eq!(
        rows(&database, "items").await,
        ["(a,third,,,)", "(b,one,,,)"]
    );
}

#[tokio::test]
async fn a_format_that_the_name_does_not_tell_is_asked_for_and_can_be_given() {
    let database = database(ITEMS).await;
    let manifest = "data_sets: {items: {files: items.txt}}";
    let ended = load_files(
        &database,
        &[("manifest.yaml", manifest), ("items.txt", NDJSON)],
    );
    assert_failed(
        &ended,
        2,
        &["items.txt does not tell its format", "or set `format`"],
    );
    let manifest = "data_sets: {items: {files: items.txt, format: ndjson}}";
    loaded(
        &database,
        &[("manifest.yaml", manifest), ("items.txt", NDJSON)],
    );
    assert_eq!(rows(&database, "items").await, EXPECTED);
}

#[tokio::test]
async fn a_byte_order_mark_is_no_data_in_any_format() {
    let database = database(ITEMS).await;
    for (name, text) in [
        ("items.csv", CSV),
        ("items.json", JSON),
        ("items.ndjson", NDJSON),
    ] {
        database.execute("TRUNCATE items").await;
        loaded(&database, &[(name, format!("\u{FEFF}{text}"))]);
        assert_eq!(rows(&database, "items").await, EXPECTED, "{name}");
    }
}

#[tokio::test]
async fn line_ends_of_windows_are_no_data_and_a_mixture_is_not_guessed_at() {
    let database = database(ITEMS).await;
    for (name, text) in [
        ("items.csv", CSV),
        ("items.json", JSON),
        ("items.ndjson", NDJSON),
    ] {
        database.execute("TRUNCATE items").await;
        loaded(&database, &[(name, text.replace('\n', "\r\n"))]);
        assert_eq!(rows(&database, "items").await, EXPECTED, "{name}");
    }
    let ended = load_files(
        &database,
        &[("items.csv", "id,name\r\na,x\r\nb,y\nc,z\r\n")],
    );
    assert_failed(
        &ended,
        7,
        &["items.csv:3: the line ends with \\n, the header's with \\r\\n"],
    );
    let ended = load_files(&database, &[("items.csv", "id,name\na,x\nb,y\r\n")]);
    assert_failed(
        &ended,
        7,
        &["items.csv:3: the line ends with \\r\\n, the header's with \\n"],
    );
}

#[tokio::test]
async fn blank_lines_are_no_rows_whatever_lines_end_with() {
    let database = database(ITEMS).await;
    for end in ["\n", "\r\n"] {
        let text = format!("id,stock{end}{end}a,1{end}{end}{end}b,?{end}{end}");
        let ended = load_files(&database, &[("items.csv", text)]);
        assert_failed(
            &ended,
            7,
            &["1 of 2 rows cannot be loaded", "items.csv:6: column stock"],
        );
    }
}

#[tokio::test]
async fn quoted_fields_hold_newlines_quotes_and_delimiters_and_lines_are_counted_right() {
    let database = database(ITEMS).await;
    let text =
        "id,name,stock\na,\"one\ntwo\n\",1\nb,\"say \"\"hi\"\", x\",2\nc,\"a\nb\",?\nd,x,?\n";
    let ended = load_files(&database, &[("items.csv", text)]);
    assert_failed(
        &ended,
        7,
        &[
            "2 of 4 rows cannot be loaded",
            "items.csv:6: column stock: \"?\" is not a whole number",
            "items.csv:8: column stock: \"?\" is not a whole number",
        ],
    );
    loaded(&database, &[("items.csv", text.replace('?', "3"))]);
    assert_eq!(
        database.values("SELECT name FROM items ORDER BY id").await,
        ["one\ntwo\n", "say \"hi\", x", "a\nb", "x"]
    );
}

#[tokio::test]
async fn a_quoted_field_that_is_not_closed_takes_in_no_rows() {
    let database = database(ITEMS).await;
    loaded(
        &database,
        &[("items.csv", "id,name\na,x\nb,y\nc,\"z\nz\"\n")],
    );
    let before = rows(&database, "items").await;
    for (text, line) in [
        ("id,name\na,\"x\nb,y\nc,z\n", 2),
        ("id,name\na,x\n\nb,\"y\"\nc,\"z\nz", 5),
        ("id,name\na,\"x\ny\"\nb,\"\"\"", 4),
        ("id,\"name\na,x\n", 1),
        ("id,name\r\na,\"x\r\nb,y\r\n", 2),
    ] {
        for (name, content) in [
            ("items.csv", text.as_bytes().to_vec()),
            ("items.csv.gz", gzip(text)),
        ] {
            let ended = load_files(&database, &[(name, content)]);
            let problem = format!(
                "{name}:{line}: a quoted field of this row is not closed, so it takes in the rest of the file"
            );
            assert_failed(&ended, 7, &[&problem, "next: correct the source"]);
            assert_eq!(rows(&database, "items").await, before, "{text}");
        }
    }
    // What is closed at the very end is whole.
    for text in [
        "id,name\na,x\nb,\"y\n\"",
        "id,name\na,x\nb,\"\"\"\"",
        "id,name\na,x\nb,\"\"",
    ] {
        loaded(&database, &[("items.csv", text)]);
    }
}

async fn names(database: &Database<'_>) -> Vec<String> {
    database
        .values("SELECT coalesce(name, 'NULL') FROM items ORDER BY id")
        .await
}

#[tokio::test]
async fn latin_1_is_read_where_it_is_declared() {
    let database = database(ITEMS).await;
    let text = b"id,name\na,Cr\xE8me br\xFBl\xE9e\nb,\xA4\n";
    let ended = load_files(&database, &[("items.csv", text)]);
    assert_failed(
        &ended,
        7,
        &["items.csv:2: column name: byte 3 is not UTF-8"],
    );

    let manifest = "data_sets: {items: {files: items.csv, encoding: latin-1, null: \u{A4}}}";
    loaded(
        &database,
        &[("manifest.yaml", manifest.as_bytes()), ("items.csv", text)],
    );
    assert_eq!(names(&database).await, ["Crème brûlée", "NULL"]);
}

#[tokio::test]
async fn a_field_of_the_header_may_be_latin_1_as_well() {
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY, \"größe\" TEXT)").await;
    let manifest = "data_sets: {items: {files: items.csv, encoding: latin-1}}";
    loaded(
        &database,
        &[
            ("manifest.yaml", manifest.as_bytes()),
            ("items.csv", b"id,gr\xF6\xDFe\n1,\xDC\n"),
        ],
    );
    assert_eq!(rows(&database, "items").await, ["(1,Ü)"]);
}

#[tokio::test]
async fn a_nul_byte_is_named_in_each_format() {
    let database = database(ITEMS).await;
    for (name, text, place) in [
        (
            "items.csv",
            "id,name\na,x\nb,y\0\n",
            "items.csv:3: column name: ",
        ),
        (
            "items.json",
            "[{\"id\": \"a\"},\n{\"id\": \"b\", \"name\": \"\\u0000\"}]",
            "items.json:2: column name: ",
        ),
        (
            "items.ndjson",
            "{\"id\": \"a\"}\n{\"id\": \"b\", \"name\": \"\\u0000\"}",
            "items.ndjson:2: column name: ",
        ),
    ] {
        let ended = load_files(&database, &[(name, text)]);
        assert_failed(
            &ended,
            7,
            &[&format!(
                "{place}it contains a NUL byte, which PostgreSQL cannot store"
            )],
        );
        assert_eq!(rejected(&database).await.len(), 1);
    }
}

#[tokio::test]
async fn the_order_of_columns_is_free_and_what_is_not_there_keeps_its_default() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT 'unnamed', number SERIAL, note TEXT)",
    )
    .await;
    loaded(&database, &[("items.csv", "note,id\nx,b\n,a\n")]);
    assert_eq!(
        rows(&database, "items").await,
        ["(a,unnamed,2,)", "(b,unnamed,1,x)"]
    );
}

#[tokio::test]
async fn missing_extra_and_repeated_columns_are_named() {
    let database = database(ITEMS).await;
    database
        .execute("ALTER TABLE items ALTER COLUMN name SET NOT NULL")
        .await;
    for (name, text, reasons) in [
        (
            "items.csv",
            "id,colour,name\n1,red,x\n",
            &[
                "items.csv:1: ",
                "has no column \"colour\"; it has id, name, price, stock, is_new",
            ][..],
        ),
        (
            "items.csv",
            "id,price\n1,1\n",
            &[
                "items.csv:1: the column \"name\" (character varying(20)) is missing; the table items requires it",
            ],
        ),
        (
            "items.csv",
            "name\nx\n",
            &["items.csv:1: the column \"id\" (text) is missing"],
        ),
        (
            "items.csv",
            "id,name,id\n1,x,1\n",
            &["items.csv:1: the column \"id\" stands there twice"],
        ),
        ("items.csv", "", &["is missing"]),
        (
            "items.json",
            "[{\"id\": 1, \"name\": \"x\"},\n{\"id\": 2, \"color\": 1, \"name\": \"x\"}]",
            &["items.json:2: the table items has no column \"color\""],
        ),
        (
            "items.ndjson",
            "{\"id\": 1, \"name\": \"x\"}\n\n{\"id\": 2, \"color\": 1, \"name\": \"x\"}\n",
            &["items.ndjson:3: the table items has no column \"color\""],
        ),
        (
            "items.ndjson",
            "{\"id\": 1}",
            &["the column \"name\" (character varying(20)) is missing"],
        ),
    ] {
        let ended = load_files(&database, &[(name, text)]);
        assert_failed(&ended, 7, reasons);
        assert_failed(&ended, 7, &["next: correct the source and run again"]);
    }
    let ended = load_files(
        &database,
        &[
            ("items/1.csv", "id,name,price\na,x,1\n"),
            ("items/2.csv", "name,id\nx,b\n"),
        ],
    );
    assert_failed(
        &ended,
        7,
        &["2.csv:1: the column \"price\" is missing, which other files of the data set have"],
    );
    assert_eq!(rows(&database, "items").await.len(), 0);
}

#[tokio::test]
async fn a_row_with_too_few_or_too_many_fields_is_named() {
    let database = database(ITEMS).await;
    let ended = load_files(&database, &[("items.csv", "id,name\na\nb,x\nc,x,y\n")]);
    assert_failed(
        &ended,
        7,
        &[
            "items.csv:2: the row has 1 fields, the header 2",
            "items.csv:4: the row has 3 fields, the header 2",
        ],
    );
}

#[tokio::test]
async fn fields_are_mapped_to_columns_and_others_ignored() {
    let database = database(ITEMS).await;
    let manifest = "
data_sets:
  items:
    files: items.csv
    columns: {name: Title, price: 'Price in EUR'}
    ignore: [Colour]
";
    loaded(
        &database,
        &[
            ("manifest.yaml", manifest),
            (
                "items.csv",
                "Title,id,Colour,Price in EUR\nApple,a,red,1.5\n",
            ),
        ],
    );
    assert_eq!(rows(&database, "items").await, ["(a,Apple,1.50,,)"]);
    let ended = load_files(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("items.csv", "Title,id,Colour,Price in EUR\nApple,a,red,?\n"),
        ],
    );
    assert_failed(
        &ended,
        7,
        &["items.csv:2: column price: \"?\" is not a decimal number"],
    );
    let ended = load_files(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("items.csv", "id,Price in EUR\na,2\n"),
        ],
    );
    assert_failed(
        &ended,
        7,
        &["items.csv:1: the column \"Title\" is missing, from which the manifest fills name"],
    );
    let wrong = manifest.replace("name:", "nam:");
    let ended = load_files(
        &database,
        &[("manifest.yaml", &*wrong), ("items.csv", "id\n1\n")],
    );
    assert_failed(
        &ended,
        2,
        &["data_sets.items: columns: the table items has no column \"nam\""],
    );
}

#[tokio::test]
async fn empty_text_and_null_are_told_apart_where_the_manifest_says_how() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id,name\na,\nb,\"\"\nc,NULL\n")]);
    assert_eq!(
        names(&database).await,
        ["NULL", "NULL", "NULL"].map(|name| name).to_vec()
    );
    assert_eq!(database.value("SELECT count(name) FROM items").await, "1");

    let manifest = "data_sets: {items: {files: items.csv, null: '\\N'}}";
    loaded(
        &database,
        &[
            ("manifest.yaml", manifest),
            ("items.csv", "id,name\na,\nb,\"\"\nc,\\N\n"),
        ],
    );
    assert_eq!(names(&database).await, ["", "", "NULL"]);

    loaded(
        &database,
        &[(
            "items.json",
            r#"[{"id": "a", "name": null}, {"id": "b", "name": ""}, {"id": "c", "name": "null"}]"#,
        )],
    );
    assert_eq!(names(&database).await, ["NULL", "", "null"]);
}

#[tokio::test]
async fn another_delimiter_can_be_declared() {
    let database = database(ITEMS).await;
    for delimiter in [";", "\\t", "|"] {
        database.execute("TRUNCATE items").await;
        let manifest =
            format!("data_sets: {{items: {{files: items.csv, delimiter: \"{delimiter}\"}}}}");
        let text = "id;name;price\na;\"x;y\";1.5\n".replace(';', &delimiter.replace("\\t", "\t"));
        loaded(
            &database,
            &[("manifest.yaml", manifest), ("items.csv", text)],
        );
        let expected = format!("x{}y 1.50", delimiter.replace("\\t", "\t"));
        assert_eq!(
            database
                .value("SELECT name || ' ' || price FROM items")
                .await,
            expected
        );
    }
}

#[tokio::test]
async fn decimals_are_exact_or_refused_and_numbers_do_not_overflow() {
    let database = database(ITEMS).await;
    loaded(
        &database,
        &[(
            "items.csv",
            "id,price,stock\na,9999.99,2147483647\nb,0.10,-2147483648\nc,+1.500,007\n",
        )],
    );
    assert_eq!(
        rows(&database, "items").await,
        [
            "(a,,9999.99,2147483647,)",
            "(b,,0.10,-2147483648,)",
            "(c,,1.50,7,)"
        ]
    );
    let ended = load_files(
        &database,
        &[(
            "items.csv",
            "id,price,stock\na,10000,1\nb,1.999,1\nc,1e3,1\nd,1,2147483648\ne,1,1.0\nf,\"1,5\",1\ng,NaN,1\n",
        )],
    );
    assert_failed(
        &ended,
        7,
        &[
            "items.csv:2: column price: \"10000\" has more than 4 digits before the point",
            "items.csv:3: column price: \"1.999\" has more than 2 digits after the point",
            "items.csv:4: column price: \"1e3\" is not a decimal number such as 12.99",
            "items.csv:5: column stock: \"2147483648\" is not a whole number from -2147483648 to 2147483647",
            "items.csv:6: column stock: \"1.0\" is not a whole number",
            "items.csv:7: column price: \"1,5\" is not a decimal number",
            "items.csv:8: column price: \"NaN\" is not a decimal number",
        ],
    );
    // No digit of a JSON number goes through a float.
    let database =
        self::database("CREATE TABLE items (id BIGINT PRIMARY KEY, price NUMERIC(30, 20))").await;
    loaded(
        &database,
        &[(
            "items.json",
            "[{\"id\": 9223372036854775807, \"price\": 1234567890.12345678901234567891}]",
        )],
    );
    assert_eq!(
        rows(&database, "items").await,
        ["(9223372036854775807,1234567890.12345678901234567891)"]
    );
}

#[tokio::test]
async fn texts_that_are_no_json_are_named_by_their_lines() {
    let database = database(ITEMS).await;
    let ended = load_files(
        &database,
        &[(
            "items.ndjson",
            "{\"id\": \"a\"}\n{\"id\": \n[1]\n\n{\"id\": \"b\\ud800\"}\n",
        )],
    );
    assert_failed(
        &ended,
        7,
        &[
            "3 of 4 rows cannot be loaded",
            "items.ndjson:2: not JSON: EOF while parsing a value at column 6",
            "items.ndjson:3: not an object: ",
            "items.ndjson:5: not JSON: ",
        ],
    );
    for (text, line) in [
        ("[{\"id\": \"a\"},\n{\"id\": }]", 2),
        ("[{\"id\": \"a\"}\n", 2),
        ("{\"id\": \"a\"}", 1),
        ("[{\"id\": \"a\"}]\n[]", 2),
    ] {
        let ended = load_files(&database, &[("items.json", text)]);
        assert_failed(
            &ended,
            7,
            &[&format!(
                "items.json:{line}: not an array of JSON objects: "
            )],
        );
    }
    let ended = load_files(
        &database,
        &[(
            "items.json",
            "[{\"id\": \"a\"},\n\n  7,\n{\"id\": \"\\ud800\"}]",
        )],
    );
    assert_failed(
        &ended,
        7,
        &[
            "2 of 3 rows",
            "items.json:3: not an object: ",
            "items.json:4: not JSON: ",
        ],
    );
    assert_eq!(rows(&database, "items").await.len(), 0);
}

#[tokio::test]
async fn a_row_that_does_not_end_is_not_read_into_memory() {
    let database = database(ITEMS).await;
    let endless = "many words\n".repeat(2 << 20);
    let on_one_line = endless.replace('\n', " ");
    for (name, text, line) in [
        ("items.csv", format!("id,name\na,b\nc,\"{endless}"), 3),
        (
            "items.json",
            format!("[{{\"id\": \"a\"}},\n{{\"id\": \"{on_one_line}"),
            2,
        ),
        (
            "items.ndjson",
            format!("{{\"id\": \"a\"}}\n{{\"id\": \"{on_one_line}"),
            2,
        ),
    ] {
        let ended = load_files(&database, &[(name, text)]);
        assert_failed(
            &ended,
            7,
            &[&format!(
                "{name}:{line}: this row has more than 16 MiB; is a quote not closed?"
            )],
        );
    }
}

#[tokio::test]
async fn an_object_with_a_field_twice_is_rejected() {
    let database = database(ITEMS).await;
    let objects = [
        r#"{"id": "a", "stock": 1}"#,
        r#"{"id": "b", "stock": 1, "stock": 2}"#,
        r#"{"\u0069d": "c", "id": "d"}"#,
    ];
    for (name, text) in [
        ("items.ndjson", objects.join("\n")),
        ("items.json", format!("[{}]", objects.join(",\n"))),
    ] {
        let ended = load_files(&database, &[(name, text)]);
        assert_failed(
            &ended,
            7,
            &[
                "2 of 3 rows cannot be loaded",
                &format!("{name}:2: the field \"stock\" stands there twice"),
                &format!("{name}:3: the field \"id\" stands there twice"),
            ],
        );
    }
}

#[tokio::test]
async fn a_source_without_rows_is_told_from_a_source_without_columns() {
    let database = database(ITEMS).await;
    for (name, text) in [
        ("items.csv", "id,name\n"),
        ("items.json", "[]"),
        ("items.ndjson", "\n"),
    ] {
        let ended = load_files(&database, &[(name, text)]);
        assert_failed(
            &ended,
            7,
            &["items: the source holds no rows; an empty source never empties a table"],
        );
    }
}

#[tokio::test]
async fn files_that_are_cut_off_or_not_there_are_told() {
    let database = database(ITEMS).await;
    let mut cut = gzip(CSV);
    cut.truncate(cut.len() - 9);
    let ended = load_files(&database, &[("items.csv.gz", cut)]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_failed(
        &ended,
        1,
        &["items.csv.gz", "next: see that the file is there, whole"],
    );

    let files = crate::support::directory(&[(
        "manifest.yaml",
        "data_sets: {items: {files: 'items*.csv'}}",
    )]);
    let ended = crate::support::load(&database, files.path());
    assert_failed(
        &ended,
        2,
        &[
            "items: no file matches items*.csv in ",
            "or set `optional: true`",
        ],
    );
    write(
        files.path(),
        "manifest.yaml",
        "data_sets: {items: {files: 'items*.csv', optional: true}}",
    );
    let ended = crate::support::load(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_said(&ended, &["items: no files, which is allowed"]);
}
