//! Private PostgreSQL servers for tests, and a database of its own for each test.
//!
//! The servers come from `scripts/postgres-server temporary`, the same source as that of `./deploy.sh --local`. They
//! end with the test process, however it ends, since they watch their standard input.

#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)] // What fails here fails the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use test_process::{bare_command, signal};
use tokio_postgres::{Client, Config, NoTls};

/// A private server.
pub struct Server {
    port: u16,
    password: String,
    data_directory: PathBuf,
    /// Held so that the server lives; the end of its standard input ends the server.
    process: Child,
    output: Mutex<BufReader<ChildStdout>>,
}

impl Server {
    /// The server that the tests of one process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// A server of one's own, with options of `scripts/postgres-server temporary`.
    pub fn start(options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres-server");
        let mut process = Command::new(&script)
            .arg("temporary")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/postgres-server starts");
        let output = process.stdout.take().expect("its output is a pipe");
        let mut output = BufReader::new(output);
        let line = next_line(&mut output);
        let fields: Vec<_> = line.split_whitespace().collect();
        let ["ready", port, password, data_directory] = fields.as_slice() else {
            panic!("scripts/postgres-server did not start a server; its reason stands above");
        };
        Self {
            port: port.parse().expect("the port is a number"),
            password: (*password).to_owned(),
            data_directory: PathBuf::from(data_directory),
            process,
            output: Mutex::new(output),
        }
    }

    /// Crashes the server: its processes end at once, in the middle of their work. Returns when it runs again.
    pub fn crash(&self) {
        signal(self.process.id(), "USR1");
        let line = next_line(&mut *self.output.lock().expect("nobody panics with it"));
        assert!(line.starts_with("ready "), "it starts again: {line}");
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the user `postgres`.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where its data is; only its own user and root may look.
    pub fn data_directory(&self) -> &Path {
        &self.data_directory
    }

    /// Creates an empty database that goes with the returned value.
    pub async fn database(&self) -> Database<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        connect(&self.config("postgres"))
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .expect("a database can be created");
        Database { server: self, name }
    }

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .password(&self.password)
            .dbname(database);
        config
    }
}

/// A database of one test.
pub struct Database<'server> {
    server: &'server Server,
    name: String,
}

impl Database<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of the user `postgres` to it.
    pub async fn client(&self) -> Client {
        connect(&self.server.config(&self.name)).await
    }

    /// The first column of the only row that a query returns, as text.
    pub async fn value(&self, query: &str) -> String {
        let rows = self.values(query).await;
        let [value] = rows.as_slice() else {
            panic!("{query} returned {} rows", rows.len());
        };
        value.clone()
    }

    /// The first column of all rows that a query returns, as text.
    pub async fn values(&self, query: &str) -> Vec<String> {
        self.client()
            .await
            .simple_query(query)
            .await
            .expect(query)
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some(row.get(0).unwrap_or("NULL").to_owned())
                }
                _ => None,
            })
            .collect()
    }

    /// Waits until a query returns true, for twenty seconds at most.
    pub async fn until(&self, condition: &str) {
        let started = Instant::now();
        while self.value(condition).await != "t" {
            assert!(started.elapsed() < Duration::from_secs(20), "{condition}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs statements.
    pub async fn execute(&self, statements: &str) {
        self.client()
            .await
            .batch_execute(statements)
            .await
            .expect(statements);
    }

    /// A command whose only variables are those that lead to this database.
    pub fn command(&self, executable: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = bare_command(executable);
        command
            .env("DB_HOST", "127.0.0.1")
            .env("DB_PORT", self.server.port.to_string())
            .env("DB_PASSWORD", &self.server.password)
            .env("DB_NAME", &self.name);
        command
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let config = self.server.config("postgres");
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // A thread of its own, since this may run inside a runtime that must not block.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts")
                .block_on(async { connect(&config).await.batch_execute(&statement).await })
        });
        let outcome = dropping.join().expect("the thread ends");
        if !std::thread::panicking() {
            outcome.expect("the database can be dropped");
        }
    }
}

fn next_line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("its output is text");
    line
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config
        .connect(NoTls)
        .await
        .expect("the test server can be reached");
    tokio::spawn(connection);
    client
}
