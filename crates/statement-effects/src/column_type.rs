//! Whether a column's new type makes the table rewritten.

use crate::effects::Storage;

const SAME_BYTES: &str =
    "unless every value keeps its stored form, as from varchar to text or to a longer varchar";
const TIME_ZONE: &str = "unless the session's TimeZone is UTC";
const CONSTRAINED_DOMAIN: &str = "if the type is a domain with constraints";

/// A type, by PostgreSQL's name for it, with the numbers in its parentheses.
#[derive(Debug, PartialEq, Eq)]
struct ColumnType {
    name: String,
    modifiers: Vec<u32>,
}

impl ColumnType {
    /// None where the parentheses hold anything but numbers.
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let (before, modifiers, after) = match lower.split_once('(') {
            Some((before, rest)) => {
                let (inside, after) = rest.split_once(')')?;
                let modifiers = inside
                    .split(',')
                    .map(|number| number.trim().parse())
                    .collect::<Result<_, _>>()
                    .ok()?;
                (before, modifiers, after)
            }
            None => (lower.as_str(), Vec::new(), ""),
        };
        let words: Vec<_> = before
            .split_whitespace()
            .chain(after.split_whitespace())
            .collect();
        let words = words.join(" ");
        let words = words.strip_prefix("pg_catalog.").unwrap_or(&words);
        // The number of float(n) chooses between two types.
        let name = if modifiers.is_empty() || words != "float" {
            full_name(words)
        } else {
            words
        };
        Some(Self {
            modifiers: implied_modifiers(name, modifiers),
            name: name.to_owned(),
        })
    }

    fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.name.as_str())
    }
}

/// Types of `pg_catalog`, none of which is a domain.
const BUILT_IN: [&str; 36] = [
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "box",
    "bytea",
    "character",
    "character varying",
    "cidr",
    "circle",
    "date",
    "double precision",
    "inet",
    "integer",
    "interval",
    "json",
    "jsonb",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "numeric",
    "path",
    "point",
    "polygon",
    "real",
    "smallint",
    "text",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "tsvector",
    "uuid",
    "xml",
];

fn full_name(name: &str) -> &str {
    match name {
        "int" | "int4" => "integer",
        "int2" => "smallint",
        "int8" => "bigint",
        "float4" => "real",
        "float" | "float8" => "double precision",
        "bool" => "boolean",
        "decimal" | "dec" => "numeric",
        "varchar"
        | "char varying"
        | "national character varying"
        | "national char varying"
        | "nchar varying" => "character varying",
        "char" | "nchar" | "national character" | "national char" => "character",
        "varbit" => "bit varying",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        other => other,
    }
}

/// What the server adds to the numbers that are written.
fn implied_modifiers(name: &str, modifiers: Vec<u32>) -> Vec<u32> {
    match (name, modifiers.as_slice()) {
        ("numeric", [precision]) => vec![*precision, 0],
        ("character" | "bit", []) => vec![1],
        (name, []) if is_time(name) => vec![6],
        _ => modifiers,
    }
}

/// What becomes of a table whose column gets a new type. The old one is None where nobody knows it.
pub(crate) fn changed(old: Option<&str>, new: &str) -> Storage {
    let (Some(old), Some(new)) = (old.and_then(ColumnType::parse), ColumnType::parse(new)) else {
        return Storage::MayBeRewritten(SAME_BYTES);
    };
    if keeps_stored_form(&old, &new) {
        Storage::Kept
    } else if is_time_zone_added_or_removed(&old, &new) {
        Storage::MayBeRewritten(TIME_ZONE)
    } else if old.is_built_in() && new.is_built_in() {
        Storage::Rewritten
    } else {
        Storage::MayBeRewritten(SAME_BYTES)
    }
}

/// What becomes of a table that gets a column of this type without a default.
pub(crate) fn added(text: &str) -> Storage {
    let element = text.split('[').next().unwrap_or_default();
    let is_array = element.len() < text.len();
    match ColumnType::parse(element) {
        Some(known) if known.is_built_in() => Storage::Kept,
        // An array of a domain is no domain.
        _ if is_array => Storage::Kept,
        _ => Storage::MayBeRewritten(CONSTRAINED_DOMAIN),
    }
}

/// Whether this is one of the names that make an integer with a sequence of its own.
pub(crate) fn is_serial(text: &str) -> bool {
    matches!(
        text.to_lowercase().as_str(),
        "serial" | "serial2" | "serial4" | "serial8" | "smallserial" | "bigserial"
    )
}

/// The casts that the server knows to do nothing: binary coercible ones, and those whose only work would be to apply
/// a length or precision that the old one already keeps.
fn keeps_stored_form(old: &ColumnType, new: &ColumnType) -> bool {
    if old == new {
        return true;
    }
    match (old.name.as_str(), new.name.as_str()) {
        ("character varying" | "text", "text") => true,
        ("text", "character varying") => new.modifiers.is_empty(),
        ("character varying", "character varying") | ("bit varying", "bit varying") => {
            is_widened(old, new)
        }
        ("numeric", "numeric") => is_numeric_widened(old, new),
        (one, other) if one == other && is_time(one) => is_widened(old, new),
        ("cidr", "inet") => true,
        _ => false,
    }
}

fn is_time(name: &str) -> bool {
    name.starts_with("time") || name == "interval"
}

fn is_widened(old: &ColumnType, new: &ColumnType) -> bool {
    match (old.modifiers.first(), new.modifiers.first()) {
        (_, None) => true,
        (Some(old), Some(new)) => old <= new,
        (None, Some(_)) => false,
    }
}

fn is_numeric_widened(old: &ColumnType, new: &ColumnType) -> bool {
    match (old.modifiers.as_slice(), new.modifiers.as_slice()) {
        (_, []) => true,
        ([old_precision, old_scale], [precision, scale]) => {
            scale == old_scale && precision >= old_precision
        }
        _ => false,
    }
}

fn is_time_zone_added_or_removed(old: &ColumnType, new: &ColumnType) -> bool {
    let names = [old.name.as_str(), new.name.as_str()];
    names.iter().all(|name| name.starts_with("timestamp"))
        && old.name != new.name
        && is_widened(old, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_one_type_are_one() {
        for (one, other) in [
            ("int8", "bigint"),
            ("VARCHAR (20)", "character varying(20)"),
            ("timestamp(3) with time zone", "timestamptz(3)"),
            ("decimal(5)", "numeric(5,0)"),
            ("pg_catalog.bool", "boolean"),
            ("char", "character(1)"),
            ("timestamp", "timestamp(6) without time zone"),
        ] {
            assert_eq!(changed(Some(one), other), Storage::Kept, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_type_of_postgresql_is_left_open() {
        for (old, new) in [
            ("mood", "text"),
            ("text", "mood"),
            ("integer[]", "bigint[]"),
            ("float(10)", "float8"),
            ("geometry(Point,4326)", "text"),
        ] {
            assert_eq!(changed(Some(old), new), Storage::MayBeRewritten(SAME_BYTES));
        }
    }
}
