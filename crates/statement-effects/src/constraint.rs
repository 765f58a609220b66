//! Constraints, added to a table or with a column.

use squawk_syntax::ast::{
    AstChildren, Constraint, ConstraintName, ConstraintNameRef, ConstraintOption, TableNameRef,
    UsingIndexName, ValidateConstraint,
};

use crate::alter_table::whole;
use crate::effects::{Effects, Relation, RelationEffect, Scan};
use crate::lock_mode::LockMode;
use crate::names::{Target, folded, written};

const BUILT_UNDER_LOCK: &str = "The index is built while readers and writers wait; CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX, lets them go on.";
const CHECKED_UNDER_LOCK: &str = "All rows are checked under the lock; add it NOT VALID, and run VALIDATE CONSTRAINT in a transaction of its own.";
const NOT_VALID: &str =
    "NOT VALID holds for new rows only and is quick; VALIDATE CONSTRAINT checks the others later.";

/// `ALTER TABLE ... ADD constraint`.
pub(crate) fn added_to_table(effects: &mut Effects, target: &Target, constraint: &Constraint) {
    match constraint {
        Constraint::CheckConstraint(check) => {
            let scan = scan_of(check.constraint_options());
            effects.add(whole(target, LockMode::AccessExclusive).scanned(scan));
            explain_scan(effects, scan);
        }
        Constraint::ForeignKeyConstraint(key) => {
            let scan = scan_of(key.constraint_options());
            effects.add(whole(target, LockMode::ShareRowExclusive).scanned(scan));
            reference(effects, key.table_name_ref(), scan);
            explain_scan(effects, scan);
        }
        Constraint::UniqueConstraint(unique) => index(
            effects,
            target,
            &BuiltIndex {
                name: unique
                    .constraint_name_clause()
                    .and_then(|clause| clause.constraint_name()),
                using: unique.using_index(),
                nullable: Scan::No,
            },
        ),
        Constraint::PrimaryKeyConstraint(key) => index(
            effects,
            target,
            &BuiltIndex {
                name: key
                    .constraint_name_clause()
                    .and_then(|clause| clause.constraint_name()),
                using: key.using_index(),
                nullable: Scan::May("unless its columns are NOT NULL already"),
            },
        ),
        Constraint::ExcludeConstraint(_) => {
            effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::Full));
            effects.explain("The index is built while readers and writers wait; there is no way to build it before.");
        }
        Constraint::NotNullConstraint(_)
        | Constraint::NullConstraint(_)
        | Constraint::DefaultConstraint(_)
        | Constraint::GeneratedConstraint(_)
        | Constraint::ReferencesConstraint(_) => {
            effects.cannot_tell("PostgreSQL 14 to 17 do not have it");
        }
    }
}

/// `ALTER TABLE ... ADD COLUMN ... constraint`; `filled` tells whether existing rows get a value other than null.
pub(crate) fn added_with_column(
    effects: &mut Effects,
    target: &Target,
    constraint: &Constraint,
    filled: bool,
) {
    match constraint {
        Constraint::NotNullConstraint(_) => {
            if !filled {
                effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::Full));
                effects.explain("NOT NULL without a default fails as soon as the table has a row.");
            }
        }
        Constraint::CheckConstraint(_) => {
            effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::Full));
            effects.explain(CHECKED_UNDER_LOCK);
        }
        Constraint::ReferencesConstraint(key) => {
            // A column of nulls needs no check.
            let scan = if filled { Scan::Full } else { Scan::No };
            effects.add(whole(target, LockMode::AccessExclusive).scanned(scan));
            reference(effects, key.table(), scan);
            effects.explain("A foreign key locks the referenced table as well, against writers.");
        }
        Constraint::UniqueConstraint(_)
        | Constraint::PrimaryKeyConstraint(_)
        | Constraint::ExcludeConstraint(_) => {
            effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::Full));
            effects.explain(BUILT_UNDER_LOCK);
        }
        // Whoever adds the column looks at the first two; the third says nothing.
        Constraint::DefaultConstraint(_)
        | Constraint::GeneratedConstraint(_)
        | Constraint::NullConstraint(_) => {}
        Constraint::ForeignKeyConstraint(_) => {
            effects.cannot_tell("a table's constraint cannot stand at a column");
        }
    }
}

/// `ALTER TABLE ... VALIDATE CONSTRAINT`.
pub(crate) fn validated(effects: &mut Effects, target: &Target, validate: &ValidateConstraint) {
    let Some(name) = validate.constraint_name_ref() else {
        return effects.cannot_tell("the constraint is missing");
    };
    effects.add(
        whole(target, LockMode::ShareUpdateExclusive)
            .scanned(Scan::May("unless the constraint is valid already")),
    );
    effects.add(
        RelationEffect::new(other_side(target, &name), LockMode::RowShare).scanned(READ_TO_COMPARE),
    );
    effects.explain("All rows are checked while readers and writers go on.");
}

/// The table on the other side, if the constraint is a foreign key.
pub(crate) fn other_side(target: &Target, name: &ConstraintNameRef) -> Relation {
    Relation::AcrossConstraint {
        table: target.name.clone(),
        constraint: name
            .path_ref()
            .and_then(|path| path.segment())
            .map(|name| folded(&name))
            .unwrap_or_default(),
    }
}

const READ_TO_COMPARE: Scan = Scan::May("if the planner prefers that to its index");

/// The triggers of a foreign key on the referenced table keep that one's writers out until the end.
pub(crate) fn reference(effects: &mut Effects, table: Option<TableNameRef>, scan: Scan) {
    let Some(table) = table else {
        return effects.cannot_tell("the referenced table is missing");
    };
    let compared = if scan == Scan::No {
        Scan::No
    } else {
        READ_TO_COMPARE
    };
    effects.add(
        RelationEffect::named(&written(&table), LockMode::ShareRowExclusive)
            .scanned(compared)
            .extending(true),
    );
}

fn index(effects: &mut Effects, target: &Target, built: &BuiltIndex) {
    let Some(using) = &built.using else {
        effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::Full));
        return effects.explain(BUILT_UNDER_LOCK);
    };
    effects.add(whole(target, LockMode::AccessExclusive).scanned(built.nullable));
    let Some(index) = using.index_ref() else {
        return effects.cannot_tell("the index is missing");
    };
    let index = written(&index);
    let renamed = built
        .name
        .as_ref()
        .is_some_and(|name| written(name) != index);
    let lock = if renamed {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessShare
    };
    effects.add(RelationEffect::named(&index, lock));
    effects.explain("An index that is there already becomes the constraint: quick, but it waits for all readers and writers.");
}

/// A constraint with an index.
struct BuiltIndex {
    /// The constraint's name, which the index takes over.
    name: Option<ConstraintName>,
    /// The index, where it is there already.
    using: Option<UsingIndexName>,
    /// The scan that its columns may need beside it.
    nullable: Scan,
}

fn scan_of(options: AstChildren<ConstraintOption>) -> Scan {
    let not_valid = options
        .into_iter()
        .any(|option| matches!(option, ConstraintOption::NotValid(_)));
    if not_valid { Scan::No } else { Scan::Full }
}

fn explain_scan(effects: &mut Effects, scan: Scan) {
    effects.explain(if scan == Scan::No {
        NOT_VALID
    } else {
        CHECKED_UNDER_LOCK
    });
}
