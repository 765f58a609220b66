//! Findings for people.

use crate::lint::{Finding, Report};

/// All findings, then one line about them.
pub(super) fn render(report: &Report) -> String {
    let findings: String = report.findings.iter().map(finding).collect();
    format!("{findings}{}\n", report.summary())
}

/// A finding with its line, a marker below it, and what to do instead.
pub(crate) fn finding(finding: &Finding) -> String {
    let Finding {
        rule,
        level,
        line,
        column,
        message,
        source,
        ..
    } = finding;
    let margin = " ".repeat(line.to_string().len());
    let marker = marker(finding);
    let help = finding
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!("  help: {help}\n"));
    format!(
        "{path}:{line}:{column}: {level}[{rule}]: {message}\n  {line} | {source}\n  {margin} | {marker}\n{help}",
        path = finding.path.display()
    )
}

/// What stands below the line: tabs as in it, spaces, and a caret below each character found.
fn marker(finding: &Finding) -> String {
    let before = finding.source.chars().take(finding.column - 1);
    let indent: String = before
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    let line_end = finding.source.trim_end().chars().count() + 1;
    let end = if finding.end_line == finding.line {
        finding.end_column.min(line_end)
    } else {
        line_end
    };
    indent + &"^".repeat(end.saturating_sub(finding.column).max(1))
}
