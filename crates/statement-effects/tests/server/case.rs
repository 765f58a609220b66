//! The cases, read from text.

/// A statement with what is told about it.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// What is run before it.
    pub(crate) setup: Vec<String>,
    /// The statement.
    pub(crate) statement: String,
    /// What the crate tells without a catalog, line by line.
    pub(crate) told: Vec<String>,
    /// What the server really did where the crate tells a condition: a relation's name and what happened to it.
    pub(crate) in_fact: Vec<String>,
    /// Locks of others that hold it up, one at a time, so that its own can be seen: for what runs in no transaction.
    pub(crate) held_up_by: Vec<String>,
    /// The only version that has it.
    pub(crate) only: Option<String>,
}

/// Blocks of `key: value` lines, with an empty line after each; a line with `#` is a comment.
pub(crate) fn read(text: &str) -> Vec<Case> {
    text.split("\n\n")
        .map(|block| {
            let mut case = Case::default();
            for line in block
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                let (key, value) = line.split_once(": ").expect(line);
                let value = value.to_owned();
                match key {
                    "setup" => case.setup.push(value),
                    "statement" => case.statement = value,
                    "told" => case.told.push(value),
                    "in fact" => case.in_fact.push(value),
                    "held up by" => case.held_up_by.push(value),
                    "only" => case.only = Some(value),
                    _ => panic!("{line}"),
                }
            }
            case
        })
        .filter(|case| !case.statement.is_empty())
        .collect()
}
