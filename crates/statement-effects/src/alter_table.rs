//! ALTER TABLE. Several actions in one statement share the strongest of their locks, since it is taken first.

use squawk_syntax::ast::{
    AddColumn, AlterTable, AlterTableAction, AstNode, AttachPartition, Constraint, DetachPartition,
    DetachPartitionOption, DropBehavior, DropColumn, DropConstraint, OfType, PartitionType,
    TableNameRef,
};

use crate::catalog::Catalog;
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::{Target, folded, table, written};
use crate::{alter_column, column_type, constraint, storage_parameters, volatility};

pub(crate) const ONLY_THE_CATALOG: &str = "Only the catalog changes: quick, but it waits for all readers and writers, and new ones queue behind it.";

/// The server does nothing where nothing would change.
pub(crate) const UNLESS_SO_ALREADY: Storage = Storage::MayBeRewritten("unless it is so already");

pub(crate) fn statement(effects: &mut Effects, alter: &AlterTable, catalog: &impl Catalog) {
    let Some(target) = alter.table_relation_name().as_ref().and_then(table) else {
        return all_in_tablespace(effects);
    };
    for action in alter.actions() {
        tell(effects, &target, &action, catalog);
    }
}

/// `ALTER ... ALL IN TABLESPACE` moves whatever lies there.
pub(crate) fn all_in_tablespace(effects: &mut Effects) {
    effects.cannot_tell("which relations lie in the tablespace is not in the statement");
    effects.explain("Each relation of the tablespace is copied under ACCESS EXCLUSIVE.");
}

/// One action.
pub(crate) fn tell(
    effects: &mut Effects,
    target: &Target,
    action: &AlterTableAction,
    catalog: &impl Catalog,
) {
    use AlterTableAction as Action;
    match action {
        Action::AddColumn(add) => add_column(effects, target, add),
        Action::AddConstraint(add) => match add.constraint() {
            Some(added) => constraint::added_to_table(effects, target, &added),
            None => effects.cannot_tell("the constraint is missing"),
        },
        Action::AlterColumn(alter) => alter_column::tell(effects, target, alter, catalog),
        Action::AttachPartition(attach) => attach_partition(effects, target, attach),
        Action::DetachPartition(detach) => detach_partition(effects, target, detach),
        Action::InheritTable(inherit) => change_parent(
            effects,
            target,
            inherit.table_name_ref(),
            LockMode::ShareUpdateExclusive,
        ),
        Action::NoInheritTable(inherit) => change_parent(
            effects,
            target,
            inherit.table_name_ref(),
            LockMode::AccessShare,
        ),
        Action::ValidateConstraint(validate) => constraint::validated(effects, target, validate),
        Action::DropConstraint(drop) => drop_constraint(effects, target, drop),
        Action::DropColumn(drop) => drop_column(effects, target, drop),
        Action::DisableTrigger(_)
        | Action::EnableTrigger(_)
        | Action::EnableAlwaysTrigger(_)
        | Action::EnableReplicaTrigger(_) => {
            effects.add(whole(target, LockMode::ShareRowExclusive));
            effects.explain(
                "Turning triggers on or off keeps writers out until the transaction ends.",
            );
        }
        Action::ClusterOn(_) | Action::SetWithoutCluster(_) => {
            effects.add(alone(target, LockMode::ShareUpdateExclusive));
            effects
                .explain("Only the mark for a later CLUSTER changes; readers and writers go on.");
        }
        Action::SetOptions(set) => {
            effects.add(alone(
                target,
                storage_parameters::lock(set.attribute_list()),
            ));
            effects.explain(
                "Storage parameters hold for what is written from now on; existing rows stay.",
            );
        }
        Action::ResetOptions(reset) => {
            effects.add(alone(
                target,
                storage_parameters::lock(reset.attribute_list()),
            ));
            effects.explain(
                "Storage parameters hold for what is written from now on; existing rows stay.",
            );
        }
        Action::SetLogged(_) | Action::SetUnlogged(_) | Action::SetAccessMethod(_) => {
            effects.add(alone(target, LockMode::AccessExclusive).stored(UNLESS_SO_ALREADY));
            effects.explain("The table is rewritten while readers and writers wait.");
        }
        Action::SetTablespace(_) => {
            effects.add(alone(target, LockMode::AccessExclusive).stored(UNLESS_SO_ALREADY));
            effects.explain("The table's file is copied to the other tablespace while readers and writers wait.");
        }
        Action::AlterConstraint(_) => {
            effects.add(whole(target, LockMode::AccessExclusive));
            effects.explain(ONLY_THE_CATALOG);
        }
        Action::RenameColumn(_) | Action::RenameConstraint(_) => {
            effects.add(whole(target, LockMode::AccessExclusive));
            effects.explain("Renaming is quick, but running programs that use the old name fail; add the new name beside the old one first.");
        }
        Action::TableRenameTo(_) | Action::SetSchema(_) => {
            effects.add(alone(target, LockMode::AccessExclusive));
            effects.explain("Renaming is quick, but running programs that use the old name fail; a view of the old name keeps them going.");
        }
        Action::OfType(of) => of_type(effects, target, of),
        Action::OwnerTo(_)
        | Action::ReplicaIdentity(_)
        | Action::EnableRls(_)
        | Action::DisableRls(_)
        | Action::ForceRls(_)
        | Action::NoForceRls(_)
        | Action::EnableRule(_)
        | Action::EnableAlwaysRule(_)
        | Action::EnableReplicaRule(_)
        | Action::DisableRule(_)
        | Action::NotOf(_)
        | Action::SetWithoutOids(_)
        | Action::AlterOptionList(_) => {
            effects.add(alone(target, LockMode::AccessExclusive));
            effects.explain(ONLY_THE_CATALOG);
        }
        Action::MergePartitions(_) | Action::SplitPartition(_) | Action::OptionItemList(_) => {
            effects.cannot_tell("PostgreSQL 14 to 17 do not have it");
        }
    }
}

/// A lock on the table and its partitions and children.
pub(crate) fn whole(target: &Target, lock: LockMode) -> RelationEffect {
    alone(target, lock).extending(target.extends)
}

/// A lock on the table itself.
pub(crate) fn alone(target: &Target, lock: LockMode) -> RelationEffect {
    RelationEffect::named(&target.name, lock)
}

fn add_column(effects: &mut Effects, target: &Target, add: &AddColumn) {
    let ty = add
        .ty()
        .map(|ty| ty.syntax().text().to_string())
        .unwrap_or_default();
    let constraints: Vec<_> = add.constraints().collect();
    let default = constraints.iter().find_map(|constraint| match constraint {
        Constraint::DefaultConstraint(default) => default.expr(),
        _ => None,
    });
    let generated = constraints
        .iter()
        .any(|constraint| matches!(constraint, Constraint::GeneratedConstraint(_)));
    let computed_for_each_row = generated || column_type::is_serial(&ty);
    let storage = if computed_for_each_row {
        Storage::Rewritten
    } else {
        default
            .as_ref()
            .map_or(Storage::Kept, volatility::of_default)
            .max(column_type::added(&ty))
    };
    effects.add(whole(target, LockMode::AccessExclusive).stored(storage));
    effects.explain(match storage {
        Storage::Kept => "A column without a default, or with one that is the same for all rows, is added without touching the rows.",
        _ => "A value of its own for each row makes the table rewritten; add the column without it, set the default, then fill the rows in batches.",
    });
    // Existing rows hold the default, or null where there is none.
    let filled = computed_for_each_row || default.is_some();
    for constraint in &constraints {
        constraint::added_with_column(effects, target, constraint, filled);
    }
}

fn drop_column(effects: &mut Effects, target: &Target, drop: &DropColumn) {
    let Some(column) = drop.column_name_ref() else {
        return effects.cannot_tell("the column is missing");
    };
    effects.add(whole(target, LockMode::AccessExclusive));
    let across = Relation::AcrossColumn {
        table: target.name.clone(),
        column: folded(&column),
    };
    effects.add(RelationEffect::new(across, LockMode::AccessExclusive));
    cascade(effects, drop.drop_behavior().as_ref());
    effects.explain("The column is only hidden: quick, but running programs that still use it fail; remove it from them first.");
}

fn drop_constraint(effects: &mut Effects, target: &Target, drop: &DropConstraint) {
    let Some(name) = drop.constraint_name_ref() else {
        return effects.cannot_tell("the constraint is missing");
    };
    effects.add(whole(target, LockMode::AccessExclusive));
    let across = constraint::other_side(target, &name);
    effects.add(RelationEffect::new(across, LockMode::AccessExclusive));
    cascade(effects, drop.drop_behavior().as_ref());
    effects.explain(
        "Dropping a constraint is quick; a foreign key's referenced table is locked as well.",
    );
}

fn of_type(effects: &mut Effects, target: &Target, of: &OfType) {
    effects.add(alone(target, LockMode::AccessExclusive));
    match of.ty() {
        Some(name) => effects.add(RelationEffect::named(
            &written(&name),
            LockMode::AccessShare,
        )),
        None => effects.cannot_tell("the type is missing"),
    }
    effects.explain(ONLY_THE_CATALOG);
}

fn cascade(effects: &mut Effects, behavior: Option<&DropBehavior>) {
    if matches!(behavior, Some(DropBehavior::Cascade(_))) {
        effects.cannot_tell("what CASCADE drops is not in the statement");
    }
}

fn attach_partition(effects: &mut Effects, target: &Target, attach: &AttachPartition) {
    const PROVEN: &str = "unless a valid CHECK constraint proves that its rows fit";
    let Some(partition) = attach.table_name_ref() else {
        return effects.cannot_tell("the partition is missing");
    };
    effects.add(alone(target, LockMode::ShareUpdateExclusive));
    let scan = match attach.partition_type() {
        Some(PartitionType::PartitionDefault(_)) => Scan::May(
            "unless it is the only partition, or a valid CHECK constraint proves that its rows fit",
        ),
        _ => Scan::May(PROVEN),
    };
    effects.add(
        RelationEffect::named(&written(&partition), LockMode::AccessExclusive)
            .scanned(scan)
            .extending(true),
    );
    effects.add(
        RelationEffect::new(
            Relation::DefaultPartitionOf(target.name.clone()),
            LockMode::AccessExclusive,
        )
        .scanned(Scan::May(PROVEN)),
    );
    effects.add(RelationEffect::new(
        Relation::ReferencedBy(target.name.clone()),
        LockMode::ShareRowExclusive,
    ));
    effects.explain("A CHECK constraint equal to the partition's bounds, added NOT VALID and validated before, saves the scan under the lock.");
}

fn detach_partition(effects: &mut Effects, target: &Target, detach: &DetachPartition) {
    let Some(partition) = detach.table_name_ref() else {
        return effects.cannot_tell("the partition is missing");
    };
    let (parent, explanation) = match detach.detach_partition_option() {
        Some(DetachPartitionOption::DetachConcurrently(_)) => (
            LockMode::ShareUpdateExclusive,
            "The partitioned table stays usable; an interrupted run is ended with DETACH PARTITION ... FINALIZE.",
        ),
        Some(DetachPartitionOption::DetachFinalize(_)) => (
            LockMode::ShareUpdateExclusive,
            "It ends what an interrupted DETACH PARTITION ... CONCURRENTLY has left.",
        ),
        None => {
            effects.add(RelationEffect::new(
                Relation::DefaultPartitionOf(target.name.clone()),
                LockMode::AccessExclusive,
            ));
            (
                LockMode::AccessExclusive,
                "The whole partitioned table is locked; DETACH PARTITION ... CONCURRENTLY keeps it usable, outside a transaction.",
            )
        }
    };
    effects.add(alone(target, parent));
    effects.add(RelationEffect::named(
        &written(&partition),
        LockMode::AccessExclusive,
    ));
    effects.add(RelationEffect::new(
        Relation::ReferencedBy(target.name.clone()),
        LockMode::ShareRowExclusive,
    ));
    effects.explain(explanation);
}

fn change_parent(
    effects: &mut Effects,
    target: &Target,
    parent: Option<TableNameRef>,
    lock: LockMode,
) {
    let Some(parent) = parent else {
        return effects.cannot_tell("the parent is missing");
    };
    effects.add(alone(target, LockMode::AccessExclusive));
    effects.add(RelationEffect::named(&written(&parent), lock));
    effects.explain(ONLY_THE_CATALOG);
}
