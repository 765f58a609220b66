//! What SQL that undoes a migration would destroy, with rows counted.

use std::fmt;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{
    AlterTableAction, AstNode, Delete, DropBehavior, Stmt, WhereClauseOrCurrentOf,
};

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
}

/// What the SQL would destroy in the database as it is now. What holds no rows is no loss.
pub(crate) async fn losses(session: &Session, sql: &str) -> Vec<Loss> {
    let mut losses = Vec::new();
    for danger in dangers(sql) {
        let rows = match &danger.rows {
            Some((table, condition)) => count(session, table, condition.as_deref()).await,
            None => Rows::NotCounted,
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

fn dangers(sql: &str) -> Vec<Danger> {
    let parse = SourceFile::parse(sql);
    if !parse.errors().is_empty() {
        return vec![Danger {
            what: "what the SQL does is not understood".to_owned(),
            rows: None,
        }];
    }
    parse
        .tree()
        .stmts()
        .flat_map(|statement| of(&statement))
        .collect()
}

fn of(statement: &Stmt) -> Vec<Danger> {
    match statement {
        Stmt::DropTable(drop) => drop
            .table_name_refs()
            .map(|table| all_rows("table", &text(&table)))
            .collect(),
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
                    AlterTableAction::DropColumn(drop) => drop.column_name_ref(),
                    _ => None,
                })
                .map(|column| {
                    let column = text(&column);
                    Danger {
                        what: format!("column {column} of table {table}"),
                        rows: Some((table.clone(), Some(format!("{column} IS NOT NULL")))),
                    }
                })
                .collect()
        }
        Stmt::Delete(delete) => vec![deleted(delete)],
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

fn deleted(delete: &Delete) -> Danger {
    let table = delete
        .relation_name()
        .and_then(|relation| relation.relation_name_ref())
        .map(|table| text(&table))
        .unwrap_or_default();
    let condition = match delete.where_clause_or_current_of() {
        None => Some(None),
        Some(WhereClauseOrCurrentOf::WhereClause(clause)) => {
            clause.expr().map(|condition| Some(text(&condition)))
        }
        Some(_) => None,
    };
    // What the condition names besides the table's own columns is not there when the rows are counted.
    let is_plain = delete.using_clause().is_none()
        && delete.with_clause().is_none()
        && delete.alias().is_none();
    Danger {
        what: format!("rows of table {table}"),
        rows: condition
            .filter(|_| is_plain)
            .map(|condition| (table, condition)),
    }
}

fn all_rows(kind: &str, table: &str) -> Danger {
    Danger {
        what: format!("{kind} {table}"),
        rows: Some((table.to_owned(), None)),
    }
}

fn cascade(behavior: Option<&DropBehavior>, statement: &Stmt) -> Vec<Danger> {
    match behavior {
        Some(DropBehavior::Cascade(_)) => vec![untold(statement)],
        _ => Vec::new(),
    }
}

fn untold(statement: &Stmt) -> Danger {
    let text = text(statement);
    Danger {
        what: format!(
            "whatever {} takes with it",
            text.lines()
                .next()
                .unwrap_or_default()
                .trim_end_matches(';')
        ),
        rows: None,
    }
}

fn text(node: &impl AstNode) -> String {
    node.syntax().text().to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> Vec<String> {
        dangers(sql)
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
    fn what_cannot_be_told_is_a_danger() {
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
            "DROP SCHEMA s; DROP TYPE t; ALTER TABLE a DROP CONSTRAINT c; UPDATE a SET b = 1;",
            "ALTER TABLE a ADD COLUMN b int;",
        ] {
            assert_eq!(told(sql), [""; 0], "{sql}");
        }
    }
}
