//! Runs every kind of statement on real servers and compares what they do with what the crate tells.

#![allow(clippy::expect_used, clippy::panic)] // What fails here fails the test.

mod case;
mod comparison;
mod observation;

use case::Case;
use statement_effects::{Effects, NothingKnown, Relation, effects};
use test_postgres::{Database, Server};
use tokio_postgres::Client;

const COMPARED: [&str; 5] = [
    include_str!("cases/create.txt"),
    include_str!("cases/alter_table.txt"),
    include_str!("cases/index.txt"),
    include_str!("cases/drop.txt"),
    include_str!("cases/rows.txt"),
];

const NOT_COMPARED: &str = include_str!("cases/unknown.txt");

fn compared() -> Vec<Case> {
    COMPARED.into_iter().flat_map(case::read).collect()
}

fn told(statement: &str) -> Effects {
    let mut told = effects(statement, &NothingKnown);
    assert_eq!(told.len(), 1, "{statement}");
    told.remove(0)
}

#[test]
fn what_is_told_is_what_is_written_here() {
    let mut cases = compared();
    cases.extend(case::read(NOT_COMPARED));
    let different: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let now = told(&case.statement).to_string();
            (now != case.told.join("\n")).then(|| format!("{}\n{now}", case.statement))
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn every_known_statement_is_explained() {
    for case in compared() {
        let told = told(&case.statement);
        assert_eq!(told.unknown, None, "{}", case.statement);
        assert!(!told.explanations.is_empty(), "{}", case.statement);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_16_does_what_is_told() {
    compare_with_server("16").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_17_does_what_is_told() {
    compare_with_server("17").await;
}

async fn compare_with_server(major: &str) {
    let server = Server::start(&[
        "--major",
        major,
        "--setting",
        "allow_in_place_tablespaces=on",
    ]);
    let database = server.database().await;
    database
        .execute("CREATE TABLESPACE elsewhere LOCATION ''")
        .await;
    let client = database.client().await;
    observation::reset(&client).await;
    let mut differences = Vec::new();
    let mut compared_cases = 0;
    for case in compared() {
        if case.only.as_ref().is_none_or(|only| only == major) {
            compared_cases += 1;
            for difference in compare(&database, &client, &case).await {
                differences.push(format!("{}\n  {difference}", case.statement));
            }
        }
        // A case that needs no preparation is rolled back and leaves nothing.
        if !case.setup.is_empty() || !case.held_up_by.is_empty() {
            client.batch_execute("RESET ALL").await.expect("a session");
            observation::reset(&client).await;
        }
    }
    assert!(
        differences.is_empty(),
        "PostgreSQL {major}\n{}",
        differences.join("\n")
    );
    assert!(
        compared_cases > 200,
        "only {compared_cases} cases were compared"
    );
}

/// The effects told from the text alone and those told with the server's catalog have to be true.
async fn compare(database: &Database<'_>, client: &Client, case: &Case) -> Vec<String> {
    observation::set_up(client, case).await;
    let blind = told(&case.statement);
    let catalog = observation::catalog(client).await;
    let informed = effects(&case.statement, &catalog).remove(0);
    let relations: Vec<Relation> = blind
        .relations
        .iter()
        .map(|effect| effect.relation.clone())
        .collect();
    let seen = if case.held_up_by.is_empty() {
        match observation::in_transaction(client, case, &relations).await {
            Ok(seen) => seen,
            Err(refusal) => return vec![refusal],
        }
    } else {
        observation::held_up(database, client, case, &relations).await
    };
    let mut differences = comparison::differences(&blind, &seen, case);
    differences.extend(comparison::differences(&informed, &seen, case));
    differences.extend(comparison::undecided(&informed, case));
    if !case.held_up_by.is_empty() {
        let refused = observation::is_refused_in_transaction(client, &case.statement).await;
        if refused != blind.forbidden_in_transaction {
            differences.push(format!("refused in a transaction block: {refused}"));
        }
    } else if blind.forbidden_in_transaction {
        differences.push("it ran in a transaction block".to_owned());
    }
    differences
}
