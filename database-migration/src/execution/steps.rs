//! How far migrations without a transaction came: a table beside the history with a row for each statement, which goes
//! with the migration's row.

use crate::execution::Change;
use crate::files::Direction;
use crate::history::{self, Location};
use crate::session::{Query, Session, SessionError};
use crate::sql::literal;

/// What the history's table has before this is the name of the table of steps.
pub(crate) const STEPS_SUFFIX: &str = "_steps";

/// The table's full name, quoted.
pub(crate) fn steps_table(location: &Location) -> String {
    location.beside(STEPS_SUFFIX)
}

/// A statement that was begun.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    statement: usize,
    sql: String,
    is_finished: bool,
}

/// How far one change came.
pub(super) struct Steps<'run> {
    session: &'run Session,
    table: String,
    /// Restricts statements on the table to this change.
    condition: String,
    /// What stands in front of a row's own values.
    key: String,
    rows: Vec<Step>,
}

impl<'run> Steps<'run> {
    /// Creates the table if it is not there, and reads how far the change came in earlier runs.
    pub(super) async fn open(
        session: &'run Session,
        change: &Change<'_>,
    ) -> Result<Self, SessionError> {
        let table = steps_table(session.location());
        let creation = format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                 version int8,
                 direction text,
                 statement int4,
                 sql text NOT NULL,
                 started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                 finished_at timestamptz,
                 PRIMARY KEY (version, direction, statement)
             )"
        );
        if !session.location().has_steps {
            let protection = history::protection(&table);
            let readability = history::readability(&table, &session.location().qualified());
            let queries = [&creation, &protection, &readability].map(|query| Query::own(query));
            session.transact(&queries).await?;
        }
        let key = format!("{}, '{}'", change.version, change.direction);
        let condition = format!("(version, direction) = ({key})");
        let rows = session
            .rows(&format!(
                "SELECT statement, sql, finished_at IS NOT NULL FROM {table} WHERE {condition} ORDER BY statement"
            ))
            .await?;
        let rows = rows
            .iter()
            .filter_map(|row| {
                Some(Step {
                    statement: row.get(0)?.parse().ok()?,
                    sql: row.get(1)?.to_owned(),
                    is_finished: row.get(2)? == "t",
                })
            })
            .collect();
        Ok(Self {
            session,
            table,
            condition,
            key,
            rows,
        })
    }

    /// The first statement that was begun in an earlier run and is another one now, counted from 0.
    pub(super) fn changed(&self, change: &Change<'_>) -> Option<usize> {
        self.rows
            .iter()
            .find(|row| {
                let now = change.script.statements.get(row.statement);
                now.is_none_or(|now| change.script.text(now) != row.sql)
            })
            .map(|row| row.statement)
    }

    pub(super) fn is_finished(&self, statement: usize) -> bool {
        self.row(statement).is_some_and(|row| row.is_finished)
    }

    /// Whether an earlier run has begun the statement and did not live to see its end.
    pub(super) fn was_interrupted(&self, statement: usize) -> bool {
        self.row(statement).is_some_and(|row| !row.is_finished)
    }

    fn row(&self, statement: usize) -> Option<&Step> {
        self.rows.iter().find(|row| row.statement == statement)
    }

    /// Commits that a statement is about to run.
    pub(super) async fn begin(&self, statement: usize, sql: &str) -> Result<(), SessionError> {
        let intent = format!(
            "INSERT INTO {} (version, direction, statement, sql) VALUES ({}, {statement}, {})
             ON CONFLICT (version, direction, statement) DO NOTHING",
            self.table,
            self.key,
            literal(sql)
        );
        self.session.transact(&[Query::own(&intent)]).await
    }

    /// Commits that a statement has run.
    pub(super) async fn finish(&self, statement: usize) -> Result<(), SessionError> {
        let finish = format!(
            "UPDATE {} SET finished_at = clock_timestamp() WHERE {} AND statement = {statement}",
            self.table, self.condition
        );
        self.session.transact(&[Query::own(&finish)]).await
    }

    /// SQL that notes a statement which runs in one transaction with it.
    pub(super) fn note(&self, statement: usize, sql: &str) -> String {
        format!(
            "INSERT INTO {} (version, direction, statement, sql, started_at, finished_at) \
             VALUES ({}, {statement}, {}, transaction_timestamp(), clock_timestamp()) \
             ON CONFLICT (version, direction, statement) DO UPDATE SET finished_at = clock_timestamp()",
            self.table,
            self.key,
            literal(sql)
        )
    }

    /// Forgets that a statement was begun, since the server has refused it and nothing of it is left.
    pub(super) async fn forget(&mut self, statement: usize) -> Result<(), SessionError> {
        let removal = format!(
            "DELETE FROM {} WHERE {} AND statement = {statement}",
            self.table, self.condition
        );
        self.session.transact(&[Query::own(&removal)]).await?;
        self.rows.retain(|row| row.statement != statement);
        Ok(())
    }

    /// SQL that removes all rows of the change.
    pub(super) fn removal(&self) -> String {
        format!("DELETE FROM {} WHERE {}", self.table, self.condition)
    }

    /// An SQL expression of when the change began, in this run or an earlier one.
    pub(super) fn began(&self) -> String {
        format!(
            "coalesce((SELECT min(started_at) FROM {} WHERE {}), transaction_timestamp())",
            self.table, self.condition
        )
    }
}

/// A migration without a transaction that was begun and has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its version.
    pub version: i64,
    /// Whether it was being applied or undone.
    pub direction: Direction,
    /// How many of its statements have run.
    pub finished: i64,
    /// The statement that was begun last, if its end is not known.
    pub interrupted: Option<String>,
}

/// The migrations that were begun and have not come to their end.
pub(crate) async fn unfinished(session: &Session) -> Result<Vec<Unfinished>, SessionError> {
    if !session.location().has_steps {
        return Ok(Vec::new());
    }
    let table = steps_table(session.location());
    let rows = session
        .rows(&format!(
            "SELECT version, direction, count(finished_at), max(sql) FILTER (WHERE finished_at IS NULL)
             FROM {table} GROUP BY version, direction ORDER BY version, direction"
        ))
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            Some(Unfinished {
                version: row.get(0)?.parse().ok()?,
                direction: match row.get(1)? {
                    "down" => Direction::Down,
                    _ => Direction::Up,
                },
                finished: row.get(2)?.parse().ok()?,
                interrupted: row.get(3).map(ToOwned::to_owned),
            })
        })
        .collect())
}
