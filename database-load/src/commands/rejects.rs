//! `rejects`: the rows that could not be loaded, as a file of the source's own format.

use std::collections::BTreeSet;

use shutdown::Shutdown;

use crate::commands::{connect, guarded};
use crate::error::LoadError;
use crate::history;
use crate::manifest::Format;
use crate::rejection::Rejection;
use crate::settings::LoadSettings;

/// Reads the rejected rows of the data set's last run that had any. The text is a file like the source: mend it and load
/// it again. Where files of the source differ in format, it is one of them: that which is asked for, or the first.
pub async fn rejects(
    settings: LoadSettings,
    data_set: Option<&str>,
    format: Option<Format>,
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
    let (headers, rows): (Vec<_>, Vec<_>) = rejections.into_iter().partition(is_header);
    for rejection in &rows {
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
    let first = rows.first().and_then(|row| format_of(row, &headers));
    let format = format.map(Format::name).or(first);
    let (rows, others): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| format_of(row, &headers) == format);
    let others: BTreeSet<_> = others
        .iter()
        .filter_map(|row| format_of(row, &headers))
        .collect();
    for format in others {
        tracing::warn!(
            "rows of {format} are not among them: `database-load rejects {data_set} --format {format}` prints those"
        );
    }
    let (kept, lost): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !row.record.is_empty());
    if !lost.is_empty() {
        tracing::warn!(
            "{} rows are not among them: they are too long to be kept, or too many",
            lost.len()
        );
    }
    Ok(match format {
        Some(format) if format == Format::Json.name() => array(&kept),
        _ => lines(&kept, &headers),
    })
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

/// The header of the file that a row is from.
fn header_of<'header>(
    row: &Rejection,
    headers: &'header [Rejection],
) -> Option<&'header Rejection> {
    headers.iter().find(|header| header.file == row.file)
}

/// The name of the format that a row is written in.
fn format_of<'header>(row: &Rejection, headers: &'header [Rejection]) -> Option<&'header str> {
    header_of(row, headers).map(|header| header.reason.as_str())
}

/// The records as one array.
fn array(rows: &[Rejection]) -> Vec<u8> {
    let records: Vec<_> = rows.iter().map(|row| &*row.record).collect();
    [b"[\n", &*records.join(&b",\n"[..]), b"\n]\n"].concat()
}

/// The records as one file. Where files begin with different headers, each header stands before its own rows.
fn lines(rows: &[Rejection], headers: &[Rejection]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut written: Option<&[u8]> = None;
    for row in rows {
        let header = header_of(row, headers).filter(|header| !header.record.is_empty());
        if let Some(header) = header
            && written != Some(&header.record)
        {
            text.extend_from_slice(&header.record);
            text.push(b'\n');
            written = Some(&header.record);
        }
        text.extend_from_slice(&row.record);
        text.push(b'\n');
    }
    text
}
