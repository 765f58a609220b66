//! `verify`: checks that files, history and catalog agree, and that the schema is whole.

use std::fmt::Display;

use shutdown::Shutdown;
use tracing::{error, info};

use crate::catalog::{self, Incomplete};
use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::files::MigrationSet;
use crate::plan::Plan;
use crate::settings::MigrationSettings;

/// Checks the database and says of each check how it ended; the result is a sentence for people. Nothing is changed.
///
/// Pending migrations are no fault. What was changed by hand is only known of a database in which this program has
/// applied something.
pub async fn verify(
    settings: MigrationSettings,
    shutdown: &Shutdown,
) -> Result<String, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        check(database, &set).await
    })
    .await
}

async fn check(mut database: Database, set: &MigrationSet) -> Result<String, MigrationError> {
    let session = &database.session;
    let mut failed = 0;
    let mut tell = |title: &str, faults: Vec<String>| {
        if faults.is_empty() {
            info!("✓ {title}");
        } else {
            failed += 1;
            error!(
                "not so: {title}{}",
                faults
                    .iter()
                    .map(|fault| format!("\n  {fault}"))
                    .collect::<String>()
            );
        }
    };

    database.warn_of_changed_downs(set).await?;
    let history = std::mem::take(&mut database.history);
    let disagreement = Plan::new(set, history, database.rules()).err();
    tell("files and history agree", words(disagreement.as_slice()));
    let unfinished = database.unfinished.iter().map(|unfinished| {
        format!(
            "version {} was interrupted while it was being {}; run database-migration {}",
            unfinished.version,
            unfinished.direction.participle(),
            unfinished.direction
        )
    });
    let hidden = database.hidden.iter().map(|problem| {
        format!("{problem}; let the user read the tables beside the history as well")
    });
    tell(
        "no migration is half done",
        unfinished.chain(hidden).collect(),
    );
    tell(
        "all indexes are valid",
        incomplete(catalog::invalid_indexes(session).await?),
    );
    tell(
        "all constraints are validated",
        incomplete(catalog::not_validated_constraints(session).await?),
    );
    if session.is_described() {
        tell(
            "nothing was changed by hand since the last run; database-migration repair accepts what was",
            words(&catalog::drift(session).await?),
        );
    } else {
        info!(
            "what was changed by hand is not known before database-migration has applied something"
        );
    }

    let name = database.name().to_owned();
    database.session.close().await;
    match failed {
        0 => Ok(format!("{name} is as the migrations have left it")),
        failed => Err(MigrationError::Verification(failed)),
    }
}

fn words(faults: &[impl Display]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn incomplete(found: Vec<Incomplete>) -> Vec<String> {
    found
        .into_iter()
        .map(|incomplete| format!("{}: {}", incomplete.object, incomplete.remedy))
        .collect()
}
