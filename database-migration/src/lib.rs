//! Brings a database to the newest version of its schema.
//!
//! Migrations are read from files ([`MigrationSet`]), compared with the history that the database keeps ([`Plan`]) and
//! applied one transaction each, under a lock that excludes other runs ([`up`]).
//!
//! A service that would rather migrate at its own start than in an init container calls the same function:
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = environment::Environment::of_process();
//! let settings = database_migration::MigrationSettings::from_environment(&environment, &[])?;
//! let summary = database_migration::up(settings, &shutdown::Shutdown::never()).await?;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```

mod apply;
pub mod command_line;
mod commands;
mod files;
mod history;
mod plan;
mod session;
mod settings;
mod statements;

pub use apply::ApplyError;
pub use commands::up::{Summary, UpError, up};
pub use commands::wait::{WaitError, wait};
pub use files::{DownScript, FileError, Header, MigrationFile, MigrationSet, Problem, Transaction};
pub use history::{Applied, HistoryError};
pub use plan::{Disagreement, Plan};
pub use settings::{MigrationSettings, VARIABLES};
