//! Whatever the text is, something is told about it.

use proptest::prelude::*;
use statement_effects::{NothingKnown, effects};

/// Pieces of statements, in any order.
const PIECES: [&str; 40] = [
    "ALTER",
    "TABLE",
    "t",
    "ADD",
    "COLUMN",
    "DROP",
    "CREATE",
    "INDEX",
    "CONCURRENTLY",
    "ON",
    "(",
    ")",
    ",",
    ";",
    "int",
    "varchar(",
    "SET",
    "NOT NULL",
    "DEFAULT",
    "now()",
    "TYPE",
    "USING",
    "WITH",
    "x AS",
    "SELECT",
    "*",
    "FROM",
    "FOR UPDATE",
    "OF",
    "INSERT INTO",
    "VALUES",
    "DELETE",
    "VACUUM",
    "REINDEX",
    "COMMENT",
    "IS",
    "'text'",
    "\"",
    "$$",
    "é",
];

#[test]
fn each_statement_of_a_script_is_told_where_it_stands() {
    let script = "-- two\nCREATE TABLE a ();\nDROP TABLE b;";
    let told: Vec<_> = effects(script, &NothingKnown)
        .into_iter()
        .map(|effects| script[effects.text].to_owned())
        .collect();
    assert_eq!(told, ["CREATE TABLE a ();", "DROP TABLE b;"]);
}

#[test]
fn an_error_anywhere_leaves_the_whole_text_unknown() {
    let told = effects("DROP TABLE a; this is no SQL; DROP TABLE b;", &NothingKnown);
    assert_eq!(told.len(), 1);
    assert!(told[0].unknown.is_some() && told[0].relations.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        for told in effects(&text, &NothingKnown) {
            prop_assert!(text.get(told.text).is_some());
        }
    }

    #[test]
    fn any_pieces_are_answered(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..20)) {
        let text = pieces.join(" ");
        for told in effects(&text, &NothingKnown) {
            prop_assert!(text.get(told.text.clone()).is_some());
            prop_assert!(!told.to_string().is_empty());
        }
    }
}
