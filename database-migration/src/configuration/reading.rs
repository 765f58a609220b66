//! How the keys of a configuration file are read.

use std::fmt;
use std::path::{Path, PathBuf};

use environment::DefaultValue;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::configuration::{KEYS, Key, Kind};

/// A file that is being read.
pub(super) struct Reading<'file> {
    path: &'file Path,
    /// What was read.
    pub(super) values: Vec<DefaultValue>,
    /// What to say if the reading stops now. Errors of serde would quote the value they are about.
    pub(super) refusal: String,
}

impl<'file> Reading<'file> {
    pub(super) fn new(path: &'file Path) -> Self {
        Self {
            path,
            values: Vec::new(),
            refusal: String::new(),
        }
    }

    /// Reads the file's text. An error tells the place, and `refusal` what is wrong there.
    pub(super) fn read(&mut self, text: &str) -> Result<(), serde_yaml_ng::Error> {
        let known = known_names(None).join(", ");
        self.refusal = format!("expected the sections {known}");
        let sections = Mapping {
            reading: self,
            section: None,
        };
        sections.deserialize(serde_yaml_ng::Deserializer::from_str(text))
    }

    fn read_value<'de, D: Deserializer<'de>>(
        &mut self,
        key: Key,
        value: D,
    ) -> Result<(), D::Error> {
        let value = match key.kind {
            Kind::Text => self.text(key, value)?,
            Kind::Path => self.text(key, value)?.map(|path| self.absolute(&path)),
            Kind::PathOrSystem => self.text(key, value)?.map(|path| match path.as_str() {
                "system" => path,
                _ => self.absolute(&path),
            }),
            Kind::Paths => self.paths(key, value)?,
        };
        self.values.extend(value.map(|value| DefaultValue {
            variable: key.variable,
            value,
            origin: format!("{}: {}", self.path.display(), key.name),
        }));
        Ok(())
    }

    fn text<'de, D: Deserializer<'de>>(
        &mut self,
        key: Key,
        value: D,
    ) -> Result<Option<String>, D::Error> {
        self.refusal = format!("{}: expected one value", key.name);
        Option::deserialize(value)
    }

    /// Paths as `MIGRATIONS_DIR` has them.
    fn paths<'de, D: Deserializer<'de>>(
        &mut self,
        key: Key,
        value: D,
    ) -> Result<Option<String>, D::Error> {
        self.refusal = format!(
            "{}: expected a list of paths, each on a line - PATH",
            key.name
        );
        let Some(paths) = Option::<Vec<String>>::deserialize(value)? else {
            return Ok(None);
        };
        let paths: Vec<_> = paths.iter().map(|path| self.absolute(path)).collect();
        if paths.iter().any(|path| path.contains(':')) {
            self.refusal = format!("{}: no path may hold a colon", key.name);
            return Err(D::Error::custom(&self.refusal));
        }
        Ok((!paths.is_empty()).then(|| paths.join(":")))
    }

    /// A path that is relative to the file's own directory.
    fn absolute(&self, path: &str) -> String {
        let directory = self.path.parent().map_or_else(PathBuf::new, Path::to_owned);
        directory.join(path).to_string_lossy().into_owned()
    }
}

/// The names of the sections, or those of the keys in one of them.
fn known_names(section: Option<&str>) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| key.name.split_once('.'))
        .filter_map(|(of, name)| match section {
            None => Some(of),
            Some(section) => (section == of).then_some(name),
        })
        .collect();
    names.dedup();
    names
}

/// The sections of a file, or the keys of a section.
struct Mapping<'reading, 'file> {
    reading: &'reading mut Reading<'file>,
    section: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Mapping<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Mapping<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reading.refusal)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = Vec::new();
        while let Some(name) = entries.next_key_seed(Name {
            reading: self.reading,
            section: self.section,
            seen: &mut seen,
        })? {
            entries.next_value_seed(Entry {
                reading: self.reading,
                section: self.section,
                name,
            })?;
        }
        Ok(())
    }
}

/// The name of a section or of a key. It is checked where it stands, so that an error tells that place.
struct Name<'reading, 'file, 'seen> {
    reading: &'reading mut Reading<'file>,
    section: Option<&'static str>,
    seen: &'seen mut Vec<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_, '_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let place = self
            .section
            .map_or_else(String::new, |section| format!("{section}: "));
        self.reading.refusal = format!("{place}expected a key");
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_, '_> {
    type Value = &'static str;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reading.refusal)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<&'static str, E> {
        let known = known_names(self.section);
        let refusal = match known.iter().find(|known| **known == name) {
            None => unknown(self.section, name, &known),
            Some(known) if self.seen.contains(known) => {
                let name = full_name(self.section, name);
                format!("{name} stands here for the second time; keep one of them")
            }
            Some(known) => {
                self.seen.push(known);
                return Ok(known);
            }
        };
        self.reading.refusal = refusal;
        Err(E::custom(&self.reading.refusal))
    }
}

/// A name with other characters than those of words may be a value that a missing space has made a key: it is not
/// repeated.
fn unknown(section: Option<&str>, name: &str, known: &[&str]) -> String {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let name = if is_word {
        format!(" {name:?}")
    } else {
        String::new()
    };
    let place = section.map_or_else(String::new, |section| format!(" in {section}"));
    format!("unknown key{name}{place}; known are {}", known.join(", "))
}

fn full_name(section: Option<&str>, name: &str) -> String {
    section.map_or_else(|| name.to_owned(), |section| format!("{section}.{name}"))
}

/// What stands below a name.
struct Entry<'reading, 'file> {
    reading: &'reading mut Reading<'file>,
    section: Option<&'static str>,
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let name = full_name(self.section, self.name);
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            return self.reading.read_value(*key, deserializer);
        }
        self.reading.refusal = format!("{name}: expected keys with their values");
        let keys = Mapping {
            reading: self.reading,
            section: Some(self.name),
        };
        keys.deserialize(deserializer)
    }
}
