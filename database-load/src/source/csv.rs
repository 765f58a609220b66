//! CSV as RFC 4180 has it, with a header.

use std::io::{BufReader, Chain, Read};

use ::csv::{ByteRecord, QuoteStyle, Reader, ReaderBuilder, Terminator, WriterBuilder};

use crate::manifest::{CsvOptions, Encoding};
use crate::source::text::{decoded, skip_byte_order_mark};
use crate::source::{Field, LONGEST_ROW, ReadError, Record, Sink, SourceError, SourceFile, Values};

/// Input is read in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// The fields in the header.
pub(super) fn header(
    file: &SourceFile,
    input: data_file::Reader,
    options: &CsvOptions,
) -> Result<Vec<Field>, SourceError> {
    let header = CsvFile::open(file, input, options)?.header.into_iter();
    Ok(header.map(|name| Field { name, line: 1 }).collect())
}

/// The header as the file has it.
pub(super) fn header_record(
    file: &SourceFile,
    input: data_file::Reader,
    options: &CsvOptions,
) -> Result<Vec<u8>, SourceError> {
    let csv = CsvFile::open(file, input, options)?;
    Ok(raw(&csv.record, options.delimiter))
}

/// Reads the rows below the header.
pub(super) fn read(
    file: &SourceFile,
    input: data_file::Reader,
    options: &CsvOptions,
    fields: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), ReadError> {
    let mut csv = CsvFile::open(file, input, options)?;
    let positions: Vec<_> = fields
        .iter()
        .map(|field| csv.header.iter().position(|name| name == field))
        .collect();
    let null = encoded(&options.null, options.encoding);
    let mut decoded = Vec::new();
    while let Some((line, problem)) = csv.next()? {
        decode(&csv.record, options.encoding, &mut decoded);
        let values = CsvValues {
            record: &csv.record,
            decoded: &decoded,
            positions: &positions,
            null: &null,
            delimiter: options.delimiter,
        };
        sink(&Record {
            line,
            problem,
            values: &values,
        })?;
    }
    Ok(())
}

/// A CSV file's rows, one after the other.
struct CsvFile<'file> {
    file: &'file SourceFile,
    /// Only a newline ends a record: with carriage returns as well, the reader's line numbers run late.
    reader: Reader<Input<Chain<BufReader<data_file::Reader>, &'static [u8]>>>,
    header: Vec<String>,
    /// Whether the header's line ends with a carriage return and a newline; all others must end alike.
    has_carriage_returns: bool,
    record: ByteRecord,
}

impl<'file> CsvFile<'file> {
    fn open(
        file: &'file SourceFile,
        input: data_file::Reader,
        options: &CsvOptions,
    ) -> Result<Self, SourceError> {
        let mut input = BufReader::with_capacity(PIECE, input);
        skip_byte_order_mark(&mut input).map_err(|error| file.error(&error))?;
        // The newline at the end of the last line may be missing in the file, but not for the line numbers.
        let reader = ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .delimiter(options.delimiter)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(PIECE)
            .from_reader(Input::new(input.chain(&b"\n"[..])));
        let mut csv = Self {
            file,
            reader,
            header: Vec::new(),
            has_carriage_returns: false,
            record: ByteRecord::new(),
        };
        csv.advance()?;
        csv.has_carriage_returns = ends_with_carriage_return(&csv.record);
        csv.unify_line_end();
        csv.header = csv
            .record
            .iter()
            .map(|field| {
                String::from_utf8_lossy(&decoded(field, options.encoding))
                    .trim()
                    .to_owned()
            })
            .collect();
        Ok(csv)
    }

    fn advance(&mut self) -> Result<bool, SourceError> {
        let line = self.reader.position().line();
        self.reader.get_mut().taken = 0;
        let is_row = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| match error.into_kind() {
                ::csv::ErrorKind::Io(_) if self.reader.get_ref().is_too_much() => {
                    self.file.too_long(line)
                }
                ::csv::ErrorKind::Io(error) => self.file.error(&error).into(),
                other => SourceError::Syntax {
                    file: self.file.name.clone(),
                    line: self.reader.position().line(),
                    problem: format!("{other:?}"),
                },
            })?;
        // A row ends with a newline before the end is met, unless a quoted field has taken the newline in.
        if is_row && self.reader.get_ref().is_at_end {
            return Err(SourceError::Syntax {
                file: self.file.name.clone(),
                line: self.reader.position().line() - self.newlines_inside(),
                problem:
                    "a quoted field of this row is not closed, so it takes in the rest of the file"
                        .to_owned(),
            });
        }
        Ok(is_row)
    }

    /// How many newlines the row's fields hold.
    fn newlines_inside(&self) -> u64 {
        let bytes = self.record.as_slice().iter();
        bytes.filter(|byte| **byte == b'\n').count() as u64
    }

    /// The line of the next row and what is wrong with it as a whole; none at the end.
    fn next(&mut self) -> Result<Option<(u64, Option<String>)>, SourceError> {
        loop {
            if !self.advance()? {
                return Ok(None);
            }
            if !self.is_blank_line() {
                break;
            }
        }
        // The reader stands behind the row's last line; blank lines before the row are not part of it.
        let line = self.reader.position().line() - 1 - self.newlines_inside();
        let problem = self.unify_line_end().or_else(|| self.field_count_problem());
        Ok(Some((line, problem)))
    }

    /// The reader leaves lines out that hold nothing, but not those that hold a carriage return.
    fn is_blank_line(&self) -> bool {
        self.header.len() > 1
            && self.has_carriage_returns
            && self.record.len() == 1
            && &self.record[0] == b"\r"
    }

    /// Takes the carriage return of the row's line end away. Where lines end differently, a carriage return may as well
    /// be data, and is not guessed at.
    fn unify_line_end(&mut self) -> Option<String> {
        match (
            self.has_carriage_returns,
            ends_with_carriage_return(&self.record),
        ) {
            (false, false) => None,
            (true, true) => {
                let last = self.record.len() - 1;
                let mut field = self.record[last].to_vec();
                field.pop();
                self.record.truncate(last);
                self.record.push_field(&field);
                None
            }
            (false, true) => Some("the line ends with \\r\\n, the header's with \\n".to_owned()),
            (true, false) => Some("the line ends with \\n, the header's with \\r\\n".to_owned()),
        }
    }

    fn field_count_problem(&self) -> Option<String> {
        let (has, expected) = (self.record.len(), self.header.len());
        (has != expected).then(|| format!("the row has {has} fields, the header {expected}"))
    }
}

/// What a file holds, whether its end was met, and how much of it was taken for the row that is being read.
struct Input<Content> {
    content: Content,
    is_at_end: bool,
    taken: usize,
}

impl<Content> Input<Content> {
    fn new(content: Content) -> Self {
        Self {
            content,
            is_at_end: false,
            taken: 0,
        }
    }

    fn is_too_much(&self) -> bool {
        self.taken > LONGEST_ROW
    }
}

impl<Content: Read> Read for Input<Content> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.is_too_much() {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let length = self.content.read(buffer)?;
        self.is_at_end = length == 0;
        self.taken += length;
        Ok(length)
    }
}

struct CsvValues<'record> {
    record: &'record ByteRecord,
    /// Those fields that had to be decoded, by their position.
    decoded: &'record [Option<Vec<u8>>],
    positions: &'record [Option<usize>],
    null: &'record [u8],
    delimiter: u8,
}

impl Values for CsvValues<'_> {
    fn value(&self, field: usize) -> Option<&[u8]> {
        let position = self.positions[field]?;
        let stored = self.record.get(position)?;
        if stored == self.null {
            return None;
        }
        match self.decoded.get(position) {
            Some(Some(decoded)) => Some(decoded),
            _ => Some(stored),
        }
    }

    fn raw(&self) -> Vec<u8> {
        raw(self.record, self.delimiter)
    }
}

fn raw(record: &ByteRecord, delimiter: u8) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .quote_style(QuoteStyle::Necessary)
        .from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_byte_record(record);
    let mut line = writer.into_inner().unwrap_or_default();
    line.pop();
    line
}

fn decode(record: &ByteRecord, encoding: Encoding, decoded: &mut Vec<Option<Vec<u8>>>) {
    if encoding == Encoding::Utf8 {
        return;
    }
    decoded.clear();
    decoded.extend(
        record
            .iter()
            .map(|field| match self::decoded(field, encoding) {
                std::borrow::Cow::Owned(text) => Some(text),
                std::borrow::Cow::Borrowed(_) => None,
            }),
    );
}

/// A text of the manifest as the file would have it.
fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Latin1 => text
            .chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
            .collect(),
    }
}

fn ends_with_carriage_return(record: &ByteRecord) -> bool {
    record
        .iter()
        .next_back()
        .is_some_and(|field| field.ends_with(b"\r"))
}
