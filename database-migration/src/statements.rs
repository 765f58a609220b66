//! The statements of a migration, by a parser of PostgreSQL's grammar.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{
    AlterTableAction, AstNode, Commit, DetachPartitionOption, DiscardTarget, ReindexTarget,
    Rollback, Stmt,
};

/// A statement that must not stand in a migration, which runs in one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forbidden {
    /// The line of the SQL, counted from 0.
    pub(crate) line: usize,
    /// Which statement, and why.
    pub(crate) reason: String,
}

/// Finds the statements that end the migration's transaction, so that a failure after them would leave half of the
/// migration, and those that the server refuses in a transaction. In SQL that the parser does not understand none are
/// looked for: there the server has the word.
pub(crate) fn forbidden(sql: &str) -> Vec<Forbidden> {
    let parse = SourceFile::parse(sql);
    if !parse.errors().is_empty() {
        return Vec::new();
    }
    parse
        .tree()
        .stmts()
        .filter_map(|statement| {
            let reason = if controls_transaction(&statement) {
                "would end the transaction that the migration runs in"
            } else if needs_no_transaction(&statement) {
                "cannot run in a transaction, and each migration runs in one"
            } else {
                return None;
            };
            let text = statement.syntax().text().to_string();
            let first_line = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end_matches(';');
            let start = usize::from(statement.syntax().text_range().start());
            Some(Forbidden {
                line: sql[..start].matches('\n').count(),
                reason: format!("{first_line} {reason}"),
            })
        })
        .collect()
}

/// Where the statement begins that comes after so many others, if the parser understands all of the SQL.
pub(crate) fn start(sql: &str, others: usize) -> Option<usize> {
    let parse = SourceFile::parse(sql);
    if !parse.errors().is_empty() {
        return None;
    }
    let statement = parse
        .tree()
        .stmts()
        // The server answers nothing to a semicolon alone.
        .filter(|statement| !matches!(statement, Stmt::EmptyStmt(_)))
        .nth(others)?;
    Some(statement.syntax().text_range().start().into())
}

/// Savepoints stay inside the transaction.
fn controls_transaction(statement: &Stmt) -> bool {
    matches!(
        statement,
        Stmt::Begin(_)
            | Stmt::PrepareTransaction(_)
            | Stmt::Commit(Commit::CommitPrepared(_) | Commit::CommitTransaction(_))
            | Stmt::Rollback(Rollback::RollbackPrepared(_) | Rollback::RollbackTransaction(_))
    )
}

/// The callers of `PreventInTransactionBlock` in PostgreSQL's source that a statement's own text tells.
fn needs_no_transaction(statement: &Stmt) -> bool {
    match statement {
        Stmt::AlterSystem(_)
        | Stmt::CreateDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::DropDatabase(_)
        | Stmt::DropTablespace(_)
        | Stmt::Vacuum(_) => true,
        Stmt::CreateIndex(create) => create.concurrently_token().is_some(),
        Stmt::DropIndex(drop) => drop.concurrently_token().is_some(),
        Stmt::Reindex(reindex) => match reindex.reindex_target() {
            Some(ReindexTarget::ReindexTargetIndex(index)) => index.concurrently_token().is_some(),
            Some(ReindexTarget::ReindexTargetTable(table)) => table.concurrently_token().is_some(),
            Some(_) => true,
            None => false,
        },
        Stmt::Discard(discard) => {
            matches!(discard.discard_target(), Some(DiscardTarget::DiscardAll(_)))
        }
        Stmt::AlterTable(alter) => alter.actions().any(|action| {
            matches!(
                action,
                AlterTableAction::DetachPartition(detach) if matches!(
                    detach.detach_partition_option(),
                    Some(DetachPartitionOption::DetachConcurrently(_))
                )
            )
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_transaction_is_found_with_its_line() {
        let found = forbidden("CREATE TABLE a ();\n\nCOMMIT;\nCREATE TABLE b ();\nrollback;");
        assert_eq!(
            found,
            [
                Forbidden {
                    line: 2,
                    reason: "COMMIT would end the transaction that the migration runs in"
                        .to_owned(),
                },
                Forbidden {
                    line: 4,
                    reason: "rollback would end the transaction that the migration runs in"
                        .to_owned(),
                },
            ]
        );
        for control in [
            "BEGIN;",
            "START TRANSACTION;",
            "END;",
            "ABORT;",
            "COMMIT AND CHAIN;",
            "PREPARE TRANSACTION 'a';",
            "COMMIT PREPARED 'a';",
            "ROLLBACK PREPARED 'a';",
        ] {
            assert_eq!(forbidden(control).len(), 1, "{control}");
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
            "REINDEX DATABASE d;",
            "REINDEX SCHEMA s;",
            "VACUUM a;",
            "ALTER SYSTEM SET work_mem = '1MB';",
            "CREATE DATABASE d;",
            "DROP DATABASE d;",
            "CREATE TABLESPACE t LOCATION '/t';",
            "DROP TABLESPACE t;",
            "DISCARD ALL;",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY;",
        ] {
            assert_eq!(forbidden(statement).len(), 1, "{statement}");
        }
    }

    #[test]
    fn a_statement_is_found_by_those_before_it() {
        let sql = "-- a comment\nSELECT 1;;\n/* another */ SELECT 'a;b';\n  SELECT 3";
        let found = |others| start(sql, others).map(|offset| &sql[offset..]);
        assert!(found(0).is_some_and(|rest| rest.starts_with("SELECT 1")));
        assert!(found(1).is_some_and(|rest| rest.starts_with("SELECT 'a;b'")));
        assert_eq!(found(2), Some("SELECT 3"));
        assert_eq!(found(3), None);
        assert_eq!(start("SELECT 1; this is no SQL", 0), None);
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
            "this is no SQL; COMMIT;",
        ] {
            assert_eq!(forbidden(statement), [], "{statement}");
        }
    }
}
