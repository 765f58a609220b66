//! What a column accepts, by its own type, and how PostgreSQL writes it.

use crate::rejection::shown;

/// A column of the target table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The type as PostgreSQL prints it.
    pub(crate) type_name: String,
    /// The collation, quoted, where it is not the type's own.
    pub(crate) collation: Option<String>,
    /// Whether only equal texts are equal values, which a collation that ignores case denies.
    pub(crate) is_deterministic: bool,
    /// The type's category, a letter that `pg_type` documents.
    pub(crate) category: String,
    pub(crate) is_required: bool,
    pub(crate) has_default: bool,
}

/// What can be checked before the server sees a value. Other types are left to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text of at most so many characters.
    Text { limit: Option<usize> },
    /// A decimal number with so many digits before and after the point.
    Decimal { whole: usize, fraction: usize },
    /// A whole number in this range.
    Integer { minimum: i64, maximum: i64 },
    /// True or false.
    Boolean,
    /// Anything that the server reads.
    Other,
}

impl Kind {
    /// From the catalog's type oid and modifier, as `pg_type.dat` and `numeric.c` define them.
    pub(crate) fn from_catalog(oid: u32, modifier: i32) -> Self {
        const BOOL: u32 = 16;
        const INT8: u32 = 20;
        const INT2: u32 = 21;
        const INT4: u32 = 23;
        const TEXT: u32 = 25;
        const VARCHAR: u32 = 1043;
        const NUMERIC: u32 = 1700;
        /// Both length and precision are stored with the size of a header added.
        const HEADER: i32 = 4;
        match oid {
            BOOL => Self::Boolean,
            TEXT => Self::Text { limit: None },
            VARCHAR => Self::Text {
                limit: usize::try_from(modifier - HEADER).ok(),
            },
            INT2 => Self::Integer {
                minimum: i16::MIN.into(),
                maximum: i16::MAX.into(),
            },
            INT4 => Self::Integer {
                minimum: i32::MIN.into(),
                maximum: i32::MAX.into(),
            },
            INT8 => Self::Integer {
                minimum: i64::MIN,
                maximum: i64::MAX,
            },
            NUMERIC => {
                let precision = usize::try_from((modifier - HEADER) >> 16).ok();
                let scale = usize::try_from((modifier - HEADER) & 0x7FF).ok();
                match (precision, scale) {
                    (Some(precision), Some(scale)) if modifier >= HEADER && scale <= precision => {
                        Self::Decimal {
                            whole: precision - scale,
                            fraction: scale,
                        }
                    }
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }

    /// Whether [`Column::write`] writes a value as the server would.
    pub(crate) fn is_canonical(self) -> bool {
        self != Self::Other
    }
}

impl Column {
    /// Whether the time of the load can be written to it: the server assigns it to dates, times and texts only.
    pub(crate) fn takes_time(&self) -> bool {
        matches!(&*self.category, "D" | "S")
    }

    /// Checks a value and writes it as COPY's text format has it, in the form in which the server writes it; none is NULL.
    pub(crate) fn write(&self, value: Option<&[u8]>, buffer: &mut Vec<u8>) -> Result<(), String> {
        let Some(value) = value else {
            if self.is_required {
                return Err("it is empty, but a value is required".to_owned());
            }
            buffer.extend_from_slice(b"\\N");
            return Ok(());
        };
        let text = std::str::from_utf8(value)
            .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
        match self.kind {
            Kind::Text { limit } => {
                check_length(text, limit)?;
                write_text(text, buffer)
            }
            Kind::Decimal { whole, fraction } => write_decimal(text, whole, fraction, buffer),
            Kind::Integer { minimum, maximum } => write_integer(text, minimum, maximum, buffer),
            Kind::Boolean => write_boolean(text, buffer),
            Kind::Other => write_text(text, buffer),
        }
    }
}

fn check_length(text: &str, limit: Option<usize>) -> Result<(), String> {
    let Some(limit) = limit.filter(|limit| text.len() > *limit) else {
        return Ok(());
    };
    let length = text.chars().count();
    if length <= limit {
        return Ok(());
    }
    Err(format!(
        "{} has {length} characters; at most {limit} fit",
        shown(text)
    ))
}

/// Text as the documentation of COPY, section "Text Format", has it. Eight bytes are looked at and copied at a time: most
/// values are so short that a call for each copy takes longer than the copy.
fn write_text(text: &str, buffer: &mut Vec<u8>) -> Result<(), String> {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        if word
            .iter()
            .fold(false, |is, byte| is | may_be_special(*byte))
        {
            write_bytes(word, buffer)?;
        } else {
            buffer.extend_from_slice(word);
        }
    }
    write_bytes(rest, buffer)
}

fn may_be_special(byte: u8) -> bool {
    byte < b' ' || byte == b'\\'
}

fn write_bytes(bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), String> {
    for &byte in bytes {
        let escaped = match byte {
            0 => return Err("it contains a NUL byte, which PostgreSQL cannot store".to_owned()),
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0B => b'v',
            0x0C => b'f',
            b'\r' => b'r',
            b'\\' => b'\\',
            _ => {
                buffer.push(byte);
                continue;
            }
        };
        buffer.extend_from_slice(&[b'\\', escaped]);
    }
    Ok(())
}

/// More digits than the type holds are refused, since the server would round them silently.
fn write_decimal(
    text: &str,
    whole: usize,
    fraction: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !(before.is_empty() && after.is_empty())
        && before
            .bytes()
            .chain(after.bytes())
            .all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(format!(
            "{} is not a decimal number such as 12.99",
            shown(text)
        ));
    }
    let before = before.trim_start_matches('0');
    let after = after.trim_end_matches('0');
    if before.len() > whole {
        return Err(format!(
            "{} has more than {whole} digits before the point",
            shown(text)
        ));
    }
    if after.len() > fraction {
        return Err(format!(
            "{} has more than {fraction} digits after the point",
            shown(text)
        ));
    }
    let is_zero = before.is_empty() && after.is_empty();
    if text.starts_with('-') && !is_zero {
        buffer.push(b'-');
    }
    write_text(if before.is_empty() { "0" } else { before }, buffer)?;
    if fraction > 0 {
        buffer.push(b'.');
        write_text(after, buffer)?;
        buffer.resize(buffer.len() + fraction - after.len(), b'0');
    }
    Ok(())
}

fn write_integer(
    text: &str,
    minimum: i64,
    maximum: i64,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    match text.parse::<i64>() {
        Ok(number) if (minimum..=maximum).contains(&number) => {
            buffer.extend_from_slice(number.to_string().as_bytes());
            Ok(())
        }
        _ => Err(format!(
            "{} is not a whole number from {minimum} to {maximum}",
            shown(text)
        )),
    }
}

/// The words that the server takes, but not their abbreviations.
fn write_boolean(text: &str, buffer: &mut Vec<u8>) -> Result<(), String> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "t", "yes", "y", "on", "1"]) {
        buffer.push(b't');
    } else if is_one_of(&["false", "f", "no", "n", "off", "0"]) {
        buffer.push(b'f');
    } else {
        return Err(format!("{} is neither true nor false", shown(text)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn column(kind: Kind, is_required: bool) -> Column {
        Column {
            name: "c".to_owned(),
            kind,
            type_name: String::new(),
            collation: None,
            is_deterministic: true,
            category: String::new(),
            is_required,
            has_default: false,
        }
    }

    fn written(column: &Column, value: &[u8]) -> Result<String, String> {
        let mut buffer = Vec::new();
        column.write(Some(value), &mut buffer)?;
        Ok(String::from_utf8(buffer).unwrap())
    }

    #[test]
    fn types_are_read_from_the_catalog() {
        // numeric(10,2), varchar(50), varchar, integer, timestamptz
        assert_eq!(
            Kind::from_catalog(1700, ((10 << 16) | 2) + 4),
            Kind::Decimal {
                whole: 8,
                fraction: 2
            }
        );
        assert_eq!(Kind::from_catalog(1043, 54), Kind::Text { limit: Some(50) });
        assert_eq!(Kind::from_catalog(1043, -1), Kind::Text { limit: None });
        assert_eq!(
            Kind::from_catalog(23, -1),
            Kind::Integer {
                minimum: -2_147_483_648,
                maximum: 2_147_483_647
            }
        );
        assert_eq!(Kind::from_catalog(1184, -1), Kind::Other);
        assert_eq!(Kind::from_catalog(1700, -1), Kind::Other);
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let price = column(
            Kind::Decimal {
                whole: 8,
                fraction: 2,
            },
            true,
        );
        for (given, expected) in [
            ("0", "0.00"),
            ("12.99", "12.99"),
            ("12.9900", "12.99"),
            ("-1.5", "-1.50"),
            ("-0", "0.00"),
            ("+1", "1.00"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("0000000012345678.1", "12345678.10"),
        ] {
            assert_eq!(written(&price, given.as_bytes()), Ok(expected.to_owned()));
        }
        for bad in [
            "",
            "abc",
            "12,99",
            "1e3",
            "NaN",
            "Infinity",
            "1.999",
            "123456789",
            ".",
            "-",
            "1 ",
            "0x10",
            "--1",
        ] {
            assert!(written(&price, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_measured_in_characters() {
        let name = column(Kind::Text { limit: Some(3) }, false);
        assert_eq!(written(&name, "äöü".as_bytes()), Ok("äöü".to_owned()));
        assert_eq!(
            written(&name, b"abcd"),
            Err("\"abcd\" has 4 characters; at most 3 fit".to_owned())
        );
        assert_eq!(written(&name, b""), Ok(String::new()));
        assert!(written(&name, b"a\0").is_err());
        assert_eq!(
            written(&name, b"a\xFF"),
            Err("byte 2 is not UTF-8".to_owned())
        );
    }

    #[test]
    fn what_separates_rows_and_fields_is_escaped() {
        let text = column(Kind::Text { limit: None }, false);
        assert_eq!(
            written(&text, b"a\tb\\c\nd\re\x08\x0B\x0C"),
            Ok("a\\tb\\\\c\\nd\\re\\b\\v\\f".to_owned())
        );
    }

    #[test]
    fn null_is_told_from_an_empty_text_and_refused_where_a_value_is_required() {
        let mut buffer = Vec::new();
        let kind = Kind::Text { limit: None };
        assert_eq!(column(kind, false).write(None, &mut buffer), Ok(()));
        assert_eq!(buffer, b"\\N");
        assert!(column(kind, true).write(None, &mut buffer).is_err());
        assert_eq!(written(&column(kind, true), b""), Ok(String::new()));
    }

    #[test]
    fn truth_has_one_form() {
        let truth = column(Kind::Boolean, true);
        for word in ["true", "T", "Yes", "1", "on"] {
            assert_eq!(written(&truth, word.as_bytes()), Ok("t".to_owned()));
        }
        assert_eq!(written(&truth, b"FALSE"), Ok("f".to_owned()));
        assert!(written(&truth, b"maybe").is_err());
    }
}
