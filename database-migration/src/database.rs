//! A database as a command finds it: connected, with its history read, and the files to compare it with.

use std::time::{Duration, Instant};

use advisory_lock::{LockError, LockName};
use connection::{Connector, cancel};
use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tokio_postgres::error::SqlState;
use tracing::{info, warn};

use crate::catalog;
use crate::error::MigrationError;
use crate::execution::{Change, Unfinished, execute, kept, unfinished};
use crate::files::{Direction, MigrationSet};
use crate::history::{self, Applied};
use crate::metrics;
use crate::plan::Rules;
use crate::session::{Session, SessionError};
use crate::settings::{MigrationSettings, MigrationSource};

const READING_STEPS: &str = "reading how far migrations came";

/// A database, opened for one command.
pub(crate) struct Database {
    pub(crate) settings: MigrationSettings,
    pub(crate) connector: Connector,
    pub(crate) session: Session,
    /// As it was read last.
    pub(crate) history: Vec<Applied>,
    /// Migrations without a transaction that were begun and have not come to their end.
    pub(crate) unfinished: Vec<Unfinished>,
    /// Why those are not known: the user may not read how far they came.
    pub(crate) hidden: Option<String>,
    pub(crate) started: Instant,
    lock: LockName,
}

/// Opens the database and does `work` with it. When the process is asked to stop, the statement that is running is
/// cancelled.
///
/// The history is read without the lock: whoever has nothing to do need not wait for a long run of somebody else. The
/// files are read meanwhile, on a thread of their own.
pub(crate) async fn with<Outcome>(
    settings: MigrationSettings,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Database, MigrationSet) -> Result<Outcome, MigrationError>,
) -> Result<Outcome, MigrationError> {
    let files = read(settings.migrations.clone());
    open(settings, shutdown, files, work).await
}

/// Opens the database without reading files.
pub(crate) async fn with_history<Outcome>(
    settings: MigrationSettings,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Database) -> Result<Outcome, MigrationError>,
) -> Result<Outcome, MigrationError> {
    let nothing = std::future::ready(Ok(()));
    open(settings, shutdown, nothing, async |database, ()| {
        work(database).await
    })
    .await
}

/// Opens the database without reading its history, which another tool may have written.
pub(crate) async fn with_foreign<Outcome>(
    settings: MigrationSettings,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Database, MigrationSet) -> Result<Outcome, MigrationError>,
) -> Result<Outcome, MigrationError> {
    let files = read(settings.migrations.clone());
    let begun = async { tokio::try_join!(files, Database::connect(settings)) };
    guarded(begun, shutdown, work).await
}

async fn open<Files, Outcome>(
    settings: MigrationSettings,
    shutdown: &Shutdown,
    files: impl Future<Output = Result<Files, MigrationError>>,
    work: impl AsyncFnOnce(Database, Files) -> Result<Outcome, MigrationError>,
) -> Result<Outcome, MigrationError> {
    let begun = async { tokio::try_join!(files, Database::open(settings)) };
    guarded(begun, shutdown, work).await
}

async fn guarded<Files, Outcome>(
    begun: impl Future<Output = Result<(Files, Database), MigrationError>>,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Database, Files) -> Result<Outcome, MigrationError>,
) -> Result<Outcome, MigrationError> {
    let (files, database) = shutdown
        .guard(Box::pin(begun), async || {})
        .await
        .ok_or(MigrationError::Terminated)??;
    let token = database.session.connection().cancel_token();
    let connector = database.connector.clone();
    shutdown
        .guard(Box::pin(work(database, files)), async || {
            cancel(&token, connector.tls()).await;
        })
        .await
        .ok_or(MigrationError::Terminated)?
}

async fn read(source: MigrationSource) -> Result<MigrationSet, MigrationError> {
    let directories = match source {
        MigrationSource::Embedded => return Ok(MigrationSet::embedded()?),
        MigrationSource::Given(set) => return Ok(set),
        MigrationSource::Directories(directories) => directories,
    };
    let span = tracing::Span::current();
    let reading = tokio::task::spawn_blocking(move || {
        span.in_scope(|| MigrationSet::from_directories(&directories))
    });
    match reading.await {
        Ok(set) => Ok(set?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Database {
    async fn open(settings: MigrationSettings) -> Result<Self, MigrationError> {
        let mut database = Self::connect(settings).await?;
        database.session.location().require_ours()?;
        database.look().await?;
        Ok(database)
    }

    async fn connect(settings: MigrationSettings) -> Result<Self, MigrationError> {
        let started = Instant::now();
        let connector = Connector::new(
            settings.connection.clone(),
            "database-migration",
            settings.server_options(),
        )?;
        let connection = connector.wait().await?;
        let user = settings.connection.user();
        let location = history::find(&connection, &settings.table, user).await?;
        let lock = LockName::new(&[
            "database-migration",
            &location.database,
            &location.schema,
            &location.table,
        ]);
        Ok(Self {
            session: Session::new(&connector, connection, location),
            settings,
            connector,
            history: Vec::new(),
            unfinished: Vec::new(),
            hidden: None,
            started,
            lock,
        })
    }

    /// Reads as much as the user may: whoever only looks needs no more than the history.
    async fn look(&mut self) -> Result<(), MigrationError> {
        self.history = self.session.history().await?;
        match unfinished(&self.session).await {
            Ok(unfinished) => self.unfinished = unfinished,
            Err(error) if is_forbidden(&error) => {
                let problem = error.describe();
                warn!(
                    "whether a migration without a transaction is half done is not known: {problem}"
                );
                self.hidden = Some(problem);
            }
            Err(error) => return Err(MigrationError::server(READING_STEPS)(error)),
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), MigrationError> {
        self.history = self.session.history().await?;
        self.unfinished = unfinished(&self.session)
            .await
            .map_err(MigrationError::server(READING_STEPS))?;
        Ok(())
    }

    /// Which contradictions between files and history stop a run.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            checksum_validation: self.settings.checksum_validation,
            out_of_order: self.settings.out_of_order,
        }
    }

    /// The database's name.
    pub(crate) fn name(&self) -> &str {
        &self.session.location().database
    }

    /// Excludes all other runs on this history.
    pub(crate) async fn exclude_others(&self) -> Result<(), MigrationError> {
        let connection = self.session.connection();
        self.connector.require_session(connection).await?;
        let acquiring = advisory_lock::acquire(connection, &self.lock, self.settings.runner_wait);
        metrics::lock_wait(self.session.location().namespace(), acquiring).await?;
        Ok(())
    }

    /// Keeps the description of the schema if an interrupted run has not; a run that is at work keeps it itself. Whoever
    /// has nothing else to do need not fail over it.
    pub(crate) async fn complete_description(&self) {
        let location = self.session.location();
        if !location.exists || location.has_catalog {
            return;
        }
        let keeping = async {
            if self.exclude_others_at_once().await? {
                self.keep_description().await;
            }
            Ok::<_, MigrationError>(())
        };
        if let Err(error) = keeping.await {
            warn_of_no_description(&error);
        }
    }

    /// Keeps the description of the schema. What was to be done is done by then, so the run need not fail over it; the
    /// next one tries again.
    pub(crate) async fn keep_description(&self) {
        if let Err(error) = catalog::keep(&self.session).await {
            warn_of_no_description(&error);
        }
    }

    /// Excludes all other runs on this history, unless there is one.
    async fn exclude_others_at_once(&self) -> Result<bool, MigrationError> {
        let connection = self.session.connection();
        self.connector.require_session(connection).await?;
        match advisory_lock::acquire(connection, &self.lock, Some(Duration::ZERO)).await {
            Err(LockError::Timeout { .. }) => Ok(false),
            outcome => Ok(outcome.map(|()| true)?),
        }
    }

    /// Excludes all other runs on this history, and reads it again.
    pub(crate) async fn lock(&mut self) -> Result<(), MigrationError> {
        self.exclude_others().await?;
        self.locate().await?;
        self.read().await
    }

    /// Looks for the history's table again.
    pub(crate) async fn locate(&mut self) -> Result<(), MigrationError> {
        let user = self.settings.connection.user();
        let connection = self.session.connection();
        let location = history::find(connection, &self.settings.table, user).await?;
        location.require_ours()?;
        self.session.relocate(location);
        Ok(())
    }

    /// Between two versions there is nothing to compare with files.
    pub(crate) fn require_no_unfinished_down(&self) -> Result<(), UnfinishedError> {
        self.require_none_unfinished(Direction::Down)
    }

    /// What an unfinished migration has made would stay behind if those before it were undone.
    pub(crate) fn require_no_unfinished_up(&self) -> Result<(), UnfinishedError> {
        self.require_none_unfinished(Direction::Up)
    }

    fn require_none_unfinished(&self, direction: Direction) -> Result<(), UnfinishedError> {
        let found = self
            .unfinished
            .iter()
            .find(|unfinished| unfinished.direction == direction);
        match found {
            Some(unfinished) => Err(UnfinishedError(unfinished.clone())),
            None => Ok(()),
        }
    }

    /// Names the files that undo what is applied in another way than the history.
    pub(crate) async fn warn_of_changed_downs(
        &self,
        set: &MigrationSet,
    ) -> Result<(), MigrationError> {
        for record in history::records(&self.session, i64::MIN).await? {
            if let Some(file) = set.file(record.version)
                && file.down.as_ref().map(kept).as_deref() != record.down_sql.as_deref()
            {
                warn!(
                    "{}: what undoes version {} is another thing in the history, which down follows; \
                     database-migration repair takes over the file's",
                    file.path.display(),
                    file.version
                );
            }
        }
        Ok(())
    }

    /// Creates the history if it is not there. Only to be called by the holder of the lock.
    pub(crate) async fn create_history(&mut self) -> Result<(), MigrationError> {
        self.session
            .create_history()
            .await
            .map_err(|error| MigrationError::Creation {
                table: self.session.location().qualified(),
                problem: error.describe(),
            })
    }

    /// Applies or undoes one migration and says so. `current` is the newest version applied before.
    pub(crate) async fn execute(
        &self,
        change: &Change<'_>,
        current: Option<&Applied>,
    ) -> Result<(), MigrationError> {
        let lock_retry = self.settings.lock_retry;
        let duration = execute(&self.connector, &self.session, change, lock_retry)
            .await
            .map_err(|source| MigrationError::Apply {
                state: source.state(state(current)),
                source: Box::new(source),
            })?;
        info!(
            "✓ {} {} {} ({} ms)",
            change.version,
            change.name,
            change.direction.participle(),
            duration.as_millis()
        );
        Ok(())
    }

    /// Lets others run, and disconnects.
    pub(crate) async fn unlock(self) -> Result<(), MigrationError> {
        advisory_lock::release(self.session.connection(), &self.lock).await?;
        self.session.close().await;
        Ok(())
    }
}

/// A migration without a transaction was begun in the other direction and has not come to its end.
#[derive(Debug, thiserror::Error)]
#[error(
    "version {} was being {} when that was interrupted, after {} of its statements; nothing was changed",
    .0.version,
    .0.direction.participle(),
    .0.finished
)]
pub struct UnfinishedError(Unfinished);

impl Failure for UnfinishedError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Disagreement
    }

    fn next_step(&self) -> Option<String> {
        let version = self.0.version;
        Some(match self.0.direction {
            Direction::Up => format!(
                "finish it with database-migration up; or take back by hand what it has done, then run \
                 database-migration repair --forget-unfinished {version}"
            ),
            Direction::Down => format!(
                "finish it with database-migration down --steps 1; or bring back by hand what it has taken away, then \
                 run database-migration repair --forget-unfinished {version}"
            ),
        })
    }
}

fn warn_of_no_description(error: &MigrationError) {
    warn!(
        "what is changed by hand will not be known until a later run has kept the description: {error}"
    );
}

fn is_forbidden(error: &SessionError) -> bool {
    let answer = error.answer();
    answer.is_some_and(|answer| *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE)
}

/// At which version a database is, in words.
pub(crate) fn position(database: &str, current: Option<&Applied>) -> String {
    match current {
        Some(current) => format!(
            "{database} is at version {} {}",
            current.version(),
            current.name()
        ),
        None => format!("{database} has no migrations"),
    }
}

/// In which state a database is, in words.
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
