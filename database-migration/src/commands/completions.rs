//! `completions`: what a shell needs to complete the command line.

use std::string::FromUtf8Error;

use clap::Command;
use clap_complete::{Shell, generate};
use exit_code::{ExitCode, Failure};

/// Why there is nothing for the shell to read.
#[derive(Debug, thiserror::Error)]
#[error("the completions could not be made: {0}")]
pub struct CompletionsError(#[from] FromUtf8Error);

impl Failure for CompletionsError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Failed
    }
}

/// The file that the shell reads.
pub(crate) fn completions(mut program: Command, shell: Shell) -> Result<String, CompletionsError> {
    let name = program.get_name().to_owned();
    let mut file = Vec::new();
    generate(shell, &mut program, name, &mut file);
    Ok(String::from_utf8(file)?)
}
