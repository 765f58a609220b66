//! `export`: a table back in the format of its source.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use shutdown::Shutdown;
use tokio_postgres::IsolationLevel;

use crate::commands::{guarded, manifest, prepare};
use crate::error::{LoadError, Problem};
use crate::loading::{DataSetWork, TEXTS_OF_VALUES, read_back};
use crate::manifest::{Content, Format, ManifestError};
use crate::progress::telling;
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
    let mut selection = manifest(&settings)?;
    // Who only reads may share a table with others.
    selection.others.data_sets.clear();
    let (connection, mut prepared) = prepare(&connector, selection, shutdown).await?;
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
        // An interval that was written in another style may be read as another one.
        transaction
            .batch_execute(&format!(
                "{TEXTS_OF_VALUES}; SET LOCAL IntervalStyle = postgres"
            ))
            .await
            .map_err(|error| work.database_error(error))?;
        let what = format!("{}: writing its rows", work.data_set.name);
        let rows = telling(&what, write(&transaction, &work, export.output)).await?;
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
    let failed = |problem: io::Error| LoadError::Output {
        path: name.clone(),
        problem: problem.to_string(),
    };
    let (new_file, output) = open(path.as_deref()).map_err(failed)?;
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
        .and_then(|()| new_file.map_or(Ok(()), NewFile::put))
        .map_err(failed)?;
    Ok(rows)
}

/// What takes the text. Only a file can be put in place when it is whole; a device or a pipe takes the text as it comes.
fn open(path: Option<&Path>) -> io::Result<(Option<NewFile>, Box<dyn Write + Send>)> {
    let Some(path) = path else {
        return Ok((None, Box::new(io::stdout())));
    };
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok((None, Box::new(File::create(path)?)));
    }
    let (new_file, file) = NewFile::create(path)?;
    Ok((Some(new_file), Box::new(file)))
}

/// A file that is written beside its place and put there when it is whole. Until then what was there is left alone.
struct NewFile {
    place: PathBuf,
    temporary: PathBuf,
}

impl NewFile {
    fn create(path: &Path) -> io::Result<(Self, File)> {
        // Where a symbolic link leads, the file is replaced and not the link.
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let temporary = place.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = File::create(&temporary)?;
        let new_file = Self { place, temporary };
        if let Ok(metadata) = new_file.place.metadata() {
            file.set_permissions(metadata.permissions())?;
        }
        Ok((new_file, file))
    }

    fn put(self) -> io::Result<()> {
        std::fs::rename(&self.temporary, &self.place)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After a success it is not there any more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}
