//! `not-repeatable`.

use squawk_syntax::ast::{AlterSubscriptionAction, Stmt};

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations, Statement};

const SAY_SO: &str = "make it do nothing when it has already been done, and say so in a lint-ignore comment above it";

/// Finds what an interrupted run would do twice.
///
/// The runner keeps how far a section without a transaction came. What can run in a transaction runs in one together
/// with that note; of what cannot, the runner recovers index builds, and most other statements have the same outcome
/// when they run again. This rule finds the rest.
pub(super) struct NotRepeatable;

impl Rule for NotRepeatable {
    fn name(&self) -> &'static str {
        "not-repeatable"
    }

    fn title(&self) -> &'static str {
        "a statement outside a transaction that fails or acts twice when it runs again"
    }

    fn why(&self) -> &'static str {
        "a run that is interrupted between the statement and the note that it is done runs it again"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (script, statement) in migrations.statements() {
            if script.is_transactional() {
                continue;
            }
            if let Some((reason, help)) = reason(statement) {
                let message = format!("{} {reason}", statement.summary());
                violations.push(script.violation_by(statement, message).help(help));
            }
        }
        violations
    }
}

/// Why a statement cannot run again, and what to do.
fn reason(statement: &Statement) -> Option<(&'static str, &'static str)> {
    const FAILS: &str = "fails when an interrupted run does it again";
    const MAY_COMMIT: &str = "may commit inside, so an interrupted run does parts of it again";
    const BY_HAND: &str = "give it a migration of its own and say in a lint-ignore comment above it how to go on by hand";
    match &statement.syntax {
        Stmt::Call(_) | Stmt::Do(_) => Some((MAY_COMMIT, SAY_SO)),
        _ if !statement.effects.forbidden_in_transaction => None,
        Stmt::CreateDatabase(_) | Stmt::CreateTablespace(_) | Stmt::CreateSubscription(_) => {
            Some((FAILS, BY_HAND))
        }
        Stmt::AlterSubscription(alter)
            if matches!(
                alter.action(),
                Some(
                    AlterSubscriptionAction::AddPublication(_)
                        | AlterSubscriptionAction::DropSubscriptionPublication(_)
                )
            ) =>
        {
            Some((FAILS, "name all publications with SET PUBLICATION"))
        }
        Stmt::DropSubscription(drop) if drop.if_exists().is_none() => {
            Some((FAILS, "add IF EXISTS"))
        }
        Stmt::DropDatabase(drop) if drop.if_exists().is_none() => Some((FAILS, "add IF EXISTS")),
        Stmt::DropTablespace(drop) if drop.if_exists().is_none() => Some((FAILS, "add IF EXISTS")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    fn violations(statement: &str) -> usize {
        let outside = up(&format!("-- Transaction: none\n{statement}"));
        assert!(found(&NotRepeatable, &[up(statement)]).is_empty());
        found(&NotRepeatable, &[outside]).len()
    }

    #[test]
    fn what_fails_or_acts_twice_is_found() {
        for statement in [
            "CREATE DATABASE a;",
            "CREATE TABLESPACE a LOCATION '/a';",
            "DROP DATABASE a;",
            "DROP TABLESPACE a;",
            "CREATE SUBSCRIPTION a CONNECTION 'host=b' PUBLICATION c;",
            "ALTER SUBSCRIPTION a ADD PUBLICATION c;",
            "DROP SUBSCRIPTION a;",
            "CALL fill();",
            "DO $$ BEGIN COMMIT; END $$;",
        ] {
            assert_eq!(violations(statement), 1, "{statement}");
        }
    }

    #[test]
    fn what_the_runner_recovers_or_notes_is_left_alone() {
        for statement in [
            "CREATE INDEX CONCURRENTLY i ON a (b);",
            "DROP INDEX CONCURRENTLY i;",
            "REINDEX INDEX CONCURRENTLY i;",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY;",
            "VACUUM a;",
            "ALTER SYSTEM SET work_mem = '8MB';",
            "DROP DATABASE IF EXISTS a;",
            "DROP TABLESPACE IF EXISTS a;",
            "CREATE SUBSCRIPTION a CONNECTION 'host=b' PUBLICATION c WITH (connect = false);",
            "ALTER SUBSCRIPTION a SET PUBLICATION c;",
            "ALTER SUBSCRIPTION a ADD PUBLICATION c WITH (refresh = false);",
            "DROP SUBSCRIPTION IF EXISTS a;",
            "CREATE TABLE a ();",
        ] {
            assert_eq!(violations(statement), 0, "{statement}");
        }
    }
}
