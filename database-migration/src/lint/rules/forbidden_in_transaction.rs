//! `forbidden-in-transaction`.

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations};

/// Finds what the server refuses inside a transaction block.
pub(super) struct ForbiddenInTransaction;

impl Rule for ForbiddenInTransaction {
    fn name(&self) -> &'static str {
        "forbidden-in-transaction"
    }

    fn title(&self) -> &'static str {
        "a statement that cannot run in a transaction, in a section that runs in one"
    }

    fn why(&self) -> &'static str {
        "the server refuses it, so the migration can never be applied"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (script, statement) in migrations.statements() {
            if script.is_transactional() && statement.effects.forbidden_in_transaction {
                let message = format!(
                    "{} cannot run in a transaction, and this section runs in one",
                    statement.summary()
                );
                violations.push(script.violation_by(statement, message).help(
                    "move it to a migration of its own that has the line -- Transaction: none in its header",
                ));
            }
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    fn violations(sql: &str) -> Vec<String> {
        found(&ForbiddenInTransaction, &[up(sql)])
    }

    #[test]
    fn what_the_server_refuses_is_found_in_both_sections() {
        assert_eq!(
            violations(
                "SELECT 1;\nCREATE INDEX CONCURRENTLY i ON a (b);\n-- +++++ DOWN\nVACUUM a;"
            ),
            [
                "3: CREATE INDEX CONCURRENTLY i ON a (b) cannot run in a transaction, and this section runs in one",
                "5: VACUUM a cannot run in a transaction, and this section runs in one",
            ]
        );
    }

    #[test]
    fn a_section_without_a_transaction_may_have_it() {
        assert!(violations("-- Transaction: none\nVACUUM a;").is_empty());
        assert!(violations("CREATE INDEX i ON a (b);").is_empty());
    }
}
