//! What is reported, and what counts as an error.

use std::collections::BTreeMap;
use std::fmt;

use crate::lint::rules::unused_ignore::UnusedIgnore;
use crate::lint::rules::{self, Rule};
use crate::lint::squawk;

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It is not looked for.
    Allow,
    /// It is reported.
    Warn,
    /// It is reported and makes the run fail.
    Deny,
}

/// What becomes of the findings of each rule.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    all: Option<Level>,
    named: BTreeMap<&'static str, Level>,
}

/// A name that no rule has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule {name}; the nearest name is {nearest}")]
pub struct UnknownRule {
    /// The name.
    pub name: String,
    /// The name most like it.
    pub nearest: &'static str,
}

impl Levels {
    /// The levels that the rules have by themselves, but for those named here. `all` stands for every rule that is on.
    /// What is named goes before `all`, and for a rule named more than once allow goes before deny, and deny before
    /// warn.
    pub fn new(deny: &[String], warn: &[String], allow: &[String]) -> Result<Self, UnknownRule> {
        let mut levels = Self::default();
        for (level, names) in [
            (Level::Warn, warn),
            (Level::Deny, deny),
            (Level::Allow, allow),
        ] {
            for name in names {
                levels.set(name, level)?;
            }
        }
        Ok(levels)
    }

    fn set(&mut self, name: &str, level: Level) -> Result<(), UnknownRule> {
        if name == "all" {
            self.all = Some(level);
            return Ok(());
        }
        let known = known().find(|(known, _)| *known == name);
        let (known, _) = known.ok_or_else(|| UnknownRule {
            name: name.to_owned(),
            nearest: nearest(name),
        })?;
        self.named.insert(known, level);
        Ok(())
    }

    /// The level of a rule's findings.
    #[must_use]
    pub fn of(&self, rule: &str) -> Level {
        if let Some(level) = self.named.get(rule) {
            return *level;
        }
        let default = known().find(|(known, _)| *known == rule);
        match default.map_or(Level::Allow, |(_, level)| level) {
            Level::Allow => Level::Allow,
            default => self.all.unwrap_or(default),
        }
    }
}

impl Level {
    /// Its name in options and results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// All rules with their own levels.
fn known() -> impl Iterator<Item = (&'static str, Level)> {
    let ours = rules::ALL.iter().map(|rule| (rule.name(), rule.level()));
    let last = std::iter::once((UnusedIgnore.name(), UnusedIgnore.level()));
    let squawks = squawk::RULES.iter().map(|(name, level, _)| (*name, *level));
    ours.chain(last).chain(squawks)
}

/// Whether a rule has this name.
pub(super) fn is_known(name: &str) -> bool {
    known().any(|(known, _)| known == name)
}

/// The rule whose name is most like this one.
pub(super) fn nearest(name: &str) -> &'static str {
    known()
        .map(|(known, _)| known)
        .min_by_key(|known| strsim::levenshtein(known, name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn levels(deny: &[&str], warn: &[&str], allow: &[&str]) -> Result<Levels, UnknownRule> {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        Levels::new(&owned(deny), &owned(warn), &owned(allow))
    }

    #[test]
    fn without_options_rules_have_their_own_levels() {
        let levels = Levels::default();
        assert_eq!(levels.of("missing-down"), Level::Warn);
        assert_eq!(levels.of("transaction-control"), Level::Deny);
        assert_eq!(levels.of("require-lock-timeout"), Level::Allow);
        assert_eq!(levels.of("no-rule"), Level::Allow);
    }

    #[test]
    fn what_is_named_goes_before_all() {
        let levels = levels(&["all"], &["missing-down"], &["lock-order"]).unwrap();
        assert_eq!(levels.of("missing-down"), Level::Warn);
        assert_eq!(levels.of("lock-order"), Level::Allow);
        assert_eq!(levels.of("syntax"), Level::Deny);
        assert_eq!(levels.of("require-lock-timeout"), Level::Allow);
    }

    #[test]
    fn what_is_off_can_be_turned_on() {
        let levels = levels(&[], &["require-table-schema"], &[]).unwrap();
        assert_eq!(levels.of("require-table-schema"), Level::Warn);
    }

    #[test]
    fn an_unknown_name_is_told_with_the_nearest() {
        let error = levels(&["missing-dawn"], &[], &[]).unwrap_err();
        assert_eq!(error.nearest, "missing-down");
    }

    #[test]
    fn no_two_rules_have_the_same_name() {
        let mut names: Vec<_> = known().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
