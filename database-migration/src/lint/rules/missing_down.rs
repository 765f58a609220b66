//! `missing-down`.

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations, Statement};

/// Finds migrations that nothing undoes.
pub(super) struct MissingDown;

impl Rule for MissingDown {
    fn name(&self) -> &'static str {
        "missing-down"
    }

    fn title(&self) -> &'static str {
        "a migration without SQL that undoes it"
    }

    fn why(&self) -> &'static str {
        "an older image can go back from a newer schema only with the down SQL that the history keeps"
    }

    fn level(&self) -> Level {
        Level::Warn
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let without = migrations
            .scripts
            .iter()
            .filter(|script| script.file.down.is_none());
        without
            .map(|script| {
                let first = script.statements.first();
                let range = first.map_or(0..0, Statement::range);
                let message = format!("nothing undoes version {}", script.file.version);
                script.violation(range, message).help(
                    "add a section -- +++++ DOWN, or a file of that style; if it cannot be undone, say why in a \
                     lint-ignore comment",
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn it_is_found_once_for_each_migration() {
        let set = [
            up("CREATE TABLE a ();\nCREATE TABLE b ();"),
            up("CREATE TABLE c ();\n-- +++++ DOWN\nDROP TABLE c;"),
            up("-- nothing to do"),
            up("DROP TABLE d;\n-- +++++ DOWN\n-- its rows are gone for good"),
        ];
        assert_eq!(
            found(&MissingDown, &set),
            ["2: nothing undoes version 1", "2: nothing undoes version 3"]
        );
    }
}
