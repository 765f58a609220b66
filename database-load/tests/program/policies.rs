//! What becomes of rows that vanished from the source, and of keys that it has twice.

use test_postgres::Database;
use test_process::run;

use crate::support::{
    ITEMS, assert_failed, assert_said, database, directory, holding, last_counts, load, load_files,
    loaded, migrated, outcomes, program_on, rows, succeeded,
};

const HEADER: &str = "id,name,price,category\n";

/// The products, marked ones with a star.
async fn products(database: &Database<'_>) -> Vec<String> {
    database
        .values(
            "SELECT id || CASE WHEN removed_at IS NULL THEN '' ELSE '*' END FROM products ORDER BY id",
        )
        .await
}

fn products_csv(ids: &str) -> String {
    let lines = ids.chars().map(|id| format!("{id},n,1,c\n"));
    format!("{HEADER}{}", lines.collect::<String>())
}

#[tokio::test]
async fn products_that_vanish_are_marked_and_unmarked_when_they_come_back() {
    let database = migrated().await;
    loaded(&database, &[("products.csv", products_csv("abc"))]);
    let files = directory(&[("products.csv", products_csv("ab"))]);
    let previewed = run(program_on(&database, files.path()).arg("--dry-run"));
    assert_said(
        &succeeded(previewed),
        &["products: mark c, {", "products 2 unchanged, 1 marked; "],
    );
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["products 2 unchanged, 1 marked; "]);
    assert_eq!(products(&database).await, ["a", "b", "c*"]);
    let since = database
        .value("SELECT removed_at FROM products WHERE id = 'c'")
        .await;

    // Marked once, a row is not part of the table any more.
    let ended = loaded(&database, &[("products.csv", products_csv("a"))]);
    assert_said(&ended, &["products 1 unchanged, 1 marked; "]);
    assert_eq!(products(&database).await, ["a", "b*", "c*"]);
    assert_eq!(
        database
            .value("SELECT removed_at FROM products WHERE id = 'c'")
            .await,
        since
    );

    let ended = loaded(&database, &[("products.csv", products_csv("ac"))]);
    assert_said(&ended, &["products 1 updated, 1 unchanged; "]);
    assert_eq!(products(&database).await, ["a", "b*", "c"]);
}

#[tokio::test]
async fn rows_that_vanish_are_kept_where_nothing_else_is_said_or_possible() {
    let database = database(ITEMS).await;
    loaded(&database, &[("items.csv", "id\na\nb\nc\nd\n")]);
    let ended = loaded(&database, &[("items.csv", "id\na\n")]);
    assert_said(&ended, &["items 1 unchanged, 3 kept; "]);
    assert_eq!(rows(&database, "items").await.len(), 4);

    let database = migrated().await;
    let manifest = "data_sets: {products: {files: products.csv, vanished: keep}}";
    loaded(&database, &[("products.csv", products_csv("abc"))]);
    let ended = loaded(
        &database,
        &[
            ("manifest.yaml", manifest.to_owned()),
            ("products.csv", products_csv("a")),
        ],
    );
    assert_said(&ended, &["products 1 unchanged, 2 kept; "]);
    assert_eq!(products(&database).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn rows_are_marked_in_the_column_that_the_manifest_names() {
    let database = database("CREATE TABLE items (id TEXT PRIMARY KEY, gone TIMESTAMPTZ)").await;
    let manifest = "data_sets: {items: {files: items.csv, vanished: mark, mark_column: gone}}";
    loaded(
        &database,
        &[("manifest.yaml", manifest), ("items.csv", "id\na\nb\n")],
    );
    let ended = loaded(
        &database,
        &[("manifest.yaml", manifest), ("items.csv", "id\na\n")],
    );
    assert_said(&ended, &["items 1 unchanged, 1 marked; "]);
    assert_eq!(
        database
            .values("SELECT id FROM items WHERE gone IS NOT NULL")
            .await,
        ["b"]
    );
}

#[tokio::test]
async fn columns_that_take_no_time_are_left_alone() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT, updated_at BIGINT, removed_at BOOLEAN)",
    )
    .await;
    loaded(&database, &[("items.csv", "id,name\na,1\nb,1\n")]);
    let ended = loaded(&database, &[("items.csv", "id,name\na,2\n")]);
    assert_said(&ended, &["items 1 updated, 1 kept; "]);
    assert_eq!(rows(&database, "items").await, ["(a,2,,)", "(b,1,,)"]);
    // A text or a day takes one.
    database
        .execute(
            "ALTER TABLE items ALTER updated_at TYPE TEXT, ALTER removed_at TYPE DATE USING NULL",
        )
        .await;
    let ended = loaded(&database, &[("items.csv", "id,name\na,3\n")]);
    assert_said(&ended, &["items 1 updated, 1 marked; "]);
    let written = "SELECT count(*) FILTER (WHERE updated_at LIKE '20%') || ' ' || count(removed_at) FROM items";
    assert_eq!(database.value(written).await, "1 1");
}

#[tokio::test]
async fn marking_needs_a_column_that_the_source_does_not_fill() {
    let database = database(ITEMS).await;
    for (options, reason) in [
        (
            "vanished: mark",
            "data_sets.items: vanished rows cannot be marked: the table items has no column \"removed_at\"",
        ),
        (
            "mark_column: gone",
            "data_sets.items: vanished rows cannot be marked: the table items has no column \"gone\"",
        ),
        (
            "vanished: mark, mark_column: stock",
            "data_sets.items: vanished rows cannot be marked: the column \"stock\" is filled from the source",
        ),
        (
            "mark_column: is_new",
            "data_sets.items: vanished rows cannot be marked: the column \"is_new\" of type boolean takes no time",
        ),
    ] {
        let manifest = format!("data_sets: {{items: {{files: items.csv, {options}}}}}");
        let ended = load_files(
            &database,
            &[
                ("manifest.yaml", &*manifest),
                ("items.csv", "id,stock\na,1\nb,2\n"),
            ],
        );
        assert_failed(&ended, 2, &[reason, "next: correct the manifest"]);
    }
}

const SHOP: &str = "
    CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT);
    CREATE TABLE sale (id SERIAL PRIMARY KEY, item TEXT NOT NULL REFERENCES items ON DELETE CASCADE);
    CREATE TABLE wish (item TEXT REFERENCES items ON DELETE SET NULL)";

const DELETING: &str =
    "data_sets: {items: {files: items.csv, vanished: delete, guards: {largest_shrink: 100%}}}";

#[tokio::test]
async fn rows_that_vanish_are_deleted_except_those_that_others_refer_to() {
    let database = database(SHOP).await;
    loaded(
        &database,
        &[
            ("manifest.yaml", DELETING),
            ("items.csv", "id\na\nb\nc\nd\n"),
        ],
    );
    database
        .execute("INSERT INTO sale (item) VALUES ('b'); INSERT INTO wish VALUES ('c')")
        .await;
    let files = directory(&[("manifest.yaml", DELETING), ("items.csv", "id\na\n")]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 unchanged, 1 deleted, 2 kept; "]);
    assert_eq!(rows(&database, "items").await, ["(a,)", "(b,)", "(c,)"]);
    assert_eq!(rows(&database, "sale").await, ["(1,b)"]);
    assert_eq!(rows(&database, "wish").await, ["(c)"]);
    assert_eq!(last_counts(&database).await, "1 1 0 0 0 1 0 1 2");

    // What is kept for its references is as it should be, and goes when they do.
    let verified = run(program_on(&database, files.path()).arg("verify"));
    assert_said(
        &succeeded(verified),
        &["items is as its source says (1 unchanged, 2 kept)"],
    );
    database.execute("DELETE FROM sale").await;
    let verified = run(program_on(&database, files.path()).arg("verify"));
    assert_failed(&verified, 4, &["items: 1 in the table only"]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 unchanged, 1 deleted, 1 kept; "]);
    assert_eq!(rows(&database, "items").await, ["(a,)", "(c,)"]);
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_deleted_by_a_later_run() {
    let database = database(SHOP).await;
    loaded(
        &database,
        &[("manifest.yaml", DELETING), ("items.csv", "id\na\nb\n")],
    );
    let mut client = database.client().await;
    let transaction = holding(
        &mut client,
        "SELECT FROM items WHERE id = 'b' FOR KEY SHARE",
    )
    .await;
    let files = directory(&[("manifest.yaml", DELETING), ("items.csv", "id\na\n")]);
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 unchanged, 1 kept; "]);
    transaction.rollback().await.unwrap();
    let ended = succeeded(load(&database, files.path()));
    assert_said(&ended, &["items 1 unchanged, 1 deleted; "]);
}

#[tokio::test]
async fn rows_that_refer_to_each_other_vanish_together() {
    let database = database(
        "CREATE TABLE items (id TEXT PRIMARY KEY, parent TEXT REFERENCES items);
         CREATE TABLE sale (item TEXT REFERENCES items)",
    )
    .await;
    let ended = loaded(
        &database,
        &[
            ("manifest.yaml", DELETING),
            (
                "items.csv",
                "id,parent\nchild,parent\nparent,root\nroot,\nself,self\nuncle,root\nheld,keeper\nkeeper,root2\nroot2,\n",
            ),
        ],
    );
    assert_said(&ended, &["items 8 inserted"]);
    database.execute("INSERT INTO sale VALUES ('held')").await;
    let files = directory(&[
        ("manifest.yaml", DELETING),
        ("items.csv", "id,parent\nroot,\n"),
    ]);
    let said = "items 1 unchanged, 4 deleted, 3 kept; ";
    let previewed = run(program_on(&database, files.path()).arg("--dry-run"));
    assert_said(&succeeded(previewed), &[said]);
    assert_said(&succeeded(load(&database, files.path())), &[said]);
    assert_eq!(
        rows(&database, "items").await,
        ["(held,keeper)", "(keeper,root2)", "(root,)", "(root2,)"]
    );
    succeeded(run(program_on(&database, files.path()).arg("verify")));
}

#[tokio::test]
async fn a_reference_within_a_table_is_met_in_any_order_and_missed_by_name() {
    let database =
        database("CREATE TABLE items (id TEXT PRIMARY KEY, parent TEXT REFERENCES items)").await;
    loaded(&database, &[("items.csv", "id,parent\nc,b\nb,a\na,\n")]);
    loaded(
        &database,
        &[("items.csv", "id,parent\ne,d\nd,c\nc,b\nb,a\na,\n")],
    );
    assert_eq!(rows(&database, "items").await.len(), 5);
    let ended = load_files(
        &database,
        &[("items.csv", "id,parent\nf,nobody\ng,f\nh,g\na,\n")],
    );
    assert_failed(
        &ended,
        7,
        &[
            "3 of 4 rows",
            "items.csv:2: column parent: there is no such row in public.items",
            "items.csv:3: column parent: there is no such row in public.items",
            "items.csv:4: column parent: there is no such row in public.items",
        ],
    );
}

const ORDERS: &str = "
    CREATE TABLE customer (id TEXT PRIMARY KEY);
    CREATE TABLE article (id TEXT PRIMARY KEY);
    CREATE TABLE bought (customer TEXT REFERENCES customer, article TEXT REFERENCES article,
                         PRIMARY KEY (article, customer))";

const ORDERS_MANIFEST: &str = "
data_sets:
  articles: {files: articles.csv, table: article, vanished: delete}
  bought: {files: bought.csv, vanished: delete, guards: {largest_shrink: 75%}}
  customers: {files: customers.csv, table: customer, vanished: delete}
";

fn orders(articles: &str, bought: &str, customers: &str) -> [(&'static str, String); 4] {
    [
        ("manifest.yaml", ORDERS_MANIFEST.to_owned()),
        ("articles.csv", format!("id\n{articles}")),
        ("bought.csv", format!("customer,article\n{bought}")),
        ("customers.csv", format!("id\n{customers}")),
    ]
}

#[tokio::test]
async fn data_sets_that_refer_to_each_other_are_written_in_order_and_deleted_in_the_opposite_one() {
    let database = database(ORDERS).await;
    let ended = loaded(
        &database,
        &orders("a\nb\n", "c,a\nc,b\nd,a\nd,b\n", "c\nd\n"),
    );
    assert_said(
        &ended,
        &[
            "articles 2 inserted; ",
            "customers 2 inserted; ",
            "bought 4 inserted; ",
        ],
    );
    let said = [
        "articles 1 inserted, 1 unchanged, 1 deleted; ",
        "customers 1 inserted, 1 unchanged, 1 deleted; ",
        "bought 1 inserted, 1 unchanged, 3 deleted; ",
    ];
    load_as_previewed(
        &database,
        &orders("a\nnew\n", "c,a\nc,new\n", "c\nnew\n"),
        &said,
    );
    assert_eq!(rows(&database, "bought").await, ["(c,a)", "(c,new)"]);
    assert_eq!(rows(&database, "article").await, ["(a)", "(new)"]);
    assert_eq!(rows(&database, "customer").await, ["(c)", "(new)"]);
    // What a row of the same load refers to is kept.
    let said = [
        "articles 1 unchanged, 1 deleted; ",
        "customers 1 unchanged, 1 kept; ",
        "bought 1 inserted, 1 unchanged, 1 deleted; ",
    ];
    load_as_previewed(&database, &orders("a\n", "c,a\nnew,a\n", "c\n"), &said);
}

fn load_as_previewed(database: &Database<'_>, files: &[(&str, String)], said: &[&str]) {
    let files = directory(files);
    let previewed = run(program_on(database, files.path()).arg("--dry-run"));
    assert_said(&succeeded(previewed), said);
    assert_said(&succeeded(load(database, files.path())), said);
}

#[tokio::test]
async fn a_failure_in_one_of_the_data_sets_that_belong_together_leaves_all_of_them() {
    let database = database(&format!("{ORDERS}; {ITEMS}")).await;
    loaded(&database, &orders("a\n", "c,a\n", "c\n"));
    let mut files = orders("a\nb\n", "c,a\nc,nothing\n", "c\nd\n").to_vec();
    files[0].1 += "  items: {files: items.csv}\n";
    files.push(("items.csv", "id\nx\n".to_owned()));
    let ended = load_files(&database, &files);
    assert_failed(
        &ended,
        7,
        &[
            "bought: 1 of 2 rows cannot be loaded",
            "bought.csv:3: column article: there is no such row in public.article",
        ],
    );
    assert_eq!(rows(&database, "article").await, ["(a)"]);
    assert_eq!(rows(&database, "customer").await, ["(c)"]);
    // What has nothing to do with it is loaded.
    assert_eq!(rows(&database, "items").await.len(), 1);
    assert_eq!(outcomes(&database, "bought").await, ["loaded", "failed"]);
    assert_eq!(outcomes(&database, "articles").await, ["loaded", "failed"]);
    assert_eq!(
        database
            .value(
                "SELECT problem FROM load_run WHERE data_set = 'articles' AND outcome = 'failed'"
            )
            .await,
        "not loaded, since bought failed, which is loaded in the same transaction"
    );
    assert_eq!(outcomes(&database, "items").await, ["loaded"]);
}

#[tokio::test]
async fn of_rows_with_the_same_key_one_counts_as_declared() {
    let database = database(ITEMS).await;
    let text = "id,name\na,1\nb,1\na,2\na,3\n";
    for (policy, expected, said) in [
        ("first", "1", "items 2 inserted; "),
        ("last", "3", "items 2 inserted; "),
    ] {
        database.execute("TRUNCATE items").await;
        let manifest = format!("data_sets: {{items: {{files: items.csv, duplicates: {policy}}}}}");
        let ended = loaded(
            &database,
            &[("manifest.yaml", &*manifest), ("items.csv", text)],
        );
        assert_said(&ended, &[said]);
        assert_eq!(
            database
                .value("SELECT name FROM items WHERE id = 'a'")
                .await,
            expected
        );
        assert_eq!(last_counts(&database).await, "4 2 0 2 0 0 0 0 0");
        // The same by the difference.
        let ended = loaded(
            &database,
            &[
                ("manifest.yaml", &*manifest),
                ("items.csv", &format!("{text}c,1\n")),
            ],
        );
        assert_said(&ended, &["items 1 inserted, 2 unchanged; "]);
    }
    let ended = load_files(&database, &[("items.csv", text)]);
    assert_failed(
        &ended,
        7,
        &[
            "2 of 4 rows",
            "items.csv:4: column id: the key is already that of line 2",
            "items.csv:5: column id: the key is already that of line 2",
        ],
    );
    // Also where both rows are the same.
    let ended = load_files(&database, &[("items.csv", "id,name\na,3\na,3\n")]);
    assert_failed(
        &ended,
        7,
        &["items.csv:3: column id: the key is already that of line 2"],
    );
}

#[tokio::test]
async fn data_sets_with_one_table_must_keep_what_they_do_not_know() {
    let database = migrated().await;
    let manifest = |policy: &str| {
        format!(
            "data_sets:\n  summer: {{files: summer.csv, table: products{policy}}}\n  \
             winter: {{files: winter.csv, table: products{policy}}}\n"
        )
    };
    let files = [
        ("manifest.yaml", manifest("")),
        ("summer.csv", products_csv("12")),
        ("winter.csv", products_csv("3")),
    ];
    let ended = load_files(&database, &files);
    assert_failed(
        &ended,
        2,
        &["summer and winter are loaded into one table, products"],
    );
    // Also where only one of them is loaded: the rows of the other have not vanished.
    let directory = directory(&files);
    for command in [&["load"][..], &["load", "--dry-run"], &["validate"]] {
        let mut command_line = program_on(&database, directory.path());
        let ended = run(command_line.args(command).args(["--only", "summer"]));
        assert_failed(&ended, 2, &["summer and winter are loaded into one table"]);
    }
    let exported = run(program_on(&database, directory.path()).args(["export", "summer"]));
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let mut files = files;
    files[0].1 = manifest(", optional: true").replace(
        "winter.csv, table: products",
        "none.csv, table: public.products",
    );
    assert_failed(
        &load_files(&database, &files),
        2,
        &["summer and winter are loaded into"],
    );
    files[0].1 = manifest(", vanished: keep");
    loaded(&database, &files);
    assert_eq!(products(&database).await.len(), 3);
    let directory = crate::support::directory(&files);
    let mut command_line = program_on(&database, directory.path());
    succeeded(run(command_line.args(["--only", "summer"])));
}
