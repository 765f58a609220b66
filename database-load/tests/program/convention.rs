//! What is loaded without a manifest.

use std::path::Path;

use test_process::run;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, empty, load, load_files, loaded,
    migrated, program, program_on, rows, succeeded, write,
};

#[tokio::test]
async fn the_data_compiled_in_are_the_products_and_coupons() {
    let database = migrated().await;
    let ended = succeeded(run(&mut program(&database)));
    let verdict = ended.stdout.lines().last().unwrap();
    assert!(
        verdict.starts_with("✓ database-load: products 10 inserted; coupons 8 inserted; "),
        "{ended:?}"
    );
    let expected = include_str!("../../data/products.csv").replace(',', "|");
    let mut expected: Vec<_> = expected.lines().skip(1).collect();
    expected.sort_by_key(|line| line.split('|').next());
    let products = "SELECT concat_ws('|', id, name, price, category) FROM products ORDER BY id";
    assert_eq!(database.values(products).await, expected);
    let ended = succeeded(run(&mut program(&database)));
    assert_said(
        &ended,
        &["✓ database-load: products unchanged; coupons unchanged; "],
    );
}

#[tokio::test]
async fn files_and_folders_are_named_after_their_tables() {
    let database = database(&format!(
        "{ITEMS}; CREATE TABLE brand (id TEXT PRIMARY KEY)"
    ))
    .await;
    let ended = loaded(
        &database,
        &[
            ("items.csv", "id,name\na,1\n"),
            ("items/2.csv", "id,name\nb,2\n"),
            ("items/3.ndjson", "{\"id\": \"c\"}"),
            ("items/readme.txt", "not data"),
            ("items/.hidden.csv", "not data"),
            ("brand.json", "[{\"id\": \"x\"}]"),
            (".hidden/4.csv", "not data"),
            ("lost+found/5.csv", "not data"),
            ("README.md", "not data"),
            ("images/logo.svg", "not data"),
        ],
    );
    assert_said(
        &ended,
        &["✓ database-load: brand 1 inserted; items 3 inserted; "],
    );
    assert_eq!(
        rows(&database, "items").await,
        ["(a,1,,,)", "(b,2,,,)", "(c,,,,)"]
    );
}

#[tokio::test]
async fn tables_are_loaded_in_the_order_of_their_foreign_keys() {
    let database = migrated().await;
    let ended = loaded(
        &database,
        &[
            (
                "order_items.csv",
                "id,order_id,product_id,quantity\n1,o,p,2\n",
            ),
            ("orders.csv", "id\no\n"),
            ("products.csv", "id,name,price\np,x,1\n"),
        ],
    );
    assert_said(
        &ended,
        &["orders 1 inserted; products 1 inserted; order_items 1 inserted; "],
    );
}

#[tokio::test]
async fn coupon_files_become_coupons() {
    let database = migrated().await;
    let ended = loaded(
        &database,
        &[
            ("couponbase1.txt", "HAPPYHRS\nFIFTYOFF\nSHORT\n"),
            ("couponbase2.txt", "FIFTYOFF\nHAPPYHRS1\n"),
            ("couponbase3.txt", "HAPPYHRS1\nSHORT\nMUCHTOOLONG\n"),
        ],
    );
    assert_said(&ended, &["coupons 2 inserted; "]);
    assert_eq!(
        rows(&database, "coupons").await,
        ["(FIFTYOFF)", "(HAPPYHRS1)"]
    );
    let files = directory(&[
        ("couponbase1.txt", "FIFTYOFF\nNEWCODE1\n"),
        ("couponbase2.txt", "NEWCODE1\nFIFTYOFF\n"),
    ]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["coupons 1 inserted, 1 unchanged, 1 deleted; "]);
    succeeded(run(program_on(&database, files.path()).arg("verify")));
    succeeded(run(program_on(&database, files.path()).arg("validate")));

    let ended = load_files(
        &database,
        &[
            ("couponbase1.txt", "FIFTYOFF\n"),
            ("couponbase2.txt", "FIFTYOFF\n"),
        ],
    );
    assert_failed(
        &ended,
        2,
        &["have the same content", "next: correct the files"],
    );
    let ended = load_files(
        &database,
        &[
            ("couponbase1.txt", "FIFTYOFF\n"),
            ("coupons.csv", "code\nFIFTYOFF\n"),
        ],
    );
    assert_failed(
        &ended,
        2,
        &["coupons come from couponbase files and from files of that name"],
    );
}

#[tokio::test]
async fn what_was_left_by_a_run_that_was_killed_when_its_codes_were_stored_is_removed() {
    let database = migrated().await;
    let files = directory(&[
        ("couponbase1.txt", "HAPPYHRS\nFIFTYOFF\n"),
        ("couponbase2.txt", "FIFTYOFF\nSUPER100\n"),
    ]);
    let work = tempfile::tempdir().unwrap();
    let load = || run(program_on(&database, files.path()).env("LOAD_WORK_DIR", work.path()));
    database
        .execute("ALTER TABLE coupons ADD CONSTRAINT no_code CHECK (code = '')")
        .await;
    assert_failed(&load(), 7, &["coupons: 1 of 1 rows cannot be loaded"]);
    let scans = contents(work.path());
    assert_eq!(scans.len(), 3, "two scans and the lock");
    database
        .execute("ALTER TABLE coupons DROP CONSTRAINT no_code")
        .await;
    succeeded(load());
    assert_eq!(contents(work.path()).len(), 1);
    for (name, content) in &scans {
        write(work.path(), name, content);
    }
    assert_said(&succeeded(load()), &["coupons: the source is unchanged"]);
    assert_eq!(
        contents(work.path()),
        [("coupon-codes.lock".to_owned(), Vec::new())]
    );
}

/// The files of a directory by name, with what is in them.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_manifest_in_the_directory_counts_instead_of_names() {
    let database = database(ITEMS).await;
    let ended = loaded(
        &database,
        &[
            (
                "manifest.yaml",
                "data_sets: {things: {files: 'a/*.csv', table: items}}",
            ),
            ("a/1.csv", "id\na\n"),
            ("items.csv", "id\nb\n"),
        ],
    );
    assert_said(&ended, &["things 1 inserted; "]);
    assert_eq!(rows(&database, "items").await, ["(a,,,,)"]);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let database = empty().await;
    let ended = run(program(&database).args(["--only", "products"]));
    assert_failed(
        &ended,
        1,
        &[
            "there is no table products",
            "next: run database-migration first",
        ],
    );

    let nothing = tempfile::tempdir().unwrap();
    let ended = load(&database, nothing.path());
    assert_failed(
        &ended,
        2,
        &["holds no data: neither manifest.yaml nor a file such as products.csv or products/1.csv"],
    );

    let ended = run(program(&database).args(["--only", "product"]));
    assert_failed(
        &ended,
        2,
        &["there is no data set product; there are products, coupons"],
    );

    for (variable, value) in [
        ("DATA_DIR", "/nowhere"),
        ("LOAD_LOCK_TIMEOUT", "soon"),
        ("LOAD_IF_RUNNING", "maybe"),
        ("LOAD_WORK_DIR", "/nowhere"),
        ("DB_PORT", "x"),
    ] {
        let ended = run(program(&database).env(variable, value));
        assert_failed(&ended, 2, &[&format!("✗ database-load: {variable}=")]);
    }
    let ended = run(program(&database)
        .env("DATA_DIR", nothing.path())
        .env("LOAD_MANIFEST", "x"));
    assert_failed(&ended, 2, &["DATA_DIR", "LOAD_MANIFEST"]);
    let ended = run(program(&database).args(["--manifest", "/nowhere/manifest.yaml"]));
    assert_failed(&ended, 2, &["/nowhere/manifest.yaml cannot be read: "]);
}
