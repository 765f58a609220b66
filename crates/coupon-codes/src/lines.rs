//! Splitting what is read into lines.

use std::io::{self, Read};
use std::iter;

use memchr::{memchr_iter, memrchr};

/// So many bytes are asked for at a time.
const PIECE: usize = 256 * 1024;

/// Whole lines of what is read, many at a time.
pub(crate) struct Pieces<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The piece that was given out last.
    given: usize,
    /// With what was read behind it, the beginning of the next line.
    filled: usize,
    /// Lines may be cut off behind so many bytes.
    longest: usize,
}

impl<R: Read> Pieces<R> {
    pub(crate) fn new(reader: R, longest: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            given: 0,
            filled: 0,
            longest,
        }
    }

    /// The next lines, each with its end but for the last one of all; None at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.filled -= self.given;
        self.given = 0;
        while self.given == 0 {
            // What is longer already is no longer looked at, so it need not be held.
            self.filled = self.filled.min(self.longest);
            self.buffer
                .resize(self.buffer.len().max(self.filled + PIECE), 0);
            let begin = self.filled;
            match self.reader.read(&mut self.buffer[begin..begin + PIECE]) {
                Ok(0) if self.filled == 0 => return Ok(None),
                Ok(0) => self.given = self.filled,
                Ok(length) => {
                    self.filled += length;
                    let read = &self.buffer[begin..self.filled];
                    self.given = memrchr(b'\n', read).map_or(0, |end| begin + end + 1);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(&self.buffer[..self.given]))
    }
}

/// The lines of a piece, without their ends.
pub(crate) fn split(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = memrchr(b'\n', piece).map_or(0, |end| end + 1);
    let (ended, last) = piece.split_at(ended);
    let mut begin = 0;
    memchr_iter(b'\n', ended)
        .map(move |end| {
            let line = &ended[begin..end];
            begin = end + 1;
            line.strip_suffix(b"\r").unwrap_or(line)
        })
        .chain(iter::once(last).filter(|last| !last.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn lines(content: &[u8], at_a_time: usize, longest: usize) -> Vec<Vec<u8>> {
        let mut pieces = Pieces::new(Trickle(content, at_a_time), longest);
        let mut lines = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            lines.extend(split(piece).map(<[u8]>::to_vec));
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let content = b"one\ntwo\r\n\n\r\nthr\ree\r\r\nlast\r";
        let expected: [&[u8]; 6] = [b"one", b"two", b"", b"", b"thr\ree\r", b"last\r"];
        for at_a_time in 1..=content.len() {
            assert_eq!(lines(content, at_a_time, 100), expected);
        }
        assert!(lines(b"", 1, 100).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_stays_too_long_and_is_not_held() {
        let content = [&[b'a'; 5_000][..], b"\nshort\n", &[b'b'; 5_000]].concat();
        let lines = lines(&content, 7, 100);
        assert_eq!(lines[1], b"short");
        for long in [&lines[0], &lines[2]] {
            assert!((100..=107).contains(&long.len()), "{}", long.len());
        }
        let mut pieces = Pieces::new(io::repeat(b'a').take(50_000_000), 100);
        pieces.next().unwrap();
        assert!(pieces.buffer.len() < 2 * PIECE);
    }
}
