//! Rows written in the format of their source.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use crate::manifest::{CsvOptions, Encoding, Format};
use crate::source::Layout;
use crate::target::Kind;

type Output = BufWriter<Box<dyn Write + Send>>;

/// Writes rows that the server gave in COPY's text format.
pub(crate) struct Writer {
    file: Kinds,
    fields: Vec<String>,
    kinds: Vec<(Kind, String)>,
}

enum Kinds {
    Csv {
        writer: Box<csv::Writer<Output>>,
        options: CsvOptions,
    },
    Objects {
        output: Output,
        /// Whether they stand in an array.
        is_array: bool,
        rows: u64,
    },
}

impl Writer {
    pub(crate) fn new(
        output: Box<dyn Write + Send>,
        format: Format,
        options: CsvOptions,
        layout: &Layout,
    ) -> io::Result<Self> {
        let mut output = BufWriter::new(output);
        let file = match format {
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new()
                    .delimiter(options.delimiter)
                    .from_writer(output);
                let header = layout
                    .fields
                    .iter()
                    .map(|field| encoded(field, options.encoding));
                writer.write_record(header.collect::<io::Result<Vec<_>>>()?)?;
                Kinds::Csv {
                    writer: Box::new(writer),
                    options,
                }
            }
            Format::Json | Format::Ndjson => {
                let is_array = format == Format::Json;
                if is_array {
                    output.write_all(b"[")?;
                }
                Kinds::Objects {
                    output,
                    is_array,
                    rows: 0,
                }
            }
        };
        let columns = layout.columns.iter();
        Ok(Self {
            file,
            fields: layout.fields.clone(),
            kinds: columns
                .map(|column| (column.kind, column.type_name.clone()))
                .collect(),
        })
    }

    /// Writes a row of COPY's text format.
    pub(crate) fn write(&mut self, row: &[u8]) -> io::Result<()> {
        let values = row.split(|byte| *byte == b'\t').map(unescaped);
        match &mut self.file {
            Kinds::Csv { writer, options } => {
                let count = self.fields.len();
                for (position, (value, field)) in values.zip(&self.fields).enumerate() {
                    let text = csv_text(value, options, field, position + 1 == count)?;
                    writer.write_field(text)?;
                }
                writer.write_record(None::<&[u8]>)?;
                Ok(())
            }
            Kinds::Objects {
                output,
                is_array,
                rows,
            } => {
                if *is_array {
                    output.write_all(if *rows == 0 { b"\n" } else { b",\n" })?;
                }
                *rows += 1;
                output.write_all(b"{")?;
                for (position, value) in values.enumerate() {
                    if position > 0 {
                        output.write_all(b",")?;
                    }
                    serde_json::to_writer(&mut *output, &self.fields[position])?;
                    output.write_all(b":")?;
                    write_json(output, value, &self.kinds[position])?;
                }
                output.write_all(if *is_array { b"}" } else { b"}\n" })
            }
        }
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.file {
            Kinds::Csv { mut writer, .. } => writer.flush(),
            Kinds::Objects {
                mut output,
                is_array,
                ..
            } => {
                if is_array {
                    output.write_all(b"\n]\n")?;
                }
                output.flush()
            }
        }
    }
}

/// A value of COPY's text format; none is NULL.
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        value.push(match bytes.next() {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 0x0B,
            Some(&other) => other,
            None => b'\\',
        });
    }
    Some(value)
}

/// What a CSV file has for a value. What it has no form for is an error, and not changed silently.
fn csv_text(
    value: Option<Vec<u8>>,
    options: &CsvOptions,
    field: &str,
    is_last: bool,
) -> io::Result<Vec<u8>> {
    let null = encoded(&options.null, options.encoding)?;
    let Some(value) = value else {
        return Ok(null);
    };
    let text = String::from_utf8_lossy(&value);
    let encoded = encoded(&text, options.encoding)?;
    if encoded == null {
        return Err(io::Error::other(format!(
            "{field} holds the text {text:?}, which stands for NULL in the file; set another `null` in the manifest"
        )));
    }
    if is_last && encoded.ends_with(b"\r") {
        return Err(io::Error::other(format!(
            "{field} holds the text {text:?}, whose carriage return would be read as part of the line's end"
        )));
    }
    Ok(encoded)
}

fn encoded(text: &str, encoding: Encoding) -> io::Result<Vec<u8>> {
    if encoding == Encoding::Utf8 {
        return Ok(text.as_bytes().to_vec());
    }
    text.chars()
        .map(|character| u8::try_from(u32::from(character)))
        .collect::<Result<_, _>>()
        .map_err(|_| io::Error::other(format!("{text:?} cannot be written as Latin-1")))
}

/// Numbers and truth as JSON has them, anything else as a text; also JSON that would be read as something else.
fn write_json(
    output: &mut Output,
    value: Option<Vec<u8>>,
    (kind, type_name): &(Kind, String),
) -> io::Result<()> {
    let Some(value) = value else {
        return output.write_all(b"null");
    };
    match kind {
        Kind::Integer { .. } => output.write_all(&value),
        Kind::Decimal { .. } if value != b"NaN" => output.write_all(&value),
        Kind::Boolean => output.write_all(if value == b"t" { b"true" } else { b"false" }),
        Kind::Other if is_json(type_name) && reads_as_itself(&value) => output.write_all(&value),
        Kind::Text { .. } | Kind::Decimal { .. } | Kind::Other => {
            let text: Cow<'_, str> = String::from_utf8_lossy(&value);
            serde_json::to_writer(output, &text).map_err(io::Error::from)
        }
    }
}

fn is_json(type_name: &str) -> bool {
    matches!(type_name, "json" | "jsonb")
}

/// A string would be read as its characters, null as NULL, and a newline would end the row.
fn reads_as_itself(json: &[u8]) -> bool {
    !json.starts_with(b"\"")
        && json.trim_ascii() == json
        && json != b"null"
        && !json.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_copy_are_read() {
        assert_eq!(unescaped(b"\\N"), None);
        assert_eq!(
            unescaped(b"a\\tb\\\\N\\n\\b\\v\\f\\r"),
            Some(b"a\tb\\N\n\x08\x0B\x0C\r".to_vec())
        );
        assert_eq!(unescaped(b""), Some(Vec::new()));
    }

    #[test]
    fn what_a_file_has_no_form_for_is_refused() {
        let options = CsvOptions::default();
        assert!(csv_text(Some(Vec::new()), &options, "name", false).is_err());
        assert!(csv_text(Some(b"a\r".to_vec()), &options, "name", true).is_err());
        let latin = CsvOptions {
            encoding: Encoding::Latin1,
            ..options
        };
        assert!(csv_text(Some("€".as_bytes().to_vec()), &latin, "name", false).is_err());
    }
}
