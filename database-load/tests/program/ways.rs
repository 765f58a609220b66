//! Whichever way a source takes into its table, the table is the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use test_postgres::Database;
use tokio::runtime::Runtime;

use crate::support::{database, directory, load};

const KEYS: usize = 12;

/// A row of the source; none for what makes it a bad one.
#[derive(Debug, Clone)]
struct Row {
    key: usize,
    name: Option<&'static str>,
    number: Result<Option<i32>, ()>,
}

#[derive(Debug, Clone)]
struct Case {
    /// The table's rows, and whether they are marked.
    old: BTreeMap<usize, (Option<&'static str>, Option<i32>, bool)>,
    source: Vec<Row>,
    vanished: &'static str,
    duplicates: &'static str,
    /// A table whose texts only the server can read takes the thorough way.
    is_loose: bool,
}

const NAMES: [Option<&str>; 6] = [
    None,
    Some("x"),
    Some("a\tb"),
    Some("\\N"),
    Some("line\nline"),
    Some("\"ä\", \\"),
];

fn cases() -> impl Strategy<Value = Case> {
    let number = || prop_oneof![Just(None), (0..3_i32).prop_map(Some)];
    let name = || select(&NAMES[..]);
    let old = prop::collection::btree_map(
        0..KEYS,
        (name(), number(), prop::bool::weighted(0.2)),
        0..KEYS,
    );
    let good = (0..KEYS, name(), number()).prop_map(|(key, name, number)| Row {
        key,
        name,
        number: Ok(number),
    });
    let bad = (0..KEYS, name()).prop_map(|(key, name)| Row {
        key,
        name,
        number: Err(()),
    });
    let source = prop_oneof![
        // Without a flaw: each key once.
        2 => prop::collection::btree_map(0..KEYS, (name(), number()), 0..KEYS).prop_map(|rows| rows
            .into_iter()
            .rev()
            .map(|(key, (name, number))| Row { key, name, number: Ok(number) })
            .collect::<Vec<_>>()),
        1 => prop::collection::vec(prop_oneof![6 => good, 1 => bad], 0..2 * KEYS),
    ];
    (
        old,
        source,
        select(&["keep", "mark", "delete"][..]),
        select(&["reject", "first", "last"][..]),
        any::<bool>(),
    )
        .prop_map(|(old, source, vanished, duplicates, is_loose)| Case {
            old,
            source,
            vanished,
            duplicates,
            is_loose,
        })
}

impl Case {
    /// The table after the load, and the counts of rows: rejected, inserted, updated, unchanged, vanished.
    fn model(&self) -> (Vec<String>, [usize; 5]) {
        let mut valid: BTreeMap<usize, &Row> = BTreeMap::new();
        let mut rejected = 0;
        for row in &self.source {
            let is_known = valid.contains_key(&row.key);
            if row.number.is_err() {
                rejected += 1;
            } else if !is_known || self.duplicates == "last" {
                valid.insert(row.key, row);
            } else if self.duplicates == "reject" {
                rejected += 1;
            }
        }
        let spared: BTreeSet<_> = self.source.iter().map(|row| row.key).collect();
        let mut table = self.old.clone();
        let (mut inserted, mut updated, mut unchanged, mut vanished) = (0, 0, 0, 0);
        for (key, row) in &valid {
            // Whether a row is marked says something only where rows are marked.
            let stays_marked = self.vanished != "mark";
            let is_marked = self.old.get(key).is_some_and(|old| old.2 && stays_marked);
            let new = (row.name, row.number.unwrap(), is_marked);
            match table.insert(*key, new) {
                None => inserted += 1,
                Some(old) if old == new => unchanged += 1,
                Some(_) => updated += 1,
            }
        }
        for (key, row) in &self.old {
            if spared.contains(key) || (self.vanished == "mark" && row.2) {
                continue;
            }
            vanished += 1;
            match self.vanished {
                "mark" => table.get_mut(key).unwrap().2 = true,
                "delete" => drop(table.remove(key)),
                _ => {}
            }
        }
        let text =
            |(key, (name, number, is_marked)): (usize, (Option<&str>, Option<i32>, bool))| {
                let number = number.map_or_else(|| "NULL".to_owned(), |number| number.to_string());
                format!("{key:02}|{}|{number}|{is_marked}", name.unwrap_or("NULL"))
            };
        let table = table.into_iter().map(text).collect();
        (table, [rejected, inserted, updated, unchanged, vanished])
    }

    fn manifest(&self) -> String {
        format!(
            "data_sets:
  items:
    files: items.*
    vanished: {}
    duplicates: {}
    guards: {{minimum_rows: 0, largest_shrink: 100%, rejects: 100}}\n",
            self.vanished, self.duplicates
        )
    }

    fn ndjson(&self) -> String {
        let line = |row: &Row| {
            let number = row
                .number
                .map_or_else(|()| "?".into(), serde_json::Value::from);
            serde_json::json!({"key": format!("{:02}", row.key), "name": row.name, "number": number}).to_string() + "\n"
        };
        self.source.iter().map(line).collect()
    }

    async fn check(&self, database: &Database<'_>) {
        let kind = if self.is_loose { "NUMERIC" } else { "INTEGER" };
        let old = self.old.iter().map(|(key, (name, number, is_marked))| {
            let name = name.map_or_else(|| "NULL".to_owned(), |name| format!("$${name}$$"));
            let number = number.map_or_else(|| "NULL".to_owned(), |number| number.to_string());
            let removed_at = if *is_marked { "now()" } else { "NULL" };
            format!("INSERT INTO items VALUES ('{key:02}', {name}, {number}, {removed_at});")
        });
        database
            .execute(&format!(
                "DROP TABLE IF EXISTS items;
                 CREATE TABLE items (key TEXT PRIMARY KEY, name TEXT, number {kind}, removed_at TIMESTAMPTZ);
                 {}",
                old.collect::<String>()
            ))
            .await;
        let files = directory(&[
            ("manifest.yaml", self.manifest()),
            ("items.ndjson", self.ndjson()),
        ]);
        let ended = load(database, files.path());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let (expected, [rejected, inserted, updated, unchanged, vanished]) = self.model();
        let table = database
            .values(
                "SELECT key || '|' || coalesce(name, 'NULL') || '|' || coalesce(number::text, 'NULL') || '|' ||
                        (removed_at IS NOT NULL)
                 FROM items ORDER BY key",
            )
            .await;
        assert_eq!(table, expected, "{ended:?}");
        let counts = database
            .value(
                "SELECT concat_ws(' ', rows_read, rows_rejected, rows_inserted, rows_updated, rows_unchanged,
                                  rows_marked + rows_deleted + rows_kept)
                 FROM load_run ORDER BY id DESC LIMIT 1",
            )
            .await;
        let read = self.source.len();
        assert_eq!(
            counts,
            format!("{read} {rejected} {inserted} {updated} {unchanged} {vanished}"),
            "{ended:?}"
        );
    }
}

#[test]
fn each_way_brings_the_table_to_what_a_naive_model_says() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(database(""));
    let config = Config {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&cases(), |case| {
            runtime.block_on(case.check(&database));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async { drop(database) });
}
