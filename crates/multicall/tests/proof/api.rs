//! The API as a running process, and requests to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use test_postgres::Database;
use test_process::{Ended, Running, free_port, start};

/// The executable called by a name, led to a test's database.
pub(crate) fn program(name: &str, database: &Database<'_>) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = database.command(env!("CARGO_BIN_EXE_order-food-tools"));
    command.arg0(name);
    command
}

pub(crate) struct Api {
    process: Option<Running>,
    port: u16,
}

impl Api {
    /// Starts it on a free port, and returns when it is ready.
    pub(crate) fn start(database: &Database<'_>) -> Self {
        let port = free_port();
        let mut command = program("order-food", database);
        command
            .env("PORT", port.to_string())
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("LOG_LEVEL", "warn");
        let api = Self {
            process: Some(start(&mut command)),
            port,
        };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err()
            || request(port, "GET", "/ready", "").0 != 200
        {
            assert!(started.elapsed() < Duration::from_secs(20), "not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        api
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as Kubernetes does.
    pub(crate) fn stop(mut self) -> Ended {
        let mut process = self.process.take().expect("it runs");
        process.signal("TERM");
        process.end_within(Duration::from_mins(1))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("KILL");
        }
    }
}

/// The status and the body of the answer to a request with the right key.
pub(crate) fn request(port: u16, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\napi_key: apitest\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).expect(head).parse().expect(head);
    (status, serde_json::from_str(body).unwrap_or_default())
}
