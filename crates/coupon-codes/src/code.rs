//! What a line of a file is.

use crate::Rule;
use crate::packed::Packed;

/// UTF-8 has no longer characters, in bytes.
const LONGEST_CHARACTER: usize = 4;

/// A code, in the form in which it is sorted.
pub(crate) trait Code: Ord + Sized {
    /// The number of the first bucket of codes of this kind.
    const FIRST_BUCKET: usize;

    /// The codes of a block of a scan.
    fn decode(block: &[u8]) -> impl Iterator<Item = Self>;

    /// Its uppermost bits tell the bucket.
    fn hash(&self) -> u64;

    /// The memory it takes, in bytes.
    fn memory(&self) -> usize;

    fn to_text(&self) -> String;
}

/// What a line is by a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Packed(Packed),
    Text(&'a [u8]),
    NotText,
    OtherLength,
}

impl Rule {
    /// The most bytes of a code.
    pub(crate) fn most_bytes(&self) -> usize {
        self.maximum_length.saturating_mul(LONGEST_CHARACTER)
    }

    pub(crate) fn line<'a>(&self, line: &'a [u8]) -> Line<'a> {
        match Packed::new(line) {
            Some(packed) if self.is_valid_length(line.len()) => Line::Packed(packed),
            Some(_) => Line::OtherLength,
            None => self.text(line),
        }
    }

    fn text<'a>(&self, line: &'a [u8]) -> Line<'a> {
        if line.len() > self.most_bytes() {
            return Line::OtherLength;
        }
        match str::from_utf8(line) {
            Ok(text) if self.is_valid_length(text.chars().count()) => Line::Text(line),
            Ok(_) => Line::OtherLength,
            Err(_) => Line::NotText,
        }
    }

    fn is_valid_length(&self, characters: usize) -> bool {
        (self.minimum_length..=self.maximum_length).contains(&characters)
    }
}
