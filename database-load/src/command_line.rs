//! The command line of the program.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use connection::ConnectError;
use environment::Environment;
use program::{Context, Lifetime, Program};

use crate::commands::export::{Export, export};
use crate::commands::load::load;
use crate::commands::rejects::rejects;
use crate::commands::status::status;
use crate::commands::validate::validate;
use crate::commands::verify::verify;
use crate::error::LoadError;
use crate::manifest::Format;
use crate::settings::{IfRunning, LoadSettings, Overrides};

const PROGRAM: Program = Program {
    name: "database-load",
    version: env!("CARGO_PKG_VERSION"),
    lifetime: Lifetime::Batch,
};

/// Loads and refreshes reference data.
///
/// Source and table are compared, and only what differs is written, in one transaction: run it as often as you like. A
/// source that was loaded before is known by its hash and left alone.
#[derive(Parser)]
#[command(name = PROGRAM.name, version, after_help = after_help())]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    load: Load,
}

/// What every command understands.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Options {
    /// Directory with manifest.yaml, or files named after their tables, instead of the data compiled in (variable
    /// DATA_DIR)
    #[arg(
        long,
        value_name = "DIRECTORY",
        global = true,
        conflicts_with = "manifest"
    )]
    data: Option<String>,
    /// File that says what to load (variable LOAD_MANIFEST)
    #[arg(long, value_name = "FILE", global = true)]
    manifest: Option<String>,
    /// Only these data sets, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', global = true)]
    only: Vec<String>,
    /// Read variables with this prefix: with MENU_, MENU_DB_HOST instead of DB_HOST
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true,
        global = true
    )]
    env_prefix: String,
}

#[derive(Args)]
struct Load {
    /// Say what would change, with some of the rows, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare every row even where the source was loaded before, since somebody else may have changed the table
    #[arg(long)]
    force: bool,
    /// What to do if another load is at work (variable LOAD_IF_RUNNING)
    #[arg(long, value_enum, value_name = "CHOICE")]
    if_running: Option<IfRunning>,
    /// File that gets a report in JSON of at most 4,096 bytes (variable LOAD_REPORT)
    #[arg(long, value_name = "FILE")]
    report: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the tables to the state of their sources; what is done without a command
    Load(Load),
    /// Show when each data set was loaded last, and how that ended
    Status {
        /// How to show it
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
        format: StatusFormat,
    },
    /// Compare every row of sources and tables; writes nothing
    Verify,
    /// Check the sources' rows against the tables' columns of text, numbers and booleans, keys and guards
    Validate,
    /// Write a data set's table in the format of its source
    Export {
        /// The data set
        name: String,
        /// File to write [standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<std::path::PathBuf>,
    },
    /// Print the rows that could not be loaded as a file like their source, to be mended and loaded again
    Rejects {
        /// The data set [the last that had any]
        name: Option<String>,
        /// Only those of files of this format [that of the first of them]
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<Format>,
    },
}

/// How to show the status.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

fn after_help() -> String {
    format!(
        "Environment variables [default]:\n{}{}{}\n\
         Exit codes:\n  \
         0  the tables are as their sources say\n  \
         1  the load failed and was rolled back\n  \
         2  bad usage or configuration\n  \
         4  verify: a table is not as its source says\n  \
         5  the server was not reached in time\n  \
         6  a lock was not obtained in time\n  \
         7  the source holds more rows that cannot be loaded than the guards allow, or looks like an accident\n  \
         143  stopped by SIGTERM",
        crate::settings::VARIABLES,
        connection::VARIABLES,
        telemetry::VARIABLES,
    )
}

/// Runs the program with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let CommandLine {
        command,
        options,
        load,
    } = CommandLine::parse();
    let environment = Environment::of_process();
    match command.unwrap_or(Command::Load(load)) {
        Command::Load(choices) => PROGRAM.run(environment, async |context| {
            let overrides = Overrides {
                is_forced: choices.force,
                if_running: choices.if_running,
                report: choices.report,
                ..options.overrides()
            };
            let settings = options.settings(&context, overrides)?;
            let summary = self::load(settings, choices.dry_run, &context.shutdown).await?;
            Ok::<_, LoadError>(summary.to_string())
        }),
        Command::Verify => PROGRAM.run(environment, async |context| {
            let settings = options.settings(&context, options.overrides())?;
            let checked = verify(settings, &context.shutdown).await?;
            Ok::<_, LoadError>(match checked {
                1 => "1 data set is as its source says".to_owned(),
                checked => format!("{checked} data sets are as their sources say"),
            })
        }),
        Command::Validate => PROGRAM.run(environment, async |context| {
            let settings = options.settings(&context, options.overrides())?;
            let checked = validate(settings, &context.shutdown).await?;
            Ok::<_, LoadError>(format!(
                "{checked} data set{} can be loaded, as far as columns and keys tell",
                if checked == 1 { "" } else { "s" }
            ))
        }),
        Command::Status { format } => PROGRAM.run_for_document(environment, async |context| {
            let settings = options.settings(&context, options.overrides())?;
            let status = status(settings, &context.shutdown).await?;
            let text = match format {
                StatusFormat::Table => status.to_string(),
                // None of its types has a value that is no JSON.
                StatusFormat::Json => {
                    serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"
                }
            };
            write_document(text.as_bytes())?;
            Ok::<_, LoadError>("the last run of each data set is printed".to_owned())
        }),
        Command::Export { name, output } => {
            PROGRAM.run_for_document(environment, async |context| {
                let settings = options.settings(&context, options.overrides())?;
                let export = Export {
                    data_set: name,
                    output,
                };
                let rows = self::export(settings, export, &context.shutdown).await?;
                Ok::<_, LoadError>(format!("{rows} rows"))
            })
        }
        Command::Rejects { name, format } => {
            PROGRAM.run_for_document(environment, async |context| {
                let settings = options.settings(&context, options.overrides())?;
                let text = rejects(settings, name.as_deref(), format, &context.shutdown).await?;
                write_document(&text)?;
                Ok::<_, LoadError>("what was rejected is printed".to_owned())
            })
        }
    }
}

fn write_document(text: &[u8]) -> Result<(), LoadError> {
    use std::io::Write as _;
    std::io::stdout()
        .write_all(text)
        .map_err(|error| LoadError::Output {
            path: "standard output".to_owned(),
            problem: error.to_string(),
        })
}

impl Options {
    fn overrides(&self) -> Overrides {
        Overrides {
            directory: self.data.clone(),
            manifest: self.manifest.clone(),
            only: self.only.clone(),
            ..Overrides::default()
        }
    }

    fn settings(&self, context: &Context, overrides: Overrides) -> Result<LoadSettings, LoadError> {
        let environment = context.environment.clone().with_prefix(&self.env_prefix);
        LoadSettings::from_environment(&environment, overrides)
            .map_err(|error| LoadError::Connect(ConnectError::from(error)))
    }
}
