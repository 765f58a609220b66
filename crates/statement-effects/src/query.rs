//! SELECT, INSERT, UPDATE, DELETE, MERGE, COPY and whatever holds a query.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{
    AstNode, CallExpr, Copy, CopyDirection, Delete, FromClause, FromItem, Insert, LockingClause,
    Merge, ParenFromItem, RelationFromItem, Select, SelectInto, Table, Update, WithClause,
    WithTable,
};

use crate::alter_table::whole;
use crate::effects::{Effects, RelationEffect, Scan};
use crate::lock_mode::LockMode;
use crate::names::{Target, folded, relation, table, written};
use crate::volatility;

const AS_PLANNED: Scan = Scan::May("where the planner finds no better way");

/// Everything that the queries below a node lock when they run.
pub(crate) fn run(effects: &mut Effects, node: &SyntaxNode) {
    below(effects, node, AS_PLANNED);
}

/// Everything that the queries below a node lock while they are only understood and stored, as in CREATE VIEW.
pub(crate) fn store(effects: &mut Effects, node: &SyntaxNode) {
    below(effects, node, Scan::No);
}

/// A SELECT that is there for what its functions do: one without FROM, or from a function.
pub(crate) fn calls(effects: &mut Effects, node: &SyntaxNode) {
    let reads_no_table = !node
        .descendants()
        .any(|node| FromClause::can_cast(node.kind()));
    let told = node.descendants().filter_map(CallExpr::cast).all(|call| {
        let is_source = call
            .syntax()
            .ancestors()
            .any(|outer| FromItem::can_cast(outer.kind()));
        !(reads_no_table || is_source) || volatility::is_harmless(&call)
    });
    if !told {
        effects.cannot_tell("what the function that it calls does cannot be told");
    }
}

fn below(effects: &mut Effects, node: &SyntaxNode, scan: Scan) {
    for node in node.descendants() {
        if let Some(insert) = Insert::cast(node.clone()) {
            let target = insert.relation_name_ref().map(|name| Target {
                name: written(&name),
                extends: true,
            });
            changed(effects, target, Scan::No);
        } else if let Some(update) = Update::cast(node.clone()) {
            changed(
                effects,
                update.relation_name().as_ref().and_then(relation),
                scan,
            );
        } else if let Some(delete) = Delete::cast(node.clone()) {
            changed(
                effects,
                delete.relation_name().as_ref().and_then(relation),
                scan,
            );
        } else if let Some(merge) = Merge::cast(node.clone()) {
            changed(
                effects,
                merge.table_relation_name().as_ref().and_then(table),
                scan,
            );
        } else if let Some(item) = RelationFromItem::cast(node.clone()) {
            from_item(effects, &item, scan);
        } else if let Some(all) = Table::cast(node) {
            match all.relation_name().as_ref().and_then(relation) {
                Some(target) if names_common_table(all.syntax(), &target.name) => {}
                Some(target) => effects.add(whole(&target, LockMode::AccessShare).scanned(scan)),
                None => effects.cannot_tell("the table is missing"),
            }
        }
    }
}

fn changed(effects: &mut Effects, target: Option<Target>, scan: Scan) {
    match target {
        Some(target) => effects.add(whole(&target, LockMode::RowExclusive).scanned(scan)),
        None => effects.cannot_tell("the table is missing"),
    }
}

fn from_item(effects: &mut Effects, item: &RelationFromItem, scan: Scan) {
    let Some(name) = item.relation_name_ref() else {
        return effects.cannot_tell("a table of FROM is missing");
    };
    let name = written(&name);
    if names_common_table(item.syntax(), &name) {
        return;
    }
    let lock = if is_locked(item) {
        LockMode::RowShare
    } else {
        LockMode::AccessShare
    };
    effects.add(
        RelationEffect::named(&name, lock)
            .scanned(scan)
            .extending(item.only_token().is_none()),
    );
}

/// Whether a name in FROM is that of a WITH query that can be seen from there.
fn names_common_table(node: &SyntaxNode, name: &str) -> bool {
    let name = name.to_lowercase();
    node.ancestors().any(|ancestor| {
        let Some(clause) = ancestor.children().find_map(WithClause::cast) else {
            return false;
        };
        let inside = clause
            .with_tables()
            .position(|table| contains(table.syntax(), node));
        // A query of WITH sees those before it, and itself only where the clause is recursive.
        let visible = match inside {
            Some(position) if clause.recursive_token().is_none() => position,
            _ => usize::MAX,
        };
        clause
            .with_tables()
            .take(visible)
            .any(|table| is_named(&table, &name))
    })
}

fn is_named(table: &WithTable, name: &str) -> bool {
    table
        .name()
        .is_some_and(|known| written(&known).to_lowercase() == name)
}

fn contains(outer: &SyntaxNode, inner: &SyntaxNode) -> bool {
    outer.text_range().contains_range(inner.text_range())
}

/// Whether FOR UPDATE or one of its kin reaches a table, from its own query or from one around it that it is a part of
/// the FROM clause of.
fn is_locked(item: &RelationFromItem) -> bool {
    let mut label = label(
        item.alias().and_then(|alias| alias.name()).as_ref(),
        item.relation_name_ref().map(|name| written(&name)),
    );
    for ancestor in item.syntax().ancestors().skip(1) {
        if let Some(subquery) = ParenFromItem::cast(ancestor.clone()) {
            label = self::label(
                subquery.alias().and_then(|alias| alias.name()).as_ref(),
                None,
            );
        } else if Select::can_cast(ancestor.kind()) || SelectInto::can_cast(ancestor.kind()) {
            let from = ancestor.children().find_map(FromClause::cast);
            // What stands in WHERE, in the list of results or in WITH is a query of its own.
            if !from.is_some_and(|from| contains(from.syntax(), item.syntax())) {
                return false;
            }
            if ancestor
                .children()
                .filter_map(LockingClause::cast)
                .any(|clause| reaches(&clause, label.as_deref()))
            {
                return true;
            }
        }
    }
    false
}

/// How a locking clause can name an item of FROM.
fn label(alias: Option<&impl AstNode>, name: Option<String>) -> Option<String> {
    alias.map(folded).or_else(|| {
        let name = name?;
        let last = name.rsplit('.').next()?;
        Some(last.to_lowercase())
    })
}

fn reaches(clause: &LockingClause, label: Option<&str>) -> bool {
    clause.locking_of().is_none_or(|of| {
        of.exprs().any(|name| {
            let name = written(&name).to_lowercase();
            label == Some(name.trim_matches('"'))
        })
    })
}

pub(crate) fn copy(effects: &mut Effects, copy: &Copy) {
    let Some(copied) = copy.copy_table() else {
        effects.explain("The query reads as any other does.");
        return run(effects, copy.syntax());
    };
    let Some(name) = copied.table_name_ref() else {
        return effects.cannot_tell("the table is missing");
    };
    let name = written(&name);
    match copy.copy_direction() {
        Some(CopyDirection::CopyFrom(_)) => {
            effects.add(RelationEffect::named(&name, LockMode::RowExclusive));
            effects.explain("Rows are added while readers and writers go on.");
        }
        Some(CopyDirection::CopyTo(_)) => {
            effects.add(RelationEffect::named(&name, LockMode::AccessShare).scanned(Scan::Full));
            effects.explain("All rows are read while readers and writers go on.");
        }
        None => effects.cannot_tell("the direction is missing"),
    }
}
