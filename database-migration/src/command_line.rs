//! The command line of the program.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use connection::{ConnectError, ConnectionSettings};
use environment::{Environment, SettingError};
use program::{Context, Lifetime, Program};

use crate::commands::completions::completions;
use crate::commands::create::CreateError;
use crate::commands::down::{DownOptions, DownTarget};
use crate::commands::lint::LintError;
use crate::commands::man::man;
use crate::commands::repair::RepairOptions;
use crate::commands::status::StatusReport;
use crate::commands::up::UpOptions;
use crate::commands::{
    adopt, baseline, create, down, lint, plan, redo, repair, status, up, verify, wait,
};
use crate::configuration;
use crate::error::MigrationError;
use crate::lint::{Levels, LintFormat, LintSettings, PostgresVersion};
use crate::preview::PlanFormat;
use crate::settings::{DirectoryNames, MigrationSettings};
use crate::templates;

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
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// What every command understands.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Options {
    /// Directory of migration files, instead of those compiled in (variable MIGRATIONS_DIR); may be repeated
    #[arg(long, value_name = "DIRECTORY", global = true)]
    migrations: Vec<String>,
    /// File of settings in YAML that stand below the variables (variable MIGRATION_CONFIG)
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<String>,
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
    #[command(flatten)]
    Work(Work),
    #[command(flatten)]
    Print(Print),
}

/// What takes time, and tells in a log what it does.
#[derive(Subcommand)]
enum Work {
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

/// What only prints a text, without a log.
#[derive(Subcommand)]
enum Print {
    /// Write the files of a new migration and print their paths
    Create(NewMigration),
    /// Print what a shell needs to complete the command line
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual's page of the program, or of one of its commands, in roff
    Man {
        /// Which command
        command: Option<String>,
    },
}

#[derive(Args)]
struct NewMigration {
    /// What the migration does, in a few words: "Add indexes" becomes add_indexes
    name: String,
    #[arg(long, value_name = "NAME|FILE", default_value = "empty", help = template_help())]
    template: String,
}

impl Options {
    /// Where settings are read: the variables, and below them the configuration file.
    fn environment(&self, of_process: Environment) -> Result<Environment, SettingError> {
        let environment = of_process.with_prefix(&self.env_prefix);
        configuration::with_file(environment, self.config.as_deref())
    }
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

fn template_help() -> String {
    format!(
        "What it begins as: {}, or the path of a file with {{{{name}}}} and {{{{version}}}} in it",
        templates::names()
    )
}

/// Runs the program with the arguments and the environment of this process.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let CommandLine { command, options } = CommandLine::parse();
    let environment = Environment::of_process();
    match command.unwrap_or(Command::Work(Work::Up(Up::default()))) {
        Command::Print(print) => print.run(&options, environment),
        Command::Work(work) if work.writes_document() => PROGRAM
            .run_for_document(environment, async |context| {
                work.run(&options, context).await
            }),
        Command::Work(work) => PROGRAM.run(environment, async |context| {
            work.run(&options, context).await
        }),
    }
}

impl Print {
    fn run(self, options: &Options, environment: Environment) -> std::process::ExitCode {
        let program = CommandLine::command();
        match self {
            Self::Create(new) => PROGRAM.print(new.create(options, environment)),
            Self::Completions { shell } => PROGRAM.print(completions(program, shell)),
            Self::Man { command } => PROGRAM.print(man(program, command.as_deref())),
        }
    }
}

impl Work {
    /// Whether standard output is for a document that another program reads.
    fn writes_document(&self) -> bool {
        match self {
            Self::Status(status) => status.format == Format::Json,
            Self::Plan { format } => *format == PlanFormat::Json,
            Self::Lint(lint) => lint.format != LintFormat::Text,
            _ => false,
        }
    }

    async fn run(self, options: &Options, context: Context) -> Result<String, MigrationError> {
        let Context {
            environment,
            shutdown,
            ..
        } = context;
        let environment = options
            .environment(environment)
            .map_err(ConnectError::from)?;
        let settings = || {
            MigrationSettings::from_environment(&environment, &options.migrations)
                .map_err(ConnectError::from)
        };
        match self {
            Self::Up(Up { to, dry_run }) => {
                let options = UpOptions { to, dry_run };
                Ok(up::up(settings()?, options, &shutdown).await?.to_string())
            }
            Self::Down(down) => {
                let summary = down::down(settings()?, down.options(), &shutdown).await?;
                Ok(summary.to_string())
            }
            Self::Redo { allow_data_loss } => {
                let summary = redo::redo(settings()?, allow_data_loss, &shutdown).await?;
                Ok(summary.to_string())
            }
            Self::Status(status) => status.show(status::status(settings()?, &shutdown).await?),
            Self::Plan { format } => plan::run(settings()?, format, &shutdown).await,
            Self::Lint(lint) => Ok(lint.run(&environment, &options.migrations)?),
            Self::Verify => verify::verify(settings()?, &shutdown).await,
            Self::Repair(repair) => repair::repair(settings()?, repair.options(), &shutdown).await,
            Self::Baseline { to } => baseline::baseline(settings()?, to, &shutdown).await,
            Self::Adopt { from } => adopt::adopt(settings()?, from.as_deref(), &shutdown).await,
            Self::Wait => {
                let settings = ConnectionSettings::from_environment(&environment)
                    .map_err(ConnectError::from)?;
                Ok(wait::wait(settings, &shutdown).await?)
            }
        }
    }
}

impl NewMigration {
    fn create(&self, options: &Options, of_process: Environment) -> Result<String, CreateError> {
        let environment = options.environment(of_process)?;
        let directories = DirectoryNames::read(&environment, &options.migrations)?;
        let written = create::create(&directories, &self.name, &self.template)?;
        Ok(written
            .iter()
            .map(|path| format!("{}\n", path.display()))
            .collect())
    }
}

impl Lint {
    fn run(&self, environment: &Environment, directories: &[String]) -> Result<String, LintError> {
        if self.list_rules {
            return lint::list_rules();
        }
        let directories = DirectoryNames::read(environment, directories)?.existing()?;
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
