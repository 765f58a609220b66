//! Names of relations, as statements write them.

use std::fmt;

const PUBLIC: &str = "public";

/// A relation's name as the catalog has it: with its schema, and in lower case where it was not quoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelationName {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl RelationName {
    /// Reads a name as it is written in SQL, without white space around its dots. `schema` tells the schema of a name
    /// that is written without one.
    pub(crate) fn parse(written: &str, schema: impl FnOnce(&str) -> String) -> Self {
        let mut parts = parts(written);
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop().unwrap_or_else(|| schema(&name));
        Self { schema, name }
    }

    /// Reads a name where nothing is known of the database: what stands in no schema is taken to be in `public`.
    pub(crate) fn of_text(written: &str) -> Self {
        Self::parse(written, |_| PUBLIC.to_owned())
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema != PUBLIC {
            write!(formatter, "{}.", self.schema)?;
        }
        formatter.write_str(&self.name)
    }
}

/// The parts between the dots that are not quoted.
fn parts(written: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = written.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(part) = parts.last_mut() else { break };
        match character {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(String::new()),
            _ if is_quoted => part.push(character),
            _ => part.extend(character.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_the_catalog_has_them() {
        for (written, schema, name) in [
            ("orders", "public", "orders"),
            ("Orders", "public", "orders"),
            ("\"Orders\"", "public", "Orders"),
            ("Public.orders", "public", "orders"),
            ("Menu.orders", "menu", "orders"),
            ("\"a.b\".\"c\"\"d\"", "a.b", "c\"d"),
            ("database.menu.orders", "menu", "orders"),
        ] {
            let parsed = RelationName::of_text(written);
            assert_eq!(
                (parsed.schema.as_str(), parsed.name.as_str()),
                (schema, name)
            );
        }
    }

    #[test]
    fn only_names_without_a_schema_ask_for_it() {
        let parse = |written| RelationName::parse(written, |name| format!("of_{name}"));
        assert_eq!(parse("A").schema, "of_a");
        assert_eq!(parse("b.a").schema, "b");
    }
}
