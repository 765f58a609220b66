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
}
