//! What the file names of all styles are made of: a version and a name.

use refinery::Migration;

/// The digits that a text begins with, and the rest of it.
pub(super) fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The version that digits write.
pub(super) fn version(digits: &str) -> Result<i64, String> {
    digits.parse().map_err(|_| {
        format!(
            "the version {digits} is larger than {}; give the file a smaller one",
            i64::MAX
        )
    })
}

/// Checks that a name is one that the history can hold.
pub(super) fn check(name: &str) -> Result<(), String> {
    if is_word(name) {
        Ok(())
    } else {
        Err(format!(
            "the name {name:?} may hold only letters, digits and underscores; rename the file"
        ))
    }
}

/// The name with an underscore in place of each character that the history cannot hold.
pub(super) fn to_word(name: &str) -> String {
    name.chars()
        .map(|character| if is_part(character) { character } else { '_' })
        .collect()
}

/// Whether a name may have this character.
pub(super) fn is_part(character: char) -> bool {
    is_word(character.encode_utf8(&mut [0; 4]))
}

/// Whether all of a text is a name to refinery, which would silently take its first part otherwise.
fn is_word(text: &str) -> bool {
    if text.is_ascii() {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        return !text.is_empty() && text.bytes().all(is_word);
    }
    Migration::unapplied(&format!("V0__{text}"), "").is_ok_and(|migration| migration.name() == text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_have_64_bits_and_may_begin_with_zeros() {
        assert_eq!(version("0000000000000000000000000042"), Ok(42));
        assert_eq!(version("20261121120000"), Ok(20_261_121_120_000));
        assert_eq!(version("9223372036854775807"), Ok(i64::MAX));
        assert!(
            version("9223372036854775808")
                .unwrap_err()
                .contains("larger than")
        );
    }

    #[test]
    fn a_name_that_refinery_would_cut_off_is_no_name() {
        assert_eq!(Migration::unapplied("V1__x²", "").unwrap().name(), "x");
        assert!(check("x²").is_err());
        assert!(check("naïve_größe").is_ok());
        // As macOS writes an accent: a letter and a mark.
        assert!(check("e\u{301}").is_ok());
        assert_eq!(to_word("add-index (x²)"), "add_index__x__");
    }

    proptest! {
        #[test]
        fn a_name_is_what_refinery_takes_as_a_whole(name in "\\PC{0,20}") {
            let taken = Migration::unapplied(&format!("V1__{name}"), "")
                .is_ok_and(|migration| migration.name() == name);
            prop_assert_eq!(check(&name).is_ok(), taken);
        }

        #[test]
        fn every_name_can_be_made_one(name in "\\PC{1,20}") {
            let word = to_word(&name);
            prop_assert!(check(&word).is_ok());
            prop_assert_eq!(word.chars().count(), name.chars().count());
            if check(&name).is_ok() {
                prop_assert_eq!(word, name);
            }
        }
    }
}
