//! The exit codes that all programs share, so that charts can map them in `podFailurePolicy`.

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, also when there was nothing to do.
    Done = 0,
    /// The work failed.
    Failed = 1,
    /// Bad usage or configuration: running again without a change will not help.
    Usage = 2,
    /// Work is pending.
    Pending = 3,
    /// Migration files and history disagree, or a table and the source that it was loaded from.
    Disagreement = 4,
    /// The server was not reached in time.
    Unreachable = 5,
    /// The lock was not obtained in time.
    LockTimeout = 6,
    /// Bad data over the allowed budget.
    BadData = 7,
    /// Stopped by SIGTERM or SIGINT, with the work rolled back and the lock released.
    Terminated = 143,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl std::fmt::Display for ExitCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Done => "done",
            Self::Failed => "the work failed",
            Self::Usage => "bad usage or configuration",
            Self::Pending => "work is pending",
            Self::Disagreement => "files and database disagree",
            Self::Unreachable => "the server was not reached in time",
            Self::LockTimeout => "a lock was not obtained in time",
            Self::BadData => "bad data",
            Self::Terminated => "stopped as asked",
        })
    }
}

/// An error that knows how the program that meets it should end.
pub trait Failure: std::error::Error {
    /// The exit code that tells this error apart.
    fn exit_code(&self) -> ExitCode;

    /// What the person who reads the message should do next.
    fn next_step(&self) -> Option<String> {
        None
    }
}
