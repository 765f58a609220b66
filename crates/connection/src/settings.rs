//! Where the database is and how to reach it, from environment variables.

use std::path::PathBuf;
use std::time::Duration;

use environment::{Environment, SettingError, value};
use serde::Deserialize;
use tokio_postgres::config::ChannelBinding;

use crate::database_url::DatabaseUrl;
use crate::ssl_mode::SslMode;

/// The variables of this module with their meaning, for `--help` texts.
pub const VARIABLES: &str = "  DB_HOST             host name or address [localhost]
  DB_PORT             port [5432]
  DB_USER             user; DB_USERNAME is an alias [postgres]
  DB_PASSWORD         password [postgres]
  DB_PASSWORD_FILE    file that holds the password, instead of DB_PASSWORD
  DB_NAME             database [orderfood]
  DB_SSLMODE          disable, prefer, require, verify-ca or verify-full [disable]
  DB_SSLROOTCERT      file of the certificate authorities to trust [the system's]
  DATABASE_URL        postgres://user:password@host:port/database?sslmode=...; what it says wins over the above
  DB_WAIT_TIMEOUT     how long to wait for the server [60s]
  DB_STARTUP_GRACE    how long a wrong password or a missing database may be that of a server still being set up [0s]
";

/// Where the database is and how to reach it. The password shows in no output.
#[derive(Clone)]
pub struct ConnectionSettings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_certificate: Option<PathBuf>,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) wait_timeout: Duration,
    pub(crate) startup_grace: Duration,
    /// This machine's name; in a pod, the pod's.
    pub(crate) client_name: Option<String>,
}

#[derive(Deserialize)]
struct Variables {
    db_host: Option<String>,
    db_port: Option<String>,
    db_user: Option<String>,
    db_username: Option<String>,
    db_password: Option<String>,
    db_password_file: Option<String>,
    db_name: Option<String>,
    db_sslmode: Option<String>,
    db_sslrootcert: Option<String>,
    database_url: Option<String>,
    db_wait_timeout: Option<String>,
    db_startup_grace: Option<String>,
}

impl ConnectionSettings {
    /// Reads the settings. What `DATABASE_URL` says wins over the parts; what it leaves out comes from them.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let variables: Variables = environment.read()?;
        let name = |variable: &str| environment.name(variable);
        let url = variables
            .database_url
            .as_deref()
            .map(|url| DatabaseUrl::parse(&name("DATABASE_URL"), url))
            .transpose()?
            .unwrap_or_default();

        Ok(Self {
            host: url
                .host
                .or(variables.db_host)
                .unwrap_or_else(|| "localhost".to_owned()),
            port: match (url.port, variables.db_port) {
                (Some(port), _) => port,
                (None, Some(port)) => value::port(&name("DB_PORT"), &port)?,
                (None, None) => 5432,
            },
            user: match url.user {
                Some(user) => user,
                None => one_of(
                    (name("DB_USER"), variables.db_user),
                    (name("DB_USERNAME"), variables.db_username),
                )?
                .unwrap_or_else(|| "postgres".to_owned()),
            },
            password: match url.password {
                Some(password) => password,
                None => password(
                    environment,
                    variables.db_password,
                    variables.db_password_file,
                )?,
            },
            database: url
                .database
                .or(variables.db_name)
                .unwrap_or_else(|| "orderfood".to_owned()),
            ssl_mode: match (url.ssl_mode, variables.db_sslmode) {
                (Some(mode), _) => mode,
                (None, Some(mode)) => SslMode::parse(&name("DB_SSLMODE"), &mode)?,
                (None, None) => SslMode::Disable,
            },
            ssl_root_certificate: url
                .ssl_root_certificate
                .or(variables.db_sslrootcert.map(PathBuf::from)),
            channel_binding: url.channel_binding.unwrap_or(ChannelBinding::Prefer),
            wait_timeout: duration(&name("DB_WAIT_TIMEOUT"), variables.db_wait_timeout, 60)?,
            startup_grace: duration(&name("DB_STARTUP_GRACE"), variables.db_startup_grace, 0)?,
            client_name: environment.get("HOSTNAME").map(str::to_owned),
        })
    }

    /// Server and database for messages: `host:port/database`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// The host name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The name of the user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl std::fmt::Debug for ConnectionSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConnectionSettings")
            .field("target", &self.target())
            .field("user", &self.user)
            .field("ssl_mode", &self.ssl_mode)
            .finish_non_exhaustive()
    }
}

fn password(
    environment: &Environment,
    password: Option<String>,
    file: Option<String>,
) -> Result<String, SettingError> {
    match (password, file) {
        (Some(_), Some(_)) => Err(SettingError::Conflict {
            first: environment.name("DB_PASSWORD"),
            second: environment.name("DB_PASSWORD_FILE"),
        }),
        (None, Some(path)) => value::secret_file(&environment.name("DB_PASSWORD_FILE"), &path),
        (Some(password), None) => Ok(password),
        (None, None) => Ok("postgres".to_owned()),
    }
}

/// The value of a variable or its alias; two different values are an error rather than a guess.
fn one_of(
    (first, first_value): (String, Option<String>),
    (second, second_value): (String, Option<String>),
) -> Result<Option<String>, SettingError> {
    match (first_value, second_value) {
        (Some(one), Some(other)) if one != other => Err(SettingError::Conflict { first, second }),
        (one, other) => Ok(one.or(other)),
    }
}

fn duration(
    variable: &str,
    value: Option<String>,
    default_seconds: u64,
) -> Result<Duration, SettingError> {
    value.map_or(Ok(Duration::from_secs(default_seconds)), |value| {
        value::duration(variable, &value)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<ConnectionSettings, SettingError> {
        ConnectionSettings::from_environment(&Environment::from_variables(
            variables.iter().copied(),
        ))
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.target(), "localhost:5432/orderfood");
        assert_eq!(settings.user, "postgres");
        assert_eq!(settings.password, "postgres");
        assert_eq!(settings.ssl_mode, SslMode::Disable);
        assert_eq!(settings.wait_timeout, Duration::from_mins(1));
    }

    #[test]
    fn the_url_wins_and_the_parts_fill_its_gaps() {
        let settings = settings(&[
            (
                "DATABASE_URL",
                "postgres://api@db.example/shop?sslmode=verify-full",
            ),
            ("DB_HOST", "elsewhere"),
            ("DB_PASSWORD", "p@ss/word"),
        ])
        .unwrap();
        assert_eq!(settings.target(), "db.example:5432/shop");
        assert_eq!(settings.user, "api");
        assert_eq!(settings.password, "p@ss/word");
        assert_eq!(settings.ssl_mode, SslMode::VerifyFull);
    }

    #[test]
    fn contradictions_are_errors() {
        let error = settings(&[("DB_PASSWORD", "a"), ("DB_PASSWORD_FILE", "/b")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "DB_PASSWORD and DB_PASSWORD_FILE are both set: set one of them"
        );
        assert!(settings(&[("DB_USER", "a"), ("DB_USERNAME", "b")]).is_err());
        assert!(settings(&[("DB_USER", "a"), ("DB_USERNAME", "a")]).is_ok());
    }

    #[test]
    fn the_alias_of_the_user_is_read() {
        assert_eq!(settings(&[("DB_USERNAME", "menu")]).unwrap().user, "menu");
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (variable, value, expected) in [
            (
                "DB_PORT",
                "tcp://10.0.0.1:5432",
                "a whole number from 1 to 65535",
            ),
            (
                "DB_SSLMODE",
                "on",
                "disable, prefer, require, verify-ca or verify-full",
            ),
            ("DB_WAIT_TIMEOUT", "soon", "a length of time"),
            ("DB_PASSWORD_FILE", "/nowhere", "a file with the secret"),
        ] {
            let message = settings(&[(variable, value)]).unwrap_err().to_string();
            assert!(message.starts_with(variable), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_password_is_not_in_the_debug_output() {
        let settings = settings(&[("DB_PASSWORD", "hush")]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
