//! Findings for programs. The fields are described in `docs/lint/README.md` and keep their meaning.

use serde::Serialize;

use crate::lint::{Finding, Level, Report};

#[derive(Serialize)]
struct Document<'report> {
    findings: Vec<FindingRow<'report>>,
    migrations: usize,
    denied: usize,
    warnings: usize,
    ignored: usize,
}

/// A finding as a JSON object.
#[derive(Serialize)]
pub(crate) struct FindingRow<'report> {
    rule: &'static str,
    level: &'static str,
    version: i64,
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    message: &'report str,
    help: Option<&'report str>,
}

impl<'report> From<&'report Finding> for FindingRow<'report> {
    fn from(finding: &'report Finding) -> Self {
        Self {
            rule: finding.rule,
            level: finding.level.name(),
            version: finding.version,
            file: finding.path.display().to_string(),
            line: finding.line,
            column: finding.column,
            end_line: finding.end_line,
            end_column: finding.end_column,
            message: &finding.message,
            help: finding.help.as_deref(),
        }
    }
}

/// One document with a line end.
pub(super) fn render(report: &Report) -> String {
    let document = Document {
        findings: report.findings.iter().map(FindingRow::from).collect(),
        migrations: report.migrations,
        denied: report.count(Level::Deny),
        warnings: report.count(Level::Warn),
        ignored: report.ignored,
    };
    format!("{:#}\n", serde_json::json!(document))
}
