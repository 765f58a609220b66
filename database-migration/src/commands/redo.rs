//! `redo`: undoes the newest migration and applies it again from its file.

use std::fmt;
use std::time::Instant;

use shutdown::Shutdown;

use crate::commands::down::{self, DownError, DownOptions, DownTarget};
use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::execution::Change;
use crate::files::{FileError, MigrationSet};
use crate::history;
use crate::settings::MigrationSettings;
use crate::target::TargetError;

/// What a run did.
#[derive(Debug)]
pub struct RedoSummary {
    database: String,
    version: i64,
    name: String,
    started: Instant,
}

impl fmt::Display for RedoSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is at version {} {}, undone and applied again ({} ms)",
            self.database,
            self.version,
            self.name,
            self.started.elapsed().as_millis()
        )
    }
}

/// Undoes the newest migration and applies it again. The file may have been changed since: that is what it is for.
pub async fn redo(
    settings: MigrationSettings,
    allow_data_loss: bool,
    shutdown: &Shutdown,
) -> Result<RedoSummary, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        again(database, &set, allow_data_loss).await
    })
    .await
}

async fn again(
    mut database: Database,
    set: &MigrationSet,
    allow_data_loss: bool,
) -> Result<RedoSummary, MigrationError> {
    database.lock().await?;
    database.require_no_unfinished_up()?;
    let history = std::mem::take(&mut database.history);
    let Some((newest, others)) = history.split_last() else {
        return Err(TargetError::NothingApplied.into());
    };
    let file = set
        .file(newest.version())
        .ok_or(TargetError::NoFile(newest.version()))?;
    let change = Change::up(file);
    let obstacles = change.obstacles();
    if !obstacles.is_empty() {
        return Err(FileError::Problems(obstacles).into());
    }
    let records = history::records(&database.session, newest.version()).await?;
    if records.iter().all(|record| record.down_sql.is_none()) {
        // Applying it again would meet what it has done before.
        let irreversible = format!("{} {}", newest.version(), newest.name());
        return Err(DownError::Irreversible(vec![irreversible]).into());
    }
    let options = DownOptions {
        target: DownTarget::Steps(1),
        allow_data_loss,
        forget_irreversible: false,
        dry_run: false,
    };
    let undone = std::slice::from_ref(newest);
    for step in down::check(&database, undone, &records, options).await? {
        down::undo(&database, &step, Some(newest)).await?;
    }
    database.execute(&change, others.last()).await?;
    database.keep_description().await;
    let summary = RedoSummary {
        database: database.name().to_owned(),
        version: file.version,
        name: file.name.clone(),
        started: database.started,
    };
    database.unlock().await?;
    Ok(summary)
}
