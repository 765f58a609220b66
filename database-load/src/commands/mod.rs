//! One file a command.

pub(crate) mod export;
mod groups;
pub(crate) mod load;
mod preview;
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
use crate::progress::{Progress, telling};
use crate::settings::{LoadSettings, Origin};
use crate::source::{FindError, Layout, Source};
use crate::target::{Table, TableError};

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

/// Which data sets of a manifest are asked for.
struct Selection {
    wanted: Manifest,
    others: Manifest,
}

/// The data sets that the settings ask for.
fn manifest(settings: &LoadSettings) -> Result<Selection, LoadError> {
    let manifest = match &settings.origin {
        Origin::Embedded => Manifest::embedded(),
        Origin::Directory(path) => Manifest::from_directory(path)?,
        Origin::Manifest(path) => Manifest::from_file(path)?,
    };
    let (wanted, others) = manifest.only(&settings.only)?;
    Ok(Selection { wanted, others })
}

/// Connects, and finds out what the sources and tables of all data sets are like. Data sets without files that need none
/// are left out.
async fn prepare(
    connector: &Connector,
    selection: Selection,
    shutdown: &Shutdown,
) -> Result<(Connection, Vec<Prepared>), LoadError> {
    let Selection { wanted, others } = selection;
    let data_sets: Vec<_> = wanted.data_sets.into_iter().map(Arc::new).collect();
    let preparing = async {
        // The sources are read while the server answers.
        let (sources, (connection, tables)) = tokio::try_join!(
            find_sources(data_sets.clone()),
            describe_tables(connector, &data_sets)
        )?;
        let mut prepared = Vec::with_capacity(data_sets.len());
        let others = others.data_sets.into_iter();
        let mut absent: Vec<_> = others.map(|other| (Arc::new(other), None)).collect();
        for ((data_set, source), (started, table)) in data_sets.into_iter().zip(sources).zip(tables)
        {
            if let Some(source) = source {
                prepared.push(Prepared::new(data_set, source, table, started)?);
            } else {
                tracing::info!("{}: no files, which is allowed", data_set.name);
                absent.push((data_set, table.ok().map(|table| table.oid)));
            }
        }
        require_tables_of_their_own(&prepared, &absent)?;
        Ok((connection, prepared))
    };
    shutdown
        .guard(Box::pin(preparing), async || {})
        .await
        .ok_or(LoadError::Terminated)?
}

/// Finds the source of each data set and takes its hash.
async fn find_sources(data_sets: Vec<Arc<DataSet>>) -> Result<Vec<Option<Source>>, LoadError> {
    let find = |data_set: &Arc<DataSet>| {
        Source::find(data_set).map_err(|error| match error {
            FindError::Manifest(error) => LoadError::Manifest(error),
            FindError::File(error) => LoadError::DataSet {
                data_set: data_set.name.clone(),
                problem: Problem::Source(error.into()),
            },
        })
    };
    let finding = blocking(move || data_sets.iter().map(find).collect());
    telling("reading the sources for their hashes", finding).await
}

/// Connects and reads the table of each data set from the catalog; tells when it began with each.
async fn describe_tables(
    connector: &Connector,
    data_sets: &[Arc<DataSet>],
) -> Result<(Connection, Vec<(Instant, Result<Table, TableError>)>), LoadError> {
    let connection = connector.wait().await?;
    let mut tables = Vec::with_capacity(data_sets.len());
    for data_set in data_sets {
        let started = Instant::now();
        let table = Table::describe(&connection, &data_set.table, data_set.key.as_deref()).await;
        tables.push((started, table));
    }
    Ok((connection, tables))
}

/// Data sets that share a table must not do anything to rows that they do not know. Those that are absent, with the
/// oids of their tables where they are known, may have loaded some before.
fn require_tables_of_their_own(
    prepared: &[Prepared],
    absent: &[(Arc<DataSet>, Option<u32>)],
) -> Result<(), ManifestError> {
    for (number, one) in prepared.iter().enumerate() {
        let loaded = prepared[..number]
            .iter()
            .filter(|other| other.table.oid == one.table.oid)
            .map(|other| &other.data_set);
        let absent = absent
            .iter()
            .filter(|(other, oid)| {
                oid.map_or_else(|| one.is_into(&other.table), |oid| oid == one.table.oid)
            })
            .map(|(other, _)| other);
        let clashing = loaded
            .chain(absent)
            .find(|other| !(one.keeps_vanished(&one.data_set) && one.keeps_vanished(other)));
        if let Some(other) = clashing {
            let mut names = [one.data_set.name.clone(), other.name.clone()];
            names.sort_unstable();
            let [one_name, other_name] = names;
            return Err(ManifestError::SharedTable {
                one: one_name,
                other: other_name,
                table: one.table.name.clone(),
            });
        }
    }
    Ok(())
}

impl Prepared {
    fn new(
        data_set: Arc<DataSet>,
        source: Source,
        table: Result<Table, TableError>,
        started: Instant,
    ) -> Result<Self, LoadError> {
        let table = table.map_err(|error| LoadError::DataSet {
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
        Ok(Self {
            mapping_hash: ContentHash::of_bytes(decisive.as_bytes()).to_string(),
            data_set,
            source: Arc::new(source),
            table: Arc::new(table),
            started,
        })
    }

    /// Whether a data set that is loaded into this table leaves rows alone that it does not know.
    fn keeps_vanished(&self, data_set: &DataSet) -> bool {
        let mark_column = self.table.time_column(&data_set.mark_column);
        data_set
            .vanished
            .map_or(mark_column.is_none(), |policy| policy == Vanished::Keep)
    }

    /// Whether a table's name, as a manifest has it, is that of this table.
    fn is_into(&self, table: &str) -> bool {
        table == self.data_set.table
            || table == format!("{}.{}", self.table.schema, self.table.name)
    }

    /// Holds the source's fields against the table.
    async fn work(
        &self,
        number: usize,
        work_directory: &Arc<Path>,
    ) -> Result<DataSetWork, LoadError> {
        let prepared = self.clone();
        let looking = blocking(move || {
            Layout::new(&prepared.data_set, &prepared.source, &prepared.table)
                .map_err(|error| prepared.error(error))
        });
        let what = format!(
            "{}: looking for the names of its fields",
            self.data_set.name
        );
        let layout = telling(&what, looking).await?;
        Ok(DataSetWork {
            number,
            data_set: Arc::clone(&self.data_set),
            source: Arc::clone(&self.source),
            layout: Arc::new(layout),
            table: Arc::clone(&self.table),
            progress: Arc::new(Progress::new(&self.data_set.name, self.source.size())),
            work_directory: Arc::clone(work_directory),
            codes: Arc::new(Codes::default()),
            loaded_later: Vec::new(),
            pending: Vec::new(),
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

/// Does `work`. Where the process is asked to stop meanwhile, the running statement is cancelled.
async fn guarded<Outcome>(
    connector: &Connector,
    connection: Connection,
    shutdown: &Shutdown,
    work: impl AsyncFnOnce(Connection) -> Result<Outcome, LoadError>,
) -> Result<Outcome, LoadError> {
    let token = connection.cancel_token();
    shutdown
        .guard(Box::pin(work(connection)), async || {
            cancel(&token, connector.tls()).await;
        })
        .await
        .ok_or(LoadError::Terminated)?
}

/// Connects, unless the process is asked to stop.
async fn connect(connector: &Connector, shutdown: &Shutdown) -> Result<Connection, LoadError> {
    let connection = shutdown.guard(connector.wait(), async || {}).await;
    Ok(connection.ok_or(LoadError::Terminated)??)
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
