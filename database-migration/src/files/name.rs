//! The names of migration files.

/// Version and name in the file name of a sectioned migration, such as `001_create_users.sql`.
pub(super) fn parse(file_name: &str) -> Result<(i64, &str), String> {
    const EXPECTED: &str =
        "expected a number, an underscore and a name, such as 001_create_users.sql";
    let stem = file_name.strip_suffix(".sql").ok_or(EXPECTED)?;
    let (version, name) = stem.split_once('_').ok_or(EXPECTED)?;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED.to_owned());
    }
    let version = version
        .parse()
        .map_err(|_| format!("the version {version} is larger than {}", i64::MAX))?;
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    if name.is_empty() || name.starts_with('_') || !name.chars().all(is_word) {
        return Err(format!(
            "the name {name:?} may consist of letters, digits and underscores, and begins with no underscore"
        ));
    }
    Ok((version, name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_and_name_are_told_apart() {
        assert_eq!(parse("001_create_users.sql"), Ok((1, "create_users")));
        assert_eq!(
            parse("20261121120000_add.sql"),
            Ok((20_261_121_120_000, "add"))
        );
    }

    #[test]
    fn other_names_are_errors() {
        for name in [
            "create_users.sql",
            "1.sql",
            "_x.sql",
            "1_.sql",
            "1__x.sql",
            "1_add-hyphen.sql",
            "1.5_x.sql",
            "-1_x.sql",
            "+1_x.sql",
            "99999999999999999999_x.sql",
            "1_x.SQL",
        ] {
            assert!(parse(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_either_understood_or_refused(name in "\\PC{0,30}(\\.sql)?") {
            if let Ok((version, name)) = parse(&name) {
                prop_assert!(version >= 0);
                prop_assert!(!name.is_empty());
            }
        }

        #[test]
        fn what_is_understood_is_understood_by_refinery(version in 0..=i64::MAX, name in "[a-z0-9][a-z0-9_]{0,30}") {
            let file_name = format!("{version:03}_{name}.sql");
            prop_assert_eq!(parse(&file_name), Ok((version, name.as_str())));
            let migration = refinery::Migration::unapplied(&format!("V{version}__{name}"), "").unwrap();
            prop_assert_eq!((migration.version(), migration.name()), (version, name.as_str()));
        }
    }
}
