//! What one layer of settings says about the database: the variables, or the defaults below them.

use std::path::PathBuf;

use environment::{Environment, SettingError, value};
use serde::Deserialize;
use tokio_postgres::config::ChannelBinding;

use crate::database_url::DatabaseUrl;
use crate::ssl_mode::SslMode;

/// The variables of one layer. What its URL says wins over its parts.
pub(crate) struct Layer {
    environment: Environment,
    url: Option<DatabaseUrl>,
    parts: Parts,
}

/// The file of the certificate authorities to trust.
#[derive(Clone)]
pub(crate) struct RootCertificates {
    pub(crate) file: PathBuf,
    /// What says so, for errors.
    pub(crate) setting: String,
}

#[derive(Deserialize)]
struct Parts {
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
}

impl Layer {
    pub(crate) fn read(environment: Environment) -> Result<Self, SettingError> {
        let parts: Parts = environment.read()?;
        let url = parts
            .database_url
            .as_deref()
            .map(|url| DatabaseUrl::parse(&environment.name("DATABASE_URL"), url))
            .transpose()?;
        Ok(Self {
            environment,
            url,
            parts,
        })
    }

    pub(crate) fn has_url(&self) -> bool {
        self.url.is_some()
    }

    pub(crate) fn host(&self) -> Option<String> {
        let of_url = self.url.as_ref().and_then(|url| url.host.clone());
        of_url.or_else(|| self.parts.db_host.clone())
    }

    pub(crate) fn port(&self) -> Result<Option<u16>, SettingError> {
        match self.url.as_ref().and_then(|url| url.port) {
            Some(port) => Ok(Some(port)),
            None => self.parse("DB_PORT", self.parts.db_port.as_deref(), value::port),
        }
    }

    pub(crate) fn user(&self) -> Result<Option<String>, SettingError> {
        match self.url.as_ref().and_then(|url| url.user.clone()) {
            Some(user) => Ok(Some(user)),
            None => self.user_of_parts(),
        }
    }

    pub(crate) fn password(&self) -> Result<Option<String>, SettingError> {
        match self.url.as_ref().and_then(|url| url.password.clone()) {
            Some(password) => Ok(Some(password)),
            None => self.password_of_parts(),
        }
    }

    pub(crate) fn database(&self) -> Option<String> {
        let of_url = self.url.as_ref().and_then(|url| url.database.clone());
        of_url.or_else(|| self.parts.db_name.clone())
    }

    pub(crate) fn ssl_mode(&self) -> Result<Option<SslMode>, SettingError> {
        match self.url.as_ref().and_then(|url| url.ssl_mode) {
            Some(mode) => Ok(Some(mode)),
            None => self.parse(
                "DB_SSLMODE",
                self.parts.db_sslmode.as_deref(),
                SslMode::parse,
            ),
        }
    }

    pub(crate) fn root_certificates(&self) -> Option<RootCertificates> {
        let url = self.url.as_ref();
        let of_url = url.and_then(|url| url.ssl_root_certificate.as_ref());
        let found = |variable: &str, suffix: &str, file: PathBuf| RootCertificates {
            setting: format!("{}{suffix}", self.environment.name(variable)),
            file,
        };
        match (of_url, &self.parts.db_sslrootcert) {
            (Some(file), _) => Some(found("DATABASE_URL", ", sslrootcert", file.clone())),
            (None, Some(file)) => Some(found("DB_SSLROOTCERT", "", PathBuf::from(file))),
            (None, None) => None,
        }
    }

    pub(crate) fn channel_binding(&self) -> Option<ChannelBinding> {
        self.url.as_ref().and_then(|url| url.channel_binding)
    }

    /// The user or its alias; two different values are an error rather than a guess.
    fn user_of_parts(&self) -> Result<Option<String>, SettingError> {
        match (&self.parts.db_user, &self.parts.db_username) {
            (Some(user), Some(alias)) if user != alias => {
                Err(self.conflict("DB_USER", "DB_USERNAME"))
            }
            (user, alias) => Ok(user.as_ref().or(alias.as_ref()).cloned()),
        }
    }

    fn password_of_parts(&self) -> Result<Option<String>, SettingError> {
        match (&self.parts.db_password, &self.parts.db_password_file) {
            (Some(_), Some(_)) => Err(self.conflict("DB_PASSWORD", "DB_PASSWORD_FILE")),
            (None, path) => self.parse("DB_PASSWORD_FILE", path.as_deref(), value::secret_file),
            (Some(password), None) => Ok(Some(password.clone())),
        }
    }

    fn parse<Value>(
        &self,
        variable: &str,
        value: Option<&str>,
        parse: impl Fn(&str, &str) -> Result<Value, SettingError>,
    ) -> Result<Option<Value>, SettingError> {
        value
            .map(|value| parse(&self.environment.name(variable), value))
            .transpose()
    }

    fn conflict(&self, first: &str, second: &str) -> SettingError {
        SettingError::Conflict {
            first: self.environment.name(first),
            second: self.environment.name(second),
        }
    }
}
