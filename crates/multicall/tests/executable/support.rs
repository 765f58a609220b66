//! Calling the executable by its names.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use test_postgres::Database;
use test_process::{Ended, free_port};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_order-food-tools");

/// The executable called by a name, without any settings.
pub(crate) fn bare(name: &str) -> Command {
    let mut command = test_process::bare_command(EXECUTABLE);
    command.arg0(name);
    command
}

/// The executable called by a name, led to a test's database.
pub(crate) fn program(name: &str, database: &Database<'_>) -> Command {
    let mut command = database.command(EXECUTABLE);
    command.arg0(name);
    command
}

/// The API as a running process.
pub(crate) struct Api {
    process: Child,
    port: u16,
}

impl Api {
    /// Starts the API on a free port and returns when it is ready.
    pub(crate) fn start(command: &mut Command) -> Self {
        let port = free_port();
        let process = command
            .env("PORT", port.to_string())
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let api = Self { process, port };
        let started = Instant::now();
        while !api.get("/ready").starts_with("HTTP/1.1 200") {
            assert!(started.elapsed() < Duration::from_secs(20), "not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        api
    }

    /// The whole answer to a GET request; nothing if there is none.
    pub(crate) fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return String::new();
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| std::io::Read::read_to_string(&mut stream, &mut answer))
            .map(|_| answer)
            .unwrap_or_default()
    }

    /// Stops it as Kubernetes does.
    pub(crate) fn stop(self) -> Ended {
        let status = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        self.process.wait_with_output().unwrap().into()
    }
}
