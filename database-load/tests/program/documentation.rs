//! What the documentation shows works.

use std::path::Path;

use serde_json::Value;
use test_process::{bare_command, run};

use crate::manifest::problems;
use crate::support::{
    assert_failed, assert_said, directory, load, migrated, program_on, succeeded,
};

const PAGE: &str = include_str!("../../../docs/database-load.md");

#[test]
fn each_manifest_of_the_page_is_one() {
    let manifests: Vec<_> = PAGE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .filter(|text| text.starts_with("data_sets:"))
        .collect();
    assert!(!manifests.is_empty());
    for manifest in manifests {
        assert_eq!(problems(manifest), [""; 0], "{manifest}");
    }
}

#[test]
fn the_page_names_each_key_of_the_manifest() {
    let schema: Value = serde_json::from_str(include_str!("../../manifest.schema.json")).unwrap();
    let data_set = &schema["$defs"]["data_set"]["properties"];
    for object in [
        data_set,
        &data_set["guards"]["properties"],
        &data_set["codes"]["properties"],
    ] {
        for key in object.as_object().unwrap().keys() {
            assert!(PAGE.contains(&format!("`{key}`")), "{key}");
        }
    }
}

#[test]
fn the_page_names_each_variable_and_command() {
    for variable in database_load::VARIABLES.lines() {
        let name = variable.split_whitespace().next().unwrap();
        let is_name = name
            .chars()
            .all(|character| character.is_ascii_uppercase() || character == '_');
        assert!(!is_name || PAGE.contains(&format!("`{name}`")), "{name}");
    }
    let help = run(bare_command(env!("CARGO_BIN_EXE_database-load")).arg("--help")).stdout;
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let commands: Vec<_> = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"verify"), "{help}");
    for command in commands.iter().filter(|command| **command != "help") {
        assert!(
            PAGE.contains(&format!("database-load {command}")),
            "{command}"
        );
    }
}

#[tokio::test]
async fn the_demonstration_is_loaded_into_what_the_migrations_make() {
    let database = migrated().await;
    let demonstration = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/demonstration");
    let verified = run(program_on(&database, &demonstration).arg("verify"));
    assert_failed(&verified, 4, &["order_items: 15 missing in the table"]);
    let previewed = run(program_on(&database, &demonstration).arg("--dry-run"));
    assert_said(
        &succeeded(previewed),
        &[
            "this would be done: coupons 8 inserted; orders 10 inserted; products 10 inserted; order_items 15 inserted; ",
        ],
    );
    let ended = succeeded(load(&database, &demonstration));
    assert_said(
        &ended,
        &[
            "orders 10 inserted; products 10 inserted; order_items 15 inserted; ",
            "coupons 8 inserted",
        ],
    );
    let most = "SELECT name FROM order_items JOIN products ON products.id = product_id
                GROUP BY name ORDER BY sum(quantity) DESC, name LIMIT 1";
    assert_eq!(database.value(most).await, "Margherita Pizza");
    succeeded(run(program_on(&database, &demonstration).arg("verify")));
    let manifest = std::fs::read_to_string(demonstration.join("manifest.yaml")).unwrap();
    assert_eq!(problems(&manifest), [""; 0]);
    // It may stand beside what the program brings along.
    let nothing = directory(&[("products.csv", include_str!("../../data/products.csv"))]);
    let ended = succeeded(load(&database, nothing.path()));
    assert_said(&ended, &["products unchanged; "]);
}
