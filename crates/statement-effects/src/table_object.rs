//! What belongs to a table: triggers, policies, rules, statistics and comments.

use squawk_syntax::ast::{AstNode, CommentObject, CommentOn, CreateTrigger, DropStatistics};

use crate::effects::{Effects, Relation, RelationEffect};
use crate::lock_mode::LockMode;
use crate::names::{table_of_column, written};

/// A lock on the table of an object, and nothing else.
pub(crate) fn locked(
    effects: &mut Effects,
    table: Option<impl AstNode>,
    lock: LockMode,
    explanation: &'static str,
) {
    match table {
        Some(table) => effects.add(RelationEffect::named(&written(&table), lock)),
        None => effects.cannot_tell("the table is missing"),
    }
    effects.explain(explanation);
}

pub(crate) fn create_trigger(effects: &mut Effects, create: &CreateTrigger) {
    locked(
        effects,
        create.on_relation().and_then(|on| on.relation_name_ref()),
        LockMode::ShareRowExclusive,
        "Writers wait until the transaction ends; readers go on.",
    );
    if let Some(referenced) = create.from_table().and_then(|from| from.table_name_ref()) {
        effects.add(RelationEffect::named(
            &written(&referenced),
            LockMode::AccessShare,
        ));
    }
}

pub(crate) fn drop_statistics(effects: &mut Effects, drop: &DropStatistics) {
    for statistics in drop.statistics_refs() {
        effects.add(RelationEffect::new(
            Relation::TableOf(written(&statistics)),
            LockMode::ShareUpdateExclusive,
        ));
    }
    effects.explain("Readers and writers go on.");
}

pub(crate) fn comment(effects: &mut Effects, comment: &CommentOn) {
    use CommentObject as Object;
    let Some(object) = comment.comment_object() else {
        return effects.cannot_tell("the object is missing");
    };
    let (relation, lock) = match &object {
        Object::ObjectTable(_)
        | Object::ObjectForeignTable(_)
        | Object::ObjectView(_)
        | Object::ObjectMaterializedView(_)
        | Object::ObjectIndex(_)
        | Object::ObjectSequence(_) => (only_name(&object), LockMode::ShareUpdateExclusive),
        Object::ObjectColumn(column) => (
            column.name().as_ref().and_then(table_of_column),
            LockMode::ShareUpdateExclusive,
        ),
        Object::ObjectConstraint(on) if on.domain_token().is_none() => (
            on.table_name_ref().map(|name| written(&name)),
            LockMode::AccessShare,
        ),
        Object::ObjectPolicy(on) => (
            on.table_name_ref().map(|name| written(&name)),
            LockMode::AccessShare,
        ),
        Object::ObjectRule(on) => (
            on.relation_name_ref().map(|name| written(&name)),
            LockMode::AccessShare,
        ),
        Object::ObjectTrigger(on) => (
            on.relation_name_ref().map(|name| written(&name)),
            LockMode::AccessShare,
        ),
        _ => return effects.explain(QUICK),
    };
    match relation {
        Some(name) => effects.add(RelationEffect::named(&name, lock)),
        None => effects.cannot_tell("the object is missing"),
    }
    effects.explain(QUICK);
}

const QUICK: &str = "Comments change without touching readers and writers.";

/// The name of an object that has no other part.
fn only_name(object: &CommentObject) -> Option<String> {
    let name = object
        .syntax()
        .descendants()
        .find_map(squawk_syntax::ast::PathRef::cast)?;
    Some(written(&name))
}
