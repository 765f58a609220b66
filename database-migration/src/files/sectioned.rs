//! The sectioned format: a header of comments, `-- +++++ UP`, SQL, and optionally `-- +++++ DOWN` and SQL.

/// The parts of a sectioned file. Line ends are `\n`; blank lines around a section are not part of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) description: Option<String>,
    pub(super) up: Section,
    pub(super) down: Option<Section>,
}

/// One section's SQL and the line of the file that it begins on, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) sql: String,
    pub(super) first_line: usize,
}

/// Why a text is not a sectioned file: the line, counted from 1, and the reason.
pub(super) type SectionError = (usize, String);

/// Splits a text at its section markers. Nothing else of it is looked at or changed.
pub(super) fn parse(text: &str) -> Result<Sections, SectionError> {
    let text = text
        .strip_prefix('\u{FEFF}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let mut up_marker = None;
    let mut down_marker = None;
    for (index, line) in lines.iter().enumerate() {
        let slot = match marker(line) {
            None => continue,
            Some(Marker::Up) if down_marker.is_some() => {
                return Err((index + 1, "the UP section must come before DOWN".to_owned()));
            }
            Some(Marker::Up) => &mut up_marker,
            Some(Marker::Down) => &mut down_marker,
            Some(Marker::Unknown) => {
                return Err((
                    index + 1,
                    format!("{line:?} is no section; expected -- +++++ UP or -- +++++ DOWN"),
                ));
            }
        };
        if let Some(first) = slot.replace(index) {
            return Err((
                index + 1,
                format!("the section was already begun on line {}", first + 1),
            ));
        }
    }

    let Some(up_marker) = up_marker else {
        return Err((1, "there is no line -- +++++ UP".to_owned()));
    };
    let description = header(&lines[..up_marker])?;
    let up_end = down_marker.unwrap_or(lines.len());
    let up = section(&lines, up_marker + 1, up_end)
        .ok_or((up_marker + 1, "the UP section is empty".to_owned()))?;
    let down = down_marker.and_then(|marker| section(&lines, marker + 1, lines.len()));
    Ok(Sections {
        description,
        up,
        down,
    })
}

enum Marker {
    Up,
    Down,
    Unknown,
}

fn marker(line: &str) -> Option<Marker> {
    let title = line.strip_prefix("--")?.trim_start().strip_prefix("+++")?;
    Some(match title.trim_start_matches('+').trim() {
        "UP" => Marker::Up,
        "DOWN" => Marker::Down,
        _ => Marker::Unknown,
    })
}

/// Checks that nothing but comments stands above the UP section, and finds the description.
fn header(lines: &[&str]) -> Result<Option<String>, SectionError> {
    let mut description = None;
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some(comment) = line.strip_prefix("--") else {
            return Err((
                index + 1,
                "above -- +++++ UP there may only be comments".to_owned(),
            ));
        };
        if let Some(text) = comment.trim().strip_prefix("Description:") {
            description = Some(text.trim().to_owned());
        }
    }
    Ok(description)
}

/// The lines from `start` up to `end` without the blank ones around them; nothing if there are no others.
fn section(lines: &[&str], start: usize, end: usize) -> Option<Section> {
    let is_filled = |line: &&str| !line.trim().is_empty();
    let first = start + lines[start..end].iter().position(is_filled)?;
    let last = start + lines[start..end].iter().rposition(is_filled)?;
    Some(Section {
        sql: lines[first..=last].join("\n"),
        first_line: first + 1,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "-- Migration: a\n-- Description: Adds a\n\n-- +++++ UP\n\nCREATE TABLE a ();\n\n\
                        -- +++++ DOWN\nDROP TABLE a;\n";

    #[test]
    fn sections_and_their_lines_are_found() {
        let sections = parse(FILE).unwrap();
        assert_eq!(sections.description.as_deref(), Some("Adds a"));
        assert_eq!(sections.up.sql, "CREATE TABLE a ();");
        assert_eq!(sections.up.first_line, 6);
        assert_eq!(sections.down.unwrap().sql, "DROP TABLE a;");
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_make_no_difference() {
        let windows = format!("\u{FEFF}{}", FILE.replace('\n', "\r\n"));
        assert_eq!(parse(&windows).unwrap(), parse(FILE).unwrap());
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        for (text, line, reason) in [
            ("CREATE TABLE a ();", 1, "no line -- +++++ UP"),
            ("-- +++++ UP\n\n", 1, "UP section is empty"),
            ("-- +++++ UP\n-- +++++ DOWN\nDROP", 1, "UP section is empty"),
            ("SELECT 1;\n-- +++++ UP\nSELECT 2;", 1, "only be comments"),
            (
                "-- +++++ UP\nSELECT 1;\n-- +++++ UP\nSELECT 2;",
                3,
                "already begun on line 1",
            ),
            (
                "-- +++++ DOWN\nSELECT 1;\n-- +++++ UP\nSELECT 2;",
                3,
                "must come before DOWN",
            ),
            ("-- +++++ Up\nSELECT 1;", 1, "is no section"),
        ] {
            let (found, message) = parse(text).unwrap_err();
            assert_eq!(found, line, "{text:?}");
            assert!(message.contains(reason), "{text:?}: {message}");
        }
    }

    /// Lines that are no markers, the first and the last of them not blank.
    fn body() -> impl Strategy<Value = String> {
        "[^\\s-][^\n\r]{0,20}(\n[^\n\r-][^\n\r]{0,20}){0,5}"
            .prop_map(|text| text.trim_end().to_owned())
    }

    proptest! {
        #[test]
        fn any_text_is_either_understood_or_refused(text in "(-- \\+{3,5} (UP|DOWN)|[\\s\\S]|\r\n|--){0,40}") {
            if let Ok(sections) = parse(&text) {
                let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text).replace("\r\n", "\n");
                let line = text.split('\n').nth(sections.up.first_line - 1).unwrap();
                prop_assert!(sections.up.sql.starts_with(line));
                prop_assert!(text.contains(&sections.up.sql));
            }
        }

        #[test]
        fn what_was_put_together_is_taken_apart(
            up in body(),
            down in proptest::option::of(body()),
            line_end in prop_oneof![Just("\n"), Just("\r\n")],
            blank_lines in 0..3_usize,
        ) {
            let blank = "\n".repeat(blank_lines);
            let down_section = down.as_ref().map_or(String::new(), |down| format!("-- +++++ DOWN\n{down}\n"));
            let file = format!("-- Description: test\n-- +++++ UP\n{blank}{up}\n{blank}{down_section}");
            let sections = parse(&file.replace('\n', line_end)).unwrap();
            prop_assert_eq!(sections.up.first_line, 3 + blank_lines);
            prop_assert_eq!(sections.up.sql, up);
            prop_assert_eq!(sections.down.map(|section| section.sql), down);
        }
    }
}
