//! CREATE, DROP, ALTER INDEX and REINDEX.

use squawk_syntax::ast::{
    AlterIndex, AlterIndexAction, AstNode, CreateIndex, DropBehavior, DropIndex, Reindex,
    ReindexOption, ReindexTarget,
};

use crate::alter_table::{self, ONLY_THE_CATALOG, UNLESS_SO_ALREADY};
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::{table, written};
use crate::storage_parameters;

pub(crate) fn create(effects: &mut Effects, create: &CreateIndex) {
    let Some(target) = create.table_relation_name().as_ref().and_then(table) else {
        return effects.cannot_tell("the table is missing");
    };
    let lock = if create.concurrently_token().is_some() {
        effects.explain("The index is built while readers and writers go on; a failed build leaves an invalid index, which has to be dropped.");
        LockMode::ShareUpdateExclusive
    } else {
        effects.explain("Writers wait until the index is built; CREATE INDEX CONCURRENTLY lets them go on, outside a transaction.");
        LockMode::Share
    };
    effects.add(alter_table::whole(&target, lock).scanned(Scan::Full));
}

pub(crate) fn drop(effects: &mut Effects, drop: &DropIndex) {
    let lock = if drop.concurrently_token().is_some() {
        effects.explain(
            "The index goes when nobody uses it any more; readers and writers of its table go on.",
        );
        LockMode::ShareUpdateExclusive
    } else {
        effects.explain("Readers and writers of the index's table wait; DROP INDEX CONCURRENTLY lets them go on, outside a transaction.");
        LockMode::AccessExclusive
    };
    for index in drop.index_refs() {
        let index = written(&index);
        effects.add(RelationEffect::new(Relation::TableOf(index.clone()), lock));
        if matches!(drop.drop_behavior(), Some(DropBehavior::Cascade(_))) {
            effects.add(RelationEffect::new(
                Relation::DependentsOf(index.clone()),
                LockMode::AccessExclusive,
            ));
        }
        effects.add(RelationEffect::named(&index, lock).stored(Storage::Dropped));
    }
}

pub(crate) fn alter(effects: &mut Effects, alter: &AlterIndex) {
    let Some((index, action)) = alter.index_ref().zip(alter.action()) else {
        return alter_table::all_in_tablespace(effects);
    };
    let index = written(&index);
    match action {
        AlterIndexAction::IndexRenameTo(_) => {
            effects.add(RelationEffect::named(
                &index,
                LockMode::ShareUpdateExclusive,
            ));
            effects.explain("Readers and writers go on.");
        }
        AlterIndexAction::SetOptions(set) => {
            let lock = storage_parameters::lock(set.attribute_list());
            effects.add(RelationEffect::named(&index, lock));
            effects.explain("Storage parameters hold for what is written from now on, or from the next REINDEX.");
        }
        AlterIndexAction::ResetOptions(reset) => {
            let lock = storage_parameters::lock(reset.attribute_list());
            effects.add(RelationEffect::named(&index, lock));
            effects.explain("Storage parameters hold for what is written from now on, or from the next REINDEX.");
        }
        AlterIndexAction::AlterSetStatistics(_) => {
            effects.add(RelationEffect::named(
                &index,
                LockMode::ShareUpdateExclusive,
            ));
            effects.explain("It holds from the next ANALYZE; readers and writers go on.");
        }
        AlterIndexAction::SetTablespace(_) => {
            effects.add(
                RelationEffect::named(&index, LockMode::AccessExclusive).stored(UNLESS_SO_ALREADY),
            );
            effects.explain("The index is copied while nobody can use it; REINDEX (TABLESPACE ...) with CONCURRENTLY lets readers and writers go on.");
        }
        AlterIndexAction::AttachIndexPartition(attach) => {
            effects.add(RelationEffect::named(
                &index,
                LockMode::ShareUpdateExclusive,
            ));
            match attach.index_ref() {
                Some(partition) => {
                    let partition = written(&partition);
                    effects.add(RelationEffect::named(&partition, LockMode::AccessExclusive));
                    effects.add(RelationEffect::new(
                        Relation::TableOf(partition),
                        LockMode::AccessShare,
                    ));
                }
                None => effects.cannot_tell("the partition's index is missing"),
            }
            effects.add(RelationEffect::new(
                Relation::TableOf(index),
                LockMode::AccessShare,
            ));
            effects.explain("Only the catalog changes.");
        }
        AlterIndexAction::DependsOnExtension(_) | AlterIndexAction::NoDependsOnExtension(_) => {
            effects.add(RelationEffect::new(
                Relation::TableOf(index.clone()),
                LockMode::AccessExclusive,
            ));
            effects.add(RelationEffect::named(&index, LockMode::AccessExclusive));
            effects.explain(ONLY_THE_CATALOG);
        }
    }
}

pub(crate) fn reindex(effects: &mut Effects, reindex: &Reindex) {
    let concurrently = is_concurrent(reindex);
    match reindex.reindex_target() {
        Some(ReindexTarget::ReindexTargetIndex(target)) => match target.index_ref() {
            Some(index) => reindex_index(effects, &written(&index), concurrently),
            None => effects.cannot_tell("the index is missing"),
        },
        Some(ReindexTarget::ReindexTargetTable(target)) => match target.table_name_ref() {
            Some(table) => {
                let lock = reindex_lock(effects, concurrently);
                effects.add(
                    RelationEffect::named(&written(&table), lock)
                        .scanned(Scan::May("if it has an index"))
                        .extending(true),
                );
            }
            None => effects.cannot_tell("the table is missing"),
        },
        Some(ReindexTarget::ReindexTargetSchema(_) | ReindexTarget::ReindexTargetDatabase(_)) => {
            reindex_all(effects, concurrently);
        }
        Some(ReindexTarget::ReindexTargetSystem(_)) => {
            effects.explain("The indexes of the server's own catalogs are built anew, each under ACCESS EXCLUSIVE.");
        }
        None => effects.cannot_tell("what to reindex is missing"),
    }
}

/// Whether it builds each index beside the old one, by an option or by the word after what it is for.
pub(crate) fn is_concurrent(reindex: &Reindex) -> bool {
    let option = reindex.reindex_option_list().is_some_and(|list| {
        list.reindex_options().any(|option| {
            matches!(&option, ReindexOption::ReindexOptionConcurrently(option) if is_on(option))
        })
    });
    let word = match reindex.reindex_target() {
        Some(ReindexTarget::ReindexTargetIndex(target)) => target.concurrently_token(),
        Some(ReindexTarget::ReindexTargetTable(target)) => target.concurrently_token(),
        Some(ReindexTarget::ReindexTargetSchema(target)) => target.concurrently_token(),
        Some(ReindexTarget::ReindexTargetDatabase(target)) => target.concurrently_token(),
        Some(ReindexTarget::ReindexTargetSystem(_)) | None => None,
    };
    option || word.is_some()
}

fn is_on(option: &impl AstNode) -> bool {
    let text = option.syntax().text().to_string().to_lowercase();
    !matches!(
        text.split_whitespace()
            .last()
            .map(|word| word.trim_matches('\'')),
        Some("off" | "false" | "0" | "no")
    )
}

fn reindex_index(effects: &mut Effects, index: &str, concurrently: bool) {
    let lock = reindex_lock(effects, concurrently);
    effects.add(RelationEffect::new(Relation::TableOf(index.to_owned()), lock).scanned(Scan::Full));
    effects.add(if concurrently {
        RelationEffect::named(index, LockMode::ShareUpdateExclusive).stored(Storage::Dropped)
    } else {
        RelationEffect::named(index, LockMode::AccessExclusive).stored(Storage::Rewritten)
    });
}

fn reindex_all(effects: &mut Effects, concurrently: bool) {
    let lock = reindex_lock(effects, concurrently);
    effects.add(RelationEffect::new(Relation::All, lock).scanned(Scan::May("if it has an index")));
}

fn reindex_lock(effects: &mut Effects, concurrently: bool) -> LockMode {
    if concurrently {
        effects.explain("The index is built beside the old one while readers and writers go on; a failed run leaves an invalid index, which has to be dropped.");
        LockMode::ShareUpdateExclusive
    } else {
        effects.explain("Writers wait, and so do readers that would use the index; REINDEX ... CONCURRENTLY lets them go on, outside a transaction.");
        LockMode::Share
    }
}
