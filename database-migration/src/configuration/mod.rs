//! The configuration file: settings in YAML that stand below the variables.
//!
//! Each key is another name of a variable. Values are taken as text, and whoever reads the variable checks them, so that
//! a setting has one meaning wherever it is given. No message repeats what the file says but for the names of keys.

#[cfg(test)]
mod fuzz;
mod reading;

use std::fmt::Display;
use std::path::Path;

use environment::{DefaultValue, Environment, SettingError};

use crate::configuration::reading::Reading;

/// A key of the file, written with its section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Such as `database.host`.
    pub(crate) name: &'static str,
    /// The variable that says the same and wins over it.
    pub(crate) variable: &'static str,
    kind: Kind,
}

/// What a key holds. Paths are relative to the file's own directory.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Path,
    /// A path, or the word `system`.
    PathOrSystem,
    Paths,
}

/// All keys.
pub(crate) const KEYS: [Key; 20] = [
    Key::new("database.host", "DB_HOST", Kind::Text),
    Key::new("database.port", "DB_PORT", Kind::Text),
    Key::new("database.username", "DB_USER", Kind::Text),
    Key::new("database.password", "DB_PASSWORD", Kind::Text),
    Key::new("database.password_file", "DB_PASSWORD_FILE", Kind::Path),
    Key::new("database.database", "DB_NAME", Kind::Text),
    Key::new("database.sslmode", "DB_SSLMODE", Kind::Text),
    Key::new("database.sslrootcert", "DB_SSLROOTCERT", Kind::PathOrSystem),
    Key::new("database.url", "DATABASE_URL", Kind::Text),
    Key::new("database.wait_timeout", "DB_WAIT_TIMEOUT", Kind::Text),
    Key::new("database.startup_grace", "DB_STARTUP_GRACE", Kind::Text),
    Key::new("migration.directories", "MIGRATIONS_DIR", Kind::Paths),
    Key::new("migration.table_name", "MIGRATION_TABLE", Kind::Text),
    Key::new(
        "migration.checksum_validation",
        "MIGRATION_CHECKSUM_VALIDATION",
        Kind::Text,
    ),
    Key::new(
        "migration.rollback_safety",
        "MIGRATION_ROLLBACK_SAFETY",
        Kind::Text,
    ),
    Key::new(
        "migration.out_of_order",
        "MIGRATION_OUT_OF_ORDER",
        Kind::Text,
    ),
    Key::new(
        "migration.lock_timeout",
        "MIGRATION_LOCK_TIMEOUT",
        Kind::Text,
    ),
    Key::new("migration.lock_retry", "MIGRATION_LOCK_RETRY", Kind::Text),
    Key::new(
        "migration.statement_timeout",
        "MIGRATION_STATEMENT_TIMEOUT",
        Kind::Text,
    ),
    Key::new("migration.runner_wait", "MIGRATION_RUNNER_WAIT", Kind::Text),
];

impl Key {
    const fn new(name: &'static str, variable: &'static str, kind: Kind) -> Self {
        Self {
            name,
            variable,
            kind,
        }
    }
}

/// Puts a configuration file below the variables: the one that `flag` names, else the one that `MIGRATION_CONFIG` names.
/// Without either, nothing changes.
pub(crate) fn with_file(
    environment: Environment,
    flag: Option<&str>,
) -> Result<Environment, SettingError> {
    let variable = environment.name("MIGRATION_CONFIG");
    let named = match flag {
        Some(path) => Some(("--config", path)),
        None => environment
            .get(&variable)
            .map(|path| (variable.as_str(), path)),
    };
    let Some((setting, path)) = named else {
        return Ok(environment);
    };
    let text = std::fs::read_to_string(path).map_err(|error| SettingError::Invalid {
        variable: setting.to_owned(),
        value: path.to_owned(),
        expected: format!("a file of YAML that can be read ({error})"),
    })?;
    let defaults = parse(Path::new(path), &text)?;
    Ok(environment.with_defaults(defaults))
}

/// The settings that the text of a file gives.
fn parse(path: &Path, text: &str) -> Result<Vec<DefaultValue>, SettingError> {
    let refused = |error: &serde_yaml_ng::Error, problem: &dyn Display| {
        let place = error.location().map_or_else(String::new, |location| {
            format!(":{}:{}", location.line(), location.column())
        });
        SettingError::Unusable {
            variable: format!("{}{place}", path.display()),
            problem: problem.to_string(),
        }
    };
    // What is no YAML is told in the library's words, which quote nothing of the file as long as no type is expected.
    if let Err(error) = serde_yaml_ng::from_str::<serde::de::IgnoredAny>(text) {
        return Err(refused(&error, &format!("it is no YAML: {error}")));
    }
    let mut reading = Reading::new(path);
    match reading.read(text) {
        Ok(()) => Ok(reading.values),
        Err(error) => Err(refused(&error, &reading.refusal)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<(&'static str, String)>, String> {
        match parse(Path::new("/etc/menu/config.yaml"), text) {
            Ok(defaults) => Ok(defaults
                .into_iter()
                .map(|default| (default.variable, default.value))
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_value_is_read_as_the_text_it_is() {
        let text = "database:\n  host: db\n  port: 5432\n  password: 0123\n  sslmode: disable\n\
                    migration:\n  rollback_safety: false\n  lock_timeout: 1s\n  table_name: \"yes\"\n";
        let expected = [
            ("DB_HOST", "db"),
            ("DB_PORT", "5432"),
            ("DB_PASSWORD", "0123"),
            ("DB_SSLMODE", "disable"),
            ("MIGRATION_ROLLBACK_SAFETY", "false"),
            ("MIGRATION_LOCK_TIMEOUT", "1s"),
            ("MIGRATION_TABLE", "yes"),
        ];
        let expected = expected.map(|(variable, value)| (variable, value.to_owned()));
        assert_eq!(parsed(text).unwrap(), expected);
    }

    #[test]
    fn what_says_nothing_is_not_set() {
        for text in [
            "",
            "# nothing\n",
            "---\n",
            "database:\n",
            "database: ~\n",
            "database:\n  host:\n  port: null\n",
            "migration:\n  directories:\n",
            "migration: {directories: []}\n",
        ] {
            assert_eq!(parsed(text), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_files_directory() {
        let text = "database: {password_file: secret, sslrootcert: ca/root.crt}\n\
                    migration:\n  directories:\n    - migrations\n    - ../shared\n    - /absolute\n";
        let expected = [
            ("DB_PASSWORD_FILE", "/etc/menu/secret"),
            ("DB_SSLROOTCERT", "/etc/menu/ca/root.crt"),
            (
                "MIGRATIONS_DIR",
                "/etc/menu/migrations:/etc/menu/../shared:/absolute",
            ),
        ];
        let expected = expected.map(|(variable, value)| (variable, value.to_owned()));
        assert_eq!(parsed(text).unwrap(), expected);
        assert_eq!(
            parsed("database: {sslrootcert: system}").unwrap(),
            [("DB_SSLROOTCERT", "system".to_owned())]
        );
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_place_and_nothing_of_its_value() {
        for (text, place, problem) in [
            (
                "database:\n  prot: hush!\n",
                "2:3",
                "unknown key \"prot\" in database; known are host, port",
            ),
            (
                "logging:\n  level: hush!\n",
                "1:1",
                "unknown key \"logging\"; known are database, migration",
            ),
            (
                "database: {password:hush!}\n",
                "1:12",
                "unknown key in database; known are host",
            ),
            (
                "database:\n  host: a\n  host: hush!\n",
                "3:3",
                "database.host stands here for the second time",
            ),
            (
                "database:\n  host: a\ndatabase: hush!\n",
                "3:1",
                "database stands here for the second time",
            ),
            (
                "database:\n  password:\n    - hush!\n",
                "3:5",
                "database.password: expected one value",
            ),
            (
                "database:\n  password: {hush!: hush!}\n",
                "2:13",
                "database.password: expected one value",
            ),
            (
                "database:\n  password: !!null hush!\n",
                "2:3",
                "database.password: expected one value",
            ),
            (
                "database: postgres://u:hush!@h/d\n",
                "1:11",
                "database: expected keys with their values",
            ),
            (
                "database: !!int hush!\n",
                "1:11",
                "database: expected keys with their values",
            ),
            (
                "database:\n  - hush!\n",
                "2:3",
                "database: expected keys with their values",
            ),
            (
                "hush!\n",
                "1:1",
                "expected the sections database, migration",
            ),
            (
                "migration:\n  directories: hush!\n",
                "2:16",
                "migration.directories: expected a list of paths",
            ),
            (
                "migration:\n  directories: [a, [hush!]]\n",
                "2:20",
                "migration.directories: expected a list of paths",
            ),
            (
                "migration:\n  directories: [\"hush!:b\"]\n",
                "2:3",
                "migration.directories: no path may hold a colon",
            ),
            (
                "database:\n  [hush!]: a\n",
                "2:3",
                "database: expected a key",
            ),
            ("database:\n  password: \"hush!\n", "3:1", "it is no YAML"),
            ("database:\n  password: *hush\n", "2:13", "it is no YAML"),
            ("database:\n\tpassword: hush!\n", "2:1", "it is no YAML"),
            ("a: 1\n---\nb: hush!\n", "", "it is no YAML"),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(!message.contains("hush"), "{text:?}: {message}");
            assert!(message.contains(problem), "{text:?}: {message}");
            let place = format!("/etc/menu/config.yaml:{place}");
            assert!(message.starts_with(&place), "{text:?}: {message}");
        }
    }

    #[test]
    fn every_key_is_read_and_every_variable_has_one() {
        for key in KEYS {
            let (section, name) = key.name.split_once('.').unwrap();
            let value = if matches!(key.kind, Kind::Paths) {
                "[/a]"
            } else {
                "/a"
            };
            let text = format!("{section}:\n  {name}: {value}\n");
            assert_eq!(parsed(&text).unwrap(), [(key.variable, "/a".to_owned())]);
        }
        for variable in variables_of_help() {
            let has_key = KEYS.iter().any(|key| key.variable == variable);
            let is_alias = ["DB_USERNAME", "MIGRATION_CONFIG"].contains(&variable);
            assert!(has_key || is_alias, "{variable}");
        }
    }

    fn variables_of_help() -> Vec<&'static str> {
        [crate::settings::VARIABLES, connection::VARIABLES]
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_whitespace().next())
            .collect()
    }

    #[test]
    fn the_documentation_has_every_key_with_its_variable() {
        let rows = include_str!("../../../docs/configuration.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| "))
            .map(|row| row.split(" | ").collect::<Vec<_>>());
        let documented: Vec<_> = rows
            .filter(|row| row[0].starts_with("`database.") || row[0].starts_with("`migration."))
            .map(|row| (row[0].trim_matches('`'), row[1].trim_matches('`')))
            .collect();
        let keys = KEYS.map(|key| (key.name, key.variable));
        assert_eq!(documented, keys);
    }

    proptest! {
        #[test]
        fn any_value_arrives_as_it_was_written(value in "\\PC{1,30}") {
            // A string of JSON is one of YAML, too.
            let text = format!("database: {{password: {}}}", serde_json::to_string(&value).unwrap());
            prop_assert_eq!(parsed(&text), Ok(vec![("DB_PASSWORD", value)]));
        }
    }
}
