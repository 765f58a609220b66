//! A preview for programs. The fields are described in `docs/plan.md` and keep their meaning.

use serde::Serialize;
use statement_effects::{Scan, Storage};

use crate::history::Applied;
use crate::lint::FindingRow;
use crate::preview::Preview;
use crate::preview::catalog::Size;
use crate::preview::pending::{PendingMigration, PendingRelation, PendingStatement, Standing};

#[derive(Serialize)]
struct Document<'preview> {
    database: &'preview str,
    current: Option<Version<'preview>>,
    ahead: Vec<Version<'preview>>,
    pending: Vec<Migration<'preview>>,
}

#[derive(Serialize)]
struct Version<'preview> {
    version: i64,
    name: &'preview str,
}

#[derive(Serialize)]
struct Migration<'preview> {
    version: i64,
    name: &'preview str,
    file: String,
    in_transaction: bool,
    understood: bool,
    statements: Vec<Statement<'preview>>,
    findings: Vec<FindingRow<'preview>>,
}

#[derive(Serialize)]
struct Statement<'preview> {
    line: usize,
    summary: &'preview str,
    relations: Vec<Relation<'preview>>,
    explanations: &'preview [&'static str],
    unknown: Option<&'static str>,
    forbidden_in_transaction: bool,
}

#[derive(Serialize)]
struct Relation<'preview> {
    name: String,
    lock: &'static str,
    blocks_reads: bool,
    blocks_writes: bool,
    storage: &'static str,
    storage_condition: Option<&'static str>,
    scan: &'static str,
    scan_condition: Option<&'static str>,
    standing: &'static str,
    bytes: Option<i64>,
    size: Option<&'preview str>,
    rows: Option<i64>,
}

/// One document with a line end.
pub(super) fn render(preview: &Preview) -> String {
    let document = Document {
        database: &preview.database,
        current: preview.current.as_ref().map(Version::from),
        ahead: preview.ahead.iter().map(Version::from).collect(),
        pending: preview.migrations.iter().map(Migration::from).collect(),
    };
    format!("{:#}\n", serde_json::json!(document))
}

impl<'preview> From<&'preview Applied> for Version<'preview> {
    fn from(applied: &'preview Applied) -> Self {
        Self {
            version: applied.version(),
            name: applied.name(),
        }
    }
}

impl<'preview> From<&'preview PendingMigration> for Migration<'preview> {
    fn from(migration: &'preview PendingMigration) -> Self {
        Self {
            version: migration.version,
            name: &migration.name,
            file: migration.path.display().to_string(),
            in_transaction: migration.is_transactional,
            understood: migration.is_understood,
            statements: migration.statements.iter().map(Statement::from).collect(),
            findings: migration.findings.iter().map(FindingRow::from).collect(),
        }
    }
}

impl<'preview> From<&'preview PendingStatement> for Statement<'preview> {
    fn from(statement: &'preview PendingStatement) -> Self {
        Self {
            line: statement.line,
            summary: &statement.summary,
            relations: statement.relations.iter().map(Relation::from).collect(),
            explanations: &statement.effects.explanations,
            unknown: statement.effects.unknown,
            forbidden_in_transaction: statement.effects.forbidden_in_transaction,
        }
    }
}

impl<'preview> From<&'preview PendingRelation> for Relation<'preview> {
    fn from(relation: &'preview PendingRelation) -> Self {
        let effect = &relation.effect;
        let (storage, storage_condition) = storage(effect.storage);
        let (scan, scan_condition) = scan(effect.scan);
        let (standing, size) = standing(&relation.standing);
        Self {
            name: effect.relation.to_string(),
            lock: effect.lock.name(),
            blocks_reads: effect.lock.blocks_reads(),
            blocks_writes: effect.lock.blocks_writes(),
            storage,
            storage_condition,
            scan,
            scan_condition,
            standing,
            bytes: size.map(|size| size.bytes),
            size: size.map(|size| size.pretty.as_str()),
            rows: size.and_then(|size| size.rows),
        }
    }
}

fn storage(storage: Storage) -> (&'static str, Option<&'static str>) {
    match storage {
        Storage::Kept => ("kept", None),
        Storage::MayBeRewritten(condition) => ("may be rewritten", Some(condition)),
        Storage::Rewritten => ("rewritten", None),
        Storage::Emptied => ("emptied", None),
        Storage::Created => ("created", None),
        Storage::Dropped => ("dropped", None),
    }
}

fn scan(scan: Scan) -> (&'static str, Option<&'static str>) {
    match scan {
        Scan::No => ("no", None),
        Scan::May(condition) => ("may be", Some(condition)),
        Scan::Full => ("full", None),
    }
}

fn standing(standing: &Standing) -> (&'static str, Option<&Size>) {
    match standing {
        Standing::New => ("new", None),
        Standing::Existing(size) => ("existing", size.as_ref()),
        Standing::Missing => ("missing", None),
        Standing::NotNamed => ("not named", None),
    }
}
