//! What SQL that undoes a migration would destroy, with rows counted.

use std::fmt;

use squawk_syntax::ast::{
    AlterColumnOption, AlterTableAction, AlterTypeAction, AstNode, Delete, DropBehavior,
    RelationName, Stmt, Update, WhereClauseOrCurrentOf,
};
use squawk_syntax::{SourceFile, SyntaxKind};

use crate::session::Session;
use crate::sql::literal;

/// Rows are counted up to this, so that it takes no longer than a moment.
const MOST_COUNTED: u64 = 1_000_000;

/// Something that would be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    what: String,
    rows: Rows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Counted(u64),
    NotCounted,
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rows {
            Rows::Counted(rows) if rows > MOST_COUNTED => {
                write!(formatter, "{}, more than {MOST_COUNTED} rows", self.what)
            }
            Rows::Counted(1) => write!(formatter, "{}, 1 row", self.what),
            Rows::Counted(rows) => write!(formatter, "{}, {rows} rows", self.what),
            Rows::NotCounted => write!(formatter, "{}, rows not counted", self.what),
        }
    }
}

/// What may be lost, before anybody has looked at the data.
#[derive(Debug, PartialEq, Eq)]
struct Danger {
    what: String,
    /// The table, and which of its rows; nothing where the text does not tell.
    rows: Option<(String, Option<String>)>,
    /// Whether what comes before may bring rows, so that none now does not mean none then.
    may_be_filled: bool,
}

/// Looks at what undoes migrations, in the order in which it would run.
#[derive(Debug, Default)]
pub(crate) struct Assessment {
    /// Whether what was looked at may bring rows into tables.
    is_filled: bool,
    /// Whether it gives names to other tables than now.
    is_renamed: bool,
}

impl Assessment {
    /// What the SQL of the next migration would destroy in the database as it is now. What holds no rows is no loss.
    pub(crate) async fn losses(&mut self, session: &Session, sql: &str) -> Vec<Loss> {
        let mut losses = Vec::new();
        for danger in self.dangers(sql) {
            let rows = match &danger.rows {
                Some((table, condition)) => count(session, table, condition.as_deref()).await,
                None => Rows::NotCounted,
            };
            let rows = match rows {
                Rows::Counted(0) if danger.may_be_filled => Rows::NotCounted,
                rows => rows,
            };
            if rows != Rows::Counted(0) {
                losses.push(Loss {
                    what: danger.what,
                    rows,
                });
            }
        }
        losses
    }

    fn dangers(&mut self, sql: &str) -> Vec<Danger> {
        let parse = SourceFile::parse(sql);
        if !parse.errors().is_empty() {
            *self = Self {
                is_filled: true,
                is_renamed: true,
            };
            return vec![Danger::untold("what the SQL does is not understood")];
        }
        let mut dangers = Vec::new();
        // What one migration sets does not reach the next.
        let mut is_searched_elsewhere = false;
        for statement in parse.tree().stmts() {
            dangers.extend(of(&statement).into_iter().map(|danger| Danger {
                rows: danger.rows.filter(|(table, _)| {
                    !self.is_renamed && (!is_searched_elsewhere || is_qualified(table))
                }),
                may_be_filled: self.is_filled,
                ..danger
            }));
            is_searched_elsewhere |= searches_elsewhere(&statement);
            self.is_renamed |= renames(&statement);
            self.is_filled |= may_fill(&statement);
        }
        dangers
    }
}

impl Danger {
    fn new(what: String, table: String, condition: Option<String>) -> Self {
        Self {
            what,
            rows: Some((table, condition)),
            may_be_filled: false,
        }
    }

    fn untold(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            rows: None,
            may_be_filled: false,
        }
    }
}

/// Whether a table's name has its schema; a dot in quotes is part of a name.
fn is_qualified(table: &str) -> bool {
    table.split('"').step_by(2).any(|part| part.contains('.'))
}

/// Whether names without a schema may mean other tables after a statement.
fn searches_elsewhere(statement: &Stmt) -> bool {
    match statement {
        // Where a role's name stands in the path of schemas.
        Stmt::SetRole(_) | Stmt::SetSessionAuth(_) => true,
        Stmt::Set(_) | Stmt::Select(_) => {
            let text = text(statement).to_ascii_lowercase();
            text.contains("search_path") || text.contains("schema")
        }
        _ => false,
    }
}

/// Whether a statement gives something another name or schema.
fn renames(statement: &Stmt) -> bool {
    let mut parts = statement.syntax().descendants_with_tokens();
    parts.any(|part| part.kind() == SyntaxKind::RENAME_KW || part.kind() == SyntaxKind::SET_SCHEMA)
}

/// Whether a statement may bring rows into a table: all that does not only change or take away definitions.
fn may_fill(statement: &Stmt) -> bool {
    let mut parts = statement.syntax().descendants();
    if parts.any(|part| {
        matches!(
            part.kind(),
            SyntaxKind::INSERT
                | SyntaxKind::UPDATE
                | SyntaxKind::MERGE
                | SyntaxKind::ATTACH_PARTITION
                | SyntaxKind::INHERIT_TABLE
                | SyntaxKind::CREATE_TABLE_AS
                | SyntaxKind::CREATE_EXTENSION
                | SyntaxKind::ALTER_EXTENSION
        )
    }) {
        return true;
    }
    let text = text(statement);
    let keyword = text.split_whitespace().next().unwrap_or_default();
    ![
        "ALTER", "ANALYZE", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "LOCK", "REINDEX",
        "RESET", "REVOKE", "SET", "TRUNCATE", "VACUUM",
    ]
    .iter()
    .any(|known| keyword.eq_ignore_ascii_case(known))
}

/// Counts rows without waiting for anybody. A table that is not there has none.
async fn count(session: &Session, table: &str, condition: Option<&str>) -> Rows {
    let existence = format!("SELECT to_regclass({}) IS NOT NULL", literal(table));
    let condition = condition.map_or(String::new(), |condition| format!(" WHERE {condition}"));
    let query = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = '10s';
         SELECT count(*) FROM (SELECT FROM {table}{condition} LIMIT {}) AS counted; COMMIT",
        MOST_COUNTED + 1
    );
    match value(session, &existence).await.as_deref() {
        Some("t") => {}
        Some(_) => return Rows::Counted(0),
        None => return Rows::NotCounted,
    }
    match value(session, &query).await.map(|count| count.parse()) {
        Some(Ok(count)) => Rows::Counted(count),
        _ => Rows::NotCounted,
    }
}

async fn value(session: &Session, query: &str) -> Option<String> {
    let rows = session.rows(query).await.ok()?;
    rows.first()?.get(0).map(ToOwned::to_owned)
}

fn of(statement: &Stmt) -> Vec<Danger> {
    let mut dangers = defined(statement);
    // What stands in a definition is not run.
    if !matches!(
        statement,
        Stmt::CreateFunction(_) | Stmt::CreateProcedure(_) | Stmt::CreateRule(_)
    ) {
        dangers.extend(written(statement));
    }
    dangers
}

/// What goes with a change of definitions, or is not told by the statement.
fn defined(statement: &Stmt) -> Vec<Danger> {
    match statement {
        Stmt::DropTable(drop) => drop
            .table_name_refs()
            .map(|table| all_rows("table", &text(&table)))
            .collect(),
        Stmt::Truncate(truncate)
            if matches!(truncate.drop_behavior(), Some(DropBehavior::Cascade(_))) =>
        {
            vec![untold(statement)]
        }
        Stmt::Truncate(truncate) => truncate
            .table_list()
            .into_iter()
            .flat_map(|list| list.table_relation_names().collect::<Vec<_>>())
            .filter_map(|relation| relation.table_name_ref())
            .map(|table| all_rows("the rows of table", &text(&table)))
            .collect(),
        Stmt::AlterTable(alter) => {
            let Some(table) = alter
                .table_relation_name()
                .and_then(|relation| relation.table_name_ref())
            else {
                return Vec::new();
            };
            let table = text(&table);
            alter
                .actions()
                .filter_map(|action| match action {
                    AlterTableAction::DropColumn(drop) => Some(("column", drop.column_name_ref()?)),
                    AlterTableAction::AlterColumn(alter) => match alter.option()? {
                        AlterColumnOption::SetType(_) => Some((
                            "what another type does not hold of column",
                            alter.column_name_ref()?,
                        )),
                        _ => None,
                    },
                    _ => None,
                })
                .map(|(kind, column)| {
                    let column = text(&column);
                    Danger::new(
                        format!("{kind} {column} of table {table}"),
                        table.clone(),
                        Some(format!("{column} IS NOT NULL")),
                    )
                })
                .collect()
        }
        Stmt::AlterType(alter) => match alter.action() {
            Some(AlterTypeAction::AlterTypeAttributeActionList(_)) => vec![untold(statement)],
            _ => Vec::new(),
        },
        Stmt::DropSchema(drop) => cascade(drop.drop_behavior().as_ref(), statement),
        Stmt::DropType(drop) => cascade(drop.drop_behavior().as_ref(), statement),
        Stmt::DropDomain(drop) => cascade(drop.drop_behavior().as_ref(), statement),
        Stmt::DropExtension(drop) => cascade(drop.drop_behavior().as_ref(), statement),
        Stmt::DropOwned(_) | Stmt::DropDatabase(_) | Stmt::Do(_) | Stmt::Call(_) => {
            vec![untold(statement)]
        }
        _ => Vec::new(),
    }
}

/// The rows that a statement deletes or overwrites, wherever in it that stands.
fn written(statement: &Stmt) -> Vec<Danger> {
    let mut dangers = Vec::new();
    for node in statement.syntax().descendants() {
        // What the condition names besides the table's own columns is not there when the rows are counted.
        let is_alone = node == *statement.syntax();
        if let Some(delete) = Delete::cast(node.clone()) {
            let is_plain = is_alone
                && delete.using_clause().is_none()
                && delete.with_clause().is_none()
                && delete.alias().is_none();
            let condition = delete.where_clause_or_current_of();
            dangers.push(hit("rows", delete.relation_name(), condition, is_plain));
        } else if let Some(update) = Update::cast(node.clone()) {
            let is_plain = is_alone
                && update.from_clause().is_none()
                && update.with_clause().is_none()
                && update.alias().is_none();
            let condition = update.where_clause_or_current_of();
            dangers.push(hit("values", update.relation_name(), condition, is_plain));
        } else if matches!(
            node.kind(),
            SyntaxKind::MERGE_DELETE
                | SyntaxKind::MERGE_UPDATE
                | SyntaxKind::CONFLICT_DO_UPDATE_SET
        ) {
            dangers.push(untold(statement));
        }
    }
    dangers.dedup();
    dangers
}

/// What happens to the rows that a condition chooses; it can be counted where that is plain.
fn hit(
    kind: &str,
    relation: Option<RelationName>,
    condition: Option<WhereClauseOrCurrentOf>,
    is_plain: bool,
) -> Danger {
    let table = relation
        .and_then(|relation| relation.relation_name_ref())
        .map(|table| text(&table))
        .unwrap_or_default();
    let condition = match condition {
        None => Some(None),
        Some(WhereClauseOrCurrentOf::WhereClause(clause)) => {
            clause.expr().map(|condition| Some(text(&condition)))
        }
        Some(_) => None,
    };
    let what = format!("{kind} of table {table}");
    match condition.filter(|_| is_plain) {
        Some(condition) => Danger::new(what, table, condition),
        None => Danger::untold(what),
    }
}

fn all_rows(kind: &str, table: &str) -> Danger {
    Danger::new(format!("{kind} {table}"), table.to_owned(), None)
}

fn cascade(behavior: Option<&DropBehavior>, statement: &Stmt) -> Vec<Danger> {
    match behavior {
        Some(DropBehavior::Cascade(_)) => vec![untold(statement)],
        _ => Vec::new(),
    }
}

fn untold(statement: &Stmt) -> Danger {
    let text = text(statement);
    let first_line = text.lines().next().unwrap_or_default();
    Danger::untold(format!(
        "whatever {} takes with it",
        first_line.trim_end_matches(';')
    ))
}

fn text(node: &impl AstNode) -> String {
    node.syntax().text().to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> Vec<String> {
        told_after(&mut Assessment::default(), sql)
    }

    fn told_after(assessment: &mut Assessment, sql: &str) -> Vec<String> {
        assessment
            .dangers(sql)
            .into_iter()
            .map(|danger| match danger.rows {
                Some((table, Some(condition))) => {
                    format!("{}: {table} where {}", danger.what, condition.trim())
                }
                Some((table, None)) => format!("{}: {table}", danger.what),
                None => danger.what,
            })
            .collect()
    }

    #[test]
    fn what_drops_rows_is_found() {
        assert_eq!(
            told("DROP TABLE IF EXISTS a, menu.b; TRUNCATE c, d;"),
            [
                "table a: a",
                "table menu.b: menu.b",
                "the rows of table c: c",
                "the rows of table d: d"
            ]
        );
        assert_eq!(
            told("ALTER TABLE a DROP COLUMN b, DROP COLUMN IF EXISTS \"C\" CASCADE;"),
            [
                "column b of table a: a where b IS NOT NULL",
                "column \"C\" of table a: a where \"C\" IS NOT NULL"
            ]
        );
        assert_eq!(
            told(
                "DELETE FROM a WHERE b = 1; DELETE FROM a; DELETE FROM a USING b WHERE a.x = b.x;"
            ),
            [
                "rows of table a: a where b = 1",
                "rows of table a: a",
                "rows of table a"
            ]
        );
    }

    #[test]
    fn what_overwrites_values_is_found() {
        assert_eq!(
            told(
                "UPDATE a SET b = 1 WHERE c > 0; UPDATE a SET b = 1; UPDATE a SET b = c.b FROM c;
                 ALTER TABLE a ALTER COLUMN b TYPE date USING b::date;"
            ),
            [
                "values of table a: a where c > 0",
                "values of table a: a",
                "values of table a",
                "what another type does not hold of column b of table a: a where b IS NOT NULL",
            ]
        );
    }

    #[test]
    fn what_stands_inside_a_statement_is_found() {
        for (sql, expected) in [
            (
                "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone;",
                "rows of table a",
            ),
            (
                "WITH gone AS (UPDATE a SET b = 1 RETURNING *) SELECT * FROM gone;",
                "values of table a",
            ),
            ("EXPLAIN ANALYZE DELETE FROM a;", "rows of table a"),
        ] {
            assert_eq!(told(sql), [expected], "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_a_danger() {
        for sql in [
            "TRUNCATE a CASCADE",
            "ALTER TYPE t DROP ATTRIBUTE b",
            "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
            "INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = 1",
        ] {
            let expected = format!("whatever {sql} takes with it");
            assert_eq!(told(&format!("{sql};")), [expected], "{sql}");
        }
        assert_eq!(
            told("DROP SCHEMA s CASCADE;"),
            ["whatever DROP SCHEMA s CASCADE takes with it"]
        );
        assert_eq!(told("DO $$ BEGIN NULL; END $$;").len(), 1);
        assert_eq!(told("this is no SQL").len(), 1);
    }

    #[test]
    fn what_holds_no_rows_of_its_own_is_none() {
        for sql in [
            "DROP INDEX i; DROP VIEW v; DROP MATERIALIZED VIEW m; DROP SEQUENCE s; DROP FUNCTION f;",
            "DROP SCHEMA s; DROP TYPE t; ALTER TABLE a DROP CONSTRAINT c;",
            "ALTER TABLE a ADD COLUMN b int; ALTER TABLE a ALTER COLUMN b SET DEFAULT 1;",
            "ALTER TYPE t RENAME VALUE 'a' TO 'b'; INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING;",
            "CREATE RULE r AS ON INSERT TO a DO ALSO DELETE FROM b;",
            "MERGE INTO a USING b ON a.x = b.x WHEN NOT MATCHED THEN INSERT VALUES (b.x);",
        ] {
            assert_eq!(told(sql), [""; 0], "{sql}");
        }
    }

    #[test]
    fn what_has_another_name_by_then_is_not_counted_now() {
        for sql in [
            "SET search_path = menu; DROP TABLE items;",
            "SELECT pg_catalog.set_config('search_path', 'menu', false); DROP TABLE items;",
            "SET SCHEMA 'menu'; DROP TABLE items;",
            "SET ROLE owner; DROP TABLE items;",
            "ALTER TABLE others RENAME TO items; DROP TABLE items;",
            "ALTER TABLE others SET SCHEMA menu; DROP TABLE items;",
            "ALTER SCHEMA others RENAME TO menu; DROP TABLE items;",
        ] {
            assert_eq!(told(sql), ["table items"], "{sql}");
        }
        for sql in [
            "SET lock_timeout = '1s'; DROP TABLE menu.items;",
            "SET search_path = ''; DROP TABLE menu.items;",
        ] {
            assert_eq!(told(sql), ["table menu.items: menu.items"], "{sql}");
        }
        assert!(!is_qualified("\"menu.items\"") && is_qualified("\"menu\".items"));

        let mut chain = Assessment::default();
        told_after(&mut chain, "SET search_path = menu;");
        let told = told_after(&mut chain, "DROP TABLE a; ALTER TABLE b RENAME TO c;");
        assert_eq!(told, ["table a: a"]);
        assert_eq!(told_after(&mut chain, "DROP TABLE a;"), ["table a"]);
    }

    #[test]
    fn what_is_filled_before_is_not_known_to_be_empty() {
        for (sql, expected) in [
            ("INSERT INTO a SELECT * FROM b;", true),
            ("CREATE TABLE a AS SELECT 1;", true),
            ("SELECT * INTO a FROM b;", true),
            ("SELECT fill();", true),
            ("COPY a FROM '/tmp/a';", true),
            ("ALTER TABLE a ATTACH PARTITION b DEFAULT;", true),
            (
                "DROP TABLE b; DELETE FROM c; ALTER TABLE a ADD b int;",
                false,
            ),
            (
                "CREATE TABLE a (); CREATE INDEX i ON b (c); SET lock_timeout = '1s';",
                false,
            ),
        ] {
            let mut chain = Assessment::default();
            chain.dangers(sql);
            let dangers = chain.dangers("DROP TABLE a;");
            assert_eq!(dangers[0].may_be_filled, expected, "{sql}");
        }
    }
}
