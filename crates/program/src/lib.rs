//! What every program does around its work: telemetry, signals, the verdict in its last lines, the exit code.

use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

use environment::Environment;
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use telemetry::{LogOutput, Telemetry};
use tracing::{Instrument, Span, error, field, info, info_span};

/// How long threads may take to end that read a file or look up a name when the program is asked to stop.
const LEFT_THREADS: Duration = Duration::from_millis(300);

/// A program, as its users know it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The name it is called by.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// How long a program lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It does its work and ends: one thread, and one span around all of it.
    Batch,
    /// It serves until it is stopped: a thread per core, and one span around its start.
    Server,
}

/// What a program's work gets from its surroundings.
pub struct Context {
    /// The variables to read settings from.
    pub environment: Environment,
    /// Tells when the process is asked to stop.
    pub shutdown: Shutdown,
    /// The span of the whole run, or of the start of a server, which ends it by dropping it.
    pub span: Span,
}

impl Program {
    /// Runs `work` and maps its outcome to an exit code, after saying it in the last lines of output.
    pub fn run<Work, Outcome, Error>(
        self,
        environment: Environment,
        work: Work,
    ) -> std::process::ExitCode
    where
        Work: FnOnce(Context) -> Outcome,
        Outcome: Future<Output = Result<String, Error>>,
        Error: Failure,
    {
        self.run_with_log(LogOutput::ByLevel, environment, work)
    }

    /// Does the same for work that writes a document to standard output: every line of the log, the verdict too, goes
    /// to standard error.
    pub fn run_for_document<Work, Outcome, Error>(
        self,
        environment: Environment,
        work: Work,
    ) -> std::process::ExitCode
    where
        Work: FnOnce(Context) -> Outcome,
        Outcome: Future<Output = Result<String, Error>>,
        Error: Failure,
    {
        self.run_with_log(LogOutput::StandardError, environment, work)
    }

    fn run_with_log<Work, Outcome, Error>(
        self,
        output: LogOutput,
        environment: Environment,
        work: Work,
    ) -> std::process::ExitCode
    where
        Work: FnOnce(Context) -> Outcome,
        Outcome: Future<Output = Result<String, Error>>,
        Error: Failure,
    {
        let telemetry = match Telemetry::start(self.name, self.version, &environment, output) {
            Ok(telemetry) => telemetry,
            Err(error) => {
                // There is no log yet to say it in.
                return self.complain(&error, None, ExitCode::Usage).into();
            }
        };
        let code = self.run_traced(&telemetry, environment, work);
        telemetry.finish();
        code.into()
    }

    /// Prints what work returned that takes no time and needs no log. The text is for other programs to read, so nothing
    /// is added to it.
    pub fn print<Error: Failure>(self, text: Result<String, Error>) -> std::process::ExitCode {
        let code = match text {
            Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::Done,
                Err(error) => self.complain(&error, None, ExitCode::Failed),
            },
            Err(error) => self.complain(&error, error.next_step(), error.exit_code()),
        };
        code.into()
    }

    /// Says on standard error, without a log, why the program ends.
    fn complain(
        self,
        error: &dyn std::error::Error,
        next_step: Option<String>,
        code: ExitCode,
    ) -> ExitCode {
        eprintln!("✗ {}", self.complaint(error, next_step, code));
        code
    }

    fn run_traced<Work, Outcome, Error>(
        self,
        telemetry: &Telemetry,
        environment: Environment,
        work: Work,
    ) -> ExitCode
    where
        Work: FnOnce(Context) -> Outcome,
        Outcome: Future<Output = Result<String, Error>>,
        Error: Failure,
    {
        let span = info_span!(
            "program",
            otel.name = self.name,
            otel.kind = "internal",
            process.executable.name = self.name,
            process.pid = i64::from(std::process::id()),
            process.exit.code = field::Empty,
            error.r#type = field::Empty,
            otel.status_code = field::Empty,
        );
        telemetry.adopt_startup_span(&span);
        let run = match self.lifetime {
            Lifetime::Batch => span.clone(),
            Lifetime::Server => Span::none(),
        };

        let outcome = self.runtime().and_then(|runtime| {
            let outcome = runtime.block_on(async {
                let shutdown = Shutdown::listen()?;
                let context = Context {
                    environment,
                    shutdown,
                    span,
                };
                Ok(work(context).instrument(run.clone()).await)
            });
            runtime.shutdown_timeout(LEFT_THREADS);
            outcome
        });
        let _in_run = run.enter();
        match outcome {
            Ok(Ok(verdict)) => {
                info!("✓ {}: {verdict}", self.name);
                run.record("process.exit.code", ExitCode::Done as i64);
                ExitCode::Done
            }
            Ok(Err(error)) => {
                let code = error.exit_code();
                self.report(&error, error.next_step(), code);
                run.record("process.exit.code", code as i64);
                run.record("error.type", format!("{code:?}"));
                run.record("otel.status_code", "ERROR");
                code
            }
            Err(error) => {
                self.report(&error, None, ExitCode::Failed);
                ExitCode::Failed
            }
        }
    }

    fn runtime(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self.lifetime {
            Lifetime::Batch => tokio::runtime::Builder::new_current_thread(),
            Lifetime::Server => tokio::runtime::Builder::new_multi_thread(),
        }
        .enable_all()
        .build()
    }

    fn report(self, error: &dyn std::error::Error, next_step: Option<String>, code: ExitCode) {
        error!("{}", self.complaint(error, next_step, code));
    }

    /// The error may have many lines; the last one is the verdict all the same.
    fn complaint(
        self,
        error: &dyn std::error::Error,
        next_step: Option<String>,
        code: ExitCode,
    ) -> String {
        let next_step = next_step.map_or_else(String::new, |step| format!("\n  next: {step}"));
        format!(
            "{name}: {error}{next_step}\n✗ {name} ended with exit code {number}: {code}",
            name = self.name,
            number = code as u8
        )
    }
}
