//! `status`: when each data set was loaded last, and how that ended.

use std::fmt;

use shutdown::Shutdown;

use crate::commands::{connect, guarded};
use crate::error::LoadError;
use crate::history::{self, DataSetStatus};
use crate::settings::LoadSettings;

/// All data sets that the history knows.
#[derive(Debug, serde::Serialize)]
pub struct Status {
    /// By their names.
    pub data_sets: Vec<DataSetStatus>,
}

/// Reads the history; changes nothing.
pub async fn status(settings: LoadSettings, shutdown: &Shutdown) -> Result<Status, LoadError> {
    let connector = settings.connector()?;
    let connection = connect(&connector, shutdown).await?;
    guarded(&connector, connection, shutdown, async |connection| {
        let data_sets = if history::exists(&connection).await? {
            history::status(&connection).await?
        } else {
            Vec::new()
        };
        connection.close().await;
        Ok(Status { data_sets })
    })
    .await
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.data_sets.is_empty() {
            return writeln!(formatter, "nothing was loaded yet");
        }
        let header = [
            "DATA SET",
            "TABLE",
            "LAST RUN",
            "AT",
            "ROWS",
            "LAST SUCCESS",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.data_sets.iter().map(|set| {
            [
                set.data_set.clone(),
                set.table.clone(),
                set.outcome.clone(),
                whole_seconds(&set.finished_at),
                set.counts.to_string(),
                set.last_success
                    .as_deref()
                    .map_or_else(|| "never".to_owned(), whole_seconds),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..header.len()).filter_map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths);
            let line: String = cells
                .map(|(cell, width)| format!("{cell:width$}  "))
                .collect();
            writeln!(formatter, "{}", line.trim_end())?;
        }
        for set in &self.data_sets {
            if let Some(problem) = &set.problem {
                writeln!(formatter, "\n{problem}")?;
            }
        }
        Ok(())
    }
}

/// A time as PostgreSQL prints it, without fractions of seconds and zone.
fn whole_seconds(time: &str) -> String {
    time.chars().take("2026-01-01 00:00:00".len()).collect()
}
