//! Text in other encodings than UTF-8.

use std::borrow::Cow;

use crate::manifest::Encoding;

/// The bytes as UTF-8. What claims to be UTF-8 is not checked here, but where it is known which column it is for.
pub(super) fn decoded(bytes: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    if encoding == Encoding::Utf8 || bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    // ISO 8859-1 is the first 256 characters of Unicode.
    let text: String = bytes.iter().copied().map(char::from).collect();
    Cow::Owned(text.into_bytes())
}
