//! An empty table is filled directly.

use tokio_postgres::Transaction;
use tracing::Instrument;

use crate::loading::read_back::Checksum;
use crate::loading::staging::Copy;
use crate::loading::{
    Compared, Counts, DataSetWork, Detour, Reading, Staged, VanishedRows, detour,
};
use crate::rejection::Rejections;
use crate::target::sql::list;
use crate::target::statement_span;

pub(super) async fn fill(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Compared, Detour> {
    let (checksum, written) = copy(transaction, work)
        .instrument(statement_span("COPY", &work.table))
        .await?;
    Ok(Compared {
        counts: Counts {
            read: checksum.rows,
            valid: checksum.rows,
            ..Counts::default()
        },
        rejections: Rejections::default(),
        checksum: work.layout.is_canonical().then_some(checksum),
        vanished: VanishedRows::none(),
        rows_before: 0,
        staged: Staged::Written(written),
    })
}

/// Returns the checksum of what was sent, and how many rows the server wrote.
async fn copy(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(Checksum, u64), Detour> {
    let mut reading = Reading::start(work);
    let table = work.table.qualified();
    let mut copy = Copy::begin(transaction, &table, &list(&work.layout.columns))
        .await
        .map_err(|error| detour(work, error))?;
    let mut checksum = Checksum::default();
    while let Some(batch) = reading.next().await? {
        if !batch.rejected.is_empty() {
            return Err(Detour::Irregular);
        }
        batch.hashes().for_each(|hash| checksum.add(hash));
        copy.send(batch.text)
            .await
            .map_err(|error| detour(work, error))?;
    }
    let written = copy.finish().await.map_err(|error| detour(work, error))?;
    Ok((checksum, written))
}
