//! VACUUM, ANALYZE, CLUSTER, TRUNCATE and LOCK TABLE.

use squawk_syntax::ast::{
    Analyze, AstNode, Cluster, DropBehavior, Lock, LockMode as WrittenMode, TableAndColumnsList,
    Truncate, Vacuum,
};

use crate::alter_table::whole;
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::{relation, table, written};
use crate::transaction_block::clustered_table;

pub(crate) fn vacuum(effects: &mut Effects, vacuum: &Vacuum) {
    let option = vacuum.vacuum_option_list().is_some_and(|list| {
        list.vacuum_options()
            .any(|option| is_full_on(&option.syntax().text().to_string()))
    });
    let (lock, storage, scan) = if option || vacuum.full_token().is_some() {
        effects.explain("The table is rewritten while readers and writers wait; plain VACUUM makes the room usable again without that.");
        (LockMode::AccessExclusive, Storage::Rewritten, Scan::No)
    } else {
        effects
            .explain("Readers and writers go on; another VACUUM or a change of the schema waits.");
        let scan = Scan::May("the pages that the visibility map does not let it skip");
        (LockMode::ShareUpdateExclusive, Storage::Kept, scan)
    };
    each(
        effects,
        vacuum.table_and_columns_list(),
        |effect| effect.stored(storage).scanned(scan),
        lock,
    );
}

fn is_full_on(option: &str) -> bool {
    let lower = option.to_lowercase();
    let mut words = lower.split_whitespace();
    words.next() == Some("full")
        && !matches!(
            words.next().map(|word| word.trim_matches('\'')),
            Some("off" | "false" | "0" | "no")
        )
}

pub(crate) fn analyze(effects: &mut Effects, analyze: &Analyze) {
    effects.explain("A sample of the rows is read; readers and writers go on.");
    each(
        effects,
        analyze.table_and_columns_list(),
        |effect| effect,
        LockMode::ShareUpdateExclusive,
    );
}

/// The tables of a list, or all where there is none.
fn each(
    effects: &mut Effects,
    list: Option<TableAndColumnsList>,
    told: impl Fn(RelationEffect) -> RelationEffect,
    lock: LockMode,
) {
    let Some(list) = list else {
        return effects.add(told(RelationEffect::new(Relation::All, lock)));
    };
    for entry in list.table_and_columnss() {
        match entry.table_relation_name().as_ref().and_then(table) {
            Some(target) => effects.add(told(whole(&target, lock))),
            None => effects.cannot_tell("the table is missing"),
        }
    }
}

pub(crate) fn cluster(effects: &mut Effects, cluster: &Cluster) {
    let rewritten = if let Some(table) = clustered_table(cluster) {
        RelationEffect::named(&written(&table), LockMode::AccessExclusive).extending(true)
    } else {
        RelationEffect::new(Relation::All, LockMode::AccessExclusive)
    };
    effects.add(rewritten.stored(Storage::Rewritten));
    effects.explain("The table is rewritten in the index's order while readers and writers wait.");
}

pub(crate) fn truncate(effects: &mut Effects, truncate: &Truncate) {
    let cascade = matches!(truncate.drop_behavior(), Some(DropBehavior::Cascade(_)));
    for name in truncate
        .table_list()
        .into_iter()
        .flat_map(|list| list.table_relation_names())
    {
        let Some(target) = table(&name) else {
            effects.cannot_tell("the table is missing");
            continue;
        };
        effects.add(whole(&target, LockMode::AccessExclusive).stored(Storage::Emptied));
        if cascade {
            effects.add(
                RelationEffect::new(
                    Relation::ReferencesTo(target.name),
                    LockMode::AccessExclusive,
                )
                .stored(Storage::Emptied),
            );
        }
    }
    effects.explain("All rows go at once while readers and writers wait; transactions that began before see the table empty.");
}

pub(crate) fn lock(effects: &mut Effects, lock: &Lock) {
    let mode = lock
        .lock_mode_clause()
        .map_or(Some(LockMode::AccessExclusive), |clause| {
            clause.lock_mode().as_ref().map(mode)
        });
    let Some(mode) = mode else {
        return effects.cannot_tell("the lock's mode is missing");
    };
    for name in lock
        .relation_list()
        .into_iter()
        .flat_map(|list| list.relation_names())
    {
        match relation(&name) {
            Some(target) => effects.add(whole(&target, mode)),
            None => effects.cannot_tell("the table is missing"),
        }
    }
    effects.explain("The lock is held until the transaction ends.");
}

fn mode(mode: &WrittenMode) -> LockMode {
    match mode {
        WrittenMode::AccessShare(_) => LockMode::AccessShare,
        WrittenMode::RowShare(_) => LockMode::RowShare,
        WrittenMode::RowExclusive(_) => LockMode::RowExclusive,
        WrittenMode::ShareUpdateExclusive(_) => LockMode::ShareUpdateExclusive,
        WrittenMode::Share(_) => LockMode::Share,
        WrittenMode::ShareRowExclusive(_) => LockMode::ShareRowExclusive,
        WrittenMode::Exclusive(_) => LockMode::Exclusive,
        WrittenMode::AccessExclusive(_) => LockMode::AccessExclusive,
    }
}
