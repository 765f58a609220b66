//! CSV as RFC 4180 has it, with a header.

use std::io::{BufRead, BufReader, Chain, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use crate::source::SourceError;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

type Input = Box<dyn Read + Send>;

/// A CSV file's rows, one after the other.
pub(crate) struct CsvSource {
    name: String,
    /// Only a newline ends a record: with carriage returns as well, the reader's line numbers run late.
    reader: Reader<Chain<BufReader<Input>, &'static [u8]>>,
    header: Vec<String>,
    /// Whether the header's line ends with a carriage return and a newline; all others must end alike.
    has_carriage_returns: bool,
    record: ByteRecord,
}

/// One row as it stands in the source. A row that has more or fewer fields than the header is given as it is.
pub(crate) struct Row<'source> {
    /// The line it begins on, counted from 1.
    pub(crate) line: u64,
    /// Its fields, or why they cannot be told.
    pub(crate) fields: Result<&'source ByteRecord, String>,
}

impl CsvSource {
    /// Reads the header.
    pub(crate) fn new(name: String, input: Box<dyn Read + Send>) -> Result<Self, SourceError> {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let read_error = |error: &dyn std::fmt::Display| SourceError::Read {
            source_name: name.clone(),
            problem: error.to_string(),
        };
        let start = input.fill_buf().map_err(|error| read_error(&error))?;
        if start.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        // The newline at the end of the last line may be missing in the file, but not for the line numbers.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(input.chain(&b"\n"[..]));
        let mut record = ByteRecord::new();
        reader
            .read_byte_record(&mut record)
            .map_err(|error| read_error(&error))?;
        let has_carriage_returns = ends_with_carriage_return(&record);
        let header = record
            .iter()
            .map(|field| String::from_utf8_lossy(field).trim().to_owned())
            .collect();
        Ok(Self {
            name,
            reader,
            header,
            has_carriage_returns,
            record,
        })
    }

    /// The source's name for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The columns that the header names.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, SourceError> {
        let is_read = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| SourceError::Read {
                source_name: self.name.clone(),
                problem: error.to_string(),
            })?;
        if !is_read {
            return Ok(None);
        }
        // The reader stands behind the row's last line; blank lines before the row are not part of it.
        let newlines_inside: usize = self.record.iter().map(count_newlines).sum();
        let line = self.reader.position().line() - 1 - newlines_inside as u64;
        Ok(Some(Row {
            line,
            fields: self.unified_line_end(),
        }))
    }

    /// The row without the carriage return of its line end. Where lines end differently, a carriage return may as well
    /// be data, and is not guessed at.
    fn unified_line_end(&mut self) -> Result<&ByteRecord, String> {
        match (
            self.has_carriage_returns,
            ends_with_carriage_return(&self.record),
        ) {
            (false, false) => Ok(&self.record),
            (true, true) => {
                let last = self.record.len() - 1;
                let mut field = self.record[last].to_vec();
                field.pop();
                self.record.truncate(last);
                self.record.push_field(&field);
                Ok(&self.record)
            }
            (false, true) => Err("the line ends with \\r\\n, the header's with \\n".to_owned()),
            (true, false) => Err("the line ends with \\n, the header's with \\r\\n".to_owned()),
        }
    }
}

fn ends_with_carriage_return(record: &ByteRecord) -> bool {
    record
        .iter()
        .next_back()
        .is_some_and(|field| field.ends_with(b"\r"))
}

fn count_newlines(field: &[u8]) -> usize {
    field.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn rows(text: &'static [u8]) -> (Vec<String>, Vec<(u64, Vec<String>)>) {
        let mut source = CsvSource::new("test.csv".to_owned(), Box::new(text)).unwrap();
        let header = source.header().to_vec();
        let mut rows = Vec::new();
        while let Some(row) = source.next().unwrap() {
            let fields = row
                .fields
                .unwrap()
                .iter()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect();
            rows.push((row.line, fields));
        }
        (header, rows)
    }

    #[test]
    fn rows_know_the_line_they_begin_on() {
        let (header, rows) = rows(b"id,name\n1,\"two\nlines\"\n\n2,one line\n");
        assert_eq!(header, ["id", "name"]);
        assert_eq!(rows[0], (2, vec!["1".to_owned(), "two\nlines".to_owned()]));
        assert_eq!(rows[1], (5, vec!["2".to_owned(), "one line".to_owned()]));
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        let (_, rows) = rows(b"id\n\n\n1");
        assert_eq!(rows, [(4, vec!["1".to_owned()])]);
    }

    #[test]
    fn mixed_line_ends_are_not_guessed_at() {
        for text in [&b"id\n1\r\n"[..], &b"id\r\n1\n"[..]] {
            let mut source = CsvSource::new("test.csv".to_owned(), Box::new(text)).unwrap();
            assert!(source.next().unwrap().unwrap().fields.is_err());
        }
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_make_no_difference() {
        let (header, rows) = rows(b"\xEF\xBB\xBFid,name\r\n1,a\r\n");
        assert_eq!(header, ["id", "name"]);
        assert_eq!(rows, [(2, vec!["1".to_owned(), "a".to_owned()])]);
    }

    proptest! {
        #[test]
        fn what_a_writer_writes_is_read_back_with_its_lines(
            rows in proptest::collection::vec(proptest::collection::vec("[^\r]{0,8}", 2..4), 1..8),
        ) {
            let mut writer = csv::WriterBuilder::new()
                .flexible(true)
                .quote_style(csv::QuoteStyle::Always)
                .from_writer(Vec::new());
            writer.write_record(["a", "b"]).unwrap();
            let mut expected = Vec::new();
            let mut line = 2;
            for row in rows {
                writer.write_record(&row).unwrap();
                let newlines: usize = row.iter().map(|field| field.matches('\n').count()).sum();
                expected.push((line, row));
                line += 1 + newlines as u64;
            }
            let text = writer.into_inner().unwrap();
            let mut source = CsvSource::new("test.csv".to_owned(), Box::new(std::io::Cursor::new(text))).unwrap();
            let mut found = Vec::new();
            while let Some(row) = source.next().unwrap() {
                let fields = row.fields.unwrap().iter();
                let fields = fields.map(|field| String::from_utf8(field.to_vec()).unwrap()).collect();
                found.push((row.line, fields));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
