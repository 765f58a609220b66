//! `down`: undoes migrations by the SQL that the history keeps of them, newest first.

use std::fmt;
use std::time::Instant;

use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tracing::{info, warn};

use crate::database::{self, Database, position};
use crate::error::MigrationError;
use crate::execution::Change;
use crate::files::Problem;
use crate::history::{self, Applied, Record};
use crate::loss::{Assessment, Loss};
use crate::settings::MigrationSettings;
use crate::target::TargetError;

/// How far `down` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownTarget {
    /// Undo all that is above this version; 0 undoes everything.
    Version(i64),
    /// Undo so many migrations.
    Steps(usize),
}

/// What `down` may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownOptions {
    /// How far it goes.
    pub target: DownTarget,
    /// Whether rows may be lost.
    pub allow_data_loss: bool,
    /// Whether migrations that nothing undoes are only taken out of the history.
    pub forget_irreversible: bool,
    /// Whether to say what would be done, after all checks, and to change nothing.
    pub dry_run: bool,
}

/// Why migrations are not undone. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// Nothing undoes some of them.
    #[error("nothing undoes {}; nothing was changed", .0.join(", "))]
    Irreversible(Vec<String>),
    /// Rows would be lost.
    #[error("this would destroy:{}\nnothing was changed", .0.iter().map(|loss| format!("\n  {loss}")).collect::<String>())]
    DataLoss(Vec<Loss>),
    /// The SQL that undoes them cannot be run.
    #[error("what undoes the migrations cannot be run; nothing was changed{}", .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
    Obstacles(Vec<Problem>),
}

impl Failure for DownError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Irreversible(_) | Self::DataLoss(_) => ExitCode::Failed,
            Self::Obstacles(_) => ExitCode::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Irreversible(_) => {
                "undo them by hand and take them out of the history with database-migration down \
                 --forget-irreversible; or write a new migration that goes on from here"
            }
            Self::DataLoss(_) => {
                "make a backup of what is still needed, then run again with --allow-data-loss"
            }
            Self::Obstacles(_) => {
                "correct the DOWN section in the file, bring it into the history with database-migration repair, and \
                 run again"
            }
        }
        .to_owned())
    }
}

/// What a run did.
#[derive(Debug)]
pub struct DownSummary {
    /// How many migrations it undid, or would undo.
    pub undone: usize,
    database: String,
    current: Option<Applied>,
    is_dry_run: bool,
    started: Instant,
}

impl fmt::Display for DownSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}",
            position(&self.database, self.current.as_ref())
        )?;
        match self.undone {
            0 => write!(formatter, ", nothing to do")?,
            undone if self.is_dry_run => {
                write!(formatter, ", {undone} would be undone; nothing was changed")?;
            }
            undone => write!(formatter, ", {undone} undone")?,
        }
        write!(formatter, " ({} ms)", self.started.elapsed().as_millis())
    }
}

/// Undoes migrations. No file is needed: an older program goes back from a newer schema, too.
pub async fn down(
    settings: MigrationSettings,
    options: DownOptions,
    shutdown: &Shutdown,
) -> Result<DownSummary, MigrationError> {
    database::with_history(settings, shutdown, async |database| {
        bring_down(database, options).await
    })
    .await
}

async fn bring_down(
    mut database: Database,
    options: DownOptions,
) -> Result<DownSummary, MigrationError> {
    if !options.dry_run {
        database.lock().await?;
    }
    database.require_no_unfinished_up()?;
    let history = std::mem::take(&mut database.history);
    let (kept, undone) = split(history, options.target)?;
    let records = match undone.first() {
        Some(lowest) => history::records(&database.session, lowest.version()).await?,
        None => Vec::new(),
    };
    let steps = check(&database, &undone, &records, options).await?;

    let mut current = undone.last().or(kept.last()).cloned();
    if options.dry_run {
        for applied in undone.iter().rev() {
            info!("would undo {} {}", applied.version(), applied.name());
        }
    } else {
        for (step, below) in steps.iter().zip(below(&kept, &undone)) {
            undo(&database, step, current.as_ref()).await?;
            current = below.cloned();
        }
        if undone.is_empty() {
            database.complete_description().await;
        } else {
            database.keep_description().await;
        }
    }
    let summary = DownSummary {
        undone: undone.len(),
        database: database.name().to_owned(),
        current,
        is_dry_run: options.dry_run,
        started: database.started,
    };
    if options.dry_run {
        database.session.close().await;
    } else {
        database.unlock().await?;
    }
    Ok(summary)
}

/// Parts the history into what stays and what is to be undone, both from the lowest version up.
fn split(
    mut history: Vec<Applied>,
    target: DownTarget,
) -> Result<(Vec<Applied>, Vec<Applied>), TargetError> {
    let kept = match target {
        DownTarget::Steps(steps) => history.len().saturating_sub(steps),
        DownTarget::Version(target) => {
            let current = history.last().map_or(0, Applied::version);
            if target > current {
                return Err(TargetError::Above { current, target });
            }
            if target != 0 && !history.iter().any(|applied| applied.version() == target) {
                return Err(TargetError::Unknown(target));
            }
            history.partition_point(|applied| applied.version() <= target)
        }
    };
    let undone = history.split_off(kept);
    Ok((history, undone))
}

/// The version that the database is at after each step.
fn below<'history>(
    kept: &'history [Applied],
    undone: &'history [Applied],
) -> impl Iterator<Item = Option<&'history Applied>> {
    let after = |index: usize| match index {
        0 => kept.last(),
        index => Some(&undone[index - 1]),
    };
    (0..undone.len()).rev().map(after)
}

/// One migration that is to be undone.
pub(crate) struct Step<'history> {
    applied: &'history Applied,
    /// Nothing where it is only taken out of the history.
    change: Option<Change<'history>>,
}

/// Checks all steps before the first is made, newest first.
pub(crate) async fn check<'history>(
    database: &Database,
    undone: &'history [Applied],
    records: &'history [Record],
    options: DownOptions,
) -> Result<Vec<Step<'history>>, MigrationError> {
    let mut steps = Vec::new();
    let mut irreversible = Vec::new();
    let mut problems = Vec::new();
    let mut assessment = Assessment::default();
    let mut lost = Vec::new();
    for applied in undone.iter().rev() {
        let sql = records
            .iter()
            .find(|record| record.version == applied.version())
            .and_then(|record| record.down_sql.as_deref());
        let change = sql.map(|sql| Change::down(applied, sql));
        match (&change, sql) {
            (Some(change), Some(sql)) => {
                problems.extend(change.obstacles());
                lost.extend(assessment.losses(&database.session, sql).await);
            }
            _ => irreversible.push(format!("{} {}", applied.version(), applied.name())),
        }
        steps.push(Step { applied, change });
    }
    if !problems.is_empty() {
        return Err(DownError::Obstacles(problems).into());
    }
    let is_safe = database.settings.rollback_safety;
    if is_safe && !irreversible.is_empty() && !options.forget_irreversible {
        return Err(DownError::Irreversible(irreversible).into());
    }
    if is_safe && !lost.is_empty() && !options.allow_data_loss {
        return Err(DownError::DataLoss(lost).into());
    }
    for loss in lost {
        warn!("this destroys {loss}");
    }
    Ok(steps)
}

/// Undoes one migration and says so.
pub(crate) async fn undo(
    database: &Database,
    step: &Step<'_>,
    current: Option<&Applied>,
) -> Result<(), MigrationError> {
    let (version, name) = (step.applied.version(), step.applied.name());
    let Some(change) = &step.change else {
        history::forget(&database.session, version).await?;
        warn!("{version} {name} was taken out of the history; nothing undoes what it has done");
        return Ok(());
    };
    database.execute(change, current).await
}
