//! What has to be done: the files compared with the history.

use std::fmt;

use exit_code::{ExitCode, Failure};

use crate::files::{MigrationFile, MigrationSet};
use crate::history::Applied;

/// What has to be done to bring a database to the newest version.
#[derive(Debug)]
pub struct Plan<'set> {
    /// The newest version applied.
    pub current: Option<Applied>,
    /// Migrations to apply, in this order.
    pub pending: Vec<&'set MigrationFile>,
    /// Versions in the history above the newest file: the database is ahead of this program.
    pub ahead: Vec<Applied>,
    /// Contradictions that the rules let pass, in words.
    pub tolerated: Vec<String>,
}

/// Which contradictions between files and history stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether a file must be what was applied.
    pub checksum_validation: bool,
    /// Whether a file below the newest applied version may be applied now.
    pub out_of_order: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            checksum_validation: true,
            out_of_order: false,
        }
    }
}

/// Files and history contradict each other. All contradictions are reported at once.
#[derive(Debug, thiserror::Error)]
pub struct Disagreement(Vec<Contradiction>);

#[derive(Debug)]
enum Contradiction {
    /// The file is not what was applied.
    Changed {
        applied: Applied,
        file: MigrationFile,
    },
    /// An applied version has no file, though newer ones have.
    Missing { applied: Applied },
    /// A file is older than what was applied, but was not applied itself.
    OutOfOrder { file: MigrationFile, newest: i64 },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "migration files and history disagree; nothing was applied"
        )?;
        for contradiction in &self.0 {
            write!(formatter, "\n  {contradiction}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { applied, file } => write!(
                formatter,
                "{}: changed after it was applied as version {} {}: checksum {} in the history, {} {} in the file",
                file.path.display(),
                applied.version(),
                applied.name(),
                applied.checksum(),
                file.name,
                file.checksum,
            ),
            Self::Missing { applied } => write!(
                formatter,
                "version {} {} was applied, but there is no file for it",
                applied.version(),
                applied.name()
            ),
            Self::OutOfOrder { file, newest } => write!(
                formatter,
                "{}: not applied, though version {newest} is",
                file.path.display()
            ),
        }
    }
}

impl Failure for Disagreement {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Disagreement
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "restore the files as they were applied, and put changes into a migration with a new, higher version; \
             database-migration status shows all of them"
                .to_owned(),
        )
    }
}

impl<'set> Plan<'set> {
    /// Compares files and history by the rules of DESIGN, "Rules about history".
    pub fn new(
        set: &'set MigrationSet,
        history: Vec<Applied>,
        rules: Rules,
    ) -> Result<Self, Disagreement> {
        let newest_applied = history.last().map(Applied::version);
        let current = history.last().cloned();
        let mut plan = Self {
            current,
            pending: Vec::new(),
            ahead: Vec::new(),
            tolerated: Vec::new(),
        };
        let mut contradictions = Vec::new();
        // Both are in the order of their versions.
        let mut history = history.into_iter().peekable();
        for file in set.files() {
            while let Some(applied) = history.next_if(|applied| applied.version() < file.version) {
                contradictions.push(Contradiction::Missing { applied });
            }
            match history.next_if(|applied| applied.version() == file.version) {
                Some(applied) if file.is(&applied) => {}
                Some(applied) => {
                    let file = file.clone();
                    let changed = Contradiction::Changed { applied, file };
                    if rules.checksum_validation {
                        contradictions.push(changed);
                    } else {
                        plan.tolerated.push(changed.to_string());
                    }
                }
                None => match newest_applied {
                    Some(newest) if file.version < newest && !rules.out_of_order => {
                        let file = file.clone();
                        contradictions.push(Contradiction::OutOfOrder { file, newest });
                    }
                    _ => plan.pending.push(file),
                },
            }
        }
        plan.ahead.extend(history);
        if contradictions.is_empty() {
            Ok(plan)
        } else {
            Err(Disagreement(contradictions))
        }
    }
}
