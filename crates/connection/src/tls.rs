//! TLS as libpq's `sslmode` defines it, through rustls.

use std::path::Path;
use std::sync::Arc;

use environment::SettingError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::layer::RootCertificates;
use crate::settings::ConnectionSettings;
use crate::ssl_mode::SslMode;

/// Makes TLS connections as the settings ask.
pub type Tls = MakeRustlsConnect;

/// Builds the TLS side of the settings; reads the root certificates where they are needed.
pub(crate) fn tls(settings: &ConnectionSettings) -> Result<Tls, SettingError> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match verification(settings) {
        Verification::None => Arc::new(Unverified(provider.clone())),
        Verification::Authority => Arc::new(AuthorityOnly(verifier(settings, provider.clone())?)),
        Verification::Full => verifier(settings, provider.clone())?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingError::Unusable {
            variable: "DB_SSLMODE".to_owned(),
            problem: error.to_string(),
        })?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

enum Verification {
    None,
    Authority,
    Full,
}

fn verification(settings: &ConnectionSettings) -> Verification {
    match settings.ssl_mode {
        SslMode::Disable | SslMode::Prefer => Verification::None,
        // As libpq does: a root certificate that is given is used.
        SslMode::Require if settings.root_certificates.is_none() => Verification::None,
        SslMode::Require | SslMode::VerifyCa => Verification::Authority,
        SslMode::VerifyFull => Verification::Full,
    }
}

fn verifier(
    settings: &ConnectionSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, SettingError> {
    let roots = match &settings.root_certificates {
        Some(certificates) if certificates.file.as_path() != Path::new("system") => {
            read(certificates)?
        }
        _ => roots_of_system()?,
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| SettingError::Unusable {
            variable: "DB_SSLROOTCERT".to_owned(),
            problem: error.to_string(),
        })
}

fn roots_of_system() -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(SettingError::Unusable {
            variable: "DB_SSLROOTCERT".to_owned(),
            problem: "the system has no certificate authorities; name a file of them".to_owned(),
        });
    }
    Ok(roots)
}

fn read(certificates: &RootCertificates) -> Result<RootCertStore, SettingError> {
    let invalid = |problem: &dyn std::fmt::Display| SettingError::Invalid {
        variable: certificates.setting.clone(),
        value: certificates.file.display().to_string(),
        expected: format!("a file of PEM certificates ({problem})"),
    };
    let mut roots = RootCertStore::empty();
    let listed = CertificateDer::pem_file_iter(&certificates.file);
    for certificate in listed.map_err(|error| invalid(&error))? {
        let certificate = certificate.map_err(|error| invalid(&error))?;
        roots.add(certificate).map_err(|error| invalid(&error))?;
    }
    if roots.is_empty() {
        return Err(invalid(&"it holds none"));
    }
    Ok(roots)
}

/// Accepts any certificate, but still proves that the peer has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a certificate from a trusted authority whatever host it names.
#[derive(Debug)]
struct AuthorityOnly(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AuthorityOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is checked last, so this error means that all else holds.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
