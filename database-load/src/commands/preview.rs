//! What a load would do, found out without writing a row.

use std::path::Path;
use std::sync::Arc;

use connection::Connection;

use crate::commands::{Prepared, begin};
use crate::error::{LoadError, Problem};
use crate::loading::{Compared, DataSetWork, Purpose, Sample, compare};

/// A data set, with what a load of it would do.
pub(super) struct Previewed {
    pub(super) work: DataSetWork,
    pub(super) compared: Compared,
    pub(super) samples: Vec<Sample>,
}

/// Looks at data sets that belong together: first at what is new or changed, in the order of foreign keys, then at what
/// vanished, in the opposite order. Each takes what the others would do for done. What the guard stops is an error.
pub(super) async fn preview(
    connection: &mut Connection,
    group: &[Prepared],
    work_directory: &Arc<Path>,
    guard: impl Fn(&Compared, &DataSetWork) -> Result<(), Problem>,
) -> Result<Vec<Previewed>, LoadError> {
    let transaction = begin(connection)
        .await
        .map_err(|error| group[0].error(Problem::Database(error)))?;
    let mut previewed: Vec<Previewed> = Vec::with_capacity(group.len());
    for (number, prepared) in group.iter().enumerate() {
        let mut work = prepared.work(number, work_directory).await?;
        work.pending = previewed.iter().map(Previewed::pending).collect();
        let comparing = compare(&transaction, &work, Purpose::Preview);
        let compared = work.progress.during(comparing).await?;
        guard(&compared, &work).map_err(|problem| work.error(problem.without_keeping()))?;
        previewed.push(Previewed {
            work,
            compared,
            samples: Vec::new(),
        });
    }
    let mut pending = Vec::with_capacity(group.len());
    for one in previewed.iter_mut().rev() {
        pending.push(one.pending());
        one.work.pending.clone_from(&pending);
        let looking = one.compared.preview(&transaction, &one.work);
        one.samples = one.work.progress.during(looking).await?;
    }
    Ok(previewed)
}

impl Previewed {
    fn pending(&self) -> crate::loading::Pending {
        self.work.pending_change(&self.compared)
    }
}
