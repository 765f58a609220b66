//! libpq's `sslmode`.

use environment::SettingError;

/// How much of the server's identity is proven. See libpq's documentation, section "SSL Mode Descriptions".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it, unverified.
    Prefer,
    /// TLS; verified as by `verify-ca` when a root certificate is given.
    Require,
    /// TLS with a certificate from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    pub(crate) fn parse(variable: &str, value: &str) -> Result<Self, SettingError> {
        match value {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(SettingError::Invalid {
                variable: variable.to_owned(),
                value: value.to_owned(),
                expected: "disable, prefer, require, verify-ca or verify-full".to_owned(),
            }),
        }
    }

    pub(crate) fn driver_mode(self) -> tokio_postgres::config::SslMode {
        match self {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Prefer => tokio_postgres::config::SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        }
    }
}
