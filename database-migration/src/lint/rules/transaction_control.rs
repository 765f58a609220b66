//! `transaction-control`.

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations};
use crate::script::Kind;

/// Finds what begins or ends transactions. Savepoints stay inside one.
pub(super) struct TransactionControl;

impl Rule for TransactionControl {
    fn name(&self) -> &'static str {
        "transaction-control"
    }

    fn title(&self) -> &'static str {
        "BEGIN, COMMIT, ROLLBACK and PREPARE TRANSACTION"
    }

    fn why(&self) -> &'static str {
        "transactions are begun and ended by the runner, together with the migration's row in the history"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let controls = migrations
            .statements()
            .filter(|(_, statement)| matches!(Kind::of(&statement.syntax), Kind::EndsTransaction));
        controls
            .map(|(script, statement)| {
                let message = format!(
                    "{} does not stand in a migration: the runner begins and ends its transactions",
                    statement.summary()
                );
                script.violation_by(statement, message).help(
                    "remove it; what needs a transaction of its own is a migration of its own",
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn what_begins_or_ends_a_transaction_is_found() {
        for sql in [
            "BEGIN;",
            "START TRANSACTION;",
            "END;",
            "ABORT;",
            "COMMIT AND CHAIN;",
            "PREPARE TRANSACTION 'a';",
            "COMMIT PREPARED 'a';",
            "ROLLBACK PREPARED 'a';",
            "-- Transaction: none\nROLLBACK;",
        ] {
            assert_eq!(found(&TransactionControl, &[up(sql)]).len(), 1, "{sql}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for sql in [
            "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a;",
            "SELECT 'COMMIT;';",
            "DO $$ BEGIN PERFORM 1; COMMIT; END $$;",
        ] {
            assert!(found(&TransactionControl, &[up(sql)]).is_empty(), "{sql}");
        }
    }
}
