//! `syntax`.

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations};

/// Finds SQL that the parser does not understand.
pub(super) struct Syntax;

impl Rule for Syntax {
    fn name(&self) -> &'static str {
        "syntax"
    }

    fn title(&self) -> &'static str {
        "SQL that the parser does not understand"
    }

    fn why(&self) -> &'static str {
        "nothing else is looked for in it; it is no error, since the server may know more than the parser"
    }

    fn level(&self) -> Level {
        Level::Warn
    }

    /// The first error of each script: what comes after it is often its consequence.
    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for script in &migrations.scripts {
            let errors = script.parse.errors();
            let Some(error) = errors.iter().min_by_key(|error| error.range().start()) else {
                continue;
            };
            let range = error.range().start().into()..error.range().end().into();
            let message = format!(
                "the parser does not understand this ({}), so nothing else is looked for here",
                error.message()
            );
            violations.push(
                script
                    .violation(range, message)
                    .help("correct it, or try it on a server, which has the last word"),
            );
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn the_first_error_of_each_section_is_found() {
        let set = [
            up("SELECT 1;\nthis is no SQL;\nnor is this;\n-- +++++ DOWN\nnor this"),
            up("SELECT 1;"),
        ];
        let violations = found(&Syntax, &set);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("3: the parser does not understand this ("));
    }
}
