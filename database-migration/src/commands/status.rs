//! `status`: what is applied, what is pending, and where files and history disagree.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use shutdown::Shutdown;

use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::execution::{Unfinished, kept};
use crate::files::{MigrationFile, MigrationSet};
use crate::history::{self, Applied, Record};
use crate::plan::{Disagreement, Plan};
use crate::settings::MigrationSettings;

/// The state of a database. Its JSON is part of the program's interface.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The database's name.
    pub database: String,
    /// The history's full table name, quoted.
    pub history: String,
    /// The newest version applied.
    pub current: Option<i64>,
    /// How many migrations are pending.
    pub pending: usize,
    /// All migrations, of files and history, in the order of their versions.
    pub migrations: Vec<MigrationStatus>,
    /// Where files and history contradict each other.
    #[serde(skip)]
    pub disagreement: Option<Disagreement>,
}

/// The state of one migration.
#[derive(Debug, Serialize)]
pub struct MigrationStatus {
    /// Its version.
    pub version: i64,
    /// Its name, as the history has it if it does; empty where neither history nor files know it.
    pub name: String,
    /// Its state.
    pub state: State,
    /// When it was applied, as RFC 3339.
    pub applied_on: Option<String>,
    /// How long that took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// The role and the address that applied it.
    pub applied_by: Option<String>,
    /// The version of the program that applied it.
    pub program_version: Option<String>,
    /// The id of the trace that this belongs to.
    pub trace_id: Option<String>,
    /// Whether something undoes it.
    pub reversible: bool,
    /// Whether its file undoes it in another way than the history.
    pub down_changed: bool,
    /// How many of its statements have run, if it is half done.
    pub finished_statements: Option<i64>,
}

/// The state of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Applied, as its file has it.
    Applied,
    /// Not applied, and above all that are.
    Pending,
    /// Not applied, though newer ones are.
    OutOfOrder,
    /// Applied, but its file was changed since.
    Changed,
    /// Applied, without a file, though newer ones have one.
    Missing,
    /// Applied, above the newest file: the database is ahead of this program.
    Ahead,
    /// Half done: it runs without a transaction and was interrupted.
    Interrupted,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::OutOfOrder => "out of order",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Ahead => "ahead",
            Self::Interrupted => "interrupted",
        })
    }
}

impl fmt::Display for StatusReport {
    /// A table for people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |title: &str, text: &dyn Fn(&MigrationStatus) -> usize| {
            let widest = self.migrations.iter().map(text).max();
            widest.unwrap_or_default().max(title.len())
        };
        let version = width("version", &|row| row.version.to_string().len());
        let name = width("name", &|row| row.name.chars().count());
        let applied_on = width("applied on", &|row| row.applied_on().len());
        writeln!(
            formatter,
            "{:>version$}  {:name$}  {:12}  {:applied_on$}  {:>8}  down  by",
            "version", "name", "state", "applied on", "ms"
        )?;
        for row in &self.migrations {
            let duration = row.duration_ms.map(|duration| duration.to_string());
            let line = format!(
                "{:>version$}  {:name$}  {:12}  {:applied_on$}  {:>8}  {:4}  {}",
                row.version,
                row.name,
                row.state,
                row.applied_on(),
                duration.unwrap_or_default(),
                row.down(),
                row.applied_by.as_deref().unwrap_or_default()
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl MigrationStatus {
    /// To the second; the rest is in the JSON.
    fn applied_on(&self) -> &str {
        let text = self.applied_on.as_deref().unwrap_or_default();
        text.get(..19).unwrap_or(text)
    }

    fn down(&self) -> &'static str {
        match (self.reversible, self.down_changed) {
            (false, _) => "no",
            (true, false) => "yes",
            (true, true) => "yes*",
        }
    }
}

impl StatusReport {
    /// The verdict, in one line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let current = match self.current {
            Some(current) => format!("{} is at version {current}", self.database),
            None => format!("{} has no migrations", self.database),
        };
        format!("{current}, {} pending", self.pending)
    }
}

/// Reads the state of the database. It needs no more than the right to read the history, and changes nothing.
pub async fn status(
    settings: MigrationSettings,
    shutdown: &Shutdown,
) -> Result<StatusReport, MigrationError> {
    database::with(settings, shutdown, async |database, set| {
        report(database, &set).await
    })
    .await
}

async fn report(
    mut database: Database,
    set: &MigrationSet,
) -> Result<StatusReport, MigrationError> {
    let records: BTreeMap<_, _> = history::records(&database.session, i64::MIN)
        .await?
        .into_iter()
        .map(|record| (record.version, record))
        .collect();
    let mut history = std::mem::take(&mut database.history);
    // Somebody may undo a migration between the two readings.
    history.retain(|applied| records.contains_key(&applied.version()));
    let newest_file = set.files().last().map_or(i64::MIN, |file| file.version);
    let newest_applied = history.last().map_or(i64::MIN, Applied::version);

    let mut files: BTreeMap<_, _> = set
        .files()
        .iter()
        .map(|file| (file.version, file))
        .collect();
    let mut migrations = BTreeMap::new();
    for applied in &history {
        let version = applied.version();
        let Some(record) = records.get(&version) else {
            continue;
        };
        let status = match files.remove(&version) {
            Some(file) => of_both(file, applied, record),
            None if version > newest_file => of_history(applied, record, State::Ahead),
            None => of_history(applied, record, State::Missing),
        };
        migrations.insert(version, status);
    }
    for (version, file) in files {
        let state = if version < newest_applied {
            State::OutOfOrder
        } else {
            State::Pending
        };
        migrations.insert(version, of_file(file, state));
    }
    for unfinished in &database.unfinished {
        let status = migrations.entry(unfinished.version);
        interrupt(
            status.or_insert_with(|| of_nothing(unfinished.version)),
            unfinished,
        );
    }

    let is_known = |version| {
        set.file(version).is_some() || history.iter().any(|applied| applied.version() == version)
    };
    let rules = database.rules();
    let report = StatusReport {
        database: database.name().to_owned(),
        history: database.session.location().qualified(),
        current: history.last().map(Applied::version),
        pending: migrations
            .values()
            .filter(|status| match status.state {
                State::Pending => true,
                State::Interrupted => is_known(status.version),
                State::OutOfOrder => rules.out_of_order,
                _ => false,
            })
            .count(),
        migrations: migrations.into_values().collect(),
        disagreement: Plan::new(set, history, rules).err(),
    };
    database.session.close().await;
    Ok(report)
}

fn of_history(applied: &Applied, record: &Record, state: State) -> MigrationStatus {
    MigrationStatus {
        version: applied.version(),
        name: applied.name().to_owned(),
        state,
        applied_on: Some(record.applied_on.clone()),
        duration_ms: record.duration_ms,
        applied_by: record.applied_by.clone(),
        program_version: record.program_version.clone(),
        trace_id: record.trace_id.clone(),
        reversible: record.down_sql.is_some(),
        down_changed: false,
        finished_statements: None,
    }
}

fn of_both(file: &MigrationFile, applied: &Applied, record: &Record) -> MigrationStatus {
    let state = if file.is(applied) {
        State::Applied
    } else {
        State::Changed
    };
    MigrationStatus {
        down_changed: file.down.as_ref().map(kept).as_deref() != record.down_sql.as_deref(),
        ..of_history(applied, record, state)
    }
}

fn of_file(file: &MigrationFile, state: State) -> MigrationStatus {
    MigrationStatus {
        version: file.version,
        name: file.name.clone(),
        state,
        applied_on: None,
        duration_ms: None,
        applied_by: None,
        program_version: None,
        trace_id: None,
        reversible: file.down.is_some(),
        down_changed: false,
        finished_statements: None,
    }
}

/// Of a version that neither files nor history hold.
fn of_nothing(version: i64) -> MigrationStatus {
    MigrationStatus {
        version,
        name: String::new(),
        state: State::Interrupted,
        applied_on: None,
        duration_ms: None,
        applied_by: None,
        program_version: None,
        trace_id: None,
        reversible: false,
        down_changed: false,
        finished_statements: None,
    }
}

fn interrupt(status: &mut MigrationStatus, unfinished: &Unfinished) {
    status.state = State::Interrupted;
    status.finished_statements = Some(unfinished.finished);
}
