//! Views and materialized views.

use squawk_syntax::ast::{
    AlterMaterializedView, AlterMaterializedViewAction, AstNode, CreateMaterializedView,
    CreateView, DataOption, Refresh,
};

use crate::alter_table;
use crate::catalog::Catalog;
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::{Target, written};
use crate::query;

pub(crate) fn create(effects: &mut Effects, create: &CreateView) {
    let Some(view) = create.view() else {
        return effects.cannot_tell("the view is missing");
    };
    let view = RelationEffect::named(&written(&view), LockMode::AccessExclusive);
    if create.or_replace().is_some() {
        effects.add(view);
        effects
            .explain("A view that is there already is replaced as soon as its readers have ended.");
    } else {
        effects.add(view.stored(Storage::Created));
        effects.explain("A new view is in nobody's way.");
    }
    query::store(effects, create.syntax());
}

pub(crate) fn create_materialized(effects: &mut Effects, create: &CreateMaterializedView) {
    match create.view() {
        Some(view) => effects.add(
            RelationEffect::named(&written(&view), LockMode::AccessExclusive)
                .stored(Storage::Created),
        ),
        None => effects.cannot_tell("the view is missing"),
    }
    if matches!(create.data_option(), Some(DataOption::WithNoData(_))) {
        query::store(effects, create.syntax());
    } else {
        query::run(effects, create.syntax());
    }
    effects
        .explain("A new materialized view is filled from a query, which reads as any SELECT does.");
}

pub(crate) fn refresh(effects: &mut Effects, refresh: &Refresh) {
    let Some(view) = refresh.view_ref() else {
        return effects.cannot_tell("the view is missing");
    };
    let view = written(&view);
    let filled = !matches!(refresh.data_option(), Some(DataOption::WithNoData(_)));
    if refresh.concurrently_token().is_some() {
        effects.add(
            RelationEffect::named(&view, LockMode::Exclusive)
                .scanned(Scan::May("if the planner prefers that to its index")),
        );
        effects.explain("Readers go on while the differences are worked out; it needs a unique index and is slower.");
    } else {
        let storage = if filled {
            Storage::Rewritten
        } else {
            Storage::Emptied
        };
        effects.add(RelationEffect::named(&view, LockMode::AccessExclusive).stored(storage));
        effects.explain("Readers wait until the view is filled; REFRESH MATERIALIZED VIEW CONCURRENTLY lets them go on.");
    }
    if filled {
        effects.add(
            RelationEffect::new(Relation::SourcesOf(view), LockMode::AccessShare)
                .scanned(Scan::May("where the planner finds no better way")),
        );
    }
}

pub(crate) fn alter_materialized(
    effects: &mut Effects,
    alter: &AlterMaterializedView,
    catalog: &impl Catalog,
) {
    let Some(view) = alter.view_ref() else {
        return alter_table::all_in_tablespace(effects);
    };
    let target = Target {
        name: written(&view),
        extends: false,
    };
    for action in alter.action() {
        if let AlterMaterializedViewAction::AlterTableAction(action) = action {
            alter_table::tell(effects, &target, &action, catalog);
        } else {
            effects.add(alter_table::alone(&target, LockMode::AccessExclusive));
            effects.explain("Only the catalog changes: quick, but it waits for all readers, and new ones queue behind it.");
        }
    }
}
