//! `repair`: brings the history in line with the files, after somebody has looked at both.

use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tracing::{info, warn};

use crate::catalog;
use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::execution::{kept, steps_table};
use crate::files::{MigrationFile, MigrationSet};
use crate::history::{self, Record};
use crate::session::Query;
use crate::settings::MigrationSettings;
use crate::sql::literal;

/// What `repair` may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Whether applied versions without a file are taken out of the history.
    pub forget_missing: bool,
    /// The migration, half done and interrupted, of which it is forgotten how far it came.
    pub forget_unfinished: Option<i64>,
    /// Whether to say what would be done, and to change nothing.
    pub dry_run: bool,
}

/// Why nothing is repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The migration is not half done.
    #[error("version {0} is not half done; nothing was changed")]
    NotUnfinished(i64),
}

impl Failure for RepairError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some("database-migration status shows which migrations are interrupted".to_owned())
    }
}

/// Takes over into the history what the files say of applied migrations, and the schema as it is now as the one that
/// `verify` compares with. No migration is run. The result is a sentence for people.
pub async fn repair(
    settings: MigrationSettings,
    options: RepairOptions,
    shutdown: &Shutdown,
) -> Result<String, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        mend(database, &set, options).await
    })
    .await
}

/// One thing to be done to the history.
struct Correction {
    words: String,
    sql: String,
}

async fn mend(
    mut database: Database,
    set: &MigrationSet,
    options: RepairOptions,
) -> Result<String, MigrationError> {
    database.lock().await?;
    let corrections = corrections(&database, set, options).await?;
    for correction in &corrections {
        info!("{}", correction.words);
    }
    let count = corrections.len();
    let name = database.name().to_owned();
    if options.dry_run || !database.session.location().exists {
        database.unlock().await?;
        return Ok(format!(
            "{name}: {count} corrections would be made; nothing was changed"
        ));
    }
    let queries: Vec<_> = corrections
        .iter()
        .map(|correction| Query::own(&correction.sql))
        .collect();
    database
        .session
        .transact(&queries)
        .await
        .map_err(MigrationError::server("correcting the history"))?;
    catalog::keep(&database.session).await?;
    database.unlock().await?;
    Ok(format!(
        "{name}: {count} corrections made, and its schema taken as it is"
    ))
}

async fn corrections(
    database: &Database,
    set: &MigrationSet,
    options: RepairOptions,
) -> Result<Vec<Correction>, MigrationError> {
    let table = database.session.location().qualified();
    let records = history::records(&database.session, i64::MIN).await?;
    let mut corrections = Vec::new();
    for (applied, record) in database.history.iter().zip(&records) {
        let file = set.file(applied.version());
        match file {
            Some(file) if !file.is(applied) => corrections.push(Correction {
                words: format!(
                    "version {} {}: takes over name, checksum and what undoes it from {}",
                    applied.version(),
                    applied.name(),
                    file.path.display()
                ),
                sql: update(file, &table),
            }),
            Some(file) if is_down_changed(file, record) => corrections.push(Correction {
                words: format!(
                    "version {} {}: takes over what undoes it from {}",
                    applied.version(),
                    applied.name(),
                    file.path.display()
                ),
                sql: update(file, &table),
            }),
            Some(_) => {}
            None if options.forget_missing => corrections.push(Correction {
                words: format!(
                    "version {} {}: taken out of the history, since it has no file",
                    applied.version(),
                    applied.name()
                ),
                sql: format!("DELETE FROM {table} WHERE version = {}", applied.version()),
            }),
            None => warn!(
                "version {} {} has no file; --forget-missing takes it out of the history",
                applied.version(),
                applied.name()
            ),
        }
    }
    if let Some(version) = options.forget_unfinished {
        corrections.push(forgotten(database, version)?);
    }
    Ok(corrections)
}

fn is_down_changed(file: &MigrationFile, record: &Record) -> bool {
    file.down.as_ref().map(kept).as_deref() != record.down_sql.as_deref()
}

fn update(file: &MigrationFile, table: &str) -> String {
    format!(
        "UPDATE {table} SET name = {}, checksum = {}, down_sql = {} WHERE version = {}",
        literal(&file.name),
        literal(&file.checksum.to_string()),
        file.down
            .as_ref()
            .map_or("NULL".to_owned(), |down| literal(&kept(down))),
        file.version
    )
}

fn forgotten(database: &Database, version: i64) -> Result<Correction, RepairError> {
    let unfinished = database
        .unfinished
        .iter()
        .find(|unfinished| unfinished.version == version)
        .ok_or(RepairError::NotUnfinished(version))?;
    Ok(Correction {
        words: format!(
            "version {version}: forgets that {} of its statements have run",
            unfinished.finished
        ),
        sql: format!(
            "DELETE FROM {} WHERE version = {version}",
            steps_table(database.session.location())
        ),
    })
}
