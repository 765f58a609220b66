//! `unused-ignore`.

use crate::lint::levels;
use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations};

/// Finds comments that ignore what was not found. It comes after all other rules.
pub(in crate::lint) struct UnusedIgnore;

impl Rule for UnusedIgnore {
    fn name(&self) -> &'static str {
        "unused-ignore"
    }

    fn title(&self) -> &'static str {
        "a comment that ignores what is not there"
    }

    fn why(&self) -> &'static str {
        "it hides the next finding of that rule, which nobody has thought about"
    }

    fn level(&self) -> Level {
        Level::Warn
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ignore in &migrations.ignores {
            for rule in &ignore.rules {
                if !rule.used && levels::is_known(&rule.name) {
                    let message = format!("{} finds nothing that this comment ignores", rule.name);
                    let violation = ignore.violation(message);
                    violations
                        .push(violation.help("remove it, or move it right above the statement"));
                }
            }
        }
        violations
    }
}
