//! From a variable's text to its type. Each function takes the variable's full name for the error.

use std::path::PathBuf;
use std::time::Duration;

use crate::SettingError;

/// A number of the given type; `expected` describes it for the error.
pub fn number<Number: std::str::FromStr>(
    variable: &str,
    value: &str,
    expected: &str,
) -> Result<Number, SettingError> {
    value.trim().parse().map_err(|_| SettingError::Invalid {
        variable: variable.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    })
}

/// A TCP port, 1 to 65535.
pub fn port(variable: &str, value: &str) -> Result<u16, SettingError> {
    const EXPECTED: &str = "a port, a whole number from 1 to 65535";
    match number(variable, value, EXPECTED)? {
        0 => Err(SettingError::Invalid {
            variable: variable.to_owned(),
            value: value.to_owned(),
            expected: EXPECTED.to_owned(),
        }),
        port => Ok(port),
    }
}

/// `true` or `false`.
pub fn boolean(variable: &str, value: &str) -> Result<bool, SettingError> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(SettingError::Invalid {
            variable: variable.to_owned(),
            value: value.to_owned(),
            expected: "true or false".to_owned(),
        }),
    }
}

/// A length of time: a number of seconds, or a number with a unit such as `500ms`, `30s` or `10min`.
pub fn duration(variable: &str, value: &str) -> Result<Duration, SettingError> {
    if let Ok(seconds) = value.trim().parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(value.trim()).map_err(|_| SettingError::Invalid {
        variable: variable.to_owned(),
        value: value.to_owned(),
        expected: "a length of time such as 500ms, 30s or 10min".to_owned(),
    })
}

/// A length of time where `none` stands for no limit.
pub fn limit(variable: &str, value: &str) -> Result<Option<Duration>, SettingError> {
    if value.trim().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    match duration(variable, value) {
        Ok(limit) => Ok(Some(limit)),
        Err(_) => Err(SettingError::Invalid {
            variable: variable.to_owned(),
            value: value.to_owned(),
            expected: "a length of time such as 500ms, 30s or 10min, or none".to_owned(),
        }),
    }
}

/// A directory that exists.
pub fn directory(variable: &str, value: &str) -> Result<PathBuf, SettingError> {
    let path = PathBuf::from(value);
    let problem = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(path),
        Ok(_) => "it is not a directory".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(SettingError::Invalid {
        variable: variable.to_owned(),
        value: value.to_owned(),
        expected: format!("a directory that can be read ({problem})"),
    })
}

/// A secret kept in a file, as Kubernetes mounts them; one line end at the end is not part of it.
pub fn secret_file(variable: &str, path: &str) -> Result<String, SettingError> {
    let secret = std::fs::read_to_string(path).map_err(|error| SettingError::Invalid {
        variable: variable.to_owned(),
        value: path.to_owned(),
        expected: format!("a file with the secret in it ({error})"),
    })?;
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    Ok(secret.strip_suffix('\r').unwrap_or(secret).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations_are_seconds_or_carry_a_unit() {
        assert_eq!(duration("T", "60").unwrap(), Duration::from_mins(1));
        assert_eq!(duration("T", "500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(limit("T", "none").unwrap(), None);
        assert_eq!(limit("T", "10min").unwrap(), Some(Duration::from_mins(10)));
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert!(boolean("B", "true").unwrap());
        assert!(!boolean("B", " False").unwrap());
        assert_eq!(
            boolean("B", "yes").unwrap_err().to_string(),
            "B=\"yes\": expected true or false"
        );
    }

    #[test]
    fn an_error_names_variable_value_and_expectation() {
        assert_eq!(
            port("DB_PORT", "abc").unwrap_err().to_string(),
            "DB_PORT=\"abc\": expected a port, a whole number from 1 to 65535"
        );
        assert!(port("DB_PORT", "0").is_err());
        assert!(port("DB_PORT", "65536").is_err());
        assert_eq!(
            limit("T", "soon").unwrap_err().to_string(),
            "T=\"soon\": expected a length of time such as 500ms, 30s or 10min, or none"
        );
        assert!(
            directory("MIGRATIONS_DIR", "/nowhere")
                .unwrap_err()
                .to_string()
                .starts_with(
                    "MIGRATIONS_DIR=\"/nowhere\": expected a directory that can be read ("
                )
        );
    }
}
