//! The crate as another service uses it, at its own start.

use database_migration::{MigrationSet, MigrationSettings, MigrationSource, UpOptions};
use environment::Environment;
use shutdown::Shutdown;
use test_postgres::Server;

use crate::support::{table_exists, versions};

#[tokio::test]
async fn a_service_brings_migrations_of_its_own() {
    let database = Server::shared().database().await;
    let command = database.command("service");
    let variables = command.get_envs();
    let environment = Environment::from_variables(
        variables.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
    let mut settings = MigrationSettings::from_environment(&environment, &[]).unwrap();
    let set = MigrationSet::from_contents(&[
        (
            "V1__create_menu.sql",
            b"CREATE TABLE menu (id TEXT PRIMARY KEY)",
        ),
        ("V2__add_price.sql", b"ALTER TABLE menu ADD price NUMERIC"),
    ]);
    settings.migrations = MigrationSource::Given(set.unwrap());
    let up = async || {
        database_migration::up(settings.clone(), UpOptions::default(), &Shutdown::never())
            .await
            .unwrap()
            .to_string()
    };
    let at = format!("{} is at version 2 add_price", database.name());
    for outcome in ["2 applied", "nothing to do"] {
        let said = up().await;
        assert!(said.starts_with(&format!("{at}, {outcome} (")), "{said}");
    }
    assert_eq!(versions(&database).await, ["1", "2"]);
    assert!(table_exists(&database, "menu").await);
    assert!(!table_exists(&database, "products").await);
}

#[test]
fn files_that_are_compiled_in_are_checked_like_those_of_directories() {
    let error = MigrationSet::from_contents(&[("menu.sql", b"SELECT 1")]).unwrap_err();
    assert!(error.to_string().contains("menu.sql"), "{error}");
}
