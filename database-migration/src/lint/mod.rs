//! Finds in migrations what will not run, what makes others wait, and what cannot be taken back.
//!
//! A rule of our own is a file in `rules/` that implements [`rules::Rule`], its line in [`rules::ALL`] and its page
//! `docs/lint/<name>.md`. The rules of squawk come with its library; [`squawk::RULES`] says which of them are on.

mod finding;
mod format;
mod ignore;
mod levels;
mod rules;
mod script;
mod squawk;

use std::collections::BTreeSet;

use crate::files::MigrationFile;
use crate::lint::ignore::Ignore;
use crate::lint::rules::unused_ignore::UnusedIgnore;
use crate::lint::rules::{Rule, Violation};
use crate::lint::squawk::Squawk;

pub(crate) use finding::count;
pub use finding::{Finding, Report};
pub use format::LintFormat;
pub use levels::{Level, Levels, UnknownRule};
pub use squawk_linter::Version as PostgresVersion;

pub(crate) use format::{FindingRow, finding_as_text};
pub(crate) use script::{Script, Statement};
pub(crate) use squawk::is_about_locks;

/// What the linter is to look for.
#[derive(Clone, Default)]
pub struct LintSettings {
    /// What is reported, and what counts as an error.
    pub levels: Levels,
    /// The version of the server that the migrations are for; without it, 16.
    pub postgres_version: Option<PostgresVersion>,
}

/// Migrations as rules see them.
pub(crate) struct Migrations<'set> {
    /// Each migration's SQL, followed by the one that undoes it.
    pub(crate) scripts: Vec<Script<'set>>,
    /// The comments that say what is not to be reported.
    pub(crate) ignores: Vec<Ignore>,
}

/// A violation of the rule of this name.
type Named = (&'static str, Violation);

/// Looks at migrations, in the order of their versions, with all rules that are on.
pub fn lint<'set>(
    files: impl IntoIterator<Item = &'set MigrationFile>,
    settings: &LintSettings,
) -> Report {
    let mut migrations = Migrations::of(files);
    let is_on = |rule: &str| settings.levels.of(rule) > Level::Allow;
    let squawk = Squawk::new(&settings.levels, settings.postgres_version);

    let mut violations: Vec<Named> = Vec::new();
    for rule in rules::ALL.iter().filter(|rule| is_on(rule.name())) {
        violations.extend(named(*rule, &migrations));
    }
    for script in &migrations.scripts {
        violations.extend(squawk.check(script));
    }
    violations.retain(|(rule, _)| is_on(rule));

    let found = violations.len();
    migrations.drop_ignored(&mut violations);
    let ignored = found - violations.len();
    if is_on(UnusedIgnore.name()) {
        migrations.mark_unjudged(is_on);
        violations.extend(named(&UnusedIgnore, &migrations));
    }
    migrations.report(violations, ignored, &settings.levels)
}

/// All rules: what each is without options, what it finds, and why.
#[must_use]
pub fn rule_list() -> String {
    let last: &dyn Rule = &UnusedIgnore;
    let ours = rules::ALL.into_iter().chain(std::iter::once(last));
    let ours = ours.map(|rule| {
        let (name, level, title, why) = (rule.name(), rule.level(), rule.title(), rule.why());
        format!("{level:5} {name}: {title} ({why})\n")
    });
    let squawks = squawk::RULES
        .iter()
        .map(|(name, level, why)| format!("{level:5} {name}, of squawk ({why})\n"));
    ours.chain(squawks).collect()
}

fn named(rule: &dyn Rule, migrations: &Migrations<'_>) -> Vec<Named> {
    let violations = rule.check(migrations).into_iter();
    violations
        .map(|violation| (rule.name(), violation))
        .collect()
}

impl<'set> Migrations<'set> {
    fn of(files: impl IntoIterator<Item = &'set MigrationFile>) -> Self {
        let mut scripts = Vec::new();
        let mut ignores = Vec::new();
        for file in files {
            let first = scripts.len();
            scripts.push(Script::up(file, first));
            scripts.extend(Script::down(file, first + 1));
            ignores.extend(ignore::of_header(&scripts[first]));
            ignores.extend(scripts[first..].iter().flat_map(ignore::of_script));
        }
        Self { scripts, ignores }
    }

    /// All statements with the script they stand in.
    pub(crate) fn statements(&self) -> impl Iterator<Item = (&Script<'set>, &Statement)> {
        self.scripts.iter().flat_map(|script| {
            let statements = script.statements.iter();
            statements.map(move |statement| (script, statement))
        })
    }

    /// Takes away what comments say is not to be reported, and marks those comments as used.
    fn drop_ignored(&mut self, violations: &mut Vec<Named>) {
        violations.retain(|(rule, violation)| {
            let mut is_ignored = false;
            for ignore in &mut self.ignores {
                is_ignored |= ignore.takes(rule, violation, &self.scripts);
            }
            !is_ignored
        });
    }

    /// Marks as used what nobody can tell to be unused: rules that are off, and text that does not parse.
    fn mark_unjudged(&mut self, is_on: impl Fn(&str) -> bool) {
        for ignore in &mut self.ignores {
            let is_understood = self.scripts[ignore.script].is_understood();
            for rule in &mut ignore.rules {
                rule.used |= !is_understood || !is_on(&rule.name);
            }
        }
    }

    fn report(self, mut violations: Vec<Named>, ignored: usize, levels: &Levels) -> Report {
        violations.sort_by(|(rule, violation), (other_rule, other)| {
            violation.cmp(other).then(rule.cmp(other_rule))
        });
        violations.dedup();
        let versions: BTreeSet<_> = self
            .scripts
            .iter()
            .map(|script| script.file.version)
            .collect();
        let findings = violations.into_iter().map(|(rule, violation)| {
            let script = &self.scripts[violation.script];
            Finding::new(rule, levels.of(rule), violation, script)
        });
        Report {
            findings: findings.collect(),
            migrations: versions.len(),
            ignored,
        }
    }
}

#[cfg(test)]
mod tests;
