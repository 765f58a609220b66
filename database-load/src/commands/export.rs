//! `export`: a table back in the format of its source.

use std::io::Write;
use std::path::PathBuf;

use shutdown::Shutdown;
use tokio_postgres::IsolationLevel;

use crate::commands::{guarded, manifest, prepare};
use crate::error::{LoadError, Problem};
use crate::loading::{DataSetWork, read_back};
use crate::manifest::{Content, Format, ManifestError};
use crate::settings::LoadSettings;
use crate::source::Writer;
use crate::target::sql::{identifier, list};

/// What to write, and where.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// The data set.
    pub data_set: String,
    /// The file; standard output without one.
    pub output: Option<PathBuf>,
}

/// Writes the rows of a data set's table in the format of its source, with the source's names of fields; returns how many
/// there are. Rows that are marked as vanished are not among them.
pub async fn export(
    mut settings: LoadSettings,
    export: Export,
    shutdown: &Shutdown,
) -> Result<u64, LoadError> {
    settings.only = vec![export.data_set.clone()];
    let connector = settings.connector()?;
    let manifest = manifest(&settings)?;
    let (connection, mut prepared) = prepare(&connector, manifest, shutdown).await?;
    let prepared = prepared
        .pop()
        .ok_or_else(|| ManifestError::UnknownDataSet {
            name: export.data_set.clone(),
            known: "none with files".to_owned(),
        })?;
    guarded(&connector, connection, shutdown, async |mut connection| {
        let work = prepared.work(0, &settings.work_directory).await?;
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|error| work.database_error(error))?;
        let rows = write(&transaction, &work, export.output).await?;
        drop(transaction);
        connection.close().await;
        Ok(rows)
    })
    .await
}

async fn write(
    transaction: &tokio_postgres::Transaction<'_>,
    work: &DataSetWork,
    path: Option<PathBuf>,
) -> Result<u64, LoadError> {
    let name = path.as_ref().map_or_else(
        || "standard output".to_owned(),
        |path| path.display().to_string(),
    );
    let failed = |problem: std::io::Error| LoadError::Output {
        path: name.clone(),
        problem: problem.to_string(),
    };
    let output: Box<dyn Write + Send> = match &path {
        Some(path) => Box::new(std::fs::File::create(path).map_err(failed)?),
        None => Box::new(std::io::stdout()),
    };
    let (format, options) = match &work.data_set.content {
        Content::Rows { csv, .. } => (work.layout.formats[0], csv.clone()),
        Content::Codes { .. } => (Format::Csv, crate::manifest::CsvOptions::default()),
    };
    let mut writer = Writer::new(output, format, options, &work.layout).map_err(failed)?;
    let key: Vec<_> = work.table.key.iter().map(|name| identifier(name)).collect();
    let query = format!(
        "SELECT {} FROM {} AS target WHERE {} ORDER BY {}",
        list(&work.layout.columns),
        work.table.qualified(),
        work.is_present("target"),
        key.join(", ")
    );
    let mut problem = None;
    let rows = read_back(transaction, &query, |row| {
        if problem.is_none() {
            problem = writer.write(row).err();
        }
    })
    .await
    .map_err(|error| work.error(Problem::Database(error)))?;
    problem
        .map_or(Ok(()), Err)
        .and_then(|()| writer.finish())
        .map_err(failed)?;
    Ok(rows)
}
