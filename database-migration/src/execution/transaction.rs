//! A migration in one transaction together with its row in the history.

use crate::catalog;
use crate::execution::{ApplyError, Change, Retry, index};
use crate::script::Kind;
use crate::session::{Query, Session, SessionError};

pub(super) async fn run(
    session: &Session,
    change: &Change<'_>,
    retry: &mut Retry,
) -> Result<(), ApplyError> {
    loop {
        let mut record = change.record(&session.location().qualified(), "transaction_timestamp()");
        if let Some(removal) = catalog::removal(session) {
            record = format!("{record}; {removal}");
        }
        let parts = parts(change, &record);
        let queries: Vec<_> = parts.iter().map(Part::query).collect();
        let Err(error) = session.transact(&queries).await else {
            session.set_described(false);
            return Ok(());
        };
        if !retry.waits_after(&error).await {
            let statement = match error {
                SessionError::Query { query, .. } => parts[query].statement,
                _ => None,
            };
            return Err(ApplyError::new(change, statement, &error));
        }
    }
}

/// One query of the transaction.
struct Part<'sql> {
    sql: std::borrow::Cow<'sql, str>,
    summary: Option<&'sql str>,
    revives: bool,
    is_delimited: bool,
    /// The statement that an error of it belongs to.
    statement: Option<usize>,
}

impl Part<'_> {
    fn query(&self) -> Query<'_> {
        Query {
            sql: &self.sql,
            summary: self.summary,
            revives: self.revives,
            is_delimited: self.is_delimited,
        }
    }
}

fn parts<'sql>(change: &'sql Change<'_>, record: &'sql str) -> Vec<Part<'sql>> {
    let mut parts = Vec::with_capacity(change.script.statements.len() + 1);
    for (index, statement) in change.script.statements.iter().enumerate() {
        parts.push(Part {
            sql: change.script.text(statement).into(),
            summary: Some(&statement.summary),
            revives: matches!(statement.kind, Kind::ReturnsToSavepoint),
            is_delimited: change.script.is_delimited(statement),
            statement: Some(index),
        });
        if let Some(name) = &statement.index_unless_exists {
            parts.push(Part {
                sql: index::refusal_of_invalid(name).into(),
                summary: None,
                revives: false,
                is_delimited: false,
                statement: Some(index),
            });
        }
    }
    parts.push(Part {
        sql: record.into(),
        summary: None,
        revives: false,
        is_delimited: false,
        statement: None,
    });
    parts
}
