//! `unknown-rule`.

use crate::lint::levels::{self, nearest};
use crate::lint::rules::{Rule, UNKNOWN_RULE, Violation};
use crate::lint::{Level, Migrations};

/// Finds comments that ignore a rule which does not exist.
pub(super) struct UnknownRule;

impl Rule for UnknownRule {
    fn name(&self) -> &'static str {
        UNKNOWN_RULE
    }

    fn title(&self) -> &'static str {
        "a comment that ignores a rule which does not exist"
    }

    fn why(&self) -> &'static str {
        "a misspelt name ignores nothing"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ignore in &migrations.ignores {
            if ignore.rules.is_empty() {
                let violation = ignore.violation("this comment names no rule");
                violations.push(violation.help("write the rule's name after lint-ignore"));
            }
            for rule in &ignore.rules {
                if !levels::is_known(&rule.name) {
                    let message = format!("there is no rule {}", rule.name);
                    let help = format!("the nearest name is {}", nearest(&rule.name));
                    violations.push(ignore.violation(message).help(help));
                }
            }
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn every_name_that_is_no_rule_is_found() {
        let sql =
            "-- lint-ignore mising-down, ban-drop-column, x: why\n-- lint-ignore: why\nSELECT 1;";
        assert_eq!(
            found(&UnknownRule, &[up(sql)]),
            [
                "2: there is no rule mising-down",
                "2: there is no rule x",
                "3: this comment names no rule",
            ]
        );
    }
}
