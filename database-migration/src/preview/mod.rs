//! What `up` would do to a database: the pending migrations with their effects on it as it is now.

mod catalog;
mod json;
mod pending;
mod text;

use clap::ValueEnum;
use connection::Connection;
use statement_effects::Relation;

use crate::history::Applied;
use crate::lint::{LintSettings, Script, lint};
use crate::plan::Plan;
use crate::preview::catalog::LiveCatalog;
use crate::preview::pending::{Pending, PendingMigration};

/// The form that a preview is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What `up` would do.
#[derive(Debug)]
pub struct Preview {
    database: String,
    current: Option<Applied>,
    ahead: Vec<Applied>,
    migrations: Vec<PendingMigration>,
}

impl Preview {
    /// Looks at the relations that the pending migrations name, and changes nothing.
    pub(crate) async fn new(
        connection: &Connection,
        database: String,
        plan: Plan<'_>,
    ) -> Result<Self, tokio_postgres::Error> {
        let scripts: Vec<Script<'_>> = plan
            .pending
            .iter()
            .enumerate()
            .map(|(number, file)| Script::up(file, number))
            .collect();
        let catalog = LiveCatalog::load(connection, &named_relations(&scripts)).await?;
        let report = lint(plan.pending, &LintSettings::default());
        let mut pending = Pending::new(catalog);
        let migrations = scripts
            .iter()
            .map(|script| {
                let of_script = report.findings.iter();
                let of_script = of_script.filter(|found| found.version == script.file.version);
                pending.migration(script, of_script)
            })
            .collect();
        Ok(Self {
            database,
            current: plan.current,
            ahead: plan.ahead,
            migrations,
        })
    }

    /// How many migrations are pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.migrations.len()
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self, format: PlanFormat) -> String {
        match format {
            PlanFormat::Text => text::render(self),
            PlanFormat::Json => json::render(self),
        }
    }
}

/// The names of relations, as the scripts write them.
fn named_relations<'scripts>(scripts: &'scripts [Script<'_>]) -> Vec<&'scripts str> {
    let statements = scripts.iter().flat_map(|script| &script.statements);
    let relations = statements.flat_map(|statement| &statement.effects.relations);
    relations
        .filter_map(|effect| match &effect.relation {
            Relation::Named(written) => Some(written.as_str()),
            _ => None,
        })
        .collect()
}
