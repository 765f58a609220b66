//! The style of refinery and Flyway: `V1__create_users.sql`, and Flyway's `U1__create_users.sql` to undo it.

use std::borrow::Cow;

use crate::files::name;
use crate::files::problem::Fault;
use crate::files::style::{Content, Direction, FileName, Style, whole_file};

#[derive(Debug)]
pub(super) struct RefineryStyle;

const EXPECTED: &str =
    "expected a version, two underscores and a name, such as V1__create_users.sql; rename the file";

impl Style for RefineryStyle {
    fn title(&self) -> &'static str {
        "in the style of refinery"
    }

    fn example(&self) -> &'static str {
        "V1__create_users.sql"
    }

    fn recognize<'name>(&self, stem: &'name str) -> Option<Result<FileName<'name>, String>> {
        let letter = stem.chars().next().filter(char::is_ascii)?;
        let rest = &stem[1..];
        let is_numbered = rest.starts_with(|character: char| character.is_ascii_digit());
        match letter {
            'V' if is_numbered => Some(numbered(rest, Direction::Up)),
            'U' if is_numbered => Some(numbered(rest, Direction::Down)),
            'v' | 'u' if is_numbered => {
                Some(Err("the name must begin with a capital V or U; rename the file".to_owned()))
            }
            'B' if is_numbered => Some(Err(
                "Flyway's baseline migrations are not read; make it the first version, such as V1__baseline.sql"
                    .to_owned(),
            )),
            'R' if rest.starts_with("__") => Some(Err(
                "Flyway's repeatable migrations are not read; put each change of it into a new version, such as \
                 V7__replace_view.sql"
                    .to_owned(),
            )),
            _ => None,
        }
    }

    fn stem(&self, version: &str, name: &str, direction: Direction) -> Option<String> {
        let letter = match direction {
            Direction::Up => 'V',
            Direction::Down => 'U',
        };
        Some(format!("{letter}{version}__{name}"))
    }

    fn parse<'text>(&self, text: &'text str) -> Result<Content<'text>, Vec<Fault>> {
        whole_file(text)
    }
}

fn numbered(text: &str, direction: Direction) -> Result<FileName<'_>, String> {
    let (version, name) = text.split_once("__").ok_or(EXPECTED)?;
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_part(version) {
        return Err(if version.split(['.', '_']).all(is_part) {
            format!(
                "the version {version} is not one number, as the history needs it; rename the files so that each has \
                 a whole number, in the same order"
            )
        } else {
            EXPECTED.to_owned()
        });
    }
    if name.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    name::check(name)?;
    Ok(FileName {
        version: name::version(version)?,
        name: Cow::Borrowed(name),
        direction,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use refinery::Migration;

    use super::*;

    fn recognize(stem: &str) -> Option<Result<FileName<'_>, String>> {
        RefineryStyle.recognize(stem)
    }

    #[test]
    fn version_name_and_direction_are_told_apart() {
        for (stem, version, name, direction) in [
            ("V1__create_users", 1, "create_users", Direction::Up),
            ("V007__x", 7, "x", Direction::Up),
            ("V20261121120000__x", 20_261_121_120_000, "x", Direction::Up),
            ("V1___x", 1, "_x", Direction::Up),
            ("V1__2__x", 1, "2__x", Direction::Up),
            ("U1__create_users", 1, "create_users", Direction::Down),
        ] {
            assert_eq!(
                recognize(stem),
                Some(Ok(FileName {
                    version,
                    name: Cow::Borrowed(name),
                    direction
                }))
            );
        }
    }

    #[test]
    fn what_is_not_read_says_why_and_what_to_do() {
        for (stem, reason) in [
            ("V1.2__x", "the version 1.2 is not one number"),
            ("V1_2__x", "the version 1_2 is not one number"),
            ("R__views", "put each change of it into a new version"),
            ("B1__baseline", "make it the first version"),
            ("V1_x", "two underscores"),
            ("V1x__y", "two underscores"),
            ("V1__", "two underscores"),
            ("V1", "two underscores"),
            ("V1__add-hyphen", "letters, digits and underscores"),
            ("v1__x", "capital V or U"),
            ("V9223372036854775808__x", "larger than"),
        ] {
            let refusal = recognize(stem).unwrap().unwrap_err();
            assert!(refusal.contains(reason), "{stem}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_is_understood_the_same_by_refinery(
            stem in "[VU]([0-9]{1,20}|[0-9_.]{1,5})_{0,3}(\\w{0,10}|\\PC{0,10})",
        ) {
            if let Some(Ok(file_name)) = recognize(&stem) {
                let migration = Migration::unapplied(&stem, "").unwrap();
                prop_assert_eq!(migration.version(), file_name.version);
                prop_assert_eq!(migration.name(), file_name.name.as_ref());
            }
        }

        #[test]
        fn what_was_put_together_is_taken_apart(version in 0..=i64::MAX, name in "\\w{1,30}") {
            let stem = format!("V{version:03}__{name}");
            let file_name = recognize(&stem).unwrap().unwrap();
            prop_assert_eq!((file_name.version, file_name.name.as_ref()), (version, name.as_str()));
        }
    }
}
