//! Settings of the loader.

use std::path::PathBuf;
use std::time::Duration;

use connection::{ConnectionSettings, ServerOptions};
use environment::{Environment, SettingError, value};
use serde::Deserialize;

/// The variables of this module with their meaning, for `--help` texts.
pub const VARIABLES: &str =
    "  DATA_DIR            directory with products.csv [the data compiled in]
  LOAD_LOCK_TIMEOUT   how long a statement may wait for a lock [30s]
  LOAD_STATEMENT_TIMEOUT
                      how long a statement may take [none]
  LOAD_RUNNER_WAIT    how long to wait for another load to finish [none: without limit]
";

/// Settings of the loader.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// Where and how to connect.
    pub connection: ConnectionSettings,
    /// A directory of data files, instead of those compiled in.
    pub directory: Option<PathBuf>,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Option<Duration>,
    /// How long to wait for another load to finish.
    pub runner_wait: Option<Duration>,
}

#[derive(Deserialize)]
struct Variables {
    data_dir: Option<String>,
    load_lock_timeout: Option<String>,
    load_statement_timeout: Option<String>,
    load_runner_wait: Option<String>,
}

impl LoadSettings {
    /// Reads the settings; `directory` is that of the command line, which wins.
    pub fn from_environment(
        environment: &Environment,
        directory: Option<&str>,
    ) -> Result<Self, SettingError> {
        let variables: Variables = environment.read()?;
        let name = |variable: &str| environment.name(variable);
        let directory = match (directory, variables.data_dir) {
            (Some(path), _) => Some(value::directory("--data", path)?),
            (None, Some(path)) => Some(value::directory(&name("DATA_DIR"), &path)?),
            (None, None) => None,
        };
        let limit = |variable: &str, value: Option<String>| {
            value.map_or(Ok(None), |value| value::limit(&name(variable), &value))
        };
        Ok(Self {
            connection: ConnectionSettings::from_environment(environment)?,
            directory,
            lock_timeout: variables
                .load_lock_timeout
                .map_or(Ok(Duration::from_secs(30)), |value| {
                    value::duration(&name("LOAD_LOCK_TIMEOUT"), &value)
                })?,
            statement_timeout: limit("LOAD_STATEMENT_TIMEOUT", variables.load_statement_timeout)?,
            runner_wait: limit("LOAD_RUNNER_WAIT", variables.load_runner_wait)?,
        })
    }

    /// What the server is asked for at the start of the connection.
    pub(crate) fn server_options(&self) -> ServerOptions {
        ServerOptions::default()
            .timeout("lock_timeout", Some(self.lock_timeout))
            .timeout("statement_timeout", self.statement_timeout)
    }
}
