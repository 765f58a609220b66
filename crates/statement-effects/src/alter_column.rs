//! ALTER TABLE ... ALTER COLUMN.

use squawk_syntax::ast::{AlterColumn, AlterColumnOption, AstNode, Expr, SetType};

use crate::alter_table::{ONLY_THE_CATALOG, whole};
use crate::catalog::Catalog;
use crate::column_type;
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::{Target, folded};

pub(crate) fn tell(
    effects: &mut Effects,
    target: &Target,
    alter: &AlterColumn,
    catalog: &impl Catalog,
) {
    use AlterColumnOption as Option;
    let Some((column, option)) = alter.column_name_ref().zip(alter.option()) else {
        return effects.cannot_tell("the column or its change is missing");
    };
    match option {
        Option::SetType(set) => {
            let old = catalog.column_type(&target.name, &folded(&column));
            change_type(effects, target, &folded(&column), &set, old.as_deref());
        }
        Option::SetNotNull(_) => {
            effects.add(whole(target, LockMode::AccessExclusive).scanned(Scan::May(
                "unless a valid CHECK constraint proves that no row is null",
            )));
            effects.explain("Add CHECK (column IS NOT NULL) NOT VALID and validate it first: then SET NOT NULL needs no scan under the lock.");
        }
        Option::SetStatistics(_) | Option::SetOptions(_) | Option::ResetOptions(_) => {
            effects.add(whole(target, LockMode::ShareUpdateExclusive));
            effects.explain("It holds from the next ANALYZE; readers and writers go on.");
        }
        Option::SetExpression(_) => {
            effects.add(whole(target, LockMode::AccessExclusive).stored(Storage::Rewritten));
            effects
                .explain("All rows get the new expression's value while readers and writers wait.");
        }
        Option::AddGenerated(_)
        | Option::DropDefault(_)
        | Option::DropExpression(_)
        | Option::DropIdentity(_)
        | Option::DropNotNull(_)
        | Option::Restart(_)
        | Option::SetCompression(_)
        | Option::SetDefault(_)
        | Option::SetGenerated(_)
        | Option::SetGeneratedOptions(_)
        | Option::SetSequenceOption(_)
        | Option::SetOptionsList(_)
        | Option::SetStorage(_) => {
            effects.add(whole(target, LockMode::AccessExclusive));
            effects.explain(ONLY_THE_CATALOG);
        }
        Option::Inherit(_) | Option::NoInherit(_) => {
            effects.cannot_tell("PostgreSQL 14 to 17 do not have it");
        }
    }
}

fn change_type(
    effects: &mut Effects,
    target: &Target,
    column: &str,
    set: &SetType,
    old: Option<&str>,
) {
    let Some(new) = set.ty() else {
        return effects.cannot_tell("the new type is missing");
    };
    let storage = match set.using_expr().and_then(|using| using.expr()) {
        Some(expression) if !is_column(&expression, column) => Storage::Rewritten,
        _ => column_type::changed(old, &new.syntax().text().to_string()),
    };
    effects.add(whole(target, LockMode::AccessExclusive).stored(storage));
    let across = Relation::AcrossColumn {
        table: target.name.clone(),
        column: column.to_owned(),
    };
    effects.add(
        RelationEffect::new(across, LockMode::AccessExclusive)
            .scanned(Scan::May("unless the rows are known to fit still")),
    );
    effects.explain(match storage {
        Storage::Kept => "The stored values fit the new type as they are, so only the catalog changes; indexes may be built anew.",
        _ => "A rewrite keeps readers and writers out for as long as it takes; a new column, filled in batches, that takes the old one's place does not.",
    });
}

/// `USING column` says nothing beyond the cast that takes place without it.
fn is_column(expression: &Expr, column: &str) -> bool {
    match expression {
        Expr::NameRef(name) => folded(name) == column,
        Expr::ParenExpr(inner) => inner.expr().is_some_and(|inner| is_column(&inner, column)),
        _ => false,
    }
}
