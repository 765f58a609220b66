//! CREATE and ALTER SEQUENCE.

use squawk_syntax::ast::{
    AlterSequence, AlterSequenceAction, CreateSequence, OwnedByTarget, SequenceOption,
};

use crate::effects::{Effects, RelationEffect, Storage};
use crate::lock_mode::LockMode;
use crate::names::{table_of_column, written};

pub(crate) fn create(effects: &mut Effects, create: &CreateSequence) {
    match create.sequence() {
        Some(sequence) => effects.add(
            RelationEffect::named(&written(&sequence), LockMode::AccessExclusive)
                .stored(Storage::Created),
        ),
        None => effects.cannot_tell("the sequence is missing"),
    }
    for option in create.sequence_options() {
        owned(effects, &option);
    }
    effects.explain("A new sequence is in nobody's way.");
}

pub(crate) fn alter(effects: &mut Effects, alter: &AlterSequence) {
    let Some(sequence) = alter.sequence_ref() else {
        return effects.cannot_tell("the sequence is missing");
    };
    for action in alter.actions() {
        let lock = if let AlterSequenceAction::SequenceOption(option) = &action {
            owned(effects, option);
            LockMode::ShareRowExclusive
        } else {
            LockMode::AccessExclusive
        };
        effects.add(RelationEffect::named(&written(&sequence), lock));
    }
    effects.explain("Whoever calls nextval waits until the transaction ends.");
}

fn owned(effects: &mut Effects, option: &SequenceOption) {
    let SequenceOption::OptionOwnedBy(owner) = option else {
        return;
    };
    if let Some(OwnedByTarget::QualifiedColumnNameRef(column)) = owner.owned_by_target() {
        match table_of_column(&column) {
            Some(table) => effects.add(RelationEffect::named(&table, LockMode::AccessShare)),
            None => effects.cannot_tell("the owning table is missing"),
        }
    }
}
