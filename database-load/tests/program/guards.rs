//! What stops a load that looks like an accident.

use test_postgres::Database;
use test_process::{Ended, run};

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, last_counts, load_files, loaded,
    outcomes, program_on, rejected, rows,
};

fn manifest(options: &str, guards: &str) -> String {
    format!("data_sets: {{items: {{files: items.csv, {options} guards: {{{guards}}}}}}}")
}

fn csv(good: usize, bad: usize) -> String {
    let good = (0..good).map(|id| format!("{id},1\n"));
    let bad = (0..bad).map(|id| format!("bad{id},?\n"));
    format!("id,stock\n{}", good.chain(bad).collect::<String>())
}

fn load_guarded(database: &Database<'_>, options: &str, guards: &str, csv: String) -> Ended {
    load_files(
        database,
        &[
            ("manifest.yaml", manifest(options, guards)),
            ("items.csv", csv),
        ],
    )
}

#[tokio::test]
async fn a_source_with_too_few_rows_is_not_loaded() {
    let database = database(ITEMS).await;
    let ended = load_guarded(&database, "", "minimum_rows: 3", csv(2, 0));
    assert_failed(
        &ended,
        7,
        &[
            "items: 2 rows are fewer than the 3 that the guard minimum_rows asks for; nothing was loaded",
            "next: see that the source is complete and run again",
        ],
    );
    assert_eq!(rows(&database, "items").await.len(), 0);
    let ended = load_guarded(&database, "", "minimum_rows: 3, rejects: 5", csv(2, 1));
    assert_failed(&ended, 7, &["2 rows are fewer than the 3"]);
    // What was rejected is kept, whatever it is that stops the load.
    assert_eq!(
        rejected(&database).await,
        ["items.csv|4|stock|\"?\" is not a whole number from -2147483648 to 2147483647|?"]
    );
    assert_eq!(last_counts(&database).await, "3 2 1 0 0 0 0 0 0");
    let ended = load_guarded(&database, "", "minimum_rows: 3", csv(3, 0));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        outcomes(&database, "items").await,
        ["failed", "failed", "loaded"]
    );
}

#[tokio::test]
async fn what_no_load_would_accept_is_not_validated() {
    let database = database(ITEMS).await;
    for (options, guards, csv, complaint) in [
        ("", "", csv(0, 0), "items: the source holds no rows"),
        (
            "",
            "minimum_rows: 3, rejects: 1",
            csv(2, 1),
            "items: 2 rows are fewer than the 3 that the guard minimum_rows asks for",
        ),
        (
            "duplicates: last,",
            "minimum_rows: 3",
            "id\na\nb\na\n".to_owned(),
            "items: 2 rows are fewer than the 3 that the guard minimum_rows asks for",
        ),
    ] {
        let files = directory(&[
            ("manifest.yaml", manifest(options, guards)),
            ("items.csv", csv),
        ]);
        for command in ["validate", "load"] {
            let ended = run(program_on(&database, files.path()).arg(command));
            assert_failed(&ended, 7, &[complaint]);
        }
    }
}

#[tokio::test]
async fn a_source_without_too_much_of_the_table_is_not_loaded() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", csv(10, 0))]);
    let ended = load_guarded(&database, "vanished: delete,", "", csv(4, 0));
    assert_failed(
        &ended,
        7,
        &[
            "items: 6 of the table's 10 rows are not in the source, more than the 50% that the guard largest_shrink \
             allows; nothing was loaded",
            "next: see that the source is complete, or raise largest_shrink in the manifest",
        ],
    );
    assert_eq!(rows(&database, "items").await.len(), 10);
    let ended = load_guarded(
        &database,
        "vanished: delete,",
        "largest_shrink: 60%",
        csv(4, 0),
    );
    assert_said(&ended, &["items 4 unchanged, 6 deleted; "]);
    // Where nothing is taken away, nothing shrinks.
    let ended = load_guarded(
        &database,
        "vanished: keep,",
        "largest_shrink: 0%",
        csv(1, 0),
    );
    assert_said(&ended, &["items 1 unchanged, 3 kept; "]);
}

#[tokio::test]
async fn an_empty_source_empties_a_table_only_where_both_guards_allow_it() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", csv(2, 0))]);
    let delete = "vanished: delete,";
    let ended = load_guarded(&database, delete, "largest_shrink: 100%", csv(0, 0));
    assert_failed(&ended, 7, &["an empty source never empties a table"]);
    let ended = load_guarded(&database, delete, "minimum_rows: 0", csv(0, 0));
    assert_failed(
        &ended,
        7,
        &["2 of the table's 2 rows are not in the source"],
    );
    let ended = load_guarded(
        &database,
        delete,
        "minimum_rows: 0, largest_shrink: 100%",
        csv(0, 0),
    );
    assert_said(&ended, &["items 2 deleted; "]);
    assert_eq!(rows(&database, "items").await.len(), 0);
}

#[tokio::test]
async fn rejects_are_limited_by_number_and_by_share() {
    let database = database(ITEMS).await;
    for (guards, good, bad, allowance) in [
        (
            "",
            9,
            1,
            Some("1 of 10 rows cannot be loaded; nothing was loaded"),
        ),
        (
            "rejects: 2",
            7,
            3,
            Some(
                "3 of 10 rows cannot be loaded, more than the 2 that the guard rejects allows; nothing",
            ),
        ),
        ("rejects: 3", 7, 3, None),
        (
            "rejects: 3, reject_share: 20%",
            7,
            3,
            Some(
                "3 of 10 rows cannot be loaded, more than the 20% that the guard reject_share allows; nothing",
            ),
        ),
        ("rejects: 3, reject_share: 30%", 7, 3, None),
        ("rejects: 3, reject_share: 2.5%", 39, 1, None),
        ("reject_share: 30%", 7, 3, None),
    ] {
        database.execute("TRUNCATE items").await;
        let ended = load_guarded(&database, "", guards, csv(good, bad));
        let files = directory(&[
            ("manifest.yaml", manifest("", guards)),
            ("items.csv", csv(good, bad)),
        ]);
        let validated = run(program_on(&database, files.path()).arg("validate"));
        if let Some(allowance) = allowance {
            assert_failed(&ended, 7, &[allowance]);
            assert_failed(
                &validated,
                7,
                &[allowance
                    .trim_end_matches("nothing was loaded")
                    .trim_end_matches("; nothing")],
            );
        } else {
            assert_eq!(ended.code, Some(0), "{guards}: {ended:?}");
            assert_eq!(rows(&database, "items").await.len(), good);
            assert_eq!(validated.code, Some(0), "{guards}: {validated:?}");
        }
    }
}
