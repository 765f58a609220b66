//! `man`: the manual's pages.

use clap::Command;
use clap_mangen::Man;
use exit_code::{ExitCode, Failure};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ManError {
    /// No command has this name.
    #[error("there is no command {name:?}; expected {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The page could not be made.
    #[error("the page could not be made: {0}")]
    Page(#[from] std::io::Error),
}

impl Failure for ManError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } => ExitCode::Usage,
            Self::Page(_) => ExitCode::Failed,
        }
    }
}

/// The page of the program, or that of one of its commands, in roff.
pub(crate) fn man(mut program: Command, command: Option<&str>) -> Result<String, ManError> {
    program.build();
    let described = match command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => return Err(unknown(name, &program)),
        },
    };
    let mut page = Vec::new();
    Man::new(described).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unknown(name: &str, program: &Command) -> ManError {
    let known: Vec<_> = program.get_subcommands().map(Command::get_name).collect();
    ManError::Unknown {
        name: name.to_owned(),
        known: known.join(", "),
    }
}
