//! A source that is known is left alone, and only that.

use test_process::run;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, last_counts, load, loaded, migrated,
    outcomes, program, program_on, rows, succeeded, versions, write,
};

const CSV: &str = "id,name,price\na,x,1\nb,y,2\n";

#[tokio::test]
async fn a_source_that_was_loaded_is_not_loaded_again_and_that_is_noted() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", CSV)]);
    succeeded(load(&database, files.path()));
    let before = versions(&database, "items").await;
    let ended = succeeded(load(&database, files.path()));
    assert_said(
        &ended,
        &[
            "✓ items: the source is unchanged (",
            "✓ database-load: items unchanged; ",
        ],
    );
    assert_eq!(versions(&database, "items").await, before);
    assert_eq!(outcomes(&database, "items").await, ["loaded", "unchanged"]);
    assert_eq!(last_counts(&database).await, "2 2 0 0 0 2 0 0 0");
    assert_eq!(
        database.value("SELECT count(DISTINCT (source_hash, mapping_hash, table_state, checksum)) FROM load_run").await,
        "1"
    );
    let status = run(program(&database).arg("status"));
    let line = status.stdout.lines().nth(1).unwrap();
    assert!(
        line.starts_with("items     items  unchanged  "),
        "{status:?}"
    );
    assert!(line.contains("  2 unchanged  "), "{status:?}");
}

#[tokio::test]
async fn the_same_rows_in_another_file_are_compared_and_not_written_again() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", CSV)]);
    let before = versions(&database, "items").await;
    let ended = loaded(
        &database,
        &[("items.csv", "price,name,id\n2.0,y,b\n01,x,a\n")],
    );
    assert_said(&ended, &["items 2 unchanged; "]);
    assert_eq!(versions(&database, "items").await, before);
    assert_eq!(outcomes(&database, "items").await, ["loaded", "loaded"]);
}

#[tokio::test]
async fn a_table_that_lost_its_rows_is_loaded_again() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", CSV)]);
    for loss in [
        "DELETE FROM items",
        "TRUNCATE items",
        &format!("DROP TABLE items; {ITEMS}"),
        // The file of its rows is another, with whatever rows there are now.
        "BEGIN; TRUNCATE items; INSERT INTO items VALUES ('c'); COMMIT",
    ] {
        succeeded(load(&database, files.path()));
        database.execute(loss).await;
        let ended = succeeded(load(&database, files.path()));
        assert_said(&ended, &["items 2 inserted"]);
    }
}

#[tokio::test]
async fn after_migrations_went_down_and_up_everything_is_loaded_again() {
    let database = migrated().await;
    succeeded(run(&mut program(&database)));
    let migrations = database_migration::MigrationSet::embedded().unwrap();
    database
        .execute("DROP TABLE order_items, orders, products, coupons")
        .await;
    for file in migrations
        .files()
        .iter()
        .filter(|file| !file.sql.contains("load_run"))
    {
        database.execute(&file.sql).await;
    }
    let ended = succeeded(run(&mut program(&database)));
    assert_said(&ended, &["products 10 inserted", "coupons 8 inserted"]);
}

#[tokio::test]
async fn another_way_to_load_the_same_source_is_another_load() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT, other TEXT, removed_at TIMESTAMPTZ)",
    )
    .await;
    let files = directory(&[("items.csv", "id,name\na,x\nb,\n")]);
    for (options, said) in [
        ("", "items 2 inserted; "),
        ("", "items unchanged; "),
        (", guards: {minimum_rows: 2}", "items unchanged; "),
        (", columns: {other: name}", "items 1 updated, 1 unchanged; "),
        (", columns: {other: name}", "items unchanged; "),
        (", null: x", "items 2 updated; "),
        (", ignore: [name]", "items 2 unchanged; "),
        (", vanished: keep", "items 2 updated; "),
        (", duplicates: last", "items 2 unchanged; "),
    ] {
        let manifest = format!("data_sets: {{items: {{files: items.csv{options}}}}}");
        write(files.path(), "manifest.yaml", manifest);
        let ended = succeeded(load(&database, files.path()));
        assert_said(&ended, &[said]);
    }
    // A column of another type takes the same texts in another way.
    database
        .execute("ALTER TABLE items ALTER COLUMN other TYPE VARCHAR(9)")
        .await;
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 2 unchanged; "]);
}

#[tokio::test]
async fn a_failed_load_is_tried_again_and_the_good_source_before_it_is_still_known() {
    let database = database(ITEMS).await;
    let good = directory(&[("items.csv", CSV)]);
    let bad = directory(&[("items.csv", "id,price\na,?\n")]);
    succeeded(load(&database, good.path()));
    for _ in 0..2 {
        assert_failed(&load(&database, bad.path()), 7, &["1 of 1 rows"]);
    }
    let ended = succeeded(load(&database, good.path()));
    assert_said(&ended, &["items unchanged; "]);
    assert_eq!(
        outcomes(&database, "items").await,
        ["loaded", "failed", "failed", "unchanged"]
    );
}

#[tokio::test]
async fn a_table_that_somebody_changed_is_repaired_as_verify_says() {
    let database = database(ITEMS).await;
    let files = directory(&[("items.csv", CSV)]);
    succeeded(load(&database, files.path()));
    database
        .execute("UPDATE items SET name = 'changed' WHERE id = 'a'")
        .await;
    // Nobody looks at the rows of a table whose source is known.
    assert_said(
        &succeeded(load(&database, files.path())),
        &["items unchanged; "],
    );
    let verified = run(program_on(&database, files.path()).arg("verify"));
    assert_failed(
        &verified,
        4,
        &[
            "items: 1 different",
            "next: run database-load --force to bring the tables to the state of their sources",
        ],
    );
    let ended = succeeded(run(program_on(&database, files.path()).arg("--force")));
    assert_said(&ended, &["items 1 updated, 1 unchanged; "]);
    assert_eq!(
        rows(&database, "items").await,
        ["(a,x,1.00,,)", "(b,y,2.00,,)"]
    );
}

#[tokio::test]
async fn rejected_rows_are_tried_again_where_what_they_refer_to_may_have_come() {
    let database = database(
        "CREATE TABLE brand (id TEXT PRIMARY KEY);
         CREATE TABLE items (id TEXT PRIMARY KEY, brand TEXT REFERENCES brand)",
    )
    .await;
    let manifest = "data_sets: {items: {files: items.csv, guards: {rejects: 1}}}";
    let files = directory(&[
        ("manifest.yaml", manifest),
        ("items.csv", "id,brand\na,\nb,late\n"),
    ]);
    assert_said(
        &load(&database, files.path()),
        &["items 1 inserted, 1 rejected; "],
    );
    database.execute("INSERT INTO brand VALUES ('late')").await;
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 inserted, 1 unchanged; "]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items unchanged; "]);
}

#[tokio::test]
async fn a_source_of_no_rows_is_known_as_well() {
    let database = database(ITEMS).await;
    let manifest = "data_sets: {items: {files: items.csv, guards: {minimum_rows: 0}}}";
    let files = directory(&[("manifest.yaml", manifest), ("items.csv", "id\n")]);
    assert_said(
        &succeeded(load(&database, files.path())),
        &["items no rows; "],
    );
    assert_said(
        &succeeded(load(&database, files.path())),
        &["items unchanged; "],
    );
}
