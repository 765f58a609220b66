//! JSON: one array of objects; and what it shares with objects on lines of their own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io::{BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::source::text::skip_byte_order_mark;
use crate::source::{
    Ended, Field, LONGEST_ROW, ReadError, Record, Sink, SourceError, SourceFile, Values,
};

/// Input is read in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// All fields that any object has, in the order of their first appearance.
pub(super) fn fields(
    file: &SourceFile,
    input: data_file::Reader,
) -> Result<Vec<Field>, SourceError> {
    let mut fields = Fields::default();
    let outcome = elements(file, input, &mut |line, text| {
        fields.add(line, text);
        Ok(())
    });
    fields.after(outcome)
}

/// Reads the array's objects.
pub(super) fn read(
    file: &SourceFile,
    input: data_file::Reader,
    fields: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), ReadError> {
    elements(file, input, &mut |line, text| {
        object(line, text, fields, sink)
    })
}

/// Fields, each once.
#[derive(Default)]
pub(super) struct Fields {
    found: Vec<Field>,
}

impl Fields {
    /// All of them, when the reading has come to its end.
    pub(super) fn after(self, outcome: Result<(), ReadError>) -> Result<Vec<Field>, SourceError> {
        match outcome {
            Ok(()) | Err(ReadError::Ended) => Ok(self.found),
            Err(ReadError::Source(error)) => Err(error),
        }
    }

    /// Adds those of the object that begins on a line; what is not an object has none.
    pub(super) fn add(&mut self, line: u64, text: &str) {
        if let Ok(members) = serde_json::from_str::<Members<'_>>(text) {
            for name in members.values.into_keys() {
                if !self.found.iter().any(|field| field.name == name) {
                    self.found.push(Field { name, line });
                }
            }
        }
    }
}

/// Gives an object's values on.
pub(super) fn object(
    line: u64,
    text: &str,
    fields: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), Ended> {
    let (values, problem) = match values_of(text, fields) {
        Ok(values) => (values, None),
        Err(problem) => (vec![None; fields.len()], Some(problem)),
    };
    sink(&Record {
        line,
        problem,
        values: &JsonValues { text, values },
    })
}

/// The values of fields as text, or why the object has none.
fn values_of(text: &str, fields: &[String]) -> Result<Vec<Option<String>>, String> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| problem(&error))?;
    if let Some(name) = members.repeated {
        return Err(format!("the field {name:?} stands there twice"));
    }
    let values = fields.iter().map(|field| members.values.get(field));
    values
        .map(|value| value.map_or(Ok(None), |value| text_of(value)))
        .collect::<serde_json::Result<_>>()
        .map_err(|error| problem(&error))
}

fn problem(error: &serde_json::Error) -> String {
    let expected = if error.is_data() {
        "not an object"
    } else {
        "not JSON"
    };
    // The parser counts lines from the object's own; the file's line stands before.
    let error = error
        .to_string()
        .replace(" at line 1 column ", " at column ");
    format!("{expected}: {error}")
}

/// An object's members as they are written.
#[derive(Default)]
struct Members<'text> {
    values: BTreeMap<String, &'text RawValue>,
    /// A name that stands there more than once: RFC 8259 leaves open which of its values counts.
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<Source: Deserializer<'de>>(source: Source) -> Result<Self, Source::Error> {
        source.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<Map: MapAccess<'de>>(self, mut map: Map) -> Result<Self::Value, Map::Error> {
        let mut members = Members::default();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            match members.values.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => members.repeated = Some(place.key().clone()),
            }
        }
        Ok(members)
    }
}

struct JsonValues<'record> {
    text: &'record str,
    values: Vec<Option<String>>,
}

impl Values for JsonValues<'_> {
    fn value(&self, field: usize) -> Option<&[u8]> {
        self.values[field].as_deref().map(str::as_bytes)
    }

    fn raw(&self) -> Vec<u8> {
        self.text.as_bytes().to_vec()
    }
}

/// A string's characters; anything else as it is written, so that no digit of a number is lost. None for null.
fn text_of(value: &RawValue) -> serde_json::Result<Option<String>> {
    match value.get() {
        "null" => Ok(None),
        string if string.starts_with('"') => serde_json::from_str(string).map(Some),
        other => Ok(Some(other.to_owned())),
    }
}

/// Takes an element's line and text.
type ElementSink<'sink> = dyn FnMut(u64, &str) -> Result<(), Ended> + 'sink;

fn elements(
    file: &SourceFile,
    input: data_file::Reader,
    sink: &mut ElementSink<'_>,
) -> Result<(), ReadError> {
    let place = Place::default();
    let mut input = BufReader::with_capacity(PIECE, input);
    skip_byte_order_mark(&mut input).map_err(|error| SourceError::from(file.error(&error)))?;
    let input = Counting {
        input,
        place: &place,
    };
    let mut is_ended = false;
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    let outcome = deserializer
        .deserialize_seq(Elements {
            place: &place,
            is_ended: &mut is_ended,
            sink,
        })
        .and_then(|()| deserializer.end());
    match outcome {
        Ok(()) => Ok(()),
        Err(_) if is_ended => Err(ReadError::Ended),
        Err(_) if place.taken.get() > LONGEST_ROW => Err(file.too_long(place.element.get()).into()),
        Err(error) if error.is_io() => Err(SourceError::from(file.error(&error.into())).into()),
        Err(error) => Err(SourceError::Syntax {
            file: file.name.clone(),
            line: error.line() as u64,
            problem: format!("not an array of JSON objects: {error}"),
        }
        .into()),
    }
}

/// How far the parser is.
struct Place {
    /// The line, counted from 1.
    line: Cell<u64>,
    /// The line that the element begins on.
    element: Cell<u64>,
    /// How many bytes the element has, so far.
    taken: Cell<usize>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            line: Cell::new(1),
            element: Cell::new(1),
            taken: Cell::new(0),
        }
    }
}

/// Counts what the parser has taken. It takes one byte at a time and looks ahead no further than one.
struct Counting<'place, Input> {
    input: Input,
    place: &'place Place,
}

impl<Input: Read> Read for Counting<'_, Input> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Place { line, taken, .. } = self.place;
        if taken.get() > LONGEST_ROW {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let length = self.input.read(buffer)?;
        let newlines = buffer[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        line.set(line.get() + newlines as u64);
        taken.set(taken.get() + length);
        Ok(length)
    }
}

struct Elements<'reading> {
    place: &'reading Place,
    is_ended: &'reading mut bool,
    sink: &'reading mut ElementSink<'reading>,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<Sequence: SeqAccess<'de>>(
        self,
        mut sequence: Sequence,
    ) -> Result<(), Sequence::Error> {
        while let Some((line, text)) = sequence.next_element_seed(Element(self.place))? {
            if (self.sink)(line, text.get()).is_err() {
                *self.is_ended = true;
                return Err(serde::de::Error::custom("ended"));
            }
        }
        Ok(())
    }
}

/// An element with the line that it begins on.
struct Element<'place>(&'place Place);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = (u64, Box<RawValue>);

    fn deserialize<Source: Deserializer<'de>>(
        self,
        source: Source,
    ) -> Result<Self::Value, Source::Error> {
        let Place {
            line,
            element,
            taken,
        } = self.0;
        element.set(line.get());
        taken.set(0);
        let text = Deserialize::deserialize(source)?;
        Ok((element.get(), text))
    }
}
