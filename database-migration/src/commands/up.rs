//! `up`: brings the database to the newest version.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use advisory_lock::{LockError, LockName};
use connection::{ConnectError, Connector, cancel};
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tracing::{info, warn};

use crate::apply::{ApplyError, apply};
use crate::files::{FileError, MigrationSet};
use crate::history::{self, Applied, HistoryError};
use crate::plan::{Disagreement, Plan};
use crate::session::Session;
use crate::settings::MigrationSettings;

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    /// How many migrations it applied.
    pub applied: usize,
    database: String,
    current: Option<Applied>,
    ahead: usize,
    started: Instant,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The migration files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The server was not reached, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The history's table could not be created.
    #[error("the history {table} could not be created: {problem}")]
    Creation {
        /// The table's full name.
        table: String,
        /// The server's reason.
        problem: String,
    },
    /// Another run was not over in time.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Files and history contradict each other.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// A migration failed; those before it are applied.
    #[error("{source}\n  state: {state}")]
    Apply {
        /// Which one, and why.
        source: ApplyError,
        /// In which state the database is now.
        state: String,
    },
    /// The process was asked to stop.
    #[error(
        "stopped as asked; a migration that was running is rolled back, those before it are applied"
    )]
    Terminated,
}

impl UpError {
    fn failure(&self) -> Option<&dyn Failure> {
        match self {
            Self::Files(error) => Some(error),
            Self::Connect(error) => Some(error),
            Self::History(error) => Some(error),
            Self::Lock(error) => Some(error),
            Self::Disagreement(error) => Some(error),
            Self::Apply { source, .. } => Some(source),
            Self::Creation { .. } | Self::Terminated => None,
        }
    }
}

impl Failure for UpError {
    fn exit_code(&self) -> ExitCode {
        match (self.failure(), self) {
            (Some(failure), _) => failure.exit_code(),
            (None, Self::Terminated) => ExitCode::Terminated,
            (None, _) => ExitCode::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match (self.failure(), self) {
            (Some(failure), _) => failure.next_step(),
            (None, Self::Creation { .. }) => Some(
                "let the user create tables in this schema, or name another schema in MIGRATION_TABLE"
                    .to_owned(),
            ),
            (None, _) => Some("run again; it goes on where it stopped".to_owned()),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.current {
            Some(current) => write!(
                formatter,
                "{} is at version {} {}",
                self.database,
                current.version(),
                current.name()
            )?,
            None => write!(formatter, "{} has no migrations", self.database)?,
        }
        match (self.applied, self.ahead) {
            (0, 0) => write!(formatter, ", nothing to do")?,
            (0, ahead) => write!(
                formatter,
                ", {ahead} ahead of this program, which has nothing to do"
            )?,
            (applied, _) => write!(formatter, ", {applied} applied")?,
        }
        write!(formatter, " ({} ms)", self.started.elapsed().as_millis())
    }
}

/// Brings the database to the newest version of the migrations that `settings` name.
pub async fn up(settings: MigrationSettings, shutdown: &Shutdown) -> Result<Summary, UpError> {
    let started = Instant::now();
    let connector = Connector::new(
        settings.connection.clone(),
        "database-migration",
        settings.server_options(),
    )?;
    let begun = async {
        tokio::try_join!(
            read(settings.directories.clone()),
            open(&connector, &settings)
        )
    };
    let (set, (session, history)) = shutdown
        .guard(begun, async {})
        .await
        .ok_or(UpError::Terminated)??;

    let token = session.connection().cancel_token();
    let run = Run {
        connector: &connector,
        settings: &settings,
        set: &set,
        started,
    };
    shutdown
        .guard(
            run.bring_up(session, history),
            cancel(&token, connector.tls()),
        )
        .await
        .ok_or(UpError::Terminated)?
}

/// Reads the migrations on a thread of its own, while the server answers.
async fn read(directories: Vec<PathBuf>) -> Result<MigrationSet, UpError> {
    if directories.is_empty() {
        return Ok(MigrationSet::embedded()?);
    }
    let span = tracing::Span::current();
    let reading = tokio::task::spawn_blocking(move || {
        span.in_scope(|| MigrationSet::from_directories(&directories))
    });
    match reading.await {
        Ok(set) => Ok(set?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Connects and reads the history, without the lock: whoever has nothing to do need not wait for a long run of somebody
/// else.
async fn open(
    connector: &Connector,
    settings: &MigrationSettings,
) -> Result<(Session, Vec<Applied>), UpError> {
    let connection = connector.wait().await?;
    let user = settings.connection.user();
    let location = history::locate(&connection, &settings.table, user).await?;
    let mut session = Session::new(connector, connection, location);
    let history = session.history().await?;
    Ok((session, history))
}

struct Run<'run> {
    connector: &'run Connector,
    settings: &'run MigrationSettings,
    set: &'run MigrationSet,
    started: Instant,
}

impl Run<'_> {
    async fn bring_up(
        &self,
        mut session: Session,
        history: Vec<Applied>,
    ) -> Result<Summary, UpError> {
        let user = self.settings.connection.user();
        let location = session.location();
        let database = location.database.clone();
        let lock = LockName::new(&[
            "database-migration",
            &location.database,
            &location.schema,
            &location.table,
        ]);

        let plan = Plan::new(self.set, history)?;
        if plan.pending.is_empty() {
            session.close().await;
            return Ok(self.summary(0, database, plan.current, plan.ahead.len()));
        }
        check_statements(&plan)?;
        self.connector.require_session(session.connection()).await?;

        advisory_lock::acquire(session.connection(), &lock, self.settings.runner_wait).await?;
        let location = history::locate(session.connection(), &self.settings.table, user).await?;
        session.relocate(location);
        session
            .create_history()
            .await
            .map_err(|error| UpError::Creation {
                table: session.location().qualified(),
                problem: error.to_string(),
            })?;
        let plan = Plan::new(self.set, session.history().await?)?;
        let current = self.apply_pending(&mut session, &plan).await?;
        advisory_lock::release(session.connection(), &lock).await?;
        session.close().await;
        Ok(self.summary(plan.pending.len(), database, current, plan.ahead.len()))
    }

    async fn apply_pending(
        &self,
        session: &mut Session,
        plan: &Plan<'_>,
    ) -> Result<Option<Applied>, UpError> {
        let mut current = plan.current.clone();
        for file in &plan.pending {
            let duration = apply(session, file, self.settings.lock_retry)
                .await
                .map_err(|source| UpError::Apply {
                    source,
                    state: state(current.as_ref()),
                })?;
            info!(
                "✓ {} {} applied ({} ms)",
                file.version,
                file.name,
                duration.as_millis()
            );
            current = Some(file.applied_now());
        }
        Ok(current)
    }

    fn summary(
        &self,
        applied: usize,
        database: String,
        current: Option<Applied>,
        ahead: usize,
    ) -> Summary {
        if ahead > 0 {
            warn!(
                "the database is ahead of this program by {ahead} migrations, as after a rollback to an older version"
            );
        }
        Summary {
            applied,
            database,
            current,
            ahead,
            started: self.started,
        }
    }
}

/// Before anything runs, so that no migration is found to be impossible after others have changed the database.
fn check_statements(plan: &Plan<'_>) -> Result<(), FileError> {
    let problems: Vec<_> = plan
        .pending
        .iter()
        .flat_map(|file| file.obstacles())
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(FileError::Problems(problems))
    }
}

fn state(current: Option<&Applied>) -> String {
    match current {
        Some(current) => format!(
            "the database is at version {} {}",
            current.version(),
            current.name()
        ),
        None => "no migration is applied".to_owned(),
    }
}
