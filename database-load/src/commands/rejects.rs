//! `rejects`: the rows that could not be loaded, as a file of the source's own format.

use shutdown::Shutdown;

use crate::commands::{connect, guarded};
use crate::error::LoadError;
use crate::history;
use crate::manifest::Format;
use crate::rejection::Rejection;
use crate::settings::LoadSettings;

/// Reads the rejected rows of the data set's last run that had any. The text is a file like the source: mend it and load
/// it again.
pub async fn rejects(
    settings: LoadSettings,
    data_set: Option<&str>,
    shutdown: &Shutdown,
) -> Result<Vec<u8>, LoadError> {
    let connector = settings.connector()?;
    let connection = connect(&connector, shutdown).await?;
    let found = guarded(&connector, connection, shutdown, async |connection| {
        let found = if history::exists(&connection).await? {
            history::rejections(&connection, data_set).await?
        } else {
            None
        };
        connection.close().await;
        Ok(found)
    })
    .await?;
    let Some((data_set, rejections)) = found else {
        tracing::info!("no rows were rejected");
        return Ok(Vec::new());
    };
    for rejection in rejections.iter().filter(|rejection| !is_header(rejection)) {
        let column = rejection
            .column
            .as_deref()
            .map_or_else(String::new, |column| format!("column {column}: "));
        tracing::info!(
            "{data_set}: {}:{}: {column}{}",
            rejection.file,
            rejection.line,
            rejection.reason
        );
    }
    let (kept, lost): (Vec<_>, Vec<_>) = rejections
        .into_iter()
        .partition(|rejection| is_header(rejection) || !rejection.record.is_empty());
    if !lost.is_empty() {
        tracing::warn!(
            "{} rows are not among them: they are too long to be kept, or too many",
            lost.len()
        );
    }
    Ok(file(&kept))
}

/// The first line of a file stands among its rejected rows, as line 0; what it says of the format is its reason.
pub(crate) fn header(file: &str, format: Format, record: Vec<u8>) -> Rejection {
    Rejection {
        file: file.to_owned(),
        line: 0,
        column: None,
        reason: format.name().to_owned(),
        value: None,
        record,
    }
}

fn is_header(rejection: &Rejection) -> bool {
    rejection.line == 0
}

/// The records as one file. Where files begin with different headers, each header stands before its own rows.
fn file(rejections: &[Rejection]) -> Vec<u8> {
    let is_array = rejections
        .iter()
        .any(|rejection| is_header(rejection) && rejection.reason == Format::Json.name());
    let records = rejections.iter().filter(|rejection| !is_header(rejection));
    let mut text = Vec::new();
    if is_array {
        let records: Vec<_> = records.map(|rejection| &*rejection.record).collect();
        text.extend_from_slice(b"[\n");
        text.extend_from_slice(&records.join(&b",\n"[..]));
        text.extend_from_slice(b"\n]\n");
        return text;
    }
    let mut written: Option<&[u8]> = None;
    for rejection in records {
        let header = rejections.iter().find(|header| {
            is_header(header) && header.file == rejection.file && !header.record.is_empty()
        });
        if let Some(header) = header
            && written != Some(&header.record)
        {
            text.extend_from_slice(&header.record);
            text.push(b'\n');
            written = Some(&header.record);
        }
        text.extend_from_slice(&rejection.record);
        text.push(b'\n');
    }
    text
}
