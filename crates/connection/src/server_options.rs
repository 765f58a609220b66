//! Server settings that a connection asks for at its start.

use std::fmt::Write as _;
use std::time::Duration;

/// Settings that travel as the start-up parameter `options`, so that a `RESET` in somebody's SQL returns to them.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    options: Vec<(&'static str, String)>,
}

impl Default for ServerOptions {
    /// What every connection has: a client that is lost with its node is noticed in seconds, not in two hours.
    fn default() -> Self {
        Self {
            options: vec![
                ("tcp_keepalives_idle", "10".to_owned()),
                ("tcp_keepalives_interval", "5".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
                ("client_connection_check_interval", "2000".to_owned()),
            ],
        }
    }
}

impl ServerOptions {
    /// Adds a time limit in milliseconds, such as `lock_timeout`; zero means none.
    #[must_use]
    pub fn timeout(mut self, name: &'static str, timeout: Option<Duration>) -> Self {
        let milliseconds = timeout.map_or(0, |timeout| timeout.as_millis().max(1));
        self.options.push((name, milliseconds.to_string()));
        self
    }

    /// The value of the start-up parameter `options`.
    pub(crate) fn startup_parameter(&self) -> String {
        let mut parameter = String::new();
        for (name, value) in &self.options {
            let _ = write!(parameter, "-c {name}={value} ");
        }
        parameter.truncate(parameter.trim_end().len());
        parameter
    }

    /// A query that tells of each option whether it arrived. It leaves no trace: behind a pooler the session may be
    /// somebody else's the next moment.
    ///
    /// Operands are evaluated from left to right, so the comparison sees the value before and after. The names and
    /// values are our own.
    pub(crate) fn comparison_query(&self) -> String {
        self.query(|name, value| {
            format!("current_setting('{name}') = set_config('{name}', '{value}', true)")
        })
    }

    /// A query that sets each option for the rest of the session.
    pub(crate) fn setting_query(&self) -> String {
        self.query(|name, value| format!("set_config('{name}', '{value}', false)"))
    }

    fn query(&self, column: impl Fn(&str, &str) -> String) -> String {
        let columns: Vec<_> = self
            .options
            .iter()
            .map(|(name, value)| column(name, value))
            .collect();
        format!("SELECT {}", columns.join(", "))
    }

    /// The options' names, in the order of [`Self::comparison_query`]'s columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.options.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_travel_at_start_and_are_assured_after_it() {
        let options =
            ServerOptions::default().timeout("lock_timeout", Some(Duration::from_secs(1)));
        assert_eq!(
            options.startup_parameter(),
            "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 \
             -c client_connection_check_interval=2000 -c lock_timeout=1000"
        );
        assert!(options.comparison_query().ends_with(
            ", current_setting('lock_timeout') = set_config('lock_timeout', '1000', true)"
        ));
    }
}
