//! The rules of squawk, which come with its library.

use squawk_linter::{Linter, Rule, Version};

use crate::files::Direction;
use crate::lint::rules::{UNKNOWN_RULE, Violation};
use crate::lint::script::Script;
use crate::lint::{Level, Levels, Named};

const BY_ITSELF: &str = "squawk has it off by itself";
const BY_THE_RUNNER: &str = "the runner sets it for every statement";
const LOCKS: &str = "readers or writers may wait as long as the work takes";
const CLIENTS: &str = "pods of the older version may still use it";
const CLIENTS_FAIL: &str = "pods of one of the two versions fail while both are running";
const TYPES: &str = "another type is the better choice for new columns";

/// All of them with what they are by themselves, and why.
pub(super) const RULES: [(&str, Level, &str); 76] = [
    ("adding-field-with-default", Level::Warn, LOCKS),
    ("adding-foreign-key-constraint", Level::Warn, LOCKS),
    ("adding-not-nullable-field", Level::Warn, LOCKS),
    (
        "adding-required-field",
        Level::Deny,
        "it fails on a table with rows",
    ),
    ("adding-serial-primary-key-field", Level::Warn, LOCKS),
    ("ban-add-column", Level::Allow, BY_ITSELF),
    ("ban-add-composite-attribute", Level::Allow, BY_ITSELF),
    ("ban-add-enum-value", Level::Allow, BY_ITSELF),
    ("ban-alter-database-options", Level::Allow, BY_ITSELF),
    ("ban-alter-domain-with-add-constraint", Level::Warn, LOCKS),
    ("ban-alter-extension", Level::Allow, BY_ITSELF),
    ("ban-alter-function-options", Level::Allow, BY_ITSELF),
    ("ban-alter-generated-expression", Level::Allow, BY_ITSELF),
    ("ban-alter-identity", Level::Warn, CLIENTS),
    ("ban-alter-policy-condition", Level::Allow, BY_ITSELF),
    ("ban-alter-policy-roles", Level::Allow, BY_ITSELF),
    ("ban-alter-role-options", Level::Allow, BY_ITSELF),
    ("ban-alter-row-level-security", Level::Allow, BY_ITSELF),
    ("ban-alter-sequence-values", Level::Allow, BY_ITSELF),
    ("ban-alter-system-options", Level::Allow, BY_ITSELF),
    ("ban-alter-view-options", Level::Allow, BY_ITSELF),
    ("ban-char-field", Level::Warn, TYPES),
    (
        "ban-concurrent-index-creation-in-transaction",
        Level::Allow,
        "forbidden-in-transaction finds it, and everything else of that kind",
    ),
    (
        "ban-create-domain-with-constraint",
        Level::Warn,
        "its constraint cannot be changed without a lock on every table that uses it",
    ),
    ("ban-create-policy", Level::Allow, BY_ITSELF),
    ("ban-detach-inheritance", Level::Allow, BY_ITSELF),
    ("ban-disable-trigger", Level::Allow, BY_ITSELF),
    ("ban-drop-column", Level::Warn, CLIENTS),
    ("ban-drop-constraint", Level::Warn, CLIENTS),
    (
        "ban-drop-database",
        Level::Deny,
        "nothing brings its rows back",
    ),
    ("ban-drop-default", Level::Warn, CLIENTS),
    ("ban-drop-domain", Level::Warn, CLIENTS),
    ("ban-drop-extension", Level::Warn, CLIENTS),
    ("ban-drop-function", Level::Warn, CLIENTS),
    ("ban-drop-generated-expression", Level::Warn, CLIENTS),
    ("ban-drop-index", Level::Allow, BY_ITSELF),
    ("ban-drop-not-null", Level::Warn, CLIENTS),
    ("ban-drop-policy", Level::Allow, BY_ITSELF),
    ("ban-drop-schema", Level::Warn, CLIENTS),
    ("ban-drop-sequence", Level::Warn, CLIENTS),
    ("ban-drop-table", Level::Warn, CLIENTS),
    ("ban-drop-trigger", Level::Allow, BY_ITSELF),
    ("ban-drop-type", Level::Warn, CLIENTS),
    ("ban-drop-view", Level::Warn, CLIENTS),
    (
        "ban-duplicate-column-assignments",
        Level::Deny,
        "the server refuses it",
    ),
    ("ban-new-write-restriction", Level::Allow, BY_ITSELF),
    ("ban-replace-view-function", Level::Allow, BY_ITSELF),
    ("ban-replica-identity", Level::Allow, BY_ITSELF),
    ("ban-revoke", Level::Allow, BY_ITSELF),
    ("ban-set-default", Level::Allow, BY_ITSELF),
    ("ban-set-schema", Level::Deny, CLIENTS_FAIL),
    (
        "ban-truncate-cascade",
        Level::Deny,
        "it empties tables that it does not name",
    ),
    (
        "ban-uncommitted-transaction",
        Level::Allow,
        "transaction-control finds every BEGIN",
    ),
    ("changing-column-type", Level::Warn, LOCKS),
    ("constraint-missing-not-valid", Level::Warn, LOCKS),
    ("disallowed-unique-constraint", Level::Warn, LOCKS),
    (
        "identifier-too-long",
        Level::Warn,
        "the server cuts it without an error",
    ),
    ("prefer-bigint-over-int", Level::Warn, TYPES),
    ("prefer-bigint-over-smallint", Level::Warn, TYPES),
    ("prefer-identity", Level::Warn, TYPES),
    ("prefer-repack", Level::Warn, LOCKS),
    (
        "prefer-robust-stmts",
        Level::Allow,
        "the runner repeats nothing that is done, and IF NOT EXISTS takes an invalid index for a good one",
    ),
    ("prefer-text-field", Level::Warn, TYPES),
    ("prefer-timestamp-tz", Level::Warn, TYPES),
    ("renaming-column", Level::Deny, CLIENTS_FAIL),
    ("renaming-object", Level::Deny, CLIENTS_FAIL),
    ("renaming-table", Level::Deny, CLIENTS_FAIL),
    ("require-concurrent-index-creation", Level::Warn, LOCKS),
    ("require-concurrent-index-deletion", Level::Warn, LOCKS),
    ("require-concurrent-partition-detach", Level::Warn, LOCKS),
    ("require-concurrent-reindex", Level::Warn, LOCKS),
    (
        "require-enum-value-ordering",
        Level::Warn,
        "a value's place in the order cannot be changed later",
    ),
    ("require-lock-timeout", Level::Allow, BY_THE_RUNNER),
    ("require-statement-timeout", Level::Allow, BY_THE_RUNNER),
    ("require-table-schema", Level::Allow, BY_ITSELF),
    (
        "transaction-nesting",
        Level::Allow,
        "transaction-control finds it, and leaves savepoints alone",
    ),
];

/// Whether a rule is about how long others wait, so that it means nothing for a table that nobody uses yet.
pub(crate) fn is_about_locks(rule: &str) -> bool {
    let is_ours = matches!(rule, "lock-order" | "several-strong-locks");
    let squawks = RULES.iter().find(|(name, _, _)| *name == rule);
    is_ours || squawks.is_some_and(|(_, _, reason)| *reason == LOCKS)
}

/// Those of the rules that are on.
pub(super) struct Squawk {
    rules: Vec<Rule>,
    version: Version,
}

impl Squawk {
    pub(super) fn new(levels: &Levels, version: Option<Version>) -> Self {
        let names = RULES.iter().map(|(name, _, _)| *name);
        let rules = names
            .filter(|name| levels.of(name) > Level::Allow)
            .filter_map(|name| name.parse().ok());
        Self {
            rules: rules.collect(),
            version: version.or_else(|| "16".parse().ok()).unwrap_or_default(),
        }
    }

    /// Looks at what applies a migration. What undoes one is there to drop and to rename, so nothing is looked for.
    pub(super) fn check(&self, script: &Script<'_>) -> Vec<Named> {
        if script.direction == Direction::Down || !script.is_understood() {
            return Vec::new();
        }
        let mut linter = Linter::from(self.rules.iter().copied());
        linter.settings.pg_version = self.version;
        linter.settings.assume_in_transaction = script.is_transactional();
        let violations = linter.lint(&script.parse, script.sql);
        violations
            .into_iter()
            .map(|violation| named(script, violation))
            .collect()
    }
}

fn named(script: &Script<'_>, found: squawk_linter::Violation) -> Named {
    let name = found.code.to_string();
    let known = RULES.iter().find(|(known, _, _)| *known == name);
    // What is not in the list is its word for a comment that names no rule of it.
    let rule = known.map_or(UNKNOWN_RULE, |(known, _, _)| known);
    let range = found.text_range.start().into()..found.text_range.end().into();
    let help = found.help.or_else(|| Some(found.fix?.title));
    let violation = Violation {
        help,
        ..script.violation(range, found.message)
    };
    (rule, violation)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_list_holds_all_rules_under_their_names() {
        let listed: Vec<Rule> = RULES
            .iter()
            .map(|(name, _, _)| name.parse().unwrap())
            .collect();
        for rule in enum_iterator::all::<Rule>() {
            let is_alias = !rule.expands_to().is_empty();
            let is_listed = listed.contains(&rule);
            assert_ne!(is_listed, is_alias || rule == Rule::UnusedIgnore, "{rule}");
        }
        for (rule, (name, _, _)) in listed.iter().zip(RULES) {
            assert_eq!(rule.to_string(), name);
        }
    }

    #[test]
    fn what_squawk_has_off_is_off() {
        for (name, level, reason) in RULES {
            let rule: Rule = name.parse().unwrap();
            assert_eq!(
                rule.is_opt_in() && level == Level::Allow,
                reason == BY_ITSELF,
                "{name}"
            );
        }
    }
}
