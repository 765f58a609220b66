//! The command line of the program.

use clap::Parser;
use environment::Environment;
use program::{Lifetime, Program};

use crate::commands::load::{LoadError, load};
use crate::settings::LoadSettings;

const PROGRAM: Program = Program {
    name: "database-load",
    version: env!("CARGO_PKG_VERSION"),
    lifetime: Lifetime::Batch,
};

/// Loads and refreshes reference data.
///
/// Source and table are compared, and only what differs is written, in one transaction: run it as often as you like. A
/// row that cannot be loaded stops the load, and the table stays as it was.
#[derive(Parser)]
#[command(name = PROGRAM.name, version, after_help = after_help())]
struct Arguments {
    /// Directory with products.csv, instead of the data compiled in (variable DATA_DIR)
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,
    /// Read variables with this prefix: with MENU_, MENU_DB_HOST instead of DB_HOST
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    env_prefix: String,
}

fn after_help() -> String {
    format!(
        "Environment variables [default]:\n{}{}{}\n\
         Exit codes:\n  \
         0  the tables are as their sources say\n  \
         1  the load failed and was rolled back\n  \
         2  bad usage or configuration\n  \
         5  the server was not reached in time\n  \
         6  a lock was not obtained in time\n  \
         7  the source holds rows that cannot be loaded\n  \
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
    PROGRAM.run(Environment::of_process(), async |context| {
        let environment = context.environment.with_prefix(&arguments.env_prefix);
        let settings = LoadSettings::from_environment(&environment, arguments.data.as_deref())
            .map_err(connection::ConnectError::from)?;
        let summary = load(settings, &context.shutdown).await?;
        Ok::<_, LoadError>(summary.to_string())
    })
}
