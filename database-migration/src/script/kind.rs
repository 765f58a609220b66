//! How a statement may be run.

use squawk_syntax::ast::{
    AlterTableAction, AstNode, Commit, CopyDirection, CopySource, DetachPartitionOption,
    DiscardTarget, Rollback, Stmt,
};
use squawk_syntax::{SyntaxElement, SyntaxKind};
use statement_effects::is_forbidden_in_transaction;

use crate::script::ConcurrentIndex;

/// How a statement may be run.
#[derive(Debug)]
pub(crate) enum Kind {
    /// In a transaction or without one.
    Ordinary,
    /// It sets something for the rest of the session.
    Setting,
    /// It makes a transaction that has failed go on.
    ReturnsToSavepoint,
    /// It would end the transaction that it runs in.
    EndsTransaction,
    /// It would give up the lock that keeps other runs out.
    GivesUpLock,
    /// It wants data from the client.
    WantsData,
    /// What it calls may end transactions itself, if it runs in none.
    Procedural,
    /// It builds an index, in several transactions of its own.
    BuildsIndex(Box<ConcurrentIndex>),
    /// It builds an index, in several transactions of its own, whose name it leaves to the server.
    BuildsUnnamedIndex,
    /// It cannot run in a transaction.
    Outside(Repeat),
}

/// What is to do when a statement that cannot run in a transaction is run again after an interruption.
#[derive(Debug)]
pub(crate) enum Repeat {
    /// Nothing special.
    AsIs,
    /// DROP INDEX CONCURRENTLY: the index may be gone.
    IndexMayBeGone,
    /// REINDEX CONCURRENTLY: what it was building may be left over.
    IndexesMayBeLeft,
    /// DETACH PARTITION CONCURRENTLY: it may be half done, or done. This statement finishes it.
    Finalize(String),
}

impl Kind {
    pub(crate) fn of(statement: &Stmt) -> Self {
        match statement {
            Stmt::Begin(_)
            | Stmt::PrepareTransaction(_)
            | Stmt::Commit(Commit::CommitPrepared(_) | Commit::CommitTransaction(_))
            | Stmt::Rollback(Rollback::RollbackPrepared(_) | Rollback::RollbackTransaction(_)) => {
                Self::EndsTransaction
            }
            Stmt::Rollback(Rollback::RollbackToSavepoint(_)) => Self::ReturnsToSavepoint,
            Stmt::Set(_)
            | Stmt::SetRole(_)
            | Stmt::SetSessionAuth(_)
            | Stmt::Reset(_)
            | Stmt::ResetRole(_)
            | Stmt::ResetSessionAuth(_) => Self::Setting,
            Stmt::Discard(discard)
                if matches!(discard.discard_target(), Some(DiscardTarget::DiscardAll(_))) =>
            {
                Self::GivesUpLock
            }
            Stmt::Call(_) | Stmt::Do(_) => Self::Procedural,
            Stmt::Copy(copy) if wants_data(copy) => Self::WantsData,
            Stmt::CreateIndex(create) if create.concurrently_token().is_some() => {
                ConcurrentIndex::of(create).map_or(Self::BuildsUnnamedIndex, |index| {
                    Self::BuildsIndex(Box::new(index))
                })
            }
            _ => repeat(statement).map_or(Self::Ordinary, Self::Outside),
        }
    }

    /// Why the statement must not stand in a script that runs in one transaction.
    pub(crate) fn obstacle_in_transaction(&self) -> Option<&'static str> {
        match self {
            Self::EndsTransaction => Some("would end the transaction that the migration runs in"),
            Self::GivesUpLock => Some(GIVES_UP_LOCK),
            Self::WantsData => Some(WANTS_DATA),
            Self::BuildsIndex(_) | Self::BuildsUnnamedIndex | Self::Outside(_) => Some(
                "cannot run in a transaction, and the migration runs in one; move it to a migration of its own with \
                 the line -- Transaction: none at its head",
            ),
            Self::Ordinary | Self::Setting | Self::ReturnsToSavepoint | Self::Procedural => None,
        }
    }

    /// Why the statement must not stand in a script that runs without a transaction.
    pub(crate) fn obstacle_without_transaction(&self) -> Option<&'static str> {
        match self {
            Self::EndsTransaction => Some(
                "has no place in a migration that runs statement by statement: each that can has a transaction of its \
                 own",
            ),
            Self::GivesUpLock => Some(GIVES_UP_LOCK),
            Self::WantsData => Some(WANTS_DATA),
            Self::BuildsUnnamedIndex => Some(
                "names no index; give it a name, by which it is found again if the build is interrupted",
            ),
            Self::Ordinary
            | Self::Setting
            | Self::ReturnsToSavepoint
            | Self::Procedural
            | Self::BuildsIndex(_)
            | Self::Outside(_) => None,
        }
    }

    /// Whether it waits for other transactions again and again on its way, where a lock timeout would leave it half
    /// done. It never keeps others waiting while it does.
    pub(crate) fn is_patient(&self) -> bool {
        match self {
            Self::BuildsIndex(_) => true,
            Self::Outside(repeat) => !matches!(repeat, Repeat::AsIs),
            _ => false,
        }
    }
}

const GIVES_UP_LOCK: &str = "would give up the lock that keeps other runs out; use RESET ALL, and DISCARD TEMP, PLANS \
                             or SEQUENCES, as far as they are needed";

const WANTS_DATA: &str = "wants data from the client, which a migration has none of; use INSERT, or load the data with \
                          database-load";

fn wants_data(copy: &squawk_syntax::ast::Copy) -> bool {
    matches!(
        copy.copy_direction(),
        Some(CopyDirection::CopyFrom(from)) if matches!(from.copy_source(), Some(CopySource::CopyStdin(_)))
    )
}

/// What is to do when a statement that cannot run in a transaction runs again.
fn repeat(statement: &Stmt) -> Option<Repeat> {
    if !is_forbidden_in_transaction(statement) {
        return None;
    }
    Some(match statement {
        Stmt::DropIndex(_) => Repeat::IndexMayBeGone,
        Stmt::Reindex(_) if is_concurrent(statement) => Repeat::IndexesMayBeLeft,
        Stmt::AlterTable(alter) => alter
            .actions()
            .find_map(|action| finishing(statement, &action))
            .map_or(Repeat::AsIs, Repeat::Finalize),
        _ => Repeat::AsIs,
    })
}

/// The statement that finishes a detachment.
fn finishing(statement: &Stmt, action: &AlterTableAction) -> Option<String> {
    let AlterTableAction::DetachPartition(detach) = action else {
        return None;
    };
    let Some(DetachPartitionOption::DetachConcurrently(option)) = detach.detach_partition_option()
    else {
        return None;
    };
    let start = usize::from(statement.syntax().text_range().start());
    let range = option.syntax().text_range();
    let mut finishing = statement.syntax().text().to_string();
    finishing.replace_range(
        usize::from(range.start()) - start..usize::from(range.end()) - start,
        "FINALIZE",
    );
    Some(finishing)
}

fn is_concurrent(statement: &Stmt) -> bool {
    statement
        .syntax()
        .descendants_with_tokens()
        .filter_map(SyntaxElement::into_token)
        .any(|token| token.kind() == SyntaxKind::CONCURRENTLY_KW)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::script::Script;

    fn obstacles(sql: &str) -> usize {
        Script::parse(sql)
            .statements
            .iter()
            .filter(|statement| statement.kind.obstacle_in_transaction().is_some())
            .count()
    }

    #[test]
    fn what_ends_the_transaction_is_found() {
        for control in [
            "BEGIN;",
            "START TRANSACTION;",
            "COMMIT;",
            "rollback;",
            "END;",
            "ABORT;",
            "COMMIT AND CHAIN;",
            "PREPARE TRANSACTION 'a';",
            "COMMIT PREPARED 'a';",
            "ROLLBACK PREPARED 'a';",
        ] {
            let script = Script::parse(control);
            let kind = &script.statements[0].kind;
            assert!(kind.obstacle_in_transaction().is_some(), "{control}");
            assert!(kind.obstacle_without_transaction().is_some(), "{control}");
        }
    }

    #[test]
    fn what_the_server_refuses_in_a_transaction_is_found() {
        for statement in [
            "CREATE INDEX CONCURRENTLY i ON a (b);",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);",
            "DROP INDEX CONCURRENTLY i;",
            "REINDEX INDEX CONCURRENTLY i;",
            "REINDEX TABLE CONCURRENTLY a;",
            "REINDEX (CONCURRENTLY) TABLE a;",
            "REINDEX DATABASE d;",
            "REINDEX SCHEMA s;",
            "VACUUM a;",
            "CLUSTER;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=other' PUBLICATION p;",
            "ALTER SUBSCRIPTION s REFRESH PUBLICATION;",
            "DROP SUBSCRIPTION s;",
            "ALTER DATABASE d SET TABLESPACE t;",
            "ALTER SYSTEM SET work_mem = '1MB';",
            "CREATE DATABASE d;",
            "DROP DATABASE d;",
            "CREATE TABLESPACE t LOCATION '/t';",
            "DROP TABLESPACE t;",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY;",
        ] {
            assert_eq!(obstacles(statement), 1, "{statement}");
            let script = Script::parse(statement);
            let kind = &script.statements[0].kind;
            assert_eq!(kind.obstacle_without_transaction(), None, "{statement}");
        }
    }

    #[test]
    fn what_gives_up_the_lock_has_no_place_at_all() {
        let script = Script::parse("DISCARD ALL;");
        let kind = &script.statements[0].kind;
        assert!(kind.obstacle_in_transaction().is_some());
        assert!(kind.obstacle_without_transaction().is_some());
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for statement in [
            "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a;",
            "SELECT 'COMMIT;';",
            "-- COMMIT;\nSELECT 1;",
            "DO $$ BEGIN PERFORM 1; COMMIT; END $$;",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END;",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;",
            "CREATE INDEX i ON a (b);",
            "REINDEX TABLE a;",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v;",
            "DISCARD PLANS;",
            "ALTER TABLE a DETACH PARTITION b;",
            "COPY a FROM '/file';",
            "this is no SQL; COMMIT;",
        ] {
            assert_eq!(obstacles(statement), 0, "{statement}");
        }
    }

    #[test]
    fn data_from_the_client_and_unnamed_indexes_have_no_place() {
        assert_eq!(obstacles("COPY a FROM STDIN;"), 1);
        let script = Script::parse("CREATE INDEX CONCURRENTLY ON a (b);");
        let kind = &script.statements[0].kind;
        assert!(kind.obstacle_without_transaction().is_some());
    }

    #[test]
    fn a_detachment_knows_how_it_is_finished() {
        let script = Script::parse("SELECT 1; ALTER TABLE a DETACH PARTITION b CONCURRENTLY;");
        let Kind::Outside(Repeat::Finalize(finishing)) = &script.statements[1].kind else {
            panic!("{:?}", script.statements[1]);
        };
        assert!(
            finishing.starts_with("ALTER TABLE a DETACH PARTITION b FINALIZE"),
            "{finishing}"
        );
    }
}
