//! The pending migrations, one after the other, on the database that those before them leave.

use std::collections::HashSet;
use std::path::PathBuf;

use statement_effects::{Effects, LockMode, Relation, RelationEffect, Storage, effects};

use crate::lint::{Finding, Script, Statement, is_about_locks};
use crate::preview::catalog::{LiveCatalog, Size};
use crate::relation_name::RelationName;

/// What is known before the next statement.
pub(super) struct Pending {
    catalog: LiveCatalog,
    /// What earlier pending statements create.
    new: HashSet<RelationName>,
}

/// A migration that is not applied yet.
#[derive(Debug)]
pub(super) struct PendingMigration {
    pub(super) version: i64,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) is_transactional: bool,
    /// Whether the parser understands it; otherwise there are no statements.
    pub(super) is_understood: bool,
    pub(super) statements: Vec<PendingStatement>,
    pub(super) findings: Vec<Finding>,
}

/// One of its statements.
#[derive(Debug)]
pub(super) struct PendingStatement {
    pub(super) line: usize,
    pub(super) summary: String,
    pub(super) relations: Vec<PendingRelation>,
    pub(super) effects: Effects,
}

/// A relation that a statement does something to.
#[derive(Debug)]
pub(super) struct PendingRelation {
    pub(super) effect: RelationEffect,
    pub(super) standing: Standing,
}

/// Whether anybody can wait for a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is created by a pending migration, so nobody uses it.
    New,
    /// It is there.
    Existing(Option<Size>),
    /// There is none of that name.
    Missing,
    /// The statement does not name it.
    NotNamed,
}

impl PendingStatement {
    /// Whether all it does is done to relations that nobody uses.
    pub(super) fn keeps_nobody_waiting(&self) -> bool {
        let are_new = self
            .relations
            .iter()
            .all(|relation| relation.standing == Standing::New);
        !self.relations.is_empty() && are_new
    }
}

impl Pending {
    pub(super) fn new(catalog: LiveCatalog) -> Self {
        Self {
            catalog,
            new: HashSet::new(),
        }
    }

    /// The next migration, with those findings that mean something for it.
    pub(super) fn migration<'findings>(
        &mut self,
        script: &Script<'_>,
        findings: impl Iterator<Item = &'findings Finding>,
    ) -> PendingMigration {
        let mut statements = Vec::new();
        let mut harmless = Vec::new();
        for statement in &script.statements {
            let pending = self.statement(script, statement);
            if pending.keeps_nobody_waiting() {
                harmless.push(statement.range());
            }
            statements.push(pending);
        }
        let is_harmless = |finding: &&Finding| {
            is_about_locks(finding.rule)
                && finding
                    .position
                    .is_some_and(|start| harmless.iter().any(|range| range.contains(&start)))
        };
        PendingMigration {
            version: script.file.version,
            name: script.file.name.clone(),
            path: script.file.path.clone(),
            is_transactional: script.is_transactional(),
            is_understood: script.is_understood(),
            statements,
            findings: findings
                .filter(|found| !is_harmless(found))
                .cloned()
                .collect(),
        }
    }

    fn statement(&mut self, script: &Script<'_>, statement: &Statement) -> PendingStatement {
        // Told anew, since now the columns' types are known.
        let text = &script.sql[statement.range()];
        let told = effects(text, &self.catalog);
        let effects = told.into_iter().next().unwrap_or_default();
        let relations = effects.relations.iter().map(|effect| PendingRelation {
            standing: self.standing(effect),
            effect: effect.clone(),
        });
        let relations = relations.collect();
        for effect in &effects.relations {
            self.go_on_after(effect);
        }
        if effects.strongest_lock() == Some(LockMode::AccessExclusive) {
            self.catalog.forget_columns(text);
        }
        PendingStatement {
            line: script.line(statement.range().start),
            summary: statement.summary(),
            relations,
            effects,
        }
    }

    fn standing(&self, effect: &RelationEffect) -> Standing {
        let Relation::Named(written) = &effect.relation else {
            return Standing::NotNamed;
        };
        let name = self.catalog.resolve(written);
        if self.catalog.has(&name) {
            Standing::Existing(self.catalog.size(&name).cloned())
        } else if effect.storage == Storage::Created || self.new.contains(&name) {
            Standing::New
        } else {
            Standing::Missing
        }
    }

    fn go_on_after(&mut self, effect: &RelationEffect) {
        let Relation::Named(written) = &effect.relation else {
            return;
        };
        let name = self.catalog.resolve(written);
        match effect.storage {
            Storage::Created if !self.catalog.has(&name) => {
                self.new.insert(name);
            }
            Storage::Dropped => {
                self.new.remove(&name);
                self.catalog.drop(&name);
            }
            _ => {}
        }
    }
}
