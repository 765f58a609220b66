//! NDJSON: an object on each line.

use std::io::{BufRead, BufReader, Read};

use crate::source::json::{Fields, object};
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
    let outcome = each(file, input, &mut |line, bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            fields.add(line, text);
        }
        Ok(())
    });
    fields.after(outcome)
}

/// Reads the objects. A line that is none is one bad row, since the next one is independent of it.
pub(super) fn read(
    file: &SourceFile,
    input: data_file::Reader,
    fields: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), ReadError> {
    each(
        file,
        input,
        &mut |line, bytes| match std::str::from_utf8(bytes) {
            Ok(text) => object(line, text, fields, sink),
            Err(error) => sink(&Record {
                line,
                problem: Some(format!("byte {} is not UTF-8", error.valid_up_to() + 1)),
                values: &Raw(bytes),
            }),
        },
    )
}

/// A line whose values cannot be told.
struct Raw<'line>(&'line [u8]);

impl Values for Raw<'_> {
    fn value(&self, _: usize) -> Option<&[u8]> {
        None
    }

    fn raw(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Takes a line with its number.
type LineSink<'sink> = dyn FnMut(u64, &[u8]) -> Result<(), Ended> + 'sink;

/// Gives each line that is not blank on, with its number.
fn each(
    file: &SourceFile,
    input: data_file::Reader,
    sink: &mut LineSink<'_>,
) -> Result<(), ReadError> {
    let mut input = BufReader::with_capacity(PIECE, input);
    let mut line = Vec::new();
    let mut number = 0;
    skip_byte_order_mark(&mut input).map_err(|error| SourceError::from(file.error(&error)))?;
    loop {
        line.clear();
        let length = input
            .by_ref()
            .take(LONGEST_ROW as u64)
            .read_until(b'\n', &mut line)
            .map_err(|error| SourceError::from(file.error(&error)))?;
        if length == 0 {
            return Ok(());
        }
        number += 1;
        if length == LONGEST_ROW {
            return Err(file.too_long(number).into());
        }
        let content = line.trim_ascii();
        if !content.is_empty() {
            sink(number, content)?;
        }
    }
}
