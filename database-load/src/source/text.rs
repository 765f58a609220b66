//! The encoding of text.

use std::borrow::Cow;
use std::io::BufRead;

use crate::manifest::Encoding;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Takes the mark away that a file of UTF-8 may begin with.
pub(super) fn skip_byte_order_mark(input: &mut impl BufRead) -> std::io::Result<()> {
    if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// The bytes as UTF-8. What claims to be UTF-8 is not checked here, but where it is known which column it is for.
pub(super) fn decoded(bytes: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    if encoding == Encoding::Utf8 || bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    // ISO 8859-1 is the first 256 characters of Unicode.
    let text: String = bytes.iter().copied().map(char::from).collect();
    Cow::Owned(text.into_bytes())
}
