//! Settings of the API.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use connection::{ConnectionSettings, ServerOptions};
use environment::{Environment, SettingError, value};
use serde::Deserialize;

/// The variables of this module with their meaning, for `--help` texts.
pub const VARIABLES: &str = "  PORT                port to listen on [8080]
  LISTEN_ADDRESS      address to listen on [0.0.0.0]
  API_KEY             what the header api_key of an order must hold [apitest, for development]
  API_KEY_FILE        file that holds the key, instead of API_KEY
  REQUEST_TIMEOUT     how long a request may take [10s]
  DRAIN_TIMEOUT       how long requests may take to finish after SIGTERM [20s]
  DB_POOL_SIZE        how many connections to the database there may be [16]
  DB_STATEMENT_TIMEOUT
                      how long a statement may take [5s]
";

/// What the header `api_key` of an order must hold. It shows in no output.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// The documented key, for development.
    const DEVELOPMENT: &str = "apitest";

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn is_for_development(&self) -> bool {
        self.0 == Self::DEVELOPMENT
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ApiKey(..)")
    }
}

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where the database is and how to reach it.
    pub connection: ConnectionSettings,
    /// Where to listen.
    pub address: SocketAddr,
    pub(crate) api_key: ApiKey,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long requests may take to finish once the process is asked to stop.
    pub drain_timeout: Duration,
    /// How many connections to the database there may be.
    pub pool_size: NonZeroUsize,
    /// How long a statement may take.
    pub statement_timeout: Duration,
}

#[derive(Deserialize)]
struct Variables {
    port: Option<String>,
    listen_address: Option<String>,
    api_key: Option<String>,
    api_key_file: Option<String>,
    request_timeout: Option<String>,
    drain_timeout: Option<String>,
    db_pool_size: Option<String>,
    db_statement_timeout: Option<String>,
}

impl ApiSettings {
    /// Reads the settings.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        let variables: Variables = environment.read()?;
        let name = |variable: &str| environment.name(variable);
        let address: IpAddr = value::number(
            &name("LISTEN_ADDRESS"),
            variables.listen_address.as_deref().unwrap_or("0.0.0.0"),
            "an IP address such as 0.0.0.0 or ::",
        )?;
        let port = value::port(&name("PORT"), variables.port.as_deref().unwrap_or("8080"))?;
        Ok(Self {
            connection: ConnectionSettings::from_environment(environment)?,
            address: SocketAddr::new(address, port),
            api_key: api_key(environment, variables.api_key, variables.api_key_file)?,
            request_timeout: limit(
                &name("REQUEST_TIMEOUT"),
                variables.request_timeout.as_deref().unwrap_or("10s"),
            )?,
            drain_timeout: value::duration(
                &name("DRAIN_TIMEOUT"),
                variables.drain_timeout.as_deref().unwrap_or("20s"),
            )?,
            pool_size: value::number(
                &name("DB_POOL_SIZE"),
                variables.db_pool_size.as_deref().unwrap_or("16"),
                "a whole number, 1 or more",
            )?,
            statement_timeout: limit(
                &name("DB_STATEMENT_TIMEOUT"),
                variables.db_statement_timeout.as_deref().unwrap_or("5s"),
            )?,
        })
    }

    /// What the server is asked for at the start of each connection.
    pub(crate) fn server_options(&self) -> ServerOptions {
        ServerOptions::default().timeout("statement_timeout", Some(self.statement_timeout))
    }
}

/// A length of time in which something can be done.
fn limit(variable: &str, value: &str) -> Result<Duration, SettingError> {
    match value::duration(variable, value)? {
        Duration::ZERO => Err(SettingError::Invalid {
            variable: variable.to_owned(),
            value: value.to_owned(),
            expected: "a length of time above 0, such as 500ms or 10s".to_owned(),
        }),
        limit => Ok(limit),
    }
}

fn api_key(
    environment: &Environment,
    key: Option<String>,
    file: Option<String>,
) -> Result<ApiKey, SettingError> {
    let (variable, key) = match (key, file) {
        (Some(_), Some(_)) => {
            return Err(SettingError::Conflict {
                first: environment.name("API_KEY"),
                second: environment.name("API_KEY_FILE"),
            });
        }
        (None, Some(path)) => {
            let variable = environment.name("API_KEY_FILE");
            let key = value::secret_file(&variable, &path)?;
            (variable, key)
        }
        (key, None) => (
            environment.name("API_KEY"),
            key.unwrap_or_else(|| ApiKey::DEVELOPMENT.to_owned()),
        ),
    };
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingError::Unusable {
            variable,
            problem: "expected a key of letters, digits and punctuation, as a header can carry it"
                .to_owned(),
        });
    }
    Ok(ApiKey(key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<ApiSettings, SettingError> {
        ApiSettings::from_environment(&Environment::from_variables(variables.iter().copied()))
    }

    #[test]
    fn defaults_are_those_of_the_help_text() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.address.to_string(), "0.0.0.0:8080");
        assert!(settings.api_key.is_for_development());
        assert_eq!(settings.request_timeout, Duration::from_secs(10));
        assert_eq!(settings.drain_timeout, Duration::from_secs(20));
        assert_eq!(settings.pool_size.get(), 16);
        assert_eq!(settings.statement_timeout, Duration::from_secs(5));
    }

    #[test]
    fn bad_values_name_their_variable_and_what_was_expected() {
        for (variable, value, expected) in [
            (
                "PORT",
                "tcp://10.0.0.1:8080",
                "a whole number from 1 to 65535",
            ),
            ("PORT", "0", "a whole number from 1 to 65535"),
            ("LISTEN_ADDRESS", "localhost", "an IP address"),
            ("REQUEST_TIMEOUT", "0", "a length of time above 0"),
            ("DRAIN_TIMEOUT", "soon", "a length of time"),
            ("DB_POOL_SIZE", "0", "a whole number, 1 or more"),
            ("DB_STATEMENT_TIMEOUT", "0s", "a length of time above 0"),
            ("API_KEY", "two words", "letters, digits and punctuation"),
            ("API_KEY_FILE", "/nowhere", "a file with the secret"),
            (
                "API_KEY_FILE",
                "/dev/null",
                "letters, digits and punctuation",
            ),
        ] {
            let message = settings(&[(variable, value)]).unwrap_err().to_string();
            assert!(message.starts_with(variable), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn two_keys_are_a_contradiction() {
        let error = settings(&[("API_KEY", "a"), ("API_KEY_FILE", "/b")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "API_KEY and API_KEY_FILE are both set: set one of them"
        );
    }

    #[test]
    fn the_key_is_in_no_output() {
        for key in [&[("API_KEY", "hush")][..], &[("API_KEY", "hush hush")]] {
            assert!(!format!("{:?}", settings(key)).contains("hush"));
        }
    }
}
