//! Brings a database to the newest version of its schema.
//!
//! Migrations are read from files ([`MigrationSet`]), compared with the history that the database keeps ([`Plan`]) and
//! applied one transaction each, under a lock that excludes other runs ([`up`]).
//!
//! A service that would rather migrate at its own start than in an init container calls the same function, with
//! migrations of its own:
//!
//! ```no_run
//! use database_migration::{MigrationSet, MigrationSettings, MigrationSource, UpOptions, up};
//! use shutdown::Shutdown;
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = environment::Environment::of_process();
//! let mut settings = MigrationSettings::from_environment(&environment, &[])?;
//! settings.migrations = MigrationSource::Given(MigrationSet::from_contents(&[
//!     ("V1__create_menu.sql", b"CREATE TABLE menu (id TEXT PRIMARY KEY)"), // or include_bytes!
//! ])?);
//! let summary = up(settings, UpOptions::default(), &Shutdown::never()).await?;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```

mod catalog;
pub mod command_line;
mod commands;
mod configuration;
mod database;
mod error;
mod execution;
mod files;
mod history;
mod lint;
mod loss;
mod metrics;
mod plan;
mod preview;
mod relation_name;
mod script;
mod session;
mod settings;
mod sql;
mod target;
mod templates;

pub use catalog::Drift;
pub use commands::adopt::{AdoptError, adopt};
pub use commands::baseline::{BaselineError, baseline};
pub use commands::completions::CompletionsError;
pub use commands::create::CreateError;
pub use commands::down::{DownError, DownOptions, DownSummary, DownTarget, down};
pub use commands::lint::LintError;
pub use commands::man::ManError;
pub use commands::plan::plan;
pub use commands::redo::{RedoSummary, redo};
pub use commands::repair::{RepairError, RepairOptions, repair};
pub use commands::status::{MigrationStatus, State, StatusReport, status};
pub use commands::up::{Summary, UpOptions, up};
pub use commands::verify::verify;
pub use commands::wait::{WaitError, wait};
pub use database::UnfinishedError;
pub use error::MigrationError;
pub use execution::{ApplyError, Unfinished};
pub use files::{
    Direction, DownScript, FileError, Header, HeaderLine, MigrationFile, MigrationSet, Problem,
    Transaction,
};
pub use history::{Applied, HistoryError};
pub use lint::{
    Finding, Level, Levels, LintFormat, LintSettings, PostgresVersion, Report, UnknownRule, lint,
    rule_list,
};
pub use loss::Loss;
pub use plan::{Disagreement, Plan, Rules};
pub use preview::{PlanFormat, Preview};
pub use settings::{MigrationSettings, MigrationSource, VARIABLES};
pub use target::TargetError;
pub use templates::TemplateError;
