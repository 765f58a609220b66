//! Settings of the loader.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connection::{ConnectError, ConnectionSettings, Connector, ServerOptions};
use environment::{Environment, SettingError, value};
use serde::Deserialize;

/// The variables of this module with their meaning, for `--help` texts.
pub const VARIABLES: &str =
    "  DATA_DIR            directory with manifest.yaml, or files named after their tables [the data compiled in]
  LOAD_MANIFEST       file that says what to load, instead of DATA_DIR
  LOAD_IF_RUNNING     wait or leave, if another load is at work [wait]
  LOAD_REPORT         file that gets a report in JSON of at most 4,096 bytes [none]
  LOAD_WORK_DIR       directory for temporary files of derived data sets [the system's]
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
    /// What to load.
    pub origin: Origin,
    /// Only data sets of these names; all if there are none.
    pub only: Vec<String>,
    /// Whether a source and a table that are known to be the same are compared nevertheless.
    pub is_forced: bool,
    /// What to do if another load is at work.
    pub if_running: IfRunning,
    /// A file that gets the report in JSON.
    pub report: Option<PathBuf>,
    /// A directory for temporary files.
    pub work_directory: Arc<std::path::Path>,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Option<Duration>,
    /// How long to wait for another load to finish.
    pub runner_wait: Option<Duration>,
}

/// Where it stands what is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The data compiled in.
    Embedded,
    /// A directory of data files.
    Directory(PathBuf),
    /// A manifest.
    Manifest(PathBuf),
}

/// What to do if another load is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum IfRunning {
    /// Wait for its end
    #[default]
    Wait,
    /// End at once, with success
    Leave,
}

/// What the command line says; it wins over the variables.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// A directory of data files.
    pub directory: Option<String>,
    /// A manifest.
    pub manifest: Option<String>,
    /// Only data sets of these names.
    pub only: Vec<String>,
    /// Whether a source and a table that are known to be the same are compared nevertheless.
    pub is_forced: bool,
    /// What to do if another load is at work.
    pub if_running: Option<IfRunning>,
    /// A file that gets the report.
    pub report: Option<String>,
}

#[derive(Deserialize)]
struct Variables {
    data_dir: Option<String>,
    load_manifest: Option<String>,
    load_if_running: Option<String>,
    load_report: Option<String>,
    load_work_dir: Option<String>,
    load_lock_timeout: Option<String>,
    load_statement_timeout: Option<String>,
    load_runner_wait: Option<String>,
}

impl LoadSettings {
    /// Reads the settings.
    pub fn from_environment(
        environment: &Environment,
        overrides: Overrides,
    ) -> Result<Self, SettingError> {
        let variables: Variables = environment.read()?;
        let name = |variable: &str| environment.name(variable);
        let origin = match (overrides.directory, overrides.manifest) {
            (Some(directory), _) => Origin::Directory(value::directory("--data", &directory)?),
            (None, Some(manifest)) => Origin::Manifest(manifest.into()),
            (None, None) => match (variables.data_dir, variables.load_manifest) {
                (Some(_), Some(_)) => {
                    return Err(SettingError::Conflict {
                        first: name("DATA_DIR"),
                        second: name("LOAD_MANIFEST"),
                    });
                }
                (Some(directory), None) => {
                    Origin::Directory(value::directory(&name("DATA_DIR"), &directory)?)
                }
                (None, Some(manifest)) => Origin::Manifest(manifest.into()),
                (None, None) => Origin::Embedded,
            },
        };
        let if_running = match (overrides.if_running, variables.load_if_running.as_deref()) {
            (Some(choice), _) => choice,
            (None, None | Some("wait")) => IfRunning::Wait,
            (None, Some("leave")) => IfRunning::Leave,
            (None, Some(other)) => {
                return Err(SettingError::Invalid {
                    variable: name("LOAD_IF_RUNNING"),
                    value: other.to_owned(),
                    expected: "wait or leave".to_owned(),
                });
            }
        };
        let work_directory = match variables.load_work_dir {
            Some(path) => value::directory(&name("LOAD_WORK_DIR"), &path)?,
            None => std::env::temp_dir(),
        };
        let limit = |variable: &str, value: Option<String>| {
            value.map_or(Ok(None), |value| value::limit(&name(variable), &value))
        };
        Ok(Self {
            connection: ConnectionSettings::from_environment(environment)?,
            origin,
            only: overrides.only,
            is_forced: overrides.is_forced,
            if_running,
            report: overrides
                .report
                .or(variables.load_report)
                .map(PathBuf::from),
            work_directory: work_directory.into(),
            lock_timeout: variables
                .load_lock_timeout
                .map_or(Ok(Duration::from_secs(30)), |value| {
                    value::duration(&name("LOAD_LOCK_TIMEOUT"), &value)
                })?,
            statement_timeout: limit("LOAD_STATEMENT_TIMEOUT", variables.load_statement_timeout)?,
            runner_wait: limit("LOAD_RUNNER_WAIT", variables.load_runner_wait)?,
        })
    }

    /// What connects as these settings say.
    pub(crate) fn connector(&self) -> Result<Connector, ConnectError> {
        Connector::new(
            self.connection.clone(),
            "database-load",
            self.server_options(),
        )
    }

    /// What the server is asked for at the start of the connection. What it prints is compared with what the source says.
    fn server_options(&self) -> ServerOptions {
        ServerOptions::default()
            .timeout("lock_timeout", Some(self.lock_timeout))
            .timeout("statement_timeout", self.statement_timeout)
    }
}
