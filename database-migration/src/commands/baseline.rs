//! `baseline`: begins the history of a database whose schema is there already.

use exit_code::{ExitCode, Failure};
use shutdown::Shutdown;
use tracing::info;

use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::execution::insertion;
use crate::files::{MigrationFile, MigrationSet};
use crate::history::Applied;
use crate::session::{Query, Session};
use crate::settings::MigrationSettings;
use crate::target::TargetError;

/// Why the history does not begin here.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is a history already.
    #[error("the history holds migrations up to version {0} already; nothing was changed")]
    NotEmpty(i64),
}

impl Failure for BaselineError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Disagreement
    }

    fn next_step(&self) -> Option<String> {
        Some("go on from there with database-migration up".to_owned())
    }
}

/// Records the migrations up to a version as applied, without running them. The result is a sentence for people.
pub async fn baseline(
    settings: MigrationSettings,
    version: i64,
    shutdown: &Shutdown,
) -> Result<String, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        begin(database, &set, version).await
    })
    .await
}

async fn begin(
    mut database: Database,
    set: &MigrationSet,
    version: i64,
) -> Result<String, MigrationError> {
    if !set.files().iter().any(|file| file.version == version) {
        return Err(TargetError::Unknown(version).into());
    }
    database.lock().await?;
    if let Some(newest) = database.history.last() {
        return Err(BaselineError::NotEmpty(newest.version()).into());
    }
    database.create_history().await?;
    let applied: Vec<_> = set
        .files()
        .iter()
        .filter(|file| file.version <= version)
        .map(|file| (file, file.applied_now()))
        .collect();
    record(&database.session, &applied).await?;
    database.keep_description().await;
    let name = database.name().to_owned();
    database.unlock().await?;
    Ok(format!(
        "{name} is at version {version}, {} migrations recorded and none run",
        applied.len()
    ))
}

/// Records migrations that have been applied by somebody else.
pub(crate) async fn record(
    session: &Session,
    migrations: &[(&MigrationFile, Applied)],
) -> Result<(), MigrationError> {
    let table = session.location().qualified();
    let insertions: Vec<_> = migrations
        .iter()
        .map(|(file, applied)| insertion(file, applied, &table, "NULL::timestamptz"))
        .collect();
    let queries: Vec<_> = insertions.iter().map(|sql| Query::own(sql)).collect();
    session
        .transact(&queries)
        .await
        .map_err(MigrationError::server("recording the migrations"))?;
    for (file, _) in migrations {
        info!("✓ {} {} recorded", file.version, file.name);
    }
    Ok(())
}
