//! Codes of up to ten letters and digits, in eight bytes each.

use crate::code::Code;

/// The characters that can be packed, in their order as bytes.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The most characters that fit.
const MOST_CHARACTERS: usize = 10;
const BITS: usize = 6;
/// What stands in `DIGITS` for bytes that are not in the alphabet: a bit that no digit has.
const FOREIGN: u8 = 1 << BITS;
/// The digit of each byte. They begin at 1, so that a code differs from what begins it.
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut digits = [FOREIGN; 256];
    let mut digit = 0;
    let mut place = 0;
    while place < ALPHABET.len() {
        digit += 1;
        digits[ALPHABET[place] as usize] = digit;
        place += 1;
    }
    digits
}

/// A code of up to ten letters and digits: six bits for each, the first one uppermost, so that the order is that of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packed(u64);

impl Packed {
    /// None if there are other characters in it, or too many.
    pub(crate) fn new(code: &[u8]) -> Option<Self> {
        if code.len() > MOST_CHARACTERS {
            return None;
        }
        let mut packed = 0;
        let mut seen = 0;
        for &byte in code {
            let digit = DIGITS[usize::from(byte)];
            packed = packed << BITS | u64::from(digit);
            seen |= digit;
        }
        let packed = packed << (BITS * (MOST_CHARACTERS - code.len()));
        (seen & FOREIGN == 0).then_some(Self(packed))
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl Code for Packed {
    const FIRST_BUCKET: usize = 0;

    fn decode(block: &[u8]) -> impl Iterator<Item = Self> {
        let (codes, _) = block.as_chunks();
        codes.iter().map(|code| Self(u64::from_le_bytes(*code)))
    }

    /// Different for each code, and its upper bits depend on all characters.
    fn hash(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
    }

    fn to_text(&self) -> String {
        let digits = (1..=MOST_CHARACTERS)
            .map(|place| self.0 >> (BITS * (MOST_CHARACTERS - place)) & ((1 << BITS) - 1));
        digits
            .map_while(|digit| ALPHABET.get(usize::try_from(digit).ok()?.checked_sub(1)?))
            .map(|character| char::from(*character))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packing_keeps_codes_and_their_order(one in "[A-Za-z0-9]{0,10}", other in "[A-Za-z0-9]{0,10}") {
            let packed = [&one, &other].map(|code| Packed::new(code.as_bytes()).unwrap());
            prop_assert_eq!(packed[0].to_text(), &one[..]);
            prop_assert_eq!(packed[0].cmp(&packed[1]), one.cmp(&other));
            let decoded: Vec<Packed> = Packed::decode(&packed.map(Packed::to_bytes).concat()).collect();
            prop_assert_eq!(&decoded[..], &packed[..]);
        }

        #[test]
        fn what_cannot_be_kept_is_not_packed(begin in "[A-Za-z0-9]{0,4}", foreign in "[^A-Za-z0-9]", end in "[A-Za-z0-9]{0,4}") {
            prop_assert_eq!(Packed::new(format!("{begin}{foreign}{end}").as_bytes()), None);
        }
    }

    #[test]
    fn eleven_characters_are_too_many() {
        assert!(Packed::new(b"zzzzzzzzzz").is_some());
        assert!(Packed::new(b"zzzzzzzzzzz").is_none());
    }
}
