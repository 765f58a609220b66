//! Rows as the server has them.

use futures_util::TryStreamExt;
use tokio_postgres::Transaction;

use crate::loading::rows::row_hash;

/// Reads the rows of a query in COPY's text format, each without its newline; returns how many there were.
pub(crate) async fn read_back(
    transaction: &Transaction<'_>,
    query: &str,
    mut take: impl FnMut(&[u8]),
) -> Result<u64, tokio_postgres::Error> {
    let rows = transaction
        .copy_out(&format!("COPY ({query}) TO STDOUT"))
        .await?;
    let mut rows = std::pin::pin!(rows);
    let mut count = 0;
    // The server sends each row in a message of its own.
    while let Some(row) = rows.try_next().await? {
        take(row.strip_suffix(b"\n").unwrap_or(&row));
        count += 1;
    }
    Ok(count)
}

/// A checksum of rows that does not depend on their order: the sum of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checksum {
    sum: u128,
    pub(crate) rows: u64,
}

impl Checksum {
    pub(crate) fn add(&mut self, hash: u128) {
        self.sum = self.sum.wrapping_add(hash);
        self.rows += 1;
    }

    /// Of the rows of a query.
    pub(crate) async fn of_query(
        transaction: &Transaction<'_>,
        query: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let mut checksum = Self::default();
        checksum.add_query(transaction, query).await?;
        Ok(checksum)
    }

    /// Adds the rows of a query; returns how many there are.
    pub(crate) async fn add_query(
        &mut self,
        transaction: &Transaction<'_>,
        query: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        read_back(transaction, query, |row| self.add(row_hash(row))).await
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:032x}", self.sum)
    }
}
