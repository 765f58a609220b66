//! `ignore-without-reason`.

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations};

/// Finds comments that ignore a rule and do not say why.
pub(super) struct IgnoreWithoutReason;

impl Rule for IgnoreWithoutReason {
    fn name(&self) -> &'static str {
        "ignore-without-reason"
    }

    fn title(&self) -> &'static str {
        "a comment that ignores a rule and does not say why"
    }

    fn why(&self) -> &'static str {
        "whoever reads the migration later cannot tell a decision from a way around the linter"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let without = migrations
            .ignores
            .iter()
            .filter(|ignore| !ignore.has_reason);
        without
            .map(|ignore| {
                ignore
                    .violation("this comment does not say why the rule is ignored")
                    .help("write a colon and the reason after the rule: -- lint-ignore missing-down: the old column is gone")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn a_reason_is_what_comes_after_the_colon() {
        let sql = "-- lint-ignore missing-down\n-- lint-ignore missing-down:\n-- lint-ignore missing-down: a\nSELECT 1;";
        let violations = found(&IgnoreWithoutReason, &[up(sql)]);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[1].starts_with("3: "));
    }
}
