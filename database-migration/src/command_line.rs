//! The command line of the program.

use clap::{Parser, Subcommand};
use connection::{ConnectError, ConnectionSettings};
use environment::Environment;
use program::{Lifetime, Program};

use crate::commands::{up, wait};
use crate::settings::MigrationSettings;

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
    Up,
    /// Wait until the server lets the user into the database; changes nothing
    Wait,
}

fn after_help() -> String {
    format!(
        "Environment variables [default]:\n{}{}{}\n\
         Exit codes:\n  \
         0  the database is at the newest version, or ahead of it\n  \
         1  a migration failed and was rolled back\n  \
         2  bad usage, configuration or migration files\n  \
         4  migration files and history disagree\n  \
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
    match arguments.command {
        None | Some(Command::Up) => PROGRAM.run(environment, async |context| {
            let environment = context.environment.with_prefix(&arguments.env_prefix);
            let settings = MigrationSettings::from_environment(&environment, &arguments.migrations)
                .map_err(ConnectError::from)?;
            let summary = up::up(settings, &context.shutdown).await?;
            Ok::<_, up::UpError>(summary.to_string())
        }),
        Some(Command::Wait) => PROGRAM.run(environment, async |context| {
            let environment = context.environment.with_prefix(&arguments.env_prefix);
            let settings =
                ConnectionSettings::from_environment(&environment).map_err(ConnectError::from)?;
            wait::wait(settings, &context.shutdown).await
        }),
    }
}
