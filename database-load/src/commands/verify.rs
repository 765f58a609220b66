//! `verify`: whether the tables are as their sources say.

use shutdown::Shutdown;
use tracing::info;

use crate::commands::preview::{Previewed, preview};
use crate::commands::{groups, guarded, manifest, prepare};
use crate::error::{LoadError, Problem};
use crate::loading::{Compared, Counts, DataSetWork};
use crate::settings::LoadSettings;

/// Compares every row of all sources and tables; writes nothing but temporary tables. Returns how many data sets there
/// are.
pub async fn verify(settings: LoadSettings, shutdown: &Shutdown) -> Result<usize, LoadError> {
    let connector = settings.connector()?;
    let selection = manifest(&settings)?;
    let (connection, prepared) = prepare(&connector, selection, shutdown).await?;
    guarded(&connector, connection, shutdown, async |mut connection| {
        connector.require_session(&connection).await?;
        let checked = prepared.len();
        let mut previewed = Vec::with_capacity(checked);
        for group in groups::by_foreign_keys(prepared) {
            let directory = &settings.work_directory;
            previewed.extend(preview(&mut connection, &group, directory, guard_rejects).await?);
        }
        let mut differing = Vec::new();
        for Previewed { work, compared, .. } in previewed {
            let counts = compared.counts;
            work.codes.clean();
            match difference(&counts) {
                None => info!(
                    "✓ {}: {} is as its source says ({counts})",
                    work.data_set.name, work.table.name
                ),
                Some(difference) => {
                    differing.push(format!("\n  {}: {difference}", work.data_set.name));
                }
            }
        }
        connection.close().await;
        if differing.is_empty() {
            return Ok(checked);
        }
        Err(LoadError::Differs {
            differing: differing.len(),
            checked,
            details: differing.concat(),
        })
    })
    .await
}

/// Of a source with too many bad rows no table can be said to be as it.
fn guard_rejects(compared: &Compared, work: &DataSetWork) -> Result<(), Problem> {
    let guards = &work.data_set.guards;
    guards.against_rejects(compared.counts.read, &compared.rejections)
}

/// What a load would do, if anything.
fn difference(counts: &Counts) -> Option<String> {
    let parts = [
        (counts.inserted, "missing in the table"),
        (counts.updated, "different"),
        (counts.marked, "in the table only, and not marked"),
        (counts.deleted, "in the table only"),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(rows, _)| *rows > 0)
        .map(|(rows, what)| format!("{rows} {what}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
