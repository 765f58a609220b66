//! `several-strong-locks`.

use std::collections::HashSet;

use statement_effects::{LockMode, Relation, Scan, Storage};

use crate::files::Direction;
use crate::lint::rules::{Rule, Violation};
use crate::lint::script::{Script, Statement};
use crate::lint::{Level, Migrations};
use crate::relation_name::RelationName;

/// Finds transactions that keep everybody out of one table while all rows of another are read or rewritten.
pub(super) struct SeveralStrongLocks;

impl Rule for SeveralStrongLocks {
    fn name(&self) -> &'static str {
        "several-strong-locks"
    }

    fn title(&self) -> &'static str {
        "a table that stays locked while all rows of another are read or rewritten"
    }

    fn why(&self) -> &'static str {
        "a lock is held to the end of its transaction, so readers of the first wait for the work on the second"
    }

    fn level(&self) -> Level {
        Level::Warn
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let scripts = migrations.scripts.iter();
        for script in scripts.filter(|script| script.direction == Direction::Up) {
            for transaction in script.transactions() {
                check_transaction(script, transaction, &mut violations);
            }
        }
        violations
    }
}

fn check_transaction(
    script: &Script<'_>,
    transaction: &[Statement],
    violations: &mut Vec<Violation>,
) {
    let mut created = HashSet::new();
    let mut locked: Vec<(RelationName, usize)> = Vec::new();
    for statement in transaction {
        let mut locked_now = Vec::new();
        for effect in &statement.effects.relations {
            let Relation::Named(written) = &effect.relation else {
                continue;
            };
            let relation = RelationName::of_text(written);
            if effect.storage == Storage::Created {
                created.insert(relation);
                continue;
            }
            if created.contains(&relation) {
                continue;
            }
            let is_long = effect.storage == Storage::Rewritten || effect.scan == Scan::Full;
            let other = locked.iter().find(|(locked, _)| *locked != relation);
            if let (true, Some((other, line))) = (is_long, other) {
                let message = format!(
                    "all rows of {relation} are read or rewritten here, while nobody can use {other}, which line \
                     {line} has locked"
                );
                violations.push(
                    script
                        .violation_by(statement, message)
                        .help("put the two into migrations of their own"),
                );
            }
            if effect.lock == LockMode::AccessExclusive && effect.storage != Storage::Dropped {
                locked_now.push((relation, script.line(statement.range().start)));
            }
        }
        locked.extend(locked_now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn work_on_one_table_while_another_is_locked_is_found() {
        assert_eq!(
            found(
                &SeveralStrongLocks,
                &[up("ALTER TABLE a ADD c int;\nCREATE INDEX i ON b (c);")]
            ),
            [
                "3: all rows of b are read or rewritten here, while nobody can use a, which line 2 has locked"
            ]
        );
    }

    #[test]
    fn what_keeps_nobody_waiting_is_left_alone() {
        for sql in [
            "CREATE INDEX i ON b (c);\nALTER TABLE a ADD c int;",
            "ALTER TABLE a ADD c int;\nCREATE INDEX i ON a (c);",
            "ALTER TABLE a ADD c int;\nCREATE TABLE b (c int);\nCREATE INDEX i ON b (c);",
            "CREATE TABLE a ();\nALTER TABLE a ADD c int;\nCREATE INDEX i ON b (c);",
            // Whoever waits for it would not find it anyway.
            "DROP TABLE a;\nCREATE INDEX i ON b (c);",
            "-- Transaction: none\nALTER TABLE a ADD c int;\nCREATE INDEX CONCURRENTLY i ON b (c);",
        ] {
            assert!(found(&SeveralStrongLocks, &[up(sql)]).is_empty(), "{sql}");
        }
    }
}
