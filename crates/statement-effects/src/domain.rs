//! ALTER DOMAIN, whose constraints hold for the columns of other tables.

use squawk_syntax::ast::{AlterDomain, AlterDomainAction, Constraint, ConstraintOption};

use crate::effects::{Effects, Relation, RelationEffect, Scan};
use crate::lock_mode::LockMode;
use crate::names::written;

pub(crate) fn statement(effects: &mut Effects, alter: &AlterDomain) {
    let Some((domain, action)) = alter.domain_ref().zip(alter.action()) else {
        return effects.cannot_tell("the domain or its change is missing");
    };
    if checks_values(&action) {
        effects.add(
            RelationEffect::new(
                Relation::TablesWithDomain(written(&domain)),
                LockMode::Share,
            )
            .scanned(Scan::Full),
        );
        effects.explain("Every table with a column of the domain is checked under a lock against writers; a constraint added NOT VALID is not checked until VALIDATE CONSTRAINT.");
    } else {
        effects.explain("Only the domain's own entry in the catalog changes.");
    }
}

fn checks_values(action: &AlterDomainAction) -> bool {
    match action {
        AlterDomainAction::SetNotNull(_) | AlterDomainAction::ValidateConstraint(_) => true,
        AlterDomainAction::AddConstraint(add) => match add.constraint() {
            Some(Constraint::CheckConstraint(check)) => !check
                .constraint_options()
                .any(|option| matches!(option, ConstraintOption::NotValid(_))),
            _ => true,
        },
        _ => false,
    }
}
