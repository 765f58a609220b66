//! A migration without a transaction around it, statement by statement.
//!
//! How far it came is kept in the database, so that the next run goes on after the last statement that has finished. A
//! statement that can run in a transaction has one of its own together with the note that it is done. For any other the
//! intent is committed first: a client that is killed does not stop the server, which may finish the statement.

use tokio_postgres::error::SqlState;
use tracing::info;

use crate::catalog;
use crate::execution::index::{self, IndexState};
use crate::execution::steps::Steps;
use crate::execution::{ApplyError, Change, Retry};
use crate::script::{ConcurrentIndex, Kind, Repeat, Statement};
use crate::session::{Query, Session, SessionError};

/// Locks are waited for without a limit: a lock timeout would also cut short the wait for old snapshots, and leave
/// things half done.
const PATIENCE: &str = "SET lock_timeout = 0";

/// What runs as the role that connected, whatever role the migration has set.
const OWN_ROLE: &str = "RESET SESSION AUTHORIZATION; RESET ROLE";

pub(super) async fn run(
    session: &Session,
    change: &Change<'_>,
    retry: &mut Retry,
) -> Result<(), ApplyError> {
    let untold = |error: SessionError| ApplyError::new(change, None, &error);
    let steps = Steps::open(session, change).await.map_err(untold)?;
    if let Some(statement) = steps.changed(change) {
        let problem = format!(
            "statement {} was begun by an earlier run, and is another one now",
            statement + 1
        );
        return Err(ApplyError::plain(change, None, problem).begun_earlier(change));
    }
    let mut stepwise = Stepwise {
        session,
        change,
        steps,
        settings: Vec::new(),
    };
    for (index, statement) in change.script.statements.iter().enumerate() {
        stepwise
            .step(index, statement, retry)
            .await
            .map_err(|error| {
                let error = error.with_remains(stepwise.remains(index));
                if stepwise.steps.was_interrupted(index) {
                    error.begun_earlier(change)
                } else {
                    error
                }
            })?;
    }
    stepwise.record(retry).await?;
    session.set_described(false);
    Ok(())
}

struct Stepwise<'run> {
    session: &'run Session,
    change: &'run Change<'run>,
    steps: Steps<'run>,
    /// What the script has set for the session so far.
    settings: Vec<&'run str>,
}

impl<'run> Stepwise<'run> {
    async fn step(
        &mut self,
        index: usize,
        statement: &'run Statement,
        retry: &mut Retry,
    ) -> Result<(), ApplyError> {
        let is_setting = matches!(statement.kind, Kind::Setting);
        if self.steps.is_finished(index) && !is_setting {
            return Ok(());
        }
        retry.begin();
        loop {
            let outcome = match &statement.kind {
                Kind::Setting => self.set(statement).await,
                Kind::BuildsIndex(definition) => {
                    match self.prepare_index(index, definition).await {
                        Ok(Readiness::Done) => return Ok(()),
                        Ok(Readiness::Refused(problem)) => {
                            return Err(ApplyError::plain(self.change, Some(index), problem));
                        }
                        Ok(Readiness::Needed) => self.build(index, statement, definition).await,
                        Err(error) => Err(error),
                    }
                }
                Kind::Outside(repeat) => self.outside(index, statement, repeat).await,
                Kind::Procedural => self.outside(index, statement, &Repeat::AsIs).await,
                _ => self.in_transaction(index, statement).await,
            };
            let Err(error) = outcome else {
                return Ok(());
            };
            if !retry.waits_after(&error).await {
                return Err(ApplyError::new(self.change, Some(index), &error));
            }
        }
    }

    /// Takes the migration into the history, or out of it.
    async fn record(&self, retry: &mut Retry) -> Result<(), ApplyError> {
        let table = self.session.location().qualified();
        let record = self.change.record(&table, &self.steps.began());
        let done = self.steps.removal();
        let removal = catalog::removal(self.session);
        let ours = [Some(&record), Some(&done), removal.as_ref()];
        let queries: Vec<_> = ours
            .into_iter()
            .flatten()
            .map(|sql| Query::own(sql))
            .collect();
        retry.begin();
        while let Err(error) = self.session.transact(&queries).await {
            if !retry.waits_after(&error).await {
                let all = self.remains(self.change.script.statements.len());
                return Err(ApplyError::new(self.change, None, &error).with_remains(all));
            }
        }
        Ok(())
    }

    /// What a script sets holds for all statements after it, in this run and in one that goes on later.
    async fn set(&mut self, statement: &'run Statement) -> Result<(), SessionError> {
        let text = self.change.script.text(statement);
        self.restore_settings().await?;
        self.session.run(self.query(statement)).await?;
        self.settings.push(text);
        Ok(())
    }

    async fn in_transaction(
        &self,
        index: usize,
        statement: &Statement,
    ) -> Result<(), SessionError> {
        let note = self.steps.note(index, self.change.script.text(statement));
        self.restore_settings().await?;
        self.session
            .transact_in_session(&[
                self.query(statement),
                Query::own(OWN_ROLE),
                Query::own(&note),
            ])
            .await
    }

    /// Runs a statement between the notes that it is begun and that it has finished, or returns the server's refusal.
    async fn bare(
        &self,
        index: usize,
        statement: &Statement,
    ) -> Result<Option<SessionError>, SessionError> {
        let text = self.change.script.text(statement);
        self.steps.begin(index, text).await?;
        self.restore_settings().await?;
        if statement.kind.is_patient() {
            self.session.run(Query::own(PATIENCE)).await?;
        }
        match self.session.run(self.query(statement)).await {
            Ok(()) => self.steps.finish(index).await.map(|()| None),
            Err(error) if error.answer().is_some() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    async fn outside(
        &mut self,
        index: usize,
        statement: &Statement,
        repeat: &Repeat,
    ) -> Result<(), SessionError> {
        let was_interrupted = self.steps.was_interrupted(index);
        if was_interrupted && matches!(repeat, Repeat::IndexesMayBeLeft) {
            index::drop_leftovers(self.session).await?;
        }
        let Some(refusal) = self.bare(index, statement).await? else {
            return Ok(());
        };
        let is = |code| {
            refusal
                .answer()
                .is_some_and(|answer| *answer.code() == code)
        };
        match repeat {
            Repeat::IndexMayBeGone if was_interrupted && is(SqlState::UNDEFINED_OBJECT) => {
                return self.steps.finish(index).await;
            }
            Repeat::Finalize(_) if was_interrupted && is(SqlState::UNDEFINED_TABLE) => {
                return self.steps.finish(index).await;
            }
            // If it is another partition that is half detached, the first answer names it.
            Repeat::Finalize(finishing)
                if is(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
                    && self.session.run(Query::own(finishing)).await.is_ok() =>
            {
                return self.steps.finish(index).await;
            }
            Repeat::IndexesMayBeLeft => index::drop_leftovers(self.session).await?,
            _ => {}
        }
        // What an earlier run has begun may have been done then, whatever the server says now.
        if !was_interrupted {
            self.steps.forget(index).await?;
        }
        Err(refusal)
    }

    /// Looks for the index before it is built: an earlier run may have left it whole, or broken.
    async fn prepare_index(
        &self,
        index: usize,
        definition: &ConcurrentIndex,
    ) -> Result<Readiness, SessionError> {
        self.restore_settings().await?;
        let name = &definition.name;
        match index::state(self.session, definition).await? {
            IndexState::BeingBuilt { process } => Ok(Readiness::Refused(format!(
                "the index {name} is being built by server process {process}; wait until it is done, then run again"
            ))),
            IndexState::Invalid { qualified } => {
                info!(
                    "{qualified} is invalid, as an interrupted build leaves an index; it is dropped and built again"
                );
                index::drop(self.session, &qualified).await?;
                Ok(Readiness::Needed)
            }
            IndexState::Valid { existing, schema }
                if self.is_content_with_existing(index, definition) =>
            {
                if index::is_of_definition(self.session, definition, &schema).await? {
                    let text = self
                        .change
                        .script
                        .text(&self.change.script.statements[index]);
                    let note = self.steps.note(index, text);
                    self.session.transact(&[Query::own(&note)]).await?;
                    return Ok(Readiness::Done);
                }
                Ok(Readiness::another(&existing))
            }
            IndexState::OnAnotherTable { existing }
                if self.is_content_with_existing(index, definition) =>
            {
                Ok(Readiness::another(&existing))
            }
            // One that is there already the server refuses, and says so better.
            IndexState::Absent | IndexState::Valid { .. } | IndexState::OnAnotherTable { .. } => {
                Ok(Readiness::Needed)
            }
        }
    }

    /// Whether an index that is there already may be the one that the statement is for.
    fn is_content_with_existing(&self, index: usize, definition: &ConcurrentIndex) -> bool {
        self.steps.was_interrupted(index) || definition.is_unless_exists
    }

    async fn build(
        &mut self,
        index: usize,
        statement: &Statement,
        definition: &ConcurrentIndex,
    ) -> Result<(), SessionError> {
        let Some(refusal) = self.bare(index, statement).await? else {
            return Ok(());
        };
        // The server has given up; what it leaves is ours to remove, in the next run if this one is being stopped.
        self.restore_settings().await?;
        if let IndexState::Invalid { qualified } = index::state(self.session, definition).await? {
            index::drop(self.session, &qualified).await?;
        }
        self.steps.forget(index).await?;
        Err(refusal)
    }

    /// Before each statement, since our own notes are taken without what the script has set.
    async fn restore_settings(&self) -> Result<(), SessionError> {
        self.session.reset().await?;
        for setting in &self.settings {
            self.session.run(Query::own(setting)).await?;
        }
        Ok(())
    }

    fn query(&self, statement: &'run Statement) -> Query<'run> {
        Query {
            sql: self.change.script.text(statement),
            summary: Some(&statement.summary),
            revives: false,
            is_delimited: self.change.script.is_delimited(statement),
        }
    }

    /// What is in the database when a statement has failed.
    fn remains(&self, failed: usize) -> String {
        let all = self.change.script.statements.len();
        match failed {
            0 => format!("none of the {all} statements, which run without a transaction"),
            _ if failed == all => {
                format!("all {all} statements, which run without a transaction")
            }
            1 => format!("the first of the {all} statements, which run without a transaction"),
            done => {
                format!("the first {done} of the {all} statements, which run without a transaction")
            }
        }
    }
}

/// What is to do about an index.
enum Readiness {
    Needed,
    Done,
    Refused(String),
}

impl Readiness {
    /// What is there under the index's name is not the index.
    fn another(existing: &str) -> Self {
        Self::Refused(format!(
            "there is another index of this name; drop it, or give the new one another name\n  existing: {existing}"
        ))
    }
}
