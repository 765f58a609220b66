//! Settings read from environment variables.
//!
//! A program names its variables in a struct of optional strings, [`Environment::read`] fills it through `envy`, and
//! the functions of [`value`] turn each string into its type. That way an error always names the variable, which
//! `envy` alone does not do for types of our own. An empty variable counts as one that is not set, as the
//! OpenTelemetry specification has it and as charts that pass optional values need it.
//!
//! Below the variables there may be defaults, such as those of a configuration file. A value of theirs is read where its
//! variable is not set, and an error about it names the place that it comes from.

use std::ffi::OsString;

use serde::de::DeserializeOwned;

pub mod value;

/// A setting that cannot be used. The message names the variable and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The value is not of the expected form.
    #[error("{variable}={value:?}: expected {expected}")]
    Invalid {
        /// The variable's full name, or where its value comes from if not from the variable.
        variable: String,
        /// What it holds. Never used for secrets.
        value: String,
        /// What it should hold.
        expected: String,
    },
    /// The value is a secret, or holds one, so it is not repeated.
    #[error("{variable}: {problem}")]
    Unusable {
        /// The variable's full name, or where its value comes from if not from the variable.
        variable: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two variables contradict each other.
    #[error("{first} and {second} are both set: set one of them")]
    Conflict {
        /// One variable's full name.
        first: String,
        /// The other's.
        second: String,
    },
}

/// The environment variables of a process, or of one service when a prefix is set, and the defaults below them.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    prefix: String,
    variables: Vec<(String, String)>,
    defaults: Vec<DefaultValue>,
}

/// What is read where a variable is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultValue {
    /// The variable's name without a prefix.
    pub variable: &'static str,
    /// What is read instead.
    pub value: String,
    /// Where it comes from, for errors.
    pub origin: String,
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_variables(std::env::vars_os())
    }

    /// The given variables. Names that are not upper case are left out, since none of ours is otherwise and `envy`
    /// cannot tell them apart. Bytes that are not UTF-8 are replaced, so that no check accepts them.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                let lower_case = name.bytes().any(|byte| byte.is_ascii_lowercase());
                (!lower_case && !value.is_empty())
                    .then(|| (name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self {
            variables,
            ..Self::default()
        }
    }

    /// The same variables, of which only those that begin with `prefix` are read: `MENU_` reads `MENU_DB_HOST` where
    /// otherwise `DB_HOST` is read.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// The same variables above `defaults`, of which those that are empty count as not set, too.
    #[must_use]
    pub fn with_defaults(mut self, defaults: impl IntoIterator<Item = DefaultValue>) -> Self {
        self.defaults = defaults
            .into_iter()
            .filter(|default| !default.value.is_empty())
            .collect();
        self
    }

    /// The variables alone and the defaults alone. For settings that several variables make up together: what one of
    /// them says must not be mixed with, or contradicted by, a default of another.
    #[must_use]
    pub fn layers(&self) -> [Self; 2] {
        let variables = Self {
            defaults: Vec::new(),
            ..self.clone()
        };
        let defaults = Self {
            variables: Vec::new(),
            ..self.clone()
        };
        [variables, defaults]
    }

    /// What errors call a variable: its full name, with the prefix, or where its value comes from if that is a default.
    #[must_use]
    pub fn name(&self, variable: &str) -> String {
        self.used_defaults()
            .find(|default| default.variable == variable)
            .map_or_else(
                || self.full_name(variable),
                |default| default.origin.clone(),
            )
    }

    fn full_name(&self, variable: &str) -> String {
        format!("{}{variable}", self.prefix)
    }

    /// The defaults of variables that are not set.
    fn used_defaults(&self) -> impl Iterator<Item = &DefaultValue> {
        self.defaults
            .iter()
            .filter(|default| self.get(&self.full_name(default.variable)).is_none())
    }

    /// One variable by its name, without regard to the prefix.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads the prefixed variables, and the defaults of those that are not set, into a struct whose fields are named
    /// like them in lower case.
    pub fn read<Settings: DeserializeOwned>(&self) -> Result<Settings, SettingError> {
        let variables = self.variables.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(&self.prefix)?;
            Some((name.to_owned(), value.clone()))
        });
        let defaults = self
            .used_defaults()
            .map(|default| (default.variable.to_owned(), default.value.clone()));
        envy::from_iter(variables.chain(defaults)).map_err(|error| SettingError::Unusable {
            variable: format!("{}*", self.prefix),
            problem: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Settings {
        db_host: Option<String>,
        db_port: Option<String>,
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = Environment::from_variables([("DB_HOST", ""), ("DB_PORT", "5433")]);
        let settings: Settings = environment.read().unwrap();
        assert_eq!(settings.db_host, None);
        assert_eq!(settings.db_port.as_deref(), Some("5433"));
    }

    #[test]
    fn a_prefix_keeps_services_apart() {
        let environment =
            Environment::from_variables([("DB_HOST", "shared"), ("MENU_DB_HOST", "menu")])
                .with_prefix("MENU_");
        let settings: Settings = environment.read().unwrap();
        assert_eq!(settings.db_host.as_deref(), Some("menu"));
        assert_eq!(environment.name("DB_HOST"), "MENU_DB_HOST");
    }

    fn default(variable: &'static str, value: &str) -> DefaultValue {
        DefaultValue {
            variable,
            value: value.to_owned(),
            origin: format!("a file, {variable}"),
        }
    }

    #[test]
    fn defaults_stand_below_the_variables_and_are_named_by_their_origin() {
        let environment =
            Environment::from_variables([("MENU_DB_HOST", "menu"), ("DB_PORT", "5433")])
                .with_prefix("MENU_")
                .with_defaults([default("DB_HOST", "file"), default("DB_PORT", "5434")]);
        let settings: Settings = environment.read().unwrap();
        assert_eq!(settings.db_host.as_deref(), Some("menu"));
        assert_eq!(settings.db_port.as_deref(), Some("5434"));
        assert_eq!(environment.name("DB_HOST"), "MENU_DB_HOST");
        assert_eq!(environment.name("DB_PORT"), "a file, DB_PORT");
    }

    #[test]
    fn an_empty_default_counts_as_not_set_and_an_empty_variable_does_not_hide_one() {
        let environment = Environment::from_variables([("DB_PORT", "")])
            .with_defaults([default("DB_HOST", ""), default("DB_PORT", "5434")]);
        let settings: Settings = environment.read().unwrap();
        assert_eq!(settings.db_host, None);
        assert_eq!(settings.db_port.as_deref(), Some("5434"));
        assert_eq!(environment.name("DB_HOST"), "DB_HOST");
    }

    #[test]
    fn each_layer_is_read_by_itself() {
        let [variables, defaults] = Environment::from_variables([("DB_HOST", "variable")])
            .with_defaults([default("DB_HOST", "file"), default("DB_PORT", "5434")])
            .layers();
        let settings: Settings = variables.read().unwrap();
        assert_eq!(settings.db_host.as_deref(), Some("variable"));
        assert_eq!(settings.db_port, None);
        let settings: Settings = defaults.read().unwrap();
        assert_eq!(settings.db_host.as_deref(), Some("file"));
        assert_eq!(settings.db_port.as_deref(), Some("5434"));
    }

    #[test]
    fn lower_case_names_are_somebody_elses() {
        let environment = Environment::from_variables([("DB_HOST", "ours"), ("db_host", "theirs")]);
        let settings: Settings = environment.read().unwrap();
        assert_eq!(settings.db_host.as_deref(), Some("ours"));
    }
}
