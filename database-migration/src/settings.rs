//! Settings of the migration runner.

use std::path::PathBuf;
use std::time::Duration;

use connection::{ConnectionSettings, ServerOptions};
use environment::{Environment, SettingError, value};
use serde::Deserialize;

use crate::history::TableName;

/// The variables of this module with their meaning, for `--help` texts.
pub const VARIABLES: &str = "  MIGRATIONS_DIR      directories of migration files, separated by colons [those compiled in]
  MIGRATION_TABLE     the history's table, with or without its schema [refinery_schema_history]
  MIGRATION_LOCK_TIMEOUT
                      how long a statement may wait for a lock before the migration is rolled back and tried
                      again, so that other queries never queue behind it for longer [1s]
  MIGRATION_LOCK_RETRY
                      how long that is tried [10min]
  MIGRATION_STATEMENT_TIMEOUT
                      how long a statement may take [none]
  MIGRATION_RUNNER_WAIT
                      how long to wait for another run to finish [none: without limit]
";

/// Settings of the migration runner.
#[derive(Debug, Clone)]
pub struct MigrationSettings {
    /// Where and how to connect.
    pub connection: ConnectionSettings,
    /// Directories of migration files, instead of those compiled in.
    pub directories: Vec<PathBuf>,
    /// The history's table.
    pub(crate) table: TableName,
    /// How long a statement waits for a lock before the migration is rolled back and tried again.
    pub lock_timeout: Duration,
    /// How long such tries go on.
    pub lock_retry: Duration,
    /// How long a statement may take.
    pub statement_timeout: Option<Duration>,
    /// How long to wait for another run to finish.
    pub runner_wait: Option<Duration>,
    /// Whether a file must be what was applied.
    pub checksum_validation: bool,
    /// Whether what would lose rows, or cannot be undone, needs a flag of its own.
    pub rollback_safety: bool,
    /// Whether a file below the newest applied version may be applied now.
    pub out_of_order: bool,
}

#[derive(Deserialize)]
struct Variables {
    migrations_dir: Option<String>,
    migration_table: Option<String>,
    migration_lock_timeout: Option<String>,
    migration_lock_retry: Option<String>,
    migration_statement_timeout: Option<String>,
    migration_runner_wait: Option<String>,
}

/// The directories of migration files: those of the variable `MIGRATIONS_DIR`, or those of the command line, which win.
pub(crate) fn directories(
    environment: &Environment,
    variable: Option<&str>,
    arguments: &[String],
) -> Result<Vec<PathBuf>, SettingError> {
    if arguments.is_empty() {
        value::directories(
            &environment.name("MIGRATIONS_DIR"),
            variable.unwrap_or_default(),
        )
    } else {
        let checked = |path: &String| value::directory("--migrations", path);
        arguments.iter().map(checked).collect()
    }
}

impl MigrationSettings {
    /// Reads the settings; `directories` are those of the command line, which win.
    pub fn from_environment(
        environment: &Environment,
        directories: &[String],
    ) -> Result<Self, SettingError> {
        let variables: Variables = environment.read()?;
        let name = |variable: &str| environment.name(variable);
        let list = variables.migrations_dir.as_deref();
        let directories = self::directories(environment, list, directories)?;
        let duration = |variable: &str, value: Option<String>, default: Duration| {
            value.map_or(Ok(default), |value| {
                value::duration(&name(variable), &value)
            })
        };
        let limit = |variable: &str, value: Option<String>| {
            value.map_or(Ok(None), |value| value::limit(&name(variable), &value))
        };
        Ok(Self {
            connection: ConnectionSettings::from_environment(environment)?,
            directories,
            table: TableName::parse(
                &name("MIGRATION_TABLE"),
                variables
                    .migration_table
                    .as_deref()
                    .unwrap_or("refinery_schema_history"),
            )?,
            lock_timeout: duration(
                "MIGRATION_LOCK_TIMEOUT",
                variables.migration_lock_timeout,
                Duration::from_secs(1),
            )?,
            lock_retry: duration(
                "MIGRATION_LOCK_RETRY",
                variables.migration_lock_retry,
                Duration::from_mins(10),
            )?,
            statement_timeout: limit(
                "MIGRATION_STATEMENT_TIMEOUT",
                variables.migration_statement_timeout,
            )?,
            runner_wait: limit("MIGRATION_RUNNER_WAIT", variables.migration_runner_wait)?,
            checksum_validation: true,
            rollback_safety: true,
            out_of_order: false,
        })
    }

    /// What the server is asked for at the start of each connection.
    pub(crate) fn server_options(&self) -> ServerOptions {
        ServerOptions::default()
            .timeout("lock_timeout", Some(self.lock_timeout))
            .timeout("statement_timeout", self.statement_timeout)
    }
}
