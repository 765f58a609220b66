//! The staging table: where a source's rows stand before they are compared with the target.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use csv::ByteRecord;
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Transaction};

use crate::rejection::Rejection;
use crate::target::column::Column;
use crate::target::table::{Table, identifier};

/// The staging table's name; it is temporary, so each session has its own.
pub(crate) const STAGING: &str = "database_load_staging";
/// The staging table's column with the line that a row comes from.
pub(crate) const LINE: &str = "database_load_line";
/// COPY data is sent in pieces of this size, in bytes.
const CHUNK: usize = 64 * 1024;

/// Rows on their way into the staging table, by COPY in text format, which beats the binary one for text columns.
pub(crate) struct Staging<'table> {
    columns: Vec<&'table Column>,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
}

impl<'table> Staging<'table> {
    /// Creates the staging table with the types of the target's columns and begins the COPY.
    pub(crate) async fn begin(
        transaction: &Transaction<'_>,
        table: &Table,
        columns: Vec<&'table Column>,
    ) -> Result<Self, tokio_postgres::Error> {
        let names = list(&columns);
        transaction
            .batch_execute(&format!(
                "CREATE TEMPORARY TABLE {STAGING} ON COMMIT DROP AS
                 SELECT 0::bigint AS {LINE}, {names} FROM {} WITH NO DATA",
                table.qualified()
            ))
            .await?;
        let sink = transaction
            .copy_in(&format!("COPY {STAGING} ({LINE}, {names}) FROM STDIN"))
            .await?;
        Ok(Self {
            columns,
            sink: Box::pin(sink),
            buffer: BytesMut::with_capacity(2 * CHUNK),
        })
    }

    /// Checks a row against the columns and sends it; what does not fit is returned and not sent.
    pub(crate) async fn add(
        &mut self,
        line: u64,
        fields: &ByteRecord,
    ) -> Result<Option<Rejection>, tokio_postgres::Error> {
        let start = self.buffer.len();
        if let Err(rejection) = self.encode(line, fields) {
            self.buffer.truncate(start);
            return Ok(Some(rejection));
        }
        if self.buffer.len() >= CHUNK {
            let chunk = self.buffer.split().freeze();
            self.sink.send(chunk).await?;
        }
        Ok(None)
    }

    /// Ends the COPY and lets the planner know what came.
    pub(crate) async fn finish(
        mut self,
        transaction: &Transaction<'_>,
    ) -> Result<(), tokio_postgres::Error> {
        let rest = self.buffer.split().freeze();
        self.sink.send(rest).await?;
        self.sink.as_mut().finish().await?;
        transaction
            .batch_execute(&format!("ANALYZE {STAGING}"))
            .await
    }

    fn encode(&mut self, line: u64, fields: &ByteRecord) -> Result<(), Rejection> {
        if fields.len() != self.columns.len() {
            return Err(Rejection {
                line,
                column: None,
                reason: format!(
                    "the row has {} fields, the header {}",
                    fields.len(),
                    self.columns.len()
                ),
            });
        }
        self.buffer.extend_from_slice(line.to_string().as_bytes());
        for (column, field) in self.columns.iter().zip(fields) {
            self.buffer.extend_from_slice(b"\t");
            match column.check(field) {
                Ok(Some(text)) => escape(text, &mut self.buffer),
                Ok(None) => self.buffer.extend_from_slice(b"\\N"),
                Err(reason) => {
                    return Err(Rejection {
                        line,
                        column: Some(column.name.clone()),
                        reason,
                    });
                }
            }
        }
        self.buffer.extend_from_slice(b"\n");
        Ok(())
    }
}

/// Rows of the staging table that the target will not take, which only the server can tell: two rows of one key, and
/// those that a CHECK constraint refuses.
pub(crate) async fn rejections(
    transaction: &Transaction<'_>,
    table: &Table,
    columns: &[&Column],
) -> Result<Vec<Rejection>, tokio_postgres::Error> {
    let mut rejections = Vec::new();
    let key: Vec<_> = table.key.iter().map(|name| identifier(name)).collect();
    let key = key.join(", ");
    let duplicates = transaction
        .query(
            &format!(
                "SELECT {LINE}, first_line FROM (
                     SELECT {LINE}, min({LINE}) OVER (PARTITION BY {key}) AS first_line FROM {STAGING}
                 ) AS numbered
                 WHERE {LINE} <> first_line ORDER BY {LINE}"
            ),
            &[],
        )
        .await?;
    rejections.extend(duplicates.iter().map(|row| Rejection {
        line: row.get::<_, i64>(0).cast_unsigned(),
        column: Some(table.key.join(", ")),
        reason: format!("the key is already that of line {}", row.get::<_, i64>(1)),
    }));

    for check in &table.checks {
        let is_loaded = |name: &String| columns.iter().any(|column| column.name == *name);
        if !check.columns.iter().all(is_loaded) {
            continue;
        }
        let violations = transaction
            .query(
                &format!(
                    "SELECT {LINE} FROM {STAGING} WHERE NOT ({}) ORDER BY {LINE}",
                    check.expression
                ),
                &[],
            )
            .await?;
        rejections.extend(violations.iter().map(|row| Rejection {
            line: row.get::<_, i64>(0).cast_unsigned(),
            column: Some(check.columns.join(", ")),
            reason: format!(
                "the constraint {} is not met: {}",
                check.name, check.expression
            ),
        }));
    }
    rejections.sort_by_key(|rejection| rejection.line);
    Ok(rejections)
}

/// The columns' names as SQL has them, separated by commas.
pub(crate) fn list(columns: &[&Column]) -> String {
    let names: Vec<_> = columns
        .iter()
        .map(|column| identifier(&column.name))
        .collect();
    names.join(", ")
}

/// The text format of COPY, section "Text Format" of its documentation.
fn escape(text: &str, buffer: &mut BytesMut) {
    let mut rest = text.as_bytes();
    while let Some(position) = rest
        .iter()
        .position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r'))
    {
        buffer.extend_from_slice(&rest[..position]);
        buffer.extend_from_slice(match rest[position] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[position + 1..];
    }
    buffer.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_separates_rows_and_fields_is_escaped() {
        let mut buffer = BytesMut::new();
        escape("a\tb\\c\nd\re", &mut buffer);
        assert_eq!(&buffer[..], b"a\\tb\\\\c\\nd\\re");
    }
}
