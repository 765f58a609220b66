//! One file a command.

pub(crate) mod export;
pub(crate) mod load;
pub(crate) mod rejects;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use connection::{Connection, Connector, cancel};
use data_file::ContentHash;
use shutdown::Shutdown;
use tokio_postgres::{IsolationLevel, Transaction};

use crate::codes::Codes;
use crate::error::{LoadError, Problem};
use crate::loading::DataSetWork;
use crate::manifest::{DataSet, Manifest, ManifestError, Vanished};
use crate::progress::Progress;
use crate::settings::{LoadSettings, Origin};
use crate::source::{FindError, Layout, Source};
use crate::target::Table;

/// Changes whenever a load of the same source into the same table would do something else than before.
const LOADER_FORMAT: u32 = 1;

/// A data set with what its source and its table are like.
#[derive(Clone)]
struct Prepared {
    data_set: Arc<DataSet>,
    source: Arc<Source>,
    table: Arc<Table>,
    /// Of all that decides what a load of the source would do.
    mapping_hash: String,
    started: Instant,
}

/// The data sets that the settings ask for.
fn manifest(settings: &LoadSettings) -> Result<Manifest, LoadError> {
    let manifest = match &settings.origin {
        Origin::Embedded => Manifest::embedded(),
        Origin::Directory(path) => Manifest::from_directory(path)?,
        Origin::Manifest(path) => Manifest::from_file(path)?,
    };
    Ok(manifest.only(&settings.only)?)
}

/// Finds the sources as [`find_sources`] does, unless the process is asked to stop.
async fn guarded_sources(
    manifest: Manifest,
    shutdown: &Shutdown,
) -> Result<Vec<(Arc<DataSet>, Source)>, LoadError> {
    shutdown
        .guard(find_sources(manifest), async || {})
        .await
        .ok_or(LoadError::Terminated)?
}

/// Finds the sources of all data sets and takes their hashes. Data sets without files that need none are left out.
async fn find_sources(manifest: Manifest) -> Result<Vec<(Arc<DataSet>, Source)>, LoadError> {
    blocking(move || {
        let mut found = Vec::with_capacity(manifest.data_sets.len());
        for data_set in manifest.data_sets {
            let source = Source::find(&data_set).map_err(|error| match error {
                FindError::Manifest(error) => LoadError::Manifest(error),
                FindError::File(error) => LoadError::DataSet {
                    data_set: data_set.name.clone(),
                    problem: Problem::Source(error.into()),
                },
            })?;
            if let Some(source) = source {
                found.push((Arc::new(data_set), source));
            } else {
                tracing::info!("{}: no files, which is allowed", data_set.name);
            }
        }
        Ok(found)
    })
    .await
}

/// Reads the table of a data set from the catalog.
async fn prepare(
    connection: &Connection,
    data_set: Arc<DataSet>,
    source: Source,
) -> Result<Prepared, LoadError> {
    let started = Instant::now();
    let table = Table::describe(connection, &data_set.table, data_set.key.as_deref())
        .await
        .map_err(|error| LoadError::DataSet {
            data_set: data_set.name.clone(),
            problem: error.into(),
        })?;
    let decisive = format!(
        "{:?}",
        (
            LOADER_FORMAT,
            (
                &data_set.content,
                &data_set.columns,
                &data_set.ignore,
                &data_set.vanished
            ),
            (
                &data_set.mark_column,
                &data_set.duplicates,
                &data_set.reads_back
            ),
            (&table.columns, &table.key),
        )
    );
    Ok(Prepared {
        mapping_hash: ContentHash::of_bytes(decisive.as_bytes()).to_string(),
        data_set,
        source: Arc::new(source),
        table: Arc::new(table),
        started,
    })
}

/// Data sets that share a table must not do anything to rows that they do not know.
fn require_tables_of_their_own(prepared: &[Prepared]) -> Result<(), ManifestError> {
    for (number, one) in prepared.iter().enumerate() {
        let other = prepared[..number]
            .iter()
            .find(|other| other.table.oid == one.table.oid);
        if let Some(other) = other
            && !(one.keeps_vanished() && other.keeps_vanished())
        {
            return Err(ManifestError::SharedTable {
                one: other.data_set.name.clone(),
                other: one.data_set.name.clone(),
                table: one.table.name.clone(),
            });
        }
    }
    Ok(())
}

impl Prepared {
    fn keeps_vanished(&self) -> bool {
        let has_mark_column = self.table.column(&self.data_set.mark_column).is_some();
        self.data_set
            .vanished
            .map_or(!has_mark_column, |policy| policy == Vanished::Keep)
    }

    /// Holds the source's fields against the table.
    async fn work(
        &self,
        number: usize,
        work_directory: &Arc<Path>,
    ) -> Result<DataSetWork, LoadError> {
        let prepared = self.clone();
        let layout = blocking(move || {
            Layout::new(&prepared.data_set, &prepared.source, &prepared.table)
                .map_err(|error| prepared.error(error))
        })
        .await?;
        Ok(DataSetWork {
            number,
            data_set: Arc::clone(&self.data_set),
            source: Arc::clone(&self.source),
            layout: Arc::new(layout),
            table: Arc::clone(&self.table),
            progress: Arc::new(Progress::new(&self.data_set.name, self.source.size())),
            work_directory: Arc::clone(work_directory),
            codes: Arc::new(Codes::default()),
        })
    }

    fn error(&self, problem: impl Into<Problem>) -> LoadError {
        LoadError::DataSet {
            data_set: self.data_set.name.clone(),
            problem: problem.into(),
        }
    }
}

/// Begins a transaction whose statements all see the rows as they were when it began, and what it wrote itself.
async fn begin(connection: &mut Connection) -> Result<Transaction<'_>, tokio_postgres::Error> {
    connection
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await
}

/// Connects and does `work`. Where the process is asked to stop meanwhile, the running statement is cancelled.
async fn connected<Outcome>(
    connector: &Connector,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Connection) -> Result<Outcome, LoadError>,
) -> Result<Outcome, LoadError> {
    let connection = shutdown
        .guard(connector.wait(), async || {})
        .await
        .ok_or(LoadError::Terminated)??;
    let token = connection.cancel_token();
    shutdown
        .guard(Box::pin(work(connection)), async || {
            cancel(&token, connector.tls()).await;
        })
        .await
        .ok_or(LoadError::Terminated)?
}

/// Does what blocks on a thread of its own.
async fn blocking<Outcome: Send + 'static>(
    work: impl FnOnce() -> Outcome + Send + 'static,
) -> Outcome {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
