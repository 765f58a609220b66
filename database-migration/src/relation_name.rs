//! Names of relations, as statements write them.

use std::fmt;

/// A relation's name as the catalog has it: lower case where it was not quoted.
///
/// What stands in no schema is taken to be in `public`, so that `orders` and `public.orders` are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelationName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl RelationName {
    /// Reads a name as it is written in SQL, without white space around its dots.
    pub(crate) fn parse(written: &str) -> Self {
        let mut parts = parts(written);
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop().filter(|schema| schema != "public");
        Self { schema, name }
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{schema}.")?;
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

    fn name(schema: Option<&str>, name: &str) -> RelationName {
        RelationName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    #[test]
    fn names_are_told_as_the_catalog_has_them() {
        for (written, expected) in [
            ("orders", name(None, "orders")),
            ("Orders", name(None, "orders")),
            ("\"Orders\"", name(None, "Orders")),
            ("public.orders", name(None, "orders")),
            ("Menu.orders", name(Some("menu"), "orders")),
            ("\"a.b\".\"c\"\"d\"", name(Some("a.b"), "c\"d")),
            ("database.menu.orders", name(Some("menu"), "orders")),
        ] {
            assert_eq!(RelationName::parse(written), expected, "{written}");
        }
    }
}
