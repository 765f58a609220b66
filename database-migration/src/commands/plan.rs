//! `plan`: shows what `up` would do, and changes nothing.

use std::io::{self, Write};
use std::time::Instant;

use shutdown::Shutdown;

use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::files::MigrationSet;
use crate::lint::count;
use crate::plan::Plan;
use crate::preview::{PlanFormat, Preview};
use crate::session::SessionError;
use crate::settings::MigrationSettings;

/// Compares the migrations that `settings` name with the history, and looks at the tables that pending ones name.
pub async fn plan(
    settings: MigrationSettings,
    shutdown: &Shutdown,
) -> Result<Preview, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        look(database, &set).await
    })
    .await
}

/// Writes what `up` would do.
pub(crate) async fn run(
    settings: MigrationSettings,
    format: PlanFormat,
    shutdown: &Shutdown,
) -> Result<String, MigrationError> {
    let started = Instant::now();
    let preview = plan(settings, shutdown).await?;
    io::stdout().write_all(preview.render(format).as_bytes())?;
    Ok(format!(
        "{} pending ({} ms)",
        count(preview.pending(), "migration"),
        started.elapsed().as_millis()
    ))
}

/// Looks in a transaction that cannot write.
async fn look(mut database: Database, set: &MigrationSet) -> Result<Preview, MigrationError> {
    let history = std::mem::take(&mut database.history);
    let plan = Plan::new(set, history, database.rules())?;
    let connection = database.session.connection();
    let name = database.name().to_owned();
    let looking = async {
        connection.batch_execute("BEGIN READ ONLY").await?;
        let preview = Preview::new(connection, name, plan).await?;
        connection.batch_execute("ROLLBACK").await?;
        Ok(preview)
    };
    let preview =
        looking
            .await
            .map_err(SessionError::Transaction)
            .map_err(MigrationError::server(
                "looking at the tables of the pending migrations",
            ))?;
    database.session.close().await;
    Ok(preview)
}
