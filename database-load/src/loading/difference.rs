//! The table's rows are read, and only rows of the source that are not among them are staged.

use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::error::LoadError;
use crate::loading::existing::{Existing, Found};
use crate::loading::read_back::{Checksum, read_back};
use crate::loading::rows::row_hash;
use crate::loading::staging::{Copy, Typing, create_staging, staging_name};
use crate::loading::{
    Compared, Counts, DataSetWork, Detour, Reading, Staged, VanishedRows, detour, thorough,
    vanished, write,
};
use crate::manifest::Vanished;
use crate::rejection::Rejections;
use crate::target::sql::{list, names};
use crate::target::statement_span;

/// What a page of the table costs after all rows were read. The planner takes it for one on a disk otherwise, and would
/// rather look at all rows once more than for those that differ.
const IN_MEMORY: &str = "SET LOCAL seq_page_cost = 0.1; SET LOCAL random_page_cost = 0.1";
/// With more vanished rows than this, the server finds them instead of sending each.
const MANY_VANISHED: usize = 100_000;

pub(super) async fn compare(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Compared, Detour> {
    // The source is read ahead while the table's rows arrive.
    let reading = Reading::start(work);
    let mut existing = read_table(transaction, work)
        .instrument(statement_span("COPY", &work.table))
        .await?;
    let rows_before = existing.len() as u64;
    transaction
        .batch_execute(IN_MEMORY)
        .await
        .map_err(|error| work.database_error(error))?;
    let (checksum, staged) = stage(transaction, work, reading, &mut existing)
        .instrument(statement_span("COPY", &work.table))
        .await?;
    require_regular(transaction, work, &mut existing).await?;
    let vanished = find_vanished(transaction, work, &existing).await?;
    Ok(Compared {
        counts: Counts {
            read: checksum.rows,
            valid: checksum.rows,
            ..Counts::default()
        },
        rejections: Rejections::default(),
        checksum: Some(checksum),
        vanished,
        rows_before,
        staged: Staged::Differing(staged),
    })
}

/// The columns that are loaded, of the table's rows.
fn table_query(work: &DataSetWork) -> String {
    format!(
        "SELECT {} FROM {} AS target WHERE {}",
        list(&work.layout.columns),
        work.table.qualified(),
        work.is_present("target")
    )
}

async fn read_table(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Existing, LoadError> {
    let mut hashes = Vec::new();
    read_back(transaction, &table_query(work), |row| {
        hashes.push(row_hash(row));
    })
    .await
    .map_err(|error| work.database_error(error))?;
    Ok(Existing::new(hashes))
}

/// Stages the rows that the table does not have; returns the checksums of all rows and of those.
async fn stage(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    mut reading: Reading,
    existing: &mut Existing,
) -> Result<(Checksum, Checksum), Detour> {
    let name = staging_name(work.number);
    let columns = &work.layout.columns;
    create_staging(transaction, &name, &work.table, columns, Typing::Exact)
        .await
        .map_err(|error| work.database_error(error))?;
    let mut copy = Copy::begin_staging(transaction, &name, columns)
        .await
        .map_err(|error| detour(work, error))?;
    let (mut checksum, mut staged) = (Checksum::default(), Checksum::default());
    while let Some(batch) = reading.next().await? {
        if !batch.rejected.is_empty() {
            return Err(Detour::Irregular);
        }
        let hashes: Vec<_> = batch.hashes().collect();
        existing.fetch(&hashes);
        for ((row, text), hash) in batch.iter().zip(hashes) {
            checksum.add(hash);
            match existing.find(hash) {
                Found::Same => {}
                Found::New => {
                    staged.add(hash);
                    copy.stage(batch.file, row, text)
                        .await
                        .map_err(|error| detour(work, error))?;
                }
                Found::Again => return Err(Detour::Irregular),
            }
        }
    }
    copy.finish().await.map_err(|error| detour(work, error))?;
    Ok((checksum, staged))
}

/// Rows that only the server can refuse, and keys that the source has twice, are for the thorough way. The rows that
/// will be updated are noted as found.
async fn require_regular(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    existing: &mut Existing,
) -> Result<(), Detour> {
    let is_regular = thorough::is_regular(transaction, work)
        .await
        .map_err(|error| detour(work, error))?;
    if !is_regular {
        return Err(Detour::Irregular);
    }
    let mut is_again = false;
    write::find_places(transaction, work, |row| {
        // A row of the source equals this row of the table, and another has the same key and differs. Rows that are
        // marked as vanished are not known.
        is_again |= existing.find(row_hash(row)) == Found::Again;
    })
    .await
    .map_err(|error| work.database_error(error))?;
    if is_again {
        return Err(Detour::Irregular);
    }
    Ok(())
}

/// Rows of the table that the source neither has nor has otherwise.
async fn find_vanished(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    existing: &Existing,
) -> Result<VanishedRows, Detour> {
    let count = existing.missing();
    if count == 0 || work.vanished_policy() == Vanished::Keep {
        return Ok(VanishedRows {
            count: count as u64,
            is_listed: false,
        });
    }
    if count > MANY_VANISHED {
        return Err(Detour::Irregular);
    }
    let mut keys = Vec::new();
    read_back(transaction, &table_query(work), |row| {
        if !existing.is_found(row_hash(row)) {
            push_key(row, &work.layout.key, &mut keys);
        }
    })
    .await
    .map_err(|error| work.database_error(error))?;
    let name = vanished::table_name(work.number);
    let key = names(
        work.layout
            .key
            .iter()
            .map(|&position| &*work.layout.columns[position].name),
    );
    let listed = async {
        vanished::create(transaction, work).await?;
        let mut copy = Copy::begin(transaction, &name, &key).await?;
        copy.send(keys).await?;
        copy.finish().await
    };
    let listed = listed.await.map_err(|error| work.database_error(error))?;
    Ok(VanishedRows {
        count: listed,
        is_listed: true,
    })
}

/// The key's fields of a row in COPY's text format, as a row.
pub(crate) fn push_key(row: &[u8], key: &[usize], keys: &mut Vec<u8>) {
    for (number, &position) in key.iter().enumerate() {
        if number > 0 {
            keys.push(b'\t');
        }
        let field = row.split(|byte| *byte == b'\t').nth(position);
        keys.extend_from_slice(field.unwrap_or_default());
    }
    keys.push(b'\n');
}
