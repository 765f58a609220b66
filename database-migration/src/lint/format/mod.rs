//! The forms that findings are written in, a file each.

mod github;
mod json;
mod text;

use clap::ValueEnum;

use crate::lint::Report;

pub(crate) use json::FindingRow;
pub(crate) use text::finding as finding_as_text;

/// The form that findings are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LintFormat {
    /// For people, as a compiler writes it.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// Workflow commands that GitHub shows beside the lines.
    Github,
}

impl LintFormat {
    /// Writes all findings.
    #[must_use]
    pub fn render(self, report: &Report) -> String {
        match self {
            Self::Text => text::render(report),
            Self::Json => json::render(report),
            Self::Github => github::render(report),
        }
    }
}
