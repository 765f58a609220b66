//! What a column accepts, by its own type.

use crate::rejection::shown;

/// A column of the target table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The type as PostgreSQL prints it.
    pub(crate) type_name: String,
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
    /// Anything that the server reads.
    Other,
}

impl Kind {
    /// From the catalog's type oid and modifier, as `pg_type.dat` and `numeric.c` define them.
    pub(crate) fn from_catalog(oid: u32, modifier: i32) -> Self {
        const INT8: u32 = 20;
        const INT2: u32 = 21;
        const INT4: u32 = 23;
        const TEXT: u32 = 25;
        const VARCHAR: u32 = 1043;
        const NUMERIC: u32 = 1700;
        /// Both length and precision are stored with the size of a header added.
        const HEADER: i32 = 4;
        match oid {
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
}

impl Column {
    /// Checks a field and returns it as text, or nothing for NULL, which an empty field stands for.
    pub(crate) fn check<'field>(&self, field: &'field [u8]) -> Result<Option<&'field str>, String> {
        let text = std::str::from_utf8(field)
            .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
        if text.is_empty() {
            return if self.is_required {
                Err("it is empty, but a value is required".to_owned())
            } else {
                Ok(None)
            };
        }
        if text.contains('\0') {
            return Err("it contains a NUL byte, which PostgreSQL cannot store".to_owned());
        }
        match self.kind {
            Kind::Text { limit } => check_length(text, limit)?,
            Kind::Decimal { whole, fraction } => check_decimal(text, whole, fraction)?,
            Kind::Integer { minimum, maximum } => check_integer(text, minimum, maximum)?,
            Kind::Other => {}
        }
        Ok(Some(text))
    }
}

fn check_length(text: &str, limit: Option<usize>) -> Result<(), String> {
    let length = text.chars().count();
    match limit {
        Some(limit) if length > limit => Err(format!(
            "{} has {length} characters; at most {limit} fit",
            shown(text)
        )),
        _ => Ok(()),
    }
}

/// More digits than the type holds are refused, since the server would round them silently.
fn check_decimal(text: &str, whole: usize, fraction: usize) -> Result<(), String> {
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
    if before.trim_start_matches('0').len() > whole {
        return Err(format!(
            "{} has more than {whole} digits before the point",
            shown(text)
        ));
    }
    if after.trim_end_matches('0').len() > fraction {
        return Err(format!(
            "{} has more than {fraction} digits after the point",
            shown(text)
        ));
    }
    Ok(())
}

fn check_integer(text: &str, minimum: i64, maximum: i64) -> Result<(), String> {
    match text.parse::<i64>() {
        Ok(number) if (minimum..=maximum).contains(&number) => Ok(()),
        _ => Err(format!(
            "{} is not a whole number from {minimum} to {maximum}",
            shown(text)
        )),
    }
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
            is_required,
            has_default: false,
        }
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
        for good in [
            "0",
            "12.99",
            "12.9900",
            "-1.5",
            "+1",
            ".5",
            "5.",
            "0000000012345678.1",
        ] {
            assert_eq!(price.check(good.as_bytes()), Ok(Some(good)));
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
            assert!(price.check(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_measured_in_characters() {
        let name = column(Kind::Text { limit: Some(3) }, false);
        assert_eq!(name.check("äöü".as_bytes()), Ok(Some("äöü")));
        assert_eq!(
            name.check(b"abcd"),
            Err("\"abcd\" has 4 characters; at most 3 fit".to_owned())
        );
        assert_eq!(name.check(b""), Ok(None));
        assert!(name.check(b"a\0").is_err());
        assert_eq!(name.check(b"a\xFF"), Err("byte 2 is not UTF-8".to_owned()));
    }
}
