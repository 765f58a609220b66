//! A preview for people.

use statement_effects::Storage;

use crate::lint::{count, finding_as_text};
use crate::preview::Preview;
use crate::preview::catalog::Size;
use crate::preview::pending::{PendingMigration, PendingRelation, PendingStatement, Standing};

pub(super) fn render(preview: &Preview) -> String {
    let current = match &preview.current {
        Some(current) => format!("is at version {} {}", current.version(), current.name()),
        None => "has no migrations".to_owned(),
    };
    let ahead = match preview.ahead.len() {
        0 => String::new(),
        ahead => format!(", ahead of this program by {}", count(ahead, "migration")),
    };
    let pending = count(preview.pending(), "migration");
    let migrations: String = preview.migrations.iter().map(migration).collect();
    format!(
        "{} {current}{ahead}; {pending} pending\n{migrations}",
        preview.database
    )
}

fn migration(migration: &PendingMigration) -> String {
    let transaction = if migration.is_transactional {
        "in one transaction"
    } else {
        "without a transaction around its statements"
    };
    let unknown = if migration.is_understood {
        ""
    } else {
        "  the parser does not understand it, so what it does cannot be told\n"
    };
    let statements: String = migration.statements.iter().map(statement).collect();
    let findings: String = migration.findings.iter().map(finding_as_text).collect();
    let findings: String = findings.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "\n{} {} ({}), {transaction}\n{unknown}{statements}{findings}",
        migration.version,
        migration.name,
        migration.path.display()
    )
}

fn statement(statement: &PendingStatement) -> String {
    let PendingStatement {
        line,
        summary,
        relations,
        effects,
    } = statement;
    let mut lines: Vec<String> = relations.iter().map(relation).collect();
    if effects.forbidden_in_transaction {
        lines.push("cannot run in a transaction".to_owned());
    }
    match effects.unknown {
        Some(reason) => lines.push(format!("unknown: {reason}")),
        None if relations.is_empty() => lines.push("locks no table".to_owned()),
        None => {}
    }
    // Who would wait, and what to do instead, means nothing for tables that nobody uses.
    if !statement.keeps_nobody_waiting() {
        lines.extend(effects.explanations.iter().map(|&line| line.to_owned()));
    }
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("  line {line}: {summary}\n{lines}")
}

fn relation(relation: &PendingRelation) -> String {
    let note = match &relation.standing {
        Standing::Existing(_) if relation.effect.storage == Storage::Created => {
            " (there is one already)".to_owned()
        }
        Standing::New => " (new, nobody waits for it)".to_owned(),
        Standing::Existing(Some(size)) => self::size(size),
        Standing::Missing => " (not there now)".to_owned(),
        Standing::Existing(None) | Standing::NotNamed => String::new(),
    };
    format!("{}{note}", relation.effect)
}

fn size(size: &Size) -> String {
    let rows = match size.rows {
        Some(1) => ", about 1 row".to_owned(),
        Some(rows) => format!(", about {rows} rows"),
        None => String::new(),
    };
    format!(" ({}{rows})", size.pretty)
}
