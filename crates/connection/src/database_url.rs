//! `DATABASE_URL`, a connection URI as in libpq's documentation, section "Connection URIs".

use std::path::PathBuf;

use environment::SettingError;
use tokio_postgres::config::{ChannelBinding, Host};

use crate::ssl_mode::SslMode;

/// What a URL says; the rest is `None`.
#[derive(Default)]
pub(crate) struct DatabaseUrl {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) ssl_mode: Option<SslMode>,
    pub(crate) ssl_root_certificate: Option<PathBuf>,
    pub(crate) channel_binding: Option<ChannelBinding>,
}

impl DatabaseUrl {
    /// Parses the URL. Errors never repeat it, since it may hold a password.
    pub(crate) fn parse(variable: &str, url: &str) -> Result<Self, SettingError> {
        let unusable = |problem: String| SettingError::Unusable {
            variable: variable.to_owned(),
            problem,
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unusable(
                "expected a URL that begins with postgres:// or postgresql://".to_owned(),
            ));
        }

        // tokio-postgres knows neither sslrootcert nor the verifying modes, so the query is read here.
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "sslmode" => {
                    parsed.ssl_mode =
                        Some(SslMode::parse(&format!("{variable}, sslmode"), &value)?);
                }
                "sslrootcert" => {
                    parsed.ssl_root_certificate = Some(PathBuf::from(value.into_owned()));
                }
                "channel_binding" => {
                    parsed.channel_binding = Some(match value.as_ref() {
                        "disable" => ChannelBinding::Disable,
                        "prefer" => ChannelBinding::Prefer,
                        "require" => ChannelBinding::Require,
                        _ => {
                            return Err(unusable(
                                "channel_binding: expected disable, prefer or require".to_owned(),
                            ));
                        }
                    });
                }
                "host" => parsed.host = Some(value.into_owned()),
                "port" => {
                    parsed.port = Some(environment::value::port(
                        &format!("{variable}, port"),
                        &value,
                    )?);
                }
                "user" => parsed.user = Some(value.into_owned()),
                "password" => parsed.password = Some(value.into_owned()),
                "dbname" => parsed.database = Some(value.into_owned()),
                other => {
                    return Err(unusable(format!(
                        "unknown parameter {other:?}; known are sslmode, sslrootcert, channel_binding, \
                         host, port, user, password and dbname"
                    )));
                }
            }
        }

        let config: tokio_postgres::Config = base
            .parse()
            .map_err(|_| unusable("expected postgres://user:password@host:port/database, with reserved characters in their percent-encoded form".to_owned()))?;
        if config.get_hosts().len() > 1 {
            return Err(unusable("expected one host".to_owned()));
        }
        if parsed.host.is_none() {
            parsed.host = config.get_hosts().first().map(|host| match host {
                Host::Tcp(host) => host.clone(),
                Host::Unix(path) => path.display().to_string(),
            });
        }
        parsed.port = parsed.port.or(config.get_ports().first().copied());
        parsed.user = parsed.user.or(config.get_user().map(str::to_owned));
        parsed.database = parsed.database.or(config.get_dbname().map(str::to_owned));
        if parsed.password.is_none() {
            parsed.password = config
                .get_password()
                .map(|password| String::from_utf8_lossy(password).into_owned());
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_part_is_read() {
        let url = DatabaseUrl::parse(
            "DATABASE_URL",
            "postgresql://us%40er:p%3Aw@db:5433/shop?sslmode=verify-ca&sslrootcert=/ca.crt",
        )
        .unwrap();
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password.as_deref(), Some("p:w"));
        assert_eq!(url.host.as_deref(), Some("db"));
        assert_eq!(url.port, Some(5433));
        assert_eq!(url.database.as_deref(), Some("shop"));
        assert_eq!(url.ssl_mode, Some(SslMode::VerifyCa));
        assert_eq!(url.ssl_root_certificate, Some(PathBuf::from("/ca.crt")));
    }

    #[test]
    fn errors_do_not_repeat_the_password() {
        for url in [
            "mysql://u:hush@h/d",
            "postgres://u:hush@h:notaport/d",
            "postgres://u:hush@h/d?sslmode=on",
            "postgres://u:hush@h/d?gssencmode=prefer",
            "postgres://u:hush@a,b/d",
        ] {
            let Err(error) = DatabaseUrl::parse("DATABASE_URL", url) else {
                panic!("{url} was accepted");
            };
            let message = error.to_string();
            assert!(message.starts_with("DATABASE_URL"), "{message}");
            assert!(!message.contains("hush"), "{message}");
        }
    }
}
