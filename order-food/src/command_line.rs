//! The command line of the program.

use clap::{Parser, Subcommand};
use environment::Environment;
use program::{Lifetime, Program};

use crate::check;
use crate::server::{self, ServeError};
use crate::settings::ApiSettings;

const PROGRAM: Program = Program {
    name: "order-food",
    version: env!("CARGO_PKG_VERSION"),
    lifetime: Lifetime::Server,
};

/// Serves a REST API for ordering food, backed by PostgreSQL.
///
/// It answers /health at once and /ready as soon as the database and its tables are there. After SIGTERM it takes no
/// more connections and finishes the requests that it has begun.
#[derive(Parser)]
#[command(name = PROGRAM.name, version, after_help = after_help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Read variables with this prefix: with MENU_, MENU_DB_HOST instead of DB_HOST
    #[arg(long, value_name = "PREFIX", default_value = "", global = true)]
    env_prefix: String,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API; what is done without a command
    Serve,
    /// Check from outside whether a running API does its work; changes nothing
    Check {
        /// Where the API is, such as http://order-food:8080
        address: String,
    },
}

fn after_help() -> String {
    format!(
        "Requests:\n  \
         GET /api/product  GET /api/product/{{productId}}  POST /api/order  GET /health  GET /ready\n\n\
         Environment variables [default]:\n{}{}{}\n\
         Exit codes:\n  \
         0  stopped as asked, every request was finished\n  \
         1  the port is taken, requests were cut off when DRAIN_TIMEOUT was over, or the checked API does not work\n  \
         2  bad usage or configuration, or the database refuses the user\n  \
         5  the database was not reached in time",
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
        None | Some(Command::Serve) => PROGRAM.run(environment, async |context| {
            let environment = context.environment.with_prefix(&arguments.env_prefix);
            let settings = ApiSettings::from_environment(&environment)
                .map_err(connection::ConnectError::from)?;
            server::serve(settings, &context.shutdown, context.span).await?;
            Ok::<_, ServeError>("stopped as asked, every request was finished".to_owned())
        }),
        Some(Command::Check { address }) => {
            let program = Program {
                lifetime: Lifetime::Batch,
                ..PROGRAM
            };
            program.run(environment, async |context| {
                check::check(&address, &context.shutdown).await
            })
        }
    }
}
