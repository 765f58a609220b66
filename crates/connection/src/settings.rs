//! Where the database is and how to reach it, from environment variables.

use std::time::Duration;

use environment::{Environment, SettingError, value};
use serde::Deserialize;
use tokio_postgres::config::ChannelBinding;

use crate::layer::{Layer, RootCertificates};
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
    pub(crate) root_certificates: Option<RootCertificates>,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) wait_timeout: Duration,
    pub(crate) startup_grace: Duration,
    /// This machine's name; in a pod, the pod's.
    pub(crate) client_name: Option<String>,
}

#[derive(Deserialize)]
struct Limits {
    db_wait_timeout: Option<String>,
    db_startup_grace: Option<String>,
}

impl ConnectionSettings {
    /// Reads the settings. What `DATABASE_URL` says wins over the parts; what it leaves out comes from them. Defaults
    /// below the variables are read in the same way for what no variable says, unless `DATABASE_URL` is set: it is not
    /// mixed with what a default says about another server.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let [variables, defaults] = environment.layers();
        let mut layers = vec![Layer::read(variables)?];
        if !layers[0].has_url() {
            layers.push(Layer::read(defaults)?);
        }
        let limits: Limits = environment.read()?;
        let name = |variable: &str| environment.name(variable);

        Ok(Self {
            host: layers
                .iter()
                .find_map(Layer::host)
                .unwrap_or_else(|| "localhost".to_owned()),
            port: first(&layers, Layer::port)?.unwrap_or(5432),
            user: first(&layers, Layer::user)?.unwrap_or_else(|| "postgres".to_owned()),
            password: first(&layers, Layer::password)?.unwrap_or_else(|| "postgres".to_owned()),
            database: layers
                .iter()
                .find_map(Layer::database)
                .unwrap_or_else(|| "orderfood".to_owned()),
            ssl_mode: first(&layers, Layer::ssl_mode)?.unwrap_or(SslMode::Disable),
            root_certificates: layers.iter().find_map(Layer::root_certificates),
            channel_binding: layers
                .iter()
                .find_map(Layer::channel_binding)
                .unwrap_or(ChannelBinding::Prefer),
            wait_timeout: duration(&name("DB_WAIT_TIMEOUT"), limits.db_wait_timeout, 60)?,
            startup_grace: duration(&name("DB_STARTUP_GRACE"), limits.db_startup_grace, 0)?,
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

/// What the first layer says that says anything. A value that another one hides is not looked at.
fn first<Value>(
    layers: &[Layer],
    read: impl Fn(&Layer) -> Result<Option<Value>, SettingError>,
) -> Result<Option<Value>, SettingError> {
    for layer in layers {
        if let Some(value) = read(layer)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
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

    use environment::DefaultValue;

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

    fn layered(
        variables: &[(&str, &str)],
        defaults: &[(&'static str, &str)],
    ) -> Result<ConnectionSettings, SettingError> {
        let defaults = defaults.iter().map(|(variable, value)| DefaultValue {
            variable,
            value: (*value).to_owned(),
            origin: format!("file: {variable}"),
        });
        ConnectionSettings::from_environment(
            &Environment::from_variables(variables.iter().copied()).with_defaults(defaults),
        )
    }

    #[test]
    fn a_variable_wins_over_a_default_of_another_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "of the variable\n").unwrap();
        let path = file.path().to_str().unwrap();
        let settings = layered(
            &[("DB_PASSWORD_FILE", path), ("DB_USERNAME", "variable")],
            &[("DB_PASSWORD", "of the file"), ("DB_USER", "file")],
        )
        .unwrap();
        assert_eq!(settings.password, "of the variable");
        assert_eq!(settings.user, "variable");
        let settings = layered(
            &[("DB_PASSWORD", "of the variable")],
            &[("DB_PASSWORD_FILE", "/nowhere")],
        )
        .unwrap();
        assert_eq!(settings.password, "of the variable");
    }

    #[test]
    fn a_part_wins_over_the_default_url_and_the_url_over_all_defaults() {
        let default_url = ("DATABASE_URL", "postgres://file:hush@file:1/file");
        let settings = layered(&[("DB_HOST", "variable")], &[default_url]).unwrap();
        assert_eq!(settings.target(), "variable:1/file");
        assert_eq!(settings.user, "file");

        let variables = [("DATABASE_URL", "postgres://host"), ("DB_USER", "variable")];
        let defaults = [
            default_url,
            ("DB_PORT", "no port"),
            ("DB_PASSWORD", "hush"),
            ("DB_NAME", "file"),
            ("DB_WAIT_TIMEOUT", "7s"),
        ];
        let settings = layered(&variables, &defaults).unwrap();
        assert_eq!(settings.target(), "host:5432/orderfood");
        assert_eq!(settings.user, "variable");
        assert_eq!(settings.password, "postgres");
        assert_eq!(settings.wait_timeout, Duration::from_secs(7));
    }

    #[test]
    fn errors_about_a_default_name_its_origin() {
        let error = layered(&[], &[("DB_PORT", "abc")]).unwrap_err();
        assert!(error.to_string().starts_with("file: DB_PORT=\"abc\""));
        let both = [("DB_PASSWORD", "a"), ("DB_PASSWORD_FILE", "/b")];
        assert_eq!(
            layered(&[], &both).unwrap_err().to_string(),
            "file: DB_PASSWORD and file: DB_PASSWORD_FILE are both set: set one of them"
        );
        assert!(layered(&[("DB_PORT", "1")], &[("DB_PORT", "abc")]).is_ok());
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
