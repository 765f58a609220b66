//! Which module knows about which statement.

use squawk_syntax::ast::{
    AlterTypeAction, AstNode, CreateSchema, Explain, ExplainMode, ExplainStmt, NotEnforced,
    SelectInto, Stmt, Virtual,
};

use crate::catalog::Catalog;
use crate::effects::{Effects, RelationEffect};
use crate::lock_mode::LockMode;
use crate::names::written;
use crate::transaction_block::is_forbidden_in_transaction;
use crate::{
    alter_table, create_table, domain, drop, index, maintenance, query, sequence, table_object,
    view,
};

const CHANGES_THE_TABLE: &str =
    "Quick, but it waits for all readers and writers of the table, and new ones queue behind it.";
const ONLY_THE_CATALOG: &str = "Only the catalog changes; no table is locked.";

/// Tells what a statement does. Whatever is not listed is unknown.
pub(crate) fn tell(effects: &mut Effects, statement: &Stmt, catalog: &impl Catalog) {
    if statement.syntax().descendants().any(|node| is_newer(&node)) {
        return effects.cannot_tell("PostgreSQL 14 to 17 do not have it");
    }
    effects.forbidden_in_transaction = is_forbidden_in_transaction(statement);
    match statement {
        Stmt::AlterTable(alter) => alter_table::statement(effects, alter, catalog),
        Stmt::CreateTable(create) => create_table::statement(effects, create),
        Stmt::CreateTableAs(create) => create_table::from_query(effects, create),
        Stmt::DropTable(drop) => drop::tables(
            effects,
            drop.table_name_refs(),
            drop.drop_behavior().as_ref(),
        ),
        Stmt::CreateIndex(create) => index::create(effects, create),
        Stmt::DropIndex(drop) => index::drop(effects, drop),
        Stmt::AlterIndex(alter) => index::alter(effects, alter),
        Stmt::Reindex(reindex) => index::reindex(effects, reindex),
        Stmt::CreateView(create) => view::create(effects, create),
        Stmt::AlterView(alter) => table_object::locked(
            effects,
            alter.view_ref(),
            LockMode::AccessExclusive,
            CHANGES_THE_TABLE,
        ),
        Stmt::DropView(drop) => {
            drop::relations(effects, drop.view_refs(), drop.drop_behavior().as_ref());
        }
        Stmt::CreateMaterializedView(create) => view::create_materialized(effects, create),
        Stmt::AlterMaterializedView(alter) => view::alter_materialized(effects, alter, catalog),
        Stmt::Refresh(refresh) => view::refresh(effects, refresh),
        Stmt::DropMaterializedView(drop) => {
            drop::relations(effects, drop.view_refs(), drop.drop_behavior().as_ref());
        }
        Stmt::CreateSequence(create) => sequence::create(effects, create),
        Stmt::AlterSequence(alter) => sequence::alter(effects, alter),
        Stmt::DropSequence(drop) => {
            drop::relations(effects, drop.sequence_refs(), drop.drop_behavior().as_ref());
        }
        Stmt::AlterDomain(alter) => domain::statement(effects, alter),
        Stmt::Vacuum(vacuum) => maintenance::vacuum(effects, vacuum),
        Stmt::Analyze(analyze) => maintenance::analyze(effects, analyze),
        Stmt::Cluster(cluster) => maintenance::cluster(effects, cluster),
        Stmt::Truncate(truncate) => maintenance::truncate(effects, truncate),
        Stmt::Lock(lock) => maintenance::lock(effects, lock),
        Stmt::Copy(copy) => query::copy(effects, copy),
        Stmt::SelectInto(select) => select_into(effects, select),
        Stmt::Explain(explain) => self::explain(effects, explain),
        Stmt::CreateSchema(create) => create_schema(effects, create),
        Stmt::CommentOn(comment) => table_object::comment(effects, comment),
        _ => object_of_a_table(effects, statement),
    }
}

/// What the parser knows of later versions and does not belong to an action of its own.
fn is_newer(node: &squawk_syntax::SyntaxNode) -> bool {
    NotEnforced::can_cast(node.kind()) || Virtual::can_cast(node.kind())
}

fn object_of_a_table(effects: &mut Effects, statement: &Stmt) {
    match statement {
        Stmt::CreateTrigger(create) => table_object::create_trigger(effects, create),
        Stmt::DropTrigger(drop) => on_relation(effects, drop.on_relation()),
        Stmt::AlterTrigger(alter) => on_relation(effects, alter.on_relation()),
        Stmt::DropRule(drop) => on_relation(effects, drop.on_relation()),
        Stmt::AlterRule(alter) => on_relation(effects, alter.on_relation()),
        Stmt::CreateRule(create) => {
            let relation = create.rule_on().and_then(|on| on.relation_name_ref());
            table_object::locked(
                effects,
                relation,
                LockMode::AccessExclusive,
                CHANGES_THE_TABLE,
            );
            query::store(effects, create.syntax());
        }
        Stmt::CreatePolicy(create) => {
            on_table(effects, create.on_table());
            query::store(effects, create.syntax());
        }
        Stmt::AlterPolicy(alter) => {
            on_table(effects, alter.on_table());
            query::store(effects, alter.syntax());
        }
        Stmt::DropPolicy(drop) => on_table(effects, drop.on_table()),
        Stmt::CreateStatistics(create) => table_object::locked(
            effects,
            create.from_table().and_then(|from| from.table_name_ref()),
            LockMode::ShareUpdateExclusive,
            "It takes effect with the next ANALYZE; readers and writers go on.",
        ),
        Stmt::DropStatistics(drop) => table_object::drop_statistics(effects, drop),
        _ => without_a_table_of_its_own(effects, statement),
    }
}

fn on_relation(effects: &mut Effects, on: Option<squawk_syntax::ast::OnRelation>) {
    let relation = on.and_then(|on| on.relation_name_ref());
    table_object::locked(
        effects,
        relation,
        LockMode::AccessExclusive,
        CHANGES_THE_TABLE,
    );
}

fn on_table(effects: &mut Effects, on: Option<squawk_syntax::ast::OnTable>) {
    let table = on.and_then(|on| on.table_name_ref());
    table_object::locked(effects, table, LockMode::AccessExclusive, CHANGES_THE_TABLE);
}

fn without_a_table_of_its_own(effects: &mut Effects, statement: &Stmt) {
    match statement {
        Stmt::Select(_)
        | Stmt::ParenSelect(_)
        | Stmt::CompoundSelect(_)
        | Stmt::Table(_)
        | Stmt::Values(_)
        | Stmt::Declare(_) => {
            query::run(effects, statement.syntax());
            query::calls(effects, statement.syntax());
            effects.explain(
                "Readers and writers go on; a query keeps out only what needs ACCESS EXCLUSIVE.",
            );
        }
        Stmt::Insert(_) | Stmt::Update(_) | Stmt::Delete(_) | Stmt::Merge(_) => {
            query::run(effects, statement.syntax());
            effects.explain("Readers and writers of other rows go on; many rows are better changed in batches, each in a transaction of its own.");
        }
        Stmt::Prepare(_) => {
            query::store(effects, statement.syntax());
            effects.explain("The statement is only understood and kept; EXECUTE runs it.");
        }
        Stmt::CreateFunction(_) | Stmt::CreateProcedure(_) => {
            query::store(effects, statement.syntax());
            effects.explain("Only the catalog changes; the body of a BEGIN ATOMIC function locks what it names while it is stored.");
        }
        Stmt::AlterType(alter) => match alter.action() {
            Some(
                AlterTypeAction::AlterTypeAttributeActionList(_)
                | AlterTypeAction::RenameAttribute(_),
            ) => {
                composite_type(effects, alter.type_name_ref());
            }
            Some(_) => effects.explain(ONLY_THE_CATALOG),
            None => effects.cannot_tell("the change is missing"),
        },
        Stmt::DropType(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::DropDomain(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::DropFunction(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::DropProcedure(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::DropSchema(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::DropExtension(drop) => drop::others(effects, drop.drop_behavior().as_ref()),
        Stmt::CreateSubscription(_) | Stmt::AlterSubscription(_) | Stmt::DropSubscription(_) => {
            effects.cannot_tell("which tables a subscription is for is not in the statement");
        }
        Stmt::Do(_) => effects.cannot_tell("what a DO block runs cannot be told"),
        Stmt::Call(_) => effects.cannot_tell("what a procedure runs cannot be told"),
        Stmt::Execute(_) => {
            effects.cannot_tell("what a prepared statement runs is not in the text");
        }
        Stmt::CreateExtension(_) | Stmt::AlterExtension(_) => {
            effects.cannot_tell("what an extension's script runs cannot be told");
        }
        _ => without_a_table(effects, statement),
    }
}

/// A composite type is a relation, too.
fn composite_type(effects: &mut Effects, name: Option<impl AstNode>) {
    match name {
        Some(name) => effects.add(RelationEffect::named(
            &written(&name),
            LockMode::AccessExclusive,
        )),
        None => effects.cannot_tell("the type is missing"),
    }
    effects.explain("The server refuses it while a table has a column of the type; with CASCADE tables of the type change, too.");
}

fn without_a_table(effects: &mut Effects, statement: &Stmt) {
    match statement {
        Stmt::CreateDatabase(_)
        | Stmt::DropDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::DropTablespace(_)
        | Stmt::AlterSystem(_) => {
            effects.explain("It concerns the whole server; no table is locked.");
        }
        Stmt::Discard(_) => {
            effects.explain("It concerns the session; no table is locked.");
        }
        Stmt::Set(_)
        | Stmt::SetRole(_)
        | Stmt::SetSessionAuth(_)
        | Stmt::SetTransaction(_)
        | Stmt::SetConstraints(_)
        | Stmt::Reset(_)
        | Stmt::ResetRole(_)
        | Stmt::ResetSessionAuth(_)
        | Stmt::Show(_)
        | Stmt::Deallocate(_)
        | Stmt::Listen(_)
        | Stmt::Notify(_)
        | Stmt::Unlisten(_)
        | Stmt::Close(_)
        | Stmt::Checkpoint(_)
        | Stmt::EmptyStmt(_) => effects.explain("It concerns the session; no table is locked."),
        Stmt::Begin(_)
        | Stmt::Commit(_)
        | Stmt::Rollback(_)
        | Stmt::PrepareTransaction(_)
        | Stmt::SavepointCreate(_)
        | Stmt::ReleaseSavepoint(_) => {
            effects
                .explain("It takes no lock; the end of a transaction gives up all of its locks.");
        }
        Stmt::Grant(_) | Stmt::Revoke(_) => effects
            .explain("Rights change without a lock on the table; running statements keep theirs."),
        Stmt::AlterDefaultPrivileges(_)
        | Stmt::AlterFunction(_)
        | Stmt::AlterProcedure(_)
        | Stmt::AlterRole(_)
        | Stmt::AlterSchema(_)
        | Stmt::CreateAggregate(_)
        | Stmt::CreateCast(_)
        | Stmt::CreateCollation(_)
        | Stmt::CreateDomain(_)
        | Stmt::CreateOperator(_)
        | Stmt::CreateRole(_)
        | Stmt::CreateType(_)
        | Stmt::CreateUser(_)
        | Stmt::DropAggregate(_)
        | Stmt::DropRole(_)
        | Stmt::DropUser(_) => effects.explain(ONLY_THE_CATALOG),
        _ => effects.cannot_tell("this kind of statement is not known here"),
    }
}

fn select_into(effects: &mut Effects, select: &SelectInto) {
    create_table::created(
        effects,
        select.into_clause().and_then(|into| into.table_name()),
    );
    query::run(effects, select.syntax());
    effects.explain("A new table is filled from a query, which reads as any SELECT does.");
}

/// EXPLAIN plans, which takes the same locks; only with ANALYZE the rows are read.
fn explain(effects: &mut Effects, explain: &Explain) {
    if matches!(explain.explain_stmt(), Some(ExplainStmt::Execute(_))) {
        effects.cannot_tell("what a prepared statement runs is not in the text");
    }
    let runs = match explain.explain_mode() {
        Some(ExplainMode::ExplainAnalyze(_)) => true,
        Some(ExplainMode::ExplainOptionList(options)) => options
            .syntax()
            .text()
            .to_string()
            .to_lowercase()
            .contains("analy"),
        Some(ExplainMode::ExplainVerbose(_)) | None => false,
    };
    if runs {
        query::run(effects, explain.syntax());
    } else {
        query::store(effects, explain.syntax());
    }
    effects.explain("It takes the locks of the statement that it explains.");
}

fn create_schema(effects: &mut Effects, create: &CreateSchema) {
    if create.schema_elements().next().is_some() {
        effects.cannot_tell("the schema's elements find their tables in it first");
    }
    effects.explain(ONLY_THE_CATALOG);
}
