//! The command line of the program.

use clap::{Args, Parser, Subcommand, ValueEnum};
use connection::{ConnectError, ConnectionSettings};
use environment::Environment;
use program::{Context, Lifetime, Program};

use crate::commands::down::{DownOptions, DownTarget};
use crate::commands::lint::LintError;
use crate::commands::repair::RepairOptions;
use crate::commands::status::StatusReport;
use crate::commands::up::UpOptions;
use crate::commands::{adopt, baseline, down, lint, plan, redo, repair, status, up, verify, wait};
use crate::error::MigrationError;
use crate::lint::{Levels, LintFormat, LintSettings, PostgresVersion};
use crate::preview::PlanFormat;
use crate::settings::{self, MigrationSettings};

const PROGRAM: Program = Program {
    name: "database-migration",
    version: env!("CARGO_PKG_VERSION"),
    lifetime: Lifetime::Batch,
};

/// Brings a PostgreSQL database to the newest version of its schema.
///
/// Each migration runs in one transaction together with its row in the history, under a lock that excludes other runs:
/// any number of pods may start at once. After a crash, run again; it goes on where it stopped.
#[derive(Parser)]
#[command(name = PROGRAM.name, version, after_help = after_help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Directory of migration files, instead of those compiled in (variable MIGRATIONS_DIR); may be repeated
    #[arg(long, value_name = "DIRECTORY", global = true)]
    migrations: Vec<String>,
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

#[derive(Subcommand)]
enum Command {
    /// Bring the database to the newest version; what is done without a command
    Up(Up),
    /// Undo migrations, newest first, by what the history keeps of them
    Down(Down),
    /// Undo the newest migration and apply it again
    Redo {
        /// Undo it even if rows are lost
        #[arg(long)]
        allow_data_loss: bool,
    },
    /// Show what is applied and what is pending
    Status(Status),
    /// Show what up would do to the database as it is now; changes nothing
    Plan {
        /// How to show it
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
        format: PlanFormat,
    },
    /// Look for what will not run or make others wait in the migration files; needs no database
    Lint(Lint),
    /// Check files, history and catalog; changes nothing
    Verify,
    /// Bring the history in line with the files, after a look at both
    Repair(Repair),
    /// Begin the history of a database whose schema is there already
    Baseline {
        /// The newest version that the schema has
        #[arg(long, value_name = "VERSION")]
        to: i64,
    },
    /// Take over the history of golang-migrate or refinery
    Adopt {
        /// Its table [the one in the place of ours, or schema_migrations]
        #[arg(long, value_name = "TABLE")]
        from: Option<String>,
    },
    /// Wait until the server lets the user into the database; changes nothing
    Wait,
}

#[derive(Args)]
struct Lint {
    /// Fail when this rule finds something; all stands for every rule that is on; may be repeated
    #[arg(long, value_name = "RULE")]
    deny: Vec<String>,
    /// Only report what this rule finds; all stands for every rule that is on; may be repeated
    #[arg(long, value_name = "RULE")]
    warn: Vec<String>,
    /// Turn this rule off; may be repeated
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// How to show what is found
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: LintFormat,
    /// Only write the names of all rules, with what each is without options, and why
    #[arg(long)]
    list_rules: bool,
    /// The version of the server that the migrations are for
    #[arg(long, value_name = "VERSION", default_value = "16")]
    pg_version: PostgresVersion,
}

#[derive(Args, Default)]
struct Up {
    /// Stop at this version
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    /// Check everything and say what would be applied; change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
struct Down {
    #[command(flatten)]
    target: Target,
    /// Undo migrations even if rows are lost
    #[arg(long)]
    allow_data_loss: bool,
    /// Take migrations that nothing undoes out of the history
    #[arg(long)]
    forget_irreversible: bool,
    /// Check everything and say what would be undone; change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Undo all migrations above this version; 0 undoes all
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    /// Undo so many migrations
    #[arg(long, value_name = "NUMBER")]
    steps: Option<usize>,
}

#[derive(Args)]
struct Status {
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// End with 3 if migrations are pending, and with 4 if files and history disagree
    #[arg(long)]
    exit_code: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Args)]
struct Repair {
    /// Take applied versions without a file out of the history
    #[arg(long)]
    forget_missing: bool,
    /// Forget how far this migration came, which runs without a transaction and was interrupted
    #[arg(long, value_name = "VERSION")]
    forget_unfinished: Option<i64>,
    /// Say what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
}

fn after_help() -> String {
    format!(
        "Environment variables [default]:\n{}{}{}\n\
         Exit codes:\n  \
         0  the database is at the newest version, or ahead of it\n  \
         1  the work failed, or lint denies something; the message says in which state the database is\n  \
         2  bad usage, configuration or migration files\n  \
         3  migrations are pending (status --exit-code)\n  \
         4  migration files, history and database disagree\n  \
         5  the server was not reached in time\n  \
         6  a lock was not obtained in time\n  \
         143  stopped by SIGTERM",
        crate::settings::VARIABLES,
        connection::VARIABLES,
        telemetry::VARIABLES,
    )
}

/// Runs the program with the arguments and the environment of this process.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let environment = Environment::of_process();
    let writes_document = arguments.writes_document();
    let work = async |context| run(arguments, context).await;
    if writes_document {
        PROGRAM.run_for_document(environment, work)
    } else {
        PROGRAM.run(environment, work)
    }
}

async fn run(arguments: Arguments, context: Context) -> Result<String, MigrationError> {
    let environment = context.environment.with_prefix(&arguments.env_prefix);
    let shutdown = &context.shutdown;
    let settings = || {
        MigrationSettings::from_environment(&environment, &arguments.migrations)
            .map_err(ConnectError::from)
    };
    match arguments.command.unwrap_or(Command::Up(Up::default())) {
        Command::Up(Up { to, dry_run }) => {
            let summary = up::up(settings()?, UpOptions { to, dry_run }, shutdown).await?;
            Ok(summary.to_string())
        }
        Command::Down(arguments) => {
            let summary = down::down(settings()?, arguments.options(), shutdown).await?;
            Ok(summary.to_string())
        }
        Command::Redo { allow_data_loss } => {
            let summary = redo::redo(settings()?, allow_data_loss, shutdown).await?;
            Ok(summary.to_string())
        }
        Command::Status(arguments) => arguments.show(status::status(settings()?, shutdown).await?),
        Command::Plan { format } => plan::run(settings()?, format, shutdown).await,
        Command::Lint(lint) => Ok(lint.run(&environment, &arguments.migrations)?),
        Command::Verify => verify::verify(settings()?, shutdown).await,
        Command::Repair(arguments) => {
            repair::repair(settings()?, arguments.options(), shutdown).await
        }
        Command::Baseline { to } => baseline::baseline(settings()?, to, shutdown).await,
        Command::Adopt { from } => adopt::adopt(settings()?, from.as_deref(), shutdown).await,
        Command::Wait => {
            let settings =
                ConnectionSettings::from_environment(&environment).map_err(ConnectError::from)?;
            Ok(wait::wait(settings, shutdown).await?)
        }
    }
}

impl Arguments {
    /// Whether standard output is for a document that another program reads.
    fn writes_document(&self) -> bool {
        match &self.command {
            Some(Command::Status(status)) => status.format == Format::Json,
            Some(Command::Plan { format }) => *format == PlanFormat::Json,
            Some(Command::Lint(lint)) => lint.format != LintFormat::Text,
            _ => false,
        }
    }
}

impl Lint {
    fn run(&self, environment: &Environment, directories: &[String]) -> Result<String, LintError> {
        if self.list_rules {
            return lint::list_rules();
        }
        let directories = settings::directories(
            environment,
            environment.get(&environment.name("MIGRATIONS_DIR")),
            directories,
        )?;
        let settings = LintSettings {
            levels: Levels::new(&self.deny, &self.warn, &self.allow)?,
            postgres_version: Some(self.pg_version),
        };
        lint::run(&directories, &settings, self.format)
    }
}

impl Down {
    fn options(&self) -> DownOptions {
        DownOptions {
            target: match (self.target.to, self.target.steps) {
                (Some(version), _) => DownTarget::Version(version),
                (None, steps) => DownTarget::Steps(steps.unwrap_or_default()),
            },
            allow_data_loss: self.allow_data_loss,
            forget_irreversible: self.forget_irreversible,
            dry_run: self.dry_run,
        }
    }
}

impl Status {
    fn show(&self, report: StatusReport) -> Result<String, MigrationError> {
        match self.format {
            Format::Table => print!("{report}"),
            Format::Json => println!("{}", serde_json::json!(report)),
        }
        let verdict = report.verdict();
        match report.disagreement {
            Some(disagreement) if self.exit_code => Err(disagreement.into()),
            _ if self.exit_code && report.pending > 0 => {
                Err(MigrationError::Pending(report.pending))
            }
            _ => Ok(verdict),
        }
    }
}

impl Repair {
    fn options(&self) -> RepairOptions {
        RepairOptions {
            forget_missing: self.forget_missing,
            forget_unfinished: self.forget_unfinished,
            dry_run: self.dry_run,
        }
    }
}
