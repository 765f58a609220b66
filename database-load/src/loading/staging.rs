//! The staging table: where rows of a source stand before they are written.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Transaction};

use crate::loading::rows::Row;
use crate::target::sql::{identifier, list};
use crate::target::{Column, Table};

/// The staging table's column with the number of the file that a row comes from.
pub(crate) const FILE: &str = "database_load_file";
/// The staging table's column with the number of the record in its file.
pub(crate) const NUMBER: &str = "database_load_number";
/// The staging table's column with the line that a row comes from.
pub(crate) const LINE: &str = "database_load_line";
/// The staging table's columns with the place of the table's row that has the same key.
pub(crate) const PLACE: &str = "database_load_place";
pub(crate) const PARTITION: &str = "database_load_partition";
/// COPY data is sent in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// How the columns of a staging table are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typing {
    /// As the target's.
    Exact,
    /// As text where only the server can tell whether a value is one.
    Loose,
}

/// The name of the staging table of a data set, by its number in the run; it is temporary, so each session has its own.
pub(crate) fn staging_name(number: usize) -> String {
    format!("pg_temp.database_load_staging_{number}")
}

/// Creates the staging table.
pub(crate) async fn create_staging(
    transaction: &Transaction<'_>,
    name: &str,
    table: &Table,
    columns: &[Column],
    typing: Typing,
) -> Result<(), tokio_postgres::Error> {
    let typed: Vec<_> = columns
        .iter()
        .map(|column| {
            let name = identifier(&column.name);
            if typing == Typing::Loose && !column.kind.is_canonical() {
                format!("NULL::text AS {name}")
            } else {
                name
            }
        })
        .collect();
    transaction
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS {name};
             CREATE TEMPORARY TABLE {} ON COMMIT DROP AS
             SELECT 0::integer AS {FILE}, 0::bigint AS {NUMBER}, 0::bigint AS {LINE},
                    NULL::tid AS {PLACE}, NULL::oid AS {PARTITION}, {} FROM {} WITH NO DATA",
            name.trim_start_matches("pg_temp."),
            typed.join(", "),
            table.qualified()
        ))
        .await
}

/// Rows on their way to the server, by COPY in text format, which beats the binary one for text columns.
pub(crate) struct Copy {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
}

impl Copy {
    /// Begins to fill columns of a table, whose names are as SQL has them.
    pub(crate) async fn begin(
        transaction: &Transaction<'_>,
        table: &str,
        columns: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let sink = transaction
            .copy_in(&format!("COPY {table} ({columns}) FROM STDIN"))
            .await?;
        Ok(Self {
            sink: Box::pin(sink),
            buffer: BytesMut::with_capacity(2 * PIECE),
        })
    }

    /// Begins to fill a staging table.
    pub(crate) async fn begin_staging(
        transaction: &Transaction<'_>,
        name: &str,
        columns: &[Column],
    ) -> Result<Self, tokio_postgres::Error> {
        let columns = format!("{FILE}, {NUMBER}, {LINE}, {}", list(columns));
        Self::begin(transaction, name, &columns).await
    }

    /// Sends rows.
    pub(crate) async fn send(&mut self, rows: Vec<u8>) -> Result<(), tokio_postgres::Error> {
        self.sink.send(Bytes::from(rows)).await
    }

    /// Sends a row with the place that it comes from.
    pub(crate) async fn stage(
        &mut self,
        file: usize,
        row: &Row,
        text: &[u8],
    ) -> Result<(), tokio_postgres::Error> {
        let place = format!("{file}\t{}\t{}\t", row.number, row.line);
        self.buffer.extend_from_slice(place.as_bytes());
        self.buffer.extend_from_slice(text);
        if self.buffer.len() >= PIECE {
            let piece = self.buffer.split().freeze();
            self.sink.send(piece).await?;
        }
        Ok(())
    }

    /// Ends the COPY; returns how many rows arrived.
    pub(crate) async fn finish(mut self) -> Result<u64, tokio_postgres::Error> {
        if !self.buffer.is_empty() {
            let rest = self.buffer.split().freeze();
            self.sink.send(rest).await?;
        }
        self.sink.as_mut().finish().await
    }
}
