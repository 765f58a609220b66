//! The checksum of a migration.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

/// As refinery computes it for versions of 64 bits. Its own way there takes a regular expression and copies, which is
/// as long as reading the file.
pub(super) fn checksum(version: i64, name: &str, sql: &str) -> u64 {
    hash(version, name, sql)
}

/// As refinery may have computed it: for versions of 32 or 64 bits, of a file with Windows line ends or without.
pub(super) fn of_refinery(version: i64, name: &str, sql: &str) -> Vec<u64> {
    let with_windows_line_ends = sql.replace('\n', "\r\n");
    let mut checksums = Vec::new();
    for sql in [sql, &with_windows_line_ends] {
        checksums.push(hash(version, name, sql));
        if let Ok(version) = i32::try_from(version) {
            checksums.push(hash(version, name, sql));
        }
    }
    checksums
}

fn hash(version: impl Hash, name: &str, sql: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    name.hash(&mut hasher);
    version.hash(&mut hasher);
    sql.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use refinery::Migration;

    use super::*;

    proptest! {
        #[test]
        fn it_is_refinerys(version in 0..=i64::MAX, name in "\\w{1,30}", sql in "[\\s\\S]{0,200}") {
            let migration = Migration::unapplied(&format!("V{version}__{name}"), &sql).unwrap();
            prop_assert_eq!(checksum(version, &name, &sql), migration.checksum());
        }
    }
}
