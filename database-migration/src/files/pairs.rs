//! Pairs: `000001_create_users.up.sql` and `000001_create_users.down.sql`, as golang-migrate and sqlx have them.

use std::borrow::Cow;

use crate::files::name;
use crate::files::problem::Fault;
use crate::files::style::{Content, Direction, FileName, Style, whole_file};

#[derive(Debug)]
pub(super) struct Pairs;

const EXPECTED: &str = "expected a number, an underscore and a name in front of .up.sql and .down.sql, such as \
                        000001_create_users.up.sql; rename the file";

impl Style for Pairs {
    fn title(&self) -> &'static str {
        "one of a pair"
    }

    fn example(&self) -> &'static str {
        "000001_create_users.up.sql and 000001_create_users.down.sql"
    }

    fn recognize<'name>(&self, stem: &'name str) -> Option<Result<FileName<'name>, String>> {
        if let Some(rest) = stem.strip_suffix(".up") {
            Some(half(rest, Direction::Up))
        } else {
            Some(half(stem.strip_suffix(".down")?, Direction::Down))
        }
    }

    fn stem(&self, version: &str, name: &str, direction: Direction) -> Option<String> {
        let suffix = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        Some(format!("{version}_{name}.{suffix}"))
    }

    fn parse<'text>(&self, text: &'text str) -> Result<Content<'text>, Vec<Fault>> {
        whole_file(text)
    }
}

/// golang-migrate's history holds versions only, so that its names may have any characters; ours cannot.
fn half(text: &str, direction: Direction) -> Result<FileName<'_>, String> {
    let (version, rest) = name::split_digits(text);
    let name = rest.strip_prefix('_').ok_or(EXPECTED)?;
    if version.is_empty() || name.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok(FileName {
        version: name::version(version)?,
        name: match name::check(name) {
            Ok(()) => Cow::Borrowed(name),
            Err(_) => Cow::Owned(name::to_word(name)),
        },
        direction,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn recognize(stem: &str) -> Option<Result<FileName<'_>, String>> {
        Pairs.recognize(stem)
    }

    #[test]
    fn version_name_and_direction_are_told_apart() {
        for (stem, version, name, direction) in [
            ("000001_create_users.up", 1, "create_users", Direction::Up),
            (
                "000001_create_users.down",
                1,
                "create_users",
                Direction::Down,
            ),
            ("1494538273_x.up", 1_494_538_273, "x", Direction::Up),
            (
                "1_create-users table.up",
                1,
                "create_users_table",
                Direction::Up,
            ),
            ("1_a.up.b.down", 1, "a_up_b", Direction::Down),
            ("1__x.up", 1, "_x", Direction::Up),
        ] {
            let file_name = recognize(stem).unwrap().unwrap();
            assert_eq!(
                (
                    file_name.version,
                    file_name.name.as_ref(),
                    file_name.direction
                ),
                (version, name, direction)
            );
        }
    }

    #[test]
    fn other_names_of_pairs_are_errors_and_others_are_none_of_them() {
        for stem in [
            "x.up", "1.up", "1_.up", "_x.down", "V1__x.up", "-1_x.up", "1.5_x.up", ".down",
        ] {
            assert_eq!(recognize(stem), Some(Err(EXPECTED.to_owned())), "{stem}");
        }
        let larger = recognize("18446744073709551615_x.up").unwrap();
        assert!(larger.unwrap_err().contains("larger than"));
        for stem in ["1_x", "1_x.UP", "1_x.upper", "1_xdown"] {
            assert_eq!(recognize(stem), None, "{stem}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_either_understood_or_refused(stem in "[0-9]{0,20}_?\\PC{0,20}(\\.up|\\.down)?") {
            if let Some(Ok(file_name)) = recognize(&stem) {
                prop_assert!(file_name.version >= 0);
                prop_assert!(name::check(&file_name.name).is_ok());
            }
        }

        #[test]
        fn what_was_put_together_is_taken_apart(version in 0..=i64::MAX, name in "\\w{1,30}", is_up in any::<bool>()) {
            let stem = format!("{version:06}_{name}.{}", if is_up { "up" } else { "down" });
            let file_name = recognize(&stem).unwrap().unwrap();
            prop_assert_eq!((file_name.version, file_name.name.as_ref()), (version, name.as_str()));
            prop_assert_eq!(file_name.direction == Direction::Up, is_up);
        }
    }
}
