//! Settings, TLS and the command line, as their user meets them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{bare_program, directory, last_lines, program};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use test_postgres::Server;
use test_process::run;

#[test]
fn bad_settings_name_the_variable_and_what_was_expected() {
    for (variable, value, expected) in [
        ("DB_PORT", "abc", "a port, a whole number from 1 to 65535"),
        (
            "DB_SSLMODE",
            "on",
            "disable, prefer, require, verify-ca or verify-full",
        ),
        ("DB_WAIT_TIMEOUT", "soon", "a length of time such as"),
        (
            "DB_PASSWORD_FILE",
            "/nowhere",
            "a file with the secret in it",
        ),
        (
            "DATABASE_URL",
            "mysql://h/d",
            "a URL that begins with postgres://",
        ),
        ("MIGRATIONS_DIR", "/nowhere", "a directory that can be read"),
        ("MIGRATION_TABLE", "a.b.c", "a table's name"),
        ("MIGRATION_LOCK_TIMEOUT", "-1", "a length of time such as"),
        ("MIGRATION_RUNNER_WAIT", "forever", "or none"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("LOG_LEVEL", "loud", "error, warn, info, debug or trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "a URL such as"),
    ] {
        let ended = run(bare_program().env(variable, value));
        assert_eq!(ended.code, Some(2), "{variable}: {ended:?}");
        let verdict = last_lines(&ended);
        assert!(
            verdict.contains(&format!("✗ database-migration: {variable}")),
            "{verdict}"
        );
        assert!(verdict.contains(expected), "{verdict}");
    }
}

#[test]
fn the_command_line_explains_itself_and_refuses_what_it_does_not_know() {
    let help = run(bare_program().arg("--help"));
    assert_eq!(help.code, Some(0));
    for part in [
        "Usage:",
        "--migrations",
        "MIGRATIONS_DIR",
        "DB_HOST",
        "Exit codes:",
    ] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    let version = run(bare_program().arg("--version"));
    assert_eq!(
        version.stdout,
        format!("database-migration {}\n", env!("CARGO_PKG_VERSION"))
    );
    let unknown = run(bare_program().arg("--no-such-flag"));
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("--no-such-flag"), "{unknown:?}");
    let missing = run(bare_program().args(["--migrations", "/nowhere"]));
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("--migrations=\"/nowhere\""),
        "{missing:?}"
    );
}

#[tokio::test]
async fn refusals_that_waiting_cannot_change_are_told_at_once() {
    let database = Server::shared().database().await;
    let started = Instant::now();
    let wrong_password = run(program(&database).env("DB_PASSWORD", "not-the-password"));
    assert_eq!(wrong_password.code, Some(2), "{wrong_password:?}");
    assert!(wrong_password.stderr.contains("SQLSTATE 28P01"));
    assert!(!wrong_password.stderr.contains("not-the-password"));

    let missing = run(program(&database).env("DB_NAME", "no_such_database"));
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("SQLSTATE 3D000"));

    let no_tls = run(program(&database).env("DB_SSLMODE", "require"));
    assert_eq!(no_tls.code, Some(2), "{no_tls:?}");
    assert!(no_tls.stderr.contains("server does not support TLS"));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_database_that_is_being_set_up_has_its_grace() {
    let database = Server::shared().database().await;
    let started = Instant::now();
    let ended = run(program(&database)
        .env("DB_NAME", "no_such_database")
        .env("DB_STARTUP_GRACE", "1s"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_server_that_is_not_there_is_given_up_in_time() {
    let started = Instant::now();
    let ended = run(bare_program()
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", "1")
        .env("DB_WAIT_TIMEOUT", "1s"));
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("127.0.0.1:1/orderfood was not reached within 1 s")
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_url_and_the_password_file_lead_to_the_database() {
    let database = Server::shared().database().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{}\n", Server::shared().password())).unwrap();
    let url = format!(
        "postgresql://postgres@127.0.0.1:{}/{}?sslmode=prefer",
        Server::shared().port(),
        database.name()
    );
    let ended = run(bare_program()
        .env("DATABASE_URL", url)
        .env("DB_PASSWORD_FILE", &file)
        .env("DB_HOST", "host.invalid"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A certificate authority, and a certificate of it for a server.
struct Certificates {
    directory: TempDir,
}

impl Certificates {
    fn new(server_name: &str) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        let authority_key = KeyPair::generate().unwrap();
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new([server_name.to_owned()])
            .unwrap()
            .signed_by(&server_key, &issuer)
            .unwrap();

        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("ca.crt", authority_certificate.pem()),
            ("server.crt", server.pem()),
            ("server.key", server_key.serialize_pem()),
        ] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        Self { directory }
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn authority(&self) -> std::path::PathBuf {
        self.directory().join("ca.crt")
    }
}

#[tokio::test]
async fn tls_proves_the_servers_identity() {
    let ours = Certificates::new("localhost");
    let others = Certificates::new("localhost");
    let server = Server::start(&["--tls", ours.directory().to_str().unwrap()]);
    let database = server.database().await;
    let proof = directory(&[(
        "1_proof.sql",
        "CREATE TABLE proof AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();",
    )]);
    let run_with = |mode: &str, authority: &Certificates, host: &str| {
        run(program(&database)
            .env("DB_SSLMODE", mode)
            .env("DB_SSLROOTCERT", authority.authority())
            .env("DB_HOST", host)
            .env("MIGRATIONS_DIR", proof.path()))
    };

    let full = run(program(&database)
        .env("DB_SSLMODE", "verify-full")
        .env("DB_SSLROOTCERT", ours.authority())
        .env("DB_HOST", "localhost")
        .env("MIGRATIONS_DIR", proof.path()));
    assert_eq!(full.code, Some(0), "{full:?}");
    assert_eq!(database.value("SELECT ssl FROM proof").await, "t");
    let wrong_authority = run_with("verify-full", &others, "localhost");
    assert_eq!(wrong_authority.code, Some(2), "{wrong_authority:?}");
    assert!(
        wrong_authority
            .stderr
            .contains("no TLS connection to PostgreSQL"),
        "{wrong_authority:?}"
    );
    let wrong_host = run_with("verify-full", &ours, "127.0.0.1");
    assert_eq!(wrong_host.code, Some(2), "{wrong_host:?}");

    // verify-ca does not look at the host's name, but at the authority.
    assert_eq!(run_with("verify-ca", &ours, "127.0.0.1").code, Some(0));
    assert_eq!(run_with("verify-ca", &others, "localhost").code, Some(2));
    // As with libpq, require with a root certificate verifies it.
    assert_eq!(run_with("require", &others, "localhost").code, Some(2));
    let unverified = run(program(&database)
        .env("DB_SSLMODE", "require")
        .env("MIGRATIONS_DIR", proof.path()));
    assert_eq!(unverified.code, Some(0), "{unverified:?}");
}
