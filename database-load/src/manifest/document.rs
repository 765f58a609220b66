//! The manifest's file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use coupon_codes::Rule;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::manifest::{
    Content, CsvOptions, DataSet, Duplicates, Encoding, Files, Format, Guards, Manifest,
    ManifestError, Vanished,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with the key data_sets")]
struct Document {
    data_sets: Unique<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map that describes a data set")]
struct Entry {
    files: OneOrMore,
    table: Option<String>,
    format: Option<Format>,
    encoding: Option<Encoding>,
    delimiter: Option<Delimiter>,
    #[serde(default, deserialize_with = "text")]
    null: Option<String>,
    codes: Option<Codes>,
    #[serde(default)]
    columns: Unique<String>,
    #[serde(default)]
    ignore: Vec<String>,
    key: Option<Vec<String>>,
    vanished: Option<Vanished>,
    mark_column: Option<String>,
    #[serde(default)]
    duplicates: Duplicates,
    #[serde(default)]
    guards: GuardsEntry,
    #[serde(default)]
    optional: bool,
    read_back: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Codes {
    minimum_length: usize,
    maximum_length: usize,
    minimum_files: usize,
    column: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardsEntry {
    minimum_rows: Option<u64>,
    largest_shrink: Option<Share>,
    rejects: Option<u64>,
    reject_share: Option<Share>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a pattern, or a list of patterns")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A share such as `50%`, from 0 to 1.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Share(f64);

/// A character of one byte.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Delimiter(u8);

/// A map that does not allow a key twice.
struct Unique<Value>(BTreeMap<String, Value>);

pub(super) fn read(path: &Path) -> Result<Manifest, ManifestError> {
    let text = std::fs::read_to_string(path).map_err(|error| ManifestError::Unreadable {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let invalid = |problem: String| ManifestError::Invalid {
        path: path.to_owned(),
        problem,
    };
    let document: Document =
        serde_yaml_ng::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    // The parent of a bare name is empty.
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = parent.unwrap_or(Path::new("."));
    let data_sets = document.data_sets.0.into_iter();
    let data_sets: Vec<_> = data_sets
        .map(|(name, entry)| {
            data_set(&name, entry, directory)
                .map_err(|problem| invalid(format!("data_sets.{name}: {problem}")))
        })
        .collect::<Result<_, _>>()?;
    if data_sets.is_empty() {
        return Err(invalid("data_sets is empty".to_owned()));
    }
    Ok(Manifest { data_sets })
}

fn data_set(name: &str, entry: Entry, directory: &Path) -> Result<DataSet, String> {
    let patterns = match entry.files {
        OneOrMore::One(pattern) => vec![pattern],
        OneOrMore::More(patterns) => patterns,
    };
    if patterns.is_empty() {
        return Err("files is empty".to_owned());
    }
    for pattern in &patterns {
        glob::Pattern::new(pattern)
            .map_err(|error| format!("files: {pattern:?}: {}", error.msg))?;
    }
    let has_row_options = entry.format.is_some()
        || entry.encoding.is_some()
        || entry.delimiter.is_some()
        || entry.null.is_some()
        || !entry.columns.0.is_empty()
        || !entry.ignore.is_empty();
    let has_csv_options =
        entry.encoding.is_some() || entry.delimiter.is_some() || entry.null.is_some();
    if has_csv_options && entry.format.is_some_and(|format| format != Format::Csv) {
        return Err("encoding, delimiter and null go with `format: csv` only".to_owned());
    }
    let content = match entry.codes {
        Some(_) if has_row_options => {
            return Err(
                "codes goes with none of format, encoding, delimiter, null, columns and ignore"
                    .to_owned(),
            );
        }
        Some(codes) => Content::Codes {
            rule: rule(&codes)?,
            column: codes.column,
        },
        None => Content::Rows {
            format: entry.format,
            csv: CsvOptions {
                encoding: entry.encoding.unwrap_or_default(),
                delimiter: entry.delimiter.map_or(b',', |delimiter| delimiter.0),
                null: entry.null.unwrap_or_default(),
            },
        },
    };
    let mut fields = BTreeMap::new();
    for (column, field) in &entry.columns.0 {
        if let Some(other) = fields.insert(field, column) {
            return Err(format!(
                "columns: {other} and {column} are both filled from {field:?}"
            ));
        }
    }
    if entry.mark_column.is_some()
        && entry
            .vanished
            .is_some_and(|policy| policy != Vanished::Mark)
    {
        return Err("mark_column goes with `vanished: mark` only".to_owned());
    }
    // Whoever names the column wants rows to be marked.
    let marking = entry.mark_column.as_ref().map(|_| Vanished::Mark);
    let files = Files::Matching {
        directory: directory.to_owned(),
        patterns,
    };
    let defaults = DataSet::new(name, files, content);
    let guards = Guards::default();
    Ok(DataSet {
        table: entry.table.unwrap_or(defaults.table),
        columns: entry.columns.0,
        ignore: entry.ignore,
        key: entry.key,
        vanished: entry.vanished.or(marking).or(defaults.vanished),
        mark_column: entry.mark_column.unwrap_or(defaults.mark_column),
        duplicates: entry.duplicates,
        guards: Guards {
            minimum_rows: entry.guards.minimum_rows.unwrap_or(guards.minimum_rows),
            largest_shrink: entry
                .guards
                .largest_shrink
                .map_or(guards.largest_shrink, |share| share.0),
            // A share that stands alone is the only limit.
            rejects: match entry.guards.reject_share {
                Some(_) => entry.guards.rejects.unwrap_or(u64::MAX),
                None => entry.guards.rejects.unwrap_or(guards.rejects),
            },
            reject_share: entry
                .guards
                .reject_share
                .map_or(guards.reject_share, |share| share.0),
        },
        is_optional: entry.optional,
        reads_back: entry.read_back.unwrap_or(defaults.reads_back),
        name: defaults.name,
        files: defaults.files,
        content: defaults.content,
    })
}

fn rule(codes: &Codes) -> Result<Rule, String> {
    if codes.minimum_length == 0 || codes.minimum_length > codes.maximum_length {
        return Err("codes: minimum_length is at least 1 and at most maximum_length".to_owned());
    }
    if codes.minimum_files == 0 {
        return Err("codes: minimum_files is at least 1".to_owned());
    }
    Ok(Rule {
        minimum_length: codes.minimum_length,
        maximum_length: codes.maximum_length,
        minimum_files: codes.minimum_files,
    })
}

/// A text, also where YAML has another meaning for it.
fn text<'de, Source: Deserializer<'de>>(source: Source) -> Result<Option<String>, Source::Error> {
    String::deserialize(source).map(Some)
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| format!("{text:?} is not a share from 0% to 100%"))
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match *text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(Self(byte)),
            _ => Err(format!(
                "{text:?} is not one ASCII character that can delimit fields"
            )),
        }
    }
}

impl<Value> Default for Unique<Value> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, Value: Deserialize<'de>> Deserialize<'de> for Unique<Value> {
    fn deserialize<Source: Deserializer<'de>>(source: Source) -> Result<Self, Source::Error> {
        struct UniqueVisitor<Value>(BTreeMap<String, Value>);

        impl<'de, Value: Deserialize<'de>> Visitor<'de> for UniqueVisitor<Value> {
            type Value = Unique<Value>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<Map: MapAccess<'de>>(
                mut self,
                mut map: Map,
            ) -> Result<Unique<Value>, Map::Error> {
                while let Some(key) = map.next_key::<String>()? {
                    if self.0.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key} stands there twice")));
                    }
                    let value = map.next_value()?;
                    self.0.insert(key, value);
                }
                Ok(Unique(self.0))
            }
        }

        source.deserialize_map(UniqueVisitor(BTreeMap::new()))
    }
}
