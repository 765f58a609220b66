//! From a file's bytes to its text.

use std::borrow::Cow;
use std::iter;

use crate::files::problem::Fault;

/// The text of a file: UTF-8, without a byte order mark, with `\n` as the end of each line.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let reason = if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            "the file is UTF-16; save it as UTF-8"
        } else {
            "there is a byte that is not UTF-8; save the file as UTF-8"
        };
        Fault::new(line_of(bytes, error.valid_up_to()), reason)
    })?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    // One pass over each file that has nothing to change, which are nearly all.
    let is_special = |byte: u8| byte == b'\0' || byte == b'\r';
    if !bytes
        .iter()
        .fold(false, |found, byte| found | is_special(*byte))
    {
        return Ok(Cow::Borrowed(text));
    }
    match bytes.iter().position(|byte| *byte == b'\0') {
        Some(position) => Err(Fault::new(
            line_of(bytes, position),
            "there is a zero byte, which PostgreSQL cannot take; remove it",
        )),
        None => Ok(Cow::Owned(text.replace("\r\n", "\n"))),
    }
}

/// The lines of a text, without their ends. Lines are so short that a search made for long texts would begin more often
/// than it searches.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.bytes().position(|byte| byte == b'\n') else {
            rest = None;
            return Some(text);
        };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

/// The line, counted from 1, that a position is in.
fn line_of(bytes: &[u8], position: usize) -> usize {
    1 + bytes[..position]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_ends_and_a_byte_order_mark_make_no_difference() {
        assert_eq!(decode("\u{FEFF}a\r\nb\r\n".as_bytes()).unwrap(), "a\nb\n");
        assert_eq!(decode(b"a\rb\n").unwrap(), "a\rb\n");
    }

    #[test]
    fn what_is_no_text_for_the_server_is_an_error_with_its_line() {
        for (bytes, line, reason) in [
            (b"a\nb\n'\xFF'".as_slice(), 3, "not UTF-8"),
            (b"\xFF\xFEa\0\n\0", 1, "UTF-16"),
            (b"a\n\0", 2, "zero byte"),
        ] {
            let fault = decode(bytes).unwrap_err();
            assert_eq!(fault.line, line);
            assert!(fault.reason.contains(reason), "{}", fault.reason);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_either_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            match decode(&bytes) {
                Ok(text) => prop_assert!(text.len() <= bytes.len()),
                Err(fault) => prop_assert!(fault.line <= bytes.split(|byte| *byte == b'\n').count()),
            }
        }

        #[test]
        fn lines_are_what_is_between_line_ends(text in "[a\u{2028}\n]{0,20}") {
            prop_assert!(lines(&text).eq(text.split('\n')));
        }

        #[test]
        fn text_with_unix_line_ends_is_kept_and_not_copied(text in "[^\r\0\u{FEFF}][^\r\0]{0,60}") {
            prop_assert!(matches!(decode(text.as_bytes()), Ok(Cow::Borrowed(same)) if same == text));
        }
    }
}
