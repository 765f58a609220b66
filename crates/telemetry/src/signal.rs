//! What is delivered, and where each kind of it goes.

use std::fmt::Display;

use environment::{Environment, SettingError};

/// The spans.
pub(crate) const SPANS: Signal = Signal {
    title: "spans",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    exporter: "OTEL_TRACES_EXPORTER",
};

/// The metrics.
pub(crate) const METRICS: Signal = Signal {
    title: "metrics",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    exporter: "OTEL_METRICS_EXPORTER",
};

const SHARED_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A kind of telemetry, with the variables that are about it alone.
pub(crate) struct Signal {
    /// What it is called in messages.
    pub(crate) title: &'static str,
    endpoint: &'static str,
    /// The variable that turns it off with `none`.
    pub(crate) exporter: &'static str,
}

/// Where a signal goes.
pub(crate) struct Endpoint {
    variable: &'static str,
    pub(crate) url: String,
}

impl Signal {
    /// Where this signal goes; nothing if it is off, or if no endpoint is set.
    pub(crate) fn endpoint(
        &self,
        environment: &Environment,
    ) -> Result<Option<Endpoint>, SettingError> {
        let is_disabled = environment
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_disabled || environment.get(self.exporter) == Some("none") {
            return Ok(None);
        }
        let variables = [self.endpoint, SHARED_ENDPOINT];
        let set = |variable| Some((variable, environment.get(variable)?));
        let Some((variable, url)) = variables.into_iter().find_map(set) else {
            return Ok(None);
        };
        let endpoint = Endpoint {
            variable,
            url: url.to_owned(),
        };
        if url.starts_with("http://") || url.starts_with("https://") {
            Ok(Some(endpoint))
        } else {
            Err(endpoint.invalid(&"it begins with neither http:// nor https://"))
        }
    }
}

impl Endpoint {
    /// The error of an endpoint that cannot be used.
    pub(crate) fn invalid(&self, problem: &dyn Display) -> SettingError {
        SettingError::Invalid {
            variable: self.variable.to_owned(),
            value: self.url.clone(),
            expected: format!("a URL such as http://collector:4317 ({problem})"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn url(signal: &Signal, variables: &[(&str, &str)]) -> Option<String> {
        let environment = Environment::from_variables(variables.iter().copied());
        let endpoint = signal.endpoint(&environment).unwrap();
        endpoint.map(|endpoint| endpoint.url)
    }

    #[test]
    fn a_signals_own_endpoint_wins_over_the_shared_one() {
        let variables = [
            (SHARED_ENDPOINT, "http://shared:4317"),
            (METRICS.endpoint, "http://metrics:4317"),
        ];
        assert_eq!(
            url(&METRICS, &variables).unwrap(),
            "http://metrics:4317".to_owned()
        );
        assert_eq!(
            url(&SPANS, &variables).unwrap(),
            "http://shared:4317".to_owned()
        );
        assert_eq!(url(&SPANS, &variables[1..]), None);
        assert_eq!(url(&SPANS, &[]), None);
    }

    #[test]
    fn each_signal_is_turned_off_by_itself_and_both_at_once() {
        let endpoint = (SHARED_ENDPOINT, "http://shared:4317");
        let no_spans = [endpoint, ("OTEL_TRACES_EXPORTER", "none")];
        assert_eq!(url(&SPANS, &no_spans), None);
        assert!(url(&METRICS, &no_spans).is_some());
        let no_metrics = [endpoint, ("OTEL_METRICS_EXPORTER", "none")];
        assert!(url(&SPANS, &no_metrics).is_some());
        assert_eq!(url(&METRICS, &no_metrics), None);
        let neither = [endpoint, ("OTEL_SDK_DISABLED", "True")];
        assert_eq!(url(&SPANS, &neither), None);
        assert_eq!(url(&METRICS, &neither), None);
    }
}
