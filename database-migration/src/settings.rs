//! Settings of the migration runner.

use std::path::PathBuf;
use std::time::Duration;

use connection::{ConnectionSettings, ServerOptions};
use environment::{Environment, SettingError, value};
use serde::Deserialize;

use crate::files::MigrationSet;
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
  MIGRATION_CHECKSUM_VALIDATION
                      whether files that were changed after they were applied stop a run [true]
  MIGRATION_ROLLBACK_SAFETY
                      whether going back needs a flag where it would lose data [true]
  MIGRATION_OUT_OF_ORDER
                      whether files below the last applied version are applied [false]
  MIGRATION_CONFIG    file of settings in YAML that stand below the variables [none]
";

/// Where migrations come from.
#[derive(Debug, Clone)]
pub enum MigrationSource {
    /// Those compiled into the program: order-food's.
    Embedded,
    /// The files of these directories, read at each run.
    Directories(Vec<PathBuf>),
    /// The caller's own.
    Given(MigrationSet),
}

/// Settings of the migration runner.
#[derive(Debug, Clone)]
pub struct MigrationSettings {
    /// Where and how to connect.
    pub connection: ConnectionSettings,
    /// Where the migrations come from.
    pub migrations: MigrationSource,
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
    /// Whether a file that was changed after it was applied stops a run.
    pub checksum_validation: bool,
    /// Whether going back needs a flag where it would lose data.
    pub rollback_safety: bool,
    /// Whether a file below the last applied version is applied.
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
    migration_checksum_validation: Option<String>,
    migration_rollback_safety: Option<String>,
    migration_out_of_order: Option<String>,
}

/// The directories of migration files as they are named, whether they exist or not.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryNames {
    /// The flag or the variable that names them.
    setting: String,
    names: Vec<String>,
}

impl DirectoryNames {
    /// Those of the command line, else those of the environment.
    pub(crate) fn read(environment: &Environment, flags: &[String]) -> Result<Self, SettingError> {
        if !flags.is_empty() {
            return Ok(Self {
                setting: "--migrations".to_owned(),
                names: flags.to_vec(),
            });
        }
        let variables: Variables = environment.read()?;
        let list = variables.migrations_dir.unwrap_or_default();
        let names = list.split(':').map(str::to_owned);
        Ok(Self {
            setting: environment.name("MIGRATIONS_DIR"),
            names: names.filter(|_| !list.is_empty()).collect(),
        })
    }

    /// Those that exist; another one is an error.
    pub(crate) fn existing(&self) -> Result<Vec<PathBuf>, SettingError> {
        let checked = |name: &String| value::directory(&self.setting, name);
        self.names.iter().map(checked).collect()
    }

    /// The last of them, and the others.
    pub(crate) fn split_last(&self) -> Option<(PathBuf, Self)> {
        let (last, others) = self.names.split_last()?;
        let others = Self {
            setting: self.setting.clone(),
            names: others.to_vec(),
        };
        Some((PathBuf::from(last), others))
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
        let directories = DirectoryNames::read(environment, directories)?.existing()?;
        let duration = |variable: &str, value: Option<String>, default: Duration| {
            value.map_or(Ok(default), |value| {
                value::duration(&name(variable), &value)
            })
        };
        let limit = |variable: &str, value: Option<String>| {
            value.map_or(Ok(None), |value| value::limit(&name(variable), &value))
        };
        let boolean = |variable: &str, value: Option<String>, default: bool| {
            value.map_or(Ok(default), |value| value::boolean(&name(variable), &value))
        };
        Ok(Self {
            connection: ConnectionSettings::from_environment(environment)?,
            migrations: if directories.is_empty() {
                MigrationSource::Embedded
            } else {
                MigrationSource::Directories(directories)
            },
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
            checksum_validation: boolean(
                "MIGRATION_CHECKSUM_VALIDATION",
                variables.migration_checksum_validation,
                true,
            )?,
            rollback_safety: boolean(
                "MIGRATION_ROLLBACK_SAFETY",
                variables.migration_rollback_safety,
                true,
            )?,
            out_of_order: boolean(
                "MIGRATION_OUT_OF_ORDER",
                variables.migration_out_of_order,
                false,
            )?,
        })
    }

    /// What the server is asked for at the start of each connection.
    pub(crate) fn server_options(&self) -> ServerOptions {
        ServerOptions::default()
            .timeout("lock_timeout", Some(self.lock_timeout))
            .timeout("statement_timeout", self.statement_timeout)
    }
}
