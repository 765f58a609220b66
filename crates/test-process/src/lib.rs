//! Running programs in tests, as their users do.

#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)] // What fails here fails the test.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A command without any variables but PATH.
pub fn bare_command(executable: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(executable);
    command.env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// What a program left behind, as its user sees it.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; a signal that killed it is none.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("output is UTF-8"),
        }
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    command.output().expect("the program starts").into()
}

/// A program that runs.
pub struct Running(Child);

/// Starts a command and returns while it runs.
pub fn start(command: &mut Command) -> Running {
    let process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    Running(process)
}

impl Running {
    /// Sends a signal, such as `TERM`. A program that has ended meanwhile gets none.
    pub fn signal(&mut self, name: &str) {
        if self.0.try_wait().expect("it is our child").is_none() {
            signal(self.0.id(), name);
        }
    }

    /// Waits for its end; a program that still runs after `limit` fails the test.
    pub fn end_within(mut self, limit: Duration) -> Ended {
        let started = Instant::now();
        while self.0.try_wait().expect("it is our child").is_none() {
            if started.elapsed() > limit {
                self.signal("KILL");
                panic!("the program still runs after {limit:?}: {:?}", self.end());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end()
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        let output = self.0.wait_with_output();
        output.expect("its output can be read").into()
    }
}

/// Sends a signal to a process that has not ended.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}

/// A port that nobody listens on. It is below those that the kernel gives to clients, so nobody takes it by chance.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let process = u16::try_from(std::process::id() % 9_000).expect("it is below 9,000");
        let port = 10_000 + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
