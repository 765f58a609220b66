//! `validate`: whether the rows of the sources could be loaded, as far as the tables' columns and the guards tell.

use std::collections::{HashMap, HashSet};

use shutdown::Shutdown;
use tracing::info;

use crate::commands::{manifest, prepare};
use crate::error::LoadError;
use crate::loading::{DataSetWork, Reading, push_key, row_hash};
use crate::manifest::Duplicates;
use crate::rejection::{Rejection, Rejections};
use crate::settings::LoadSettings;

/// Reads all sources and checks each row against the table's columns and key. Of the database only the catalog is
/// needed; what only the server or rows of tables can tell, such as whether a text is a value of an unusual type or a
/// reference leads anywhere, is left to a load or its preview. Returns how many data sets there are.
pub async fn validate(settings: LoadSettings, shutdown: &Shutdown) -> Result<usize, LoadError> {
    let connector = settings.connector()?;
    let selection = manifest(&settings)?;
    let (connection, prepared) = prepare(&connector, selection, shutdown).await?;
    connection.close().await;
    let validating = async {
        for (number, prepared) in prepared.iter().enumerate() {
            let work = prepared.work(number, &settings.work_directory).await?;
            work.progress.during(validate_rows(&work)).await?;
        }
        Ok(prepared.len())
    };
    shutdown
        .guard(Box::pin(validating), async || {})
        .await
        .ok_or(LoadError::Terminated)?
}

async fn validate_rows(work: &DataSetWork) -> Result<(), LoadError> {
    let mut rejections = Rejections::default();
    let mut keys = Vec::new();
    let mut reading = Reading::start(work);
    while let Some(batch) = reading.next().await? {
        keys.extend(batch.iter().map(|(_, row)| key_hash(row, &work.layout.key)));
        batch
            .rejected
            .into_iter()
            .for_each(|rejected| rejections.add(rejected.rejection));
    }
    work.codes.clean();
    let read = keys.len() as u64 + rejections.count();
    let repeated = repeated(&mut keys);
    keys.dedup();
    if !repeated.is_empty() && work.data_set.duplicates == Duplicates::Reject {
        reject_repeated(work, &repeated, &mut rejections).await?;
    }
    rejections.sort();
    // Of the rows with the same key one is valid, whatever becomes of the others.
    let valid = keys.len() as u64;
    let guards = &work.data_set.guards;
    guards
        .against_rejects(read, &rejections)
        .and_then(|()| guards.against_few_rows(read, valid))
        .map_err(|problem| work.error(problem.without_keeping()))?;
    info!(
        "✓ {}: {read} rows, {} of them rejected{rejections}",
        work.data_set.name,
        rejections.count()
    );
    Ok(())
}

fn key_hash(row: &[u8], key: &[usize]) -> u128 {
    let mut text = Vec::new();
    push_key(row.strip_suffix(b"\n").unwrap_or(row), key, &mut text);
    row_hash(&text)
}

/// The hashes that stand there more than once; they are sorted.
fn repeated(hashes: &mut [u128]) -> HashSet<u128> {
    hashes.sort_unstable();
    let pairs = hashes.windows(2);
    pairs
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
        .collect()
}

/// Reads the source once more for the lines of the rows whose keys are repeated.
async fn reject_repeated(
    work: &DataSetWork,
    repeated: &HashSet<u128>,
    rejections: &mut Rejections,
) -> Result<(), LoadError> {
    let mut first_lines: HashMap<u128, (usize, u64)> = HashMap::new();
    work.progress.restart();
    let mut reading = Reading::start(work);
    while let Some(batch) = reading.next().await? {
        for (row, text) in batch.iter() {
            let hash = key_hash(text, &work.layout.key);
            if !repeated.contains(&hash) {
                continue;
            }
            if let Some((first_file, first_line)) = first_lines.get(&hash) {
                let in_file = if *first_file == batch.file {
                    String::new()
                } else {
                    format!(" of {}", work.source.files[*first_file].name)
                };
                rejections.add(Rejection {
                    file: work.source.files[batch.file].name.clone(),
                    line: row.line,
                    column: Some(work.table.key.join(", ")),
                    reason: format!("the key is already that of line {first_line}{in_file}"),
                    value: None,
                    record: Vec::new(),
                });
            } else {
                first_lines.insert(hash, (batch.file, row.line));
            }
        }
    }
    Ok(())
}
