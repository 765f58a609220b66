//! `up`: brings the database to the newest version, or to a given one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Instant;

use shutdown::Shutdown;
use tracing::{info, warn};

use crate::database::{self, Database, position};
use crate::error::MigrationError;
use crate::execution::Change;
use crate::files::{Direction, FileError, MigrationFile, MigrationSet};
use crate::history::Applied;
use crate::plan::Plan;
use crate::settings::MigrationSettings;
use crate::target;

/// How far `up` goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpOptions {
    /// The version to stop at, instead of the newest.
    pub to: Option<i64>,
    /// Whether to say what would be done, after all checks, and to change nothing.
    pub dry_run: bool,
}

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    /// How many migrations it applied, or would apply.
    pub applied: usize,
    database: String,
    current: Option<Applied>,
    ahead: usize,
    is_dry_run: bool,
    started: Instant,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}",
            position(&self.database, self.current.as_ref())
        )?;
        match (self.applied, self.ahead) {
            (0, 0) => write!(formatter, ", nothing to do")?,
            (0, ahead) => write!(
                formatter,
                ", {ahead} ahead of this program, which has nothing to do"
            )?,
            (applied, _) if self.is_dry_run => {
                write!(
                    formatter,
                    ", {applied} would be applied; nothing was changed"
                )?;
            }
            (applied, _) => write!(formatter, ", {applied} applied")?,
        }
        write!(formatter, " ({} ms)", self.started.elapsed().as_millis())
    }
}

/// Brings the database to the newest version of the migrations that `settings` name, or to the one that `options` name.
pub async fn up(
    settings: MigrationSettings,
    options: UpOptions,
    shutdown: &Shutdown,
) -> Result<Summary, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        bring_up(database, &set, options).await
    })
    .await
}

async fn bring_up(
    mut database: Database,
    set: &MigrationSet,
    options: UpOptions,
) -> Result<Summary, MigrationError> {
    // Without the lock one that is being undone is no reason to stop: somebody may be at it just now.
    let settled = database.require_no_unfinished_down();
    let is_settled = settled.is_ok();
    if options.dry_run {
        settled?;
    }
    let plan = plan(&mut database, set, options)?;
    let mut prepared = Prepared::default();
    if options.dry_run || plan.pending.is_empty() && is_settled {
        prepared.add(&plan.pending).await?;
        for file in &plan.pending {
            info!("would apply {} {}", file.version, file.name);
        }
        let summary = summary(
            &database,
            set,
            &plan,
            plan.pending.len(),
            plan.current.clone(),
        );
        if !options.dry_run {
            database.complete_description().await;
        }
        database.session.close().await;
        return Ok(Summary {
            is_dry_run: options.dry_run,
            ..summary
        });
    }

    // The server has much to do for the lock, so there is time for this meanwhile.
    tokio::try_join!(prepared.add(&plan.pending), database.lock())?;
    database.create_history().await?;
    database.require_no_unfinished_down()?;
    let plan = self::plan(&mut database, set, options)?;
    prepared.add(&plan.pending).await?;
    if plan.current.is_some() && !plan.pending.is_empty() {
        database.warn_of_changed_downs(set).await?;
    }
    let current = apply(&database, &plan, &prepared).await?;
    if plan.pending.is_empty() {
        database.complete_description().await;
    } else {
        database.keep_description().await;
    }
    let summary = summary(&database, set, &plan, plan.pending.len(), current);
    database.unlock().await?;
    Ok(summary)
}

fn plan<'set>(
    database: &mut Database,
    set: &'set MigrationSet,
    options: UpOptions,
) -> Result<Plan<'set>, MigrationError> {
    let history = std::mem::take(&mut database.history);
    let mut plan = Plan::new(set, history, database.rules())?;
    target::check_up(options.to, set, plan.current.as_ref())?;
    if let Some(target) = options.to {
        plan.pending.retain(|file| file.version <= target);
    }
    Ok(plan)
}

/// Migrations taken apart into their statements, each of them once.
#[derive(Default)]
struct Prepared<'set>(BTreeMap<i64, Change<'set>>);

impl<'set> Prepared<'set> {
    /// Takes migrations apart and checks them before anything runs, so that none is found to be impossible after others
    /// have changed the database.
    async fn add(&mut self, pending: &[&'set MigrationFile]) -> Result<(), MigrationError> {
        let mut problems = Vec::new();
        for file in pending {
            if let Entry::Vacant(vacant) = self.0.entry(file.version) {
                let change = vacant.insert(Change::up(file));
                problems.extend(change.obstacles());
                tokio::task::yield_now().await;
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(FileError::Problems(problems).into())
        }
    }
}

async fn apply(
    database: &Database,
    plan: &Plan<'_>,
    prepared: &Prepared<'_>,
) -> Result<Option<Applied>, MigrationError> {
    let mut current = plan.current.clone();
    for file in &plan.pending {
        let Some(change) = prepared.0.get(&file.version) else {
            continue;
        };
        database.execute(change, current.as_ref()).await?;
        // One that was let in out of order is not the newest.
        if current
            .as_ref()
            .is_none_or(|current| current.version() < file.version)
        {
            current = Some(file.applied_now());
        }
    }
    Ok(current)
}

/// An older program has no file of what a newer one has begun.
fn warn_of_unfinished(database: &Database, set: &MigrationSet) {
    for unfinished in &database.unfinished {
        let version = unfinished.version;
        if unfinished.direction == Direction::Up && set.file(version).is_none() {
            warn!(
                "version {version} was being applied when that was interrupted, after {} of its statements, and there \
                 is no file for it; database-migration up of the program that has the file finishes it",
                unfinished.finished
            );
        }
    }
}

fn summary(
    database: &Database,
    set: &MigrationSet,
    plan: &Plan<'_>,
    applied: usize,
    current: Option<Applied>,
) -> Summary {
    warn_of_unfinished(database, set);
    let ahead = plan.ahead.len();
    for tolerated in &plan.tolerated {
        warn!("{tolerated}");
    }
    if ahead > 0 {
        warn!(
            "the database is ahead of this program by {ahead} migrations, as after a rollback to an older version"
        );
    }
    Summary {
        applied,
        database: database.name().to_owned(),
        current,
        ahead,
        is_dry_run: false,
        started: database.started,
    }
}
