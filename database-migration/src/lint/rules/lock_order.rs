//! `lock-order`.

use std::collections::{HashMap, HashSet};

use statement_effects::{LockMode, Relation, Storage};

use crate::files::Direction;
use crate::lint::rules::{Rule, Violation};
use crate::lint::script::{Script, Statement};
use crate::lint::{Level, Migrations};
use crate::relation_name::RelationName;

/// Finds transactions that lock two tables the other way round than an earlier one.
///
/// Only locks that keep writers out count, and only of relations that were there before the transaction.
pub(super) struct LockOrder;

/// A lock of a transaction, where it takes it first.
struct Taken<'set> {
    relation: RelationName,
    /// The strongest mode that the transaction takes.
    mode: LockMode,
    statement: &'set Statement,
}

/// Two locks that a transaction takes one after the other.
struct Pair {
    modes: (LockMode, LockMode),
    /// The file and the line of the second.
    place: String,
}

impl Rule for LockOrder {
    fn name(&self) -> &'static str {
        "lock-order"
    }

    fn title(&self) -> &'static str {
        "two transactions that lock the same tables in opposite orders"
    }

    fn why(&self) -> &'static str {
        "transactions that meet so wait for each other until the server ends one of them as a deadlock"
    }

    fn level(&self) -> Level {
        Level::Warn
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut pairs: HashMap<(RelationName, RelationName), Vec<Pair>> = HashMap::new();
        let scripts = migrations.scripts.iter();
        for script in scripts.filter(|script| script.direction == Direction::Up) {
            for transaction in script.transactions() {
                let locks = locks(transaction);
                for (position, second) in locks.iter().enumerate() {
                    for first in &locks[..position] {
                        let order = (first.relation.clone(), second.relation.clone());
                        let reverse = (second.relation.clone(), first.relation.clone());
                        let known = pairs.get(&reverse).map(Vec::as_slice).unwrap_or_default();
                        let other = known.iter().find(|pair| {
                            pair.modes.1.conflicts_with(first.mode)
                                && pair.modes.0.conflicts_with(second.mode)
                        });
                        if let Some(other) = other {
                            violations.push(violation(script, first, second, &other.place));
                        }
                        pairs.entry(order).or_default().push(Pair {
                            modes: (first.mode, second.mode),
                            place: place(script, second),
                        });
                    }
                }
            }
        }
        violations
    }
}

/// The locks of a transaction in the order in which it takes them.
fn locks(transaction: &[Statement]) -> Vec<Taken<'_>> {
    let mut created = HashSet::new();
    let mut locks: Vec<Taken<'_>> = Vec::new();
    for statement in transaction {
        for effect in &statement.effects.relations {
            let Relation::Named(written) = &effect.relation else {
                continue;
            };
            let relation = RelationName::of_text(written);
            if effect.storage == Storage::Created {
                created.insert(relation);
            } else if effect.lock.blocks_writes() && !created.contains(&relation) {
                match locks.iter_mut().find(|taken| taken.relation == relation) {
                    Some(taken) => taken.mode = taken.mode.max(effect.lock),
                    None => locks.push(Taken {
                        relation,
                        mode: effect.lock,
                        statement,
                    }),
                }
            }
        }
    }
    locks
}

fn violation(script: &Script<'_>, first: &Taken<'_>, second: &Taken<'_>, other: &str) -> Violation {
    let message = format!(
        "{} is locked after {} here, and before it at {other}",
        second.relation, first.relation
    );
    script.violation_by(second.statement, message).help(
        "lock them in the same order everywhere, or in migrations of their own, which give up one lock before the next",
    )
}

fn place(script: &Script<'_>, taken: &Taken<'_>) -> String {
    let line = script.line(taken.statement.range().start);
    format!("{}:{line}", script.path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    const A_THEN_B: &str = "ALTER TABLE a ADD c int;\nALTER TABLE b ADD c int;";

    fn violations(first: &str, second: &str) -> Vec<String> {
        found(&LockOrder, &[up(first), up(second)])
    }

    #[test]
    fn the_other_way_round_is_found_with_both_places() {
        assert_eq!(
            violations(A_THEN_B, "DROP TRIGGER t ON public.B;\nTRUNCATE A;"),
            ["3: a is locked after b here, and before it at 1_a.sql:3"]
        );
    }

    #[test]
    fn within_one_statement_it_counts_as_well() {
        let found = violations("LOCK TABLE a, b;", "LOCK TABLE b, a;");
        assert_eq!(
            found,
            ["2: a is locked after b here, and before it at 1_a.sql:2"]
        );
    }

    #[test]
    fn what_cannot_deadlock_is_left_alone() {
        for (first, second) in [
            (A_THEN_B, A_THEN_B),
            // Readers and writers do not conflict with each other.
            (A_THEN_B, "INSERT INTO b SELECT; INSERT INTO a SELECT;"),
            // SHARE does not conflict with itself.
            (
                "CREATE INDEX i ON a (c); CREATE INDEX j ON b (c);",
                "CREATE INDEX k ON b (c); CREATE INDEX l ON a (c);",
            ),
            // Of two pairs of locks both have to conflict.
            (
                "TRUNCATE a; CREATE INDEX i ON b (c);",
                "CREATE INDEX j ON b (c); TRUNCATE a;",
            ),
            (
                "CREATE INDEX i ON a (c); TRUNCATE b;",
                "TRUNCATE b; CREATE INDEX j ON a (c);",
            ),
            // Nobody else sees a new table.
            (
                A_THEN_B,
                "CREATE TABLE b (); ALTER TABLE b ADD c int; DROP TABLE a;",
            ),
            // Each statement gives up its lock before the next.
            (A_THEN_B, "-- Transaction: none\nTRUNCATE b;\nTRUNCATE a;"),
            ("TRUNCATE x.a; TRUNCATE b;", "TRUNCATE b; TRUNCATE a;"),
        ] {
            assert!(violations(first, second).is_empty(), "{second}");
        }
    }
}
