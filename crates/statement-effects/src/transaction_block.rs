//! What the server refuses in a transaction block.

use squawk_syntax::ast::{
    AlterDatabaseAction, AlterSubscriptionAction, AlterTableAction, AttributeList, Cluster,
    CreateSubscription, DetachPartitionOption, DiscardTarget, ReindexTarget, Stmt, TableNameRef,
    WithParams,
};

use crate::index;
use crate::names::written;

/// Whether the server refuses a statement in a transaction block: the callers of `PreventInTransactionBlock` in
/// PostgreSQL's source that a statement's own text tells.
pub fn is_forbidden_in_transaction(statement: &Stmt) -> bool {
    match statement {
        Stmt::AlterSystem(_)
        | Stmt::CreateDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::DropDatabase(_)
        | Stmt::DropSubscription(_)
        | Stmt::DropTablespace(_)
        | Stmt::Vacuum(_) => true,
        Stmt::AlterDatabase(alter) => {
            matches!(alter.action(), Some(AlterDatabaseAction::SetTablespace(_)))
        }
        Stmt::AlterSubscription(alter) => alter.action().is_some_and(|action| refreshes(&action)),
        Stmt::AlterTable(alter) => alter.actions().any(|action| {
            matches!(
                action,
                AlterTableAction::DetachPartition(detach) if matches!(
                    detach.detach_partition_option(),
                    Some(DetachPartitionOption::DetachConcurrently(_))
                )
            )
        }),
        Stmt::Cluster(cluster) => clustered_table(cluster).is_none(),
        Stmt::CreateIndex(create) => create.concurrently_token().is_some(),
        Stmt::CreateSubscription(create) => makes_slot(create),
        Stmt::Discard(discard) => {
            matches!(discard.discard_target(), Some(DiscardTarget::DiscardAll(_)))
        }
        Stmt::DropIndex(drop) => drop.concurrently_token().is_some(),
        Stmt::Reindex(reindex) => {
            index::is_concurrent(reindex)
                || matches!(
                    reindex.reindex_target(),
                    Some(
                        ReindexTarget::ReindexTargetSchema(_)
                            | ReindexTarget::ReindexTargetDatabase(_)
                            | ReindexTarget::ReindexTargetSystem(_)
                    )
                )
        }
        _ => false,
    }
}

/// The table of a CLUSTER that names one.
pub(crate) fn clustered_table(cluster: &Cluster) -> Option<TableNameRef> {
    cluster.table_name_ref().or_else(|| {
        cluster
            .cluster_legacy()
            .and_then(|legacy| legacy.on_path()?.table_name_ref())
    })
}

/// A subscription makes a slot on the other server, which no rollback takes back.
fn makes_slot(create: &CreateSubscription) -> bool {
    !["connect", "create_slot"]
        .into_iter()
        .any(|name| is_off(create.with_params(), name))
}

/// What is copied from the other server on the way is not taken back either.
fn refreshes(action: &AlterSubscriptionAction) -> bool {
    let parameters = match action {
        AlterSubscriptionAction::RefreshPublication(_) => return true,
        AlterSubscriptionAction::SetOptions(options) => {
            return option(options.attribute_list(), "failover").is_some();
        }
        AlterSubscriptionAction::AddPublication(add) => add.with_params(),
        AlterSubscriptionAction::DropSubscriptionPublication(drop) => drop.with_params(),
        AlterSubscriptionAction::SetPublication(set) => set.with_params(),
        _ => return false,
    };
    !is_off(parameters, "refresh")
}

fn is_off(parameters: Option<WithParams>, name: &str) -> bool {
    option(
        parameters.and_then(|parameters| parameters.attribute_list()),
        name,
    )
    .is_some_and(|value| matches!(value.trim_matches('\''), "false" | "off" | "0"))
}

/// The value of an option, in lower case.
fn option(options: Option<AttributeList>, name: &str) -> Option<String> {
    options?.attribute_options().find_map(|option| {
        let option = written(&option).to_lowercase();
        let (key, value) = option.split_once('=').unwrap_or((&option, ""));
        (key == name).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use squawk_syntax::SourceFile;

    use super::*;

    fn forbidden(sql: &str) -> Vec<bool> {
        let parse = SourceFile::parse(sql);
        assert_eq!(parse.errors(), [], "{sql}");
        parse
            .tree()
            .stmts()
            .map(|statement| is_forbidden_in_transaction(&statement))
            .collect()
    }

    #[test]
    fn what_the_server_refuses_in_a_transaction_is_found() {
        for sql in [
            "CREATE INDEX CONCURRENTLY i ON a (b);",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);",
            "DROP INDEX CONCURRENTLY i;",
            "REINDEX INDEX CONCURRENTLY i;",
            "REINDEX (CONCURRENTLY) TABLE a;",
            "REINDEX DATABASE d;",
            "REINDEX SCHEMA s;",
            "REINDEX SYSTEM d;",
            "VACUUM a;",
            "CLUSTER;",
            "CLUSTER VERBOSE;",
            "ALTER SYSTEM SET work_mem = '1MB';",
            "CREATE DATABASE d;",
            "DROP DATABASE d;",
            "ALTER DATABASE d SET TABLESPACE t;",
            "CREATE TABLESPACE t LOCATION '/t';",
            "DROP TABLESPACE t;",
            "DISCARD ALL;",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=other' PUBLICATION p;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=other' PUBLICATION p WITH (create_slot = true);",
            "ALTER SUBSCRIPTION s REFRESH PUBLICATION;",
            "ALTER SUBSCRIPTION s SET PUBLICATION p;",
            "ALTER SUBSCRIPTION s ADD PUBLICATION p;",
            "ALTER SUBSCRIPTION s DROP PUBLICATION p;",
            "ALTER SUBSCRIPTION s SET (failover = true);",
            "DROP SUBSCRIPTION s;",
        ] {
            assert_eq!(forbidden(sql), [true], "{sql}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for sql in [
            "CREATE INDEX i ON a (b);",
            "REINDEX TABLE a;",
            "REINDEX (CONCURRENTLY false) TABLE a;",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v;",
            "CLUSTER a;",
            "CLUSTER a USING i;",
            "CLUSTER i ON a;",
            "ALTER DATABASE d SET work_mem = '1MB';",
            "DISCARD PLANS;",
            "ALTER TABLE a DETACH PARTITION b;",
            "CREATE SUBSCRIPTION s CONNECTION 'host=other' PUBLICATION p WITH (connect = false);",
            "CREATE SUBSCRIPTION s CONNECTION 'host=other' PUBLICATION p WITH (create_slot = 'off', enabled = true);",
            "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false);",
            "ALTER SUBSCRIPTION s SET (slot_name = NONE);",
            "ALTER SUBSCRIPTION s DISABLE;",
        ] {
            assert_eq!(forbidden(sql), [false], "{sql}");
        }
    }
}
