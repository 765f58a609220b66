//! `CREATE INDEX CONCURRENTLY`, taken apart: an interrupted build is found again by the index's name, and told from
//! another index by its definition.

use squawk_syntax::SyntaxElement;
use squawk_syntax::ast::{AstNode, CreateIndex};

/// A `CREATE INDEX CONCURRENTLY` that names its index. Names are as the statement writes them, with their quotes.
#[derive(Debug)]
pub(crate) struct ConcurrentIndex {
    /// The index's name. An index stands in the schema of its table.
    pub(crate) name: String,
    /// The table's name.
    pub(crate) table: String,
    /// Whether the statement leaves an index of that name alone.
    pub(crate) is_unless_exists: bool,
    is_unique: bool,
    /// All that comes after the table's name.
    definition: String,
}

impl ConcurrentIndex {
    pub(super) fn of(create: &CreateIndex) -> Option<Self> {
        let name = create.index()?.syntax().text().to_string();
        let relation = create.table_relation_name()?;
        let statement = create.syntax().text_range();
        let definition_start = relation.syntax().text_range().end() - statement.start();
        let text = create.syntax().text().to_string();
        Some(Self {
            name: name.trim().to_owned(),
            table: written(&relation.table_name_ref()?),
            is_unless_exists: create.if_not_exists().is_some(),
            is_unique: create.unique_token().is_some(),
            definition: text[usize::from(definition_start)..]
                .trim_end()
                .trim_end_matches(';')
                .to_owned(),
        })
    }

    /// SQL that makes an index of the same definition on another table.
    pub(crate) fn on(&self, name: &str, table: &str) -> String {
        let unique = if self.is_unique { "UNIQUE " } else { "" };
        format!("CREATE {unique}INDEX {name} ON {table}{}", self.definition)
    }
}

/// The name of an index as `to_regclass` finds it: in the schema of its table.
pub(super) fn qualified_name(create: &CreateIndex) -> Option<String> {
    let index = create.index()?.syntax().text().to_string();
    let table = written(&create.table_relation_name()?.table_name_ref()?);
    Some(match table.rsplit_once('.') {
        Some((schema, _)) => format!("{schema}.{}", index.trim()),
        None => index.trim().to_owned(),
    })
}

/// A part of a statement without the white space and comments inside it.
fn written(node: &impl AstNode) -> String {
    node.syntax()
        .descendants_with_tokens()
        .filter_map(SyntaxElement::into_token)
        .filter(|token| !token.kind().is_trivia())
        .map(|token| token.text().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use crate::script::{Kind, Script};

    #[test]
    fn the_same_index_can_be_made_elsewhere() {
        let script = Script::parse(
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I\" ON menu . orders USING btree (lower(a)) WHERE b;",
        );
        let Kind::BuildsIndex(index) = &script.statements[0].kind else {
            panic!("{:?}", script.statements[0]);
        };
        assert_eq!(
            (index.name.as_str(), index.table.as_str()),
            ("\"I\"", "menu.orders")
        );
        assert!(index.is_unless_exists);
        assert_eq!(
            index.on("i", "pg_temp.t"),
            "CREATE UNIQUE INDEX i ON pg_temp.t USING btree (lower(a)) WHERE b"
        );
        assert_eq!(
            script.statements[0].index_unless_exists.as_deref(),
            Some("menu.\"I\"")
        );
    }
}
