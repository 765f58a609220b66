//! Codes that cannot be packed, as they are.

use siphasher::sip::SipHasher13;

use crate::code::Code;
use crate::scan::BUCKETS;

/// A code of any characters but line feeds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(Box<[u8]>);

/// Ends each code in a block.
pub(crate) const END: u8 = b'\n';
/// What an allocation takes besides its content, about.
const ALLOCATION: usize = 16;

/// The hash of a code that is not packed. It is part of the format of kept scans.
pub(crate) fn hash(code: &[u8]) -> u64 {
    SipHasher13::new().hash(code)
}

impl Code for Text {
    const FIRST_BUCKET: usize = BUCKETS;

    fn decode(block: &[u8]) -> impl Iterator<Item = Self> {
        block
            .split_inclusive(|byte| *byte == END)
            .map(|code| Self(code.strip_suffix(&[END]).unwrap_or(code).into()))
    }

    fn hash(&self) -> u64 {
        hash(&self.0)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + ALLOCATION + self.0.len()
    }

    fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}
