//! `verify`: whether the tables are as their sources say.

use shutdown::Shutdown;
use tracing::info;

use crate::commands::{begin, guarded, manifest, prepare};
use crate::error::LoadError;
use crate::loading::{Counts, Purpose, compare};
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
        let mut differing = Vec::new();
        for (number, prepared) in prepared.iter().enumerate() {
            let work = prepared.work(number, &settings.work_directory).await?;
            let transaction = begin(&mut connection)
                .await
                .map_err(|error| work.database_error(error))?;
            let comparing = async {
                let mut compared = compare(&transaction, &work, Purpose::Preview).await?;
                work.data_set
                    .guards
                    .against_rejects(compared.counts.read, &compared.rejections)
                    .map_err(|problem| work.error(problem))?;
                compared.preview(&transaction, &work).await?;
                Ok::<_, LoadError>(compared.counts)
            };
            let counts = work.progress.during(comparing).await?;
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
