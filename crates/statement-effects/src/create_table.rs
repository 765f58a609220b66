//! CREATE TABLE in all its forms.

use squawk_syntax::ast::{
    AstNode, ColumnClause, ColumnConstraint, CreateTable, CreateTableAs, TableArg, TableConstraint,
    TableName,
};

use crate::constraint;
use crate::effects::{Effects, Relation, RelationEffect, Scan, Storage};
use crate::lock_mode::LockMode;
use crate::names::written;
use crate::query;

pub(crate) fn statement(effects: &mut Effects, create: &CreateTable) {
    created(effects, create.table_name());
    for argument in create
        .table_arg_list()
        .into_iter()
        .flat_map(|list| list.args())
    {
        argument_effects(effects, &argument);
    }
    for parent in create
        .inherits()
        .into_iter()
        .flat_map(|list| list.table_name_refs())
    {
        effects.add(RelationEffect::named(
            &written(&parent),
            LockMode::ShareUpdateExclusive,
        ));
    }
    if let Some(parent) = create.partition_of().and_then(|of| of.table_name_ref()) {
        let parent = written(&parent);
        effects.add(RelationEffect::named(&parent, LockMode::AccessExclusive));
        effects.add(
            RelationEffect::new(
                Relation::DefaultPartitionOf(parent.clone()),
                LockMode::AccessExclusive,
            )
            .scanned(Scan::May("unless a valid CHECK constraint proves that none of its rows belong to the new partition")),
        );
        effects.add(RelationEffect::new(
            Relation::ReferencedBy(parent),
            LockMode::ShareRowExclusive,
        ));
        effects.explain("The partitioned table is locked against readers, too; CREATE TABLE ... LIKE, then ATTACH PARTITION, lets them go on.");
    } else {
        effects.explain("A new table is in nobody's way; tables that its foreign keys reference are locked against writers.");
    }
}

/// `CREATE TABLE ... AS`.
pub(crate) fn from_query(effects: &mut Effects, create: &CreateTableAs) {
    created(effects, create.table_name());
    if matches!(
        create.query(),
        Some(squawk_syntax::ast::CreateTableAsQuery::Execute(_))
    ) {
        effects.cannot_tell("what the prepared statement reads is not in the text");
    }
    query::run(effects, create.syntax());
    effects.explain("A new table is filled from a query, which reads as any SELECT does.");
}

/// A relation that the statement makes.
pub(crate) fn created(effects: &mut Effects, name: Option<TableName>) {
    match name {
        Some(name) => effects.add(
            RelationEffect::named(&written(&name), LockMode::AccessExclusive)
                .stored(Storage::Created),
        ),
        None => effects.cannot_tell("the table's name is missing"),
    }
}

fn argument_effects(effects: &mut Effects, argument: &TableArg) {
    match argument {
        TableArg::Column(column) => {
            for clause in column.clauses() {
                if let ColumnClause::ColumnConstraint(ColumnConstraint::ReferencesConstraint(key)) =
                    clause
                {
                    constraint::reference(effects, key.table(), Scan::No);
                }
            }
        }
        TableArg::TableConstraint(TableConstraint::ForeignKeyConstraint(key)) => {
            constraint::reference(effects, key.table_name_ref(), Scan::No);
        }
        TableArg::LikeClause(like) => match like.relation_name_ref() {
            Some(source) => effects.add(RelationEffect::named(
                &written(&source),
                LockMode::AccessShare,
            )),
            None => effects.cannot_tell("the table to copy is missing"),
        },
        TableArg::TableConstraint(_) => {}
    }
}
