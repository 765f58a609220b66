//! Names in a syntax tree.

use squawk_syntax::ast::{
    AstNode, QualifiedColumnNameRef, RelationName, TableRelationName, normalize_name_node,
};

/// A name, or any other part of a statement, without the white space and comments inside it.
pub(crate) fn written(node: &impl AstNode) -> String {
    node.syntax()
        .descendants_with_tokens()
        .filter_map(squawk_syntax::SyntaxElement::into_token)
        .filter(|token| !token.kind().is_trivia())
        .map(|token| token.text().to_owned())
        .collect()
}

/// A single name as the catalog has it: lower case where it is not quoted.
pub(crate) fn folded(node: &impl AstNode) -> String {
    normalize_name_node(node.syntax())
}

/// A table and whether its partitions and children are meant, too.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) extends: bool,
}

pub(crate) fn table(relation: &TableRelationName) -> Option<Target> {
    Some(Target {
        name: written(&relation.table_name_ref()?),
        extends: relation.only_token().is_none(),
    })
}

pub(crate) fn relation(relation: &RelationName) -> Option<Target> {
    Some(Target {
        name: written(&relation.relation_name_ref()?),
        extends: relation.only_token().is_none(),
    })
}

/// The table of a column that is named with it.
pub(crate) fn table_of_column(column: &QualifiedColumnNameRef) -> Option<String> {
    Some(written(&column.path_ref()?.qualifier()?))
}
