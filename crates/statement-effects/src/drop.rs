//! DROP of relations, and of objects that relations hang on.

use squawk_syntax::ast::{AstNode, DropBehavior};

use crate::effects::{Effects, Relation, RelationEffect, Storage};
use crate::lock_mode::LockMode;
use crate::names::written;

/// DROP TABLE.
pub(crate) fn tables<N: AstNode>(
    effects: &mut Effects,
    names: impl Iterator<Item = N>,
    behavior: Option<&DropBehavior>,
) {
    for name in names {
        let name = written(&name);
        dropped(effects, &name, behavior);
        for other in [
            Relation::ReferencedBy(name.clone()),
            Relation::ParentOf(name),
        ] {
            effects.add(RelationEffect::new(other, LockMode::AccessExclusive));
        }
    }
    effects.explain("The rows are gone once it is committed, and the tables that its foreign keys reference are locked as well; programs must have stopped using it before.");
}

/// DROP VIEW, DROP MATERIALIZED VIEW and DROP SEQUENCE.
pub(crate) fn relations<N: AstNode>(
    effects: &mut Effects,
    names: impl Iterator<Item = N>,
    behavior: Option<&DropBehavior>,
) {
    for name in names {
        dropped(effects, &written(&name), behavior);
    }
    effects
        .explain("It is gone once this is committed; programs must have stopped using it before.");
}

/// DROP of a type, function, schema and the like: without CASCADE the server refuses it while a relation needs it.
pub(crate) fn others(effects: &mut Effects, behavior: Option<&DropBehavior>) {
    if matches!(behavior, Some(DropBehavior::Cascade(_))) {
        effects.cannot_tell("what CASCADE drops is not in the statement");
    }
    effects.explain(
        "The server refuses to drop what a relation still needs, unless CASCADE is written.",
    );
}

fn dropped(effects: &mut Effects, name: &str, behavior: Option<&DropBehavior>) {
    effects.add(
        RelationEffect::named(name, LockMode::AccessExclusive)
            .stored(Storage::Dropped)
            .extending(true),
    );
    if matches!(behavior, Some(DropBehavior::Cascade(_))) {
        effects.add(RelationEffect::new(
            Relation::DependentsOf(name.to_owned()),
            LockMode::AccessExclusive,
        ));
    }
}
