//! Which trace the start of a process belongs to.

use std::sync::atomic::{AtomicBool, Ordering};

use environment::Environment;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

/// The trace that the start of this process belongs to.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    parent: Option<SpanContext>,
    pod: Option<TraceId>,
    problem: Option<String>,
}

impl Startup {
    /// `TRACEPARENT` if it is there and well-formed, else `POD_UID`. What is malformed is reported and passed over, as
    /// W3C Trace Context asks: telemetry never fails a run.
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        let mut startup = Self::default();
        if let Some(value) = environment.get("TRACEPARENT") {
            startup.parent = parse_traceparent(value, environment.get("TRACESTATE"));
            if startup.parent.is_some() {
                return startup;
            }
            startup.problem = Some(format!(
                "TRACEPARENT={value:?} is not of the form 00-<32 hex digits>-<16 hex digits>-<2 hex digits>; a new \
                 trace is begun"
            ));
        }
        if let Some(value) = environment.get("POD_UID") {
            startup.pod = parse_uuid(value);
            if startup.pod.is_none() {
                startup.problem = Some(format!(
                    "POD_UID={value:?} is not a UUID; a new trace is begun"
                ));
            }
        }
        startup
    }

    pub(crate) fn parent(&self) -> Option<Context> {
        self.parent
            .clone()
            .map(|parent| Context::new().with_remote_span_context(parent))
    }

    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.parent.as_ref().map(SpanContext::trace_id).or(self.pod)
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Ids for the spans of this process, of which the first root gets the pod's.
    pub(crate) fn id_generator(&self) -> StartupIdGenerator {
        StartupIdGenerator {
            first: self.pod,
            is_first_taken: AtomicBool::new(false),
            random: RandomIdGenerator::default(),
        }
    }
}

/// Gives the first root span the pod's trace id, so that it needs no invented parent, and all others random ones.
#[derive(Debug)]
pub(crate) struct StartupIdGenerator {
    first: Option<TraceId>,
    is_first_taken: AtomicBool,
    random: RandomIdGenerator,
}

impl IdGenerator for StartupIdGenerator {
    fn new_trace_id(&self) -> TraceId {
        match self.first {
            Some(pod) if !self.is_first_taken.swap(true, Ordering::Relaxed) => pod,
            _ => self.random.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        self.random.new_span_id()
    }
}

/// W3C Trace Context, section "traceparent Header".
pub(crate) fn parse_traceparent(value: &str, state: Option<&str>) -> Option<SpanContext> {
    let fields: Vec<_> = value.trim().split('-').collect();
    let [version, trace, span, flags] = fields.as_slice() else {
        return None;
    };
    let is_lower_hex = |field: &str, length: usize| {
        field.len() == length
            && field
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if *version != "00"
        || !is_lower_hex(trace, 32)
        || !is_lower_hex(span, 16)
        || !is_lower_hex(flags, 2)
    {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        state
            .and_then(|state| state.parse::<TraceState>().ok())
            .unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

fn parse_uuid(value: &str) -> Option<TraceId> {
    let digits: String = value
        .trim()
        .chars()
        .filter(|character| *character != '-')
        .collect();
    if digits.len() != 32 {
        return None;
    }
    TraceId::from_hex(&digits)
        .ok()
        .filter(|id| *id != TraceId::INVALID)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const POD_UID: &str = "5b8efff7-98b4-4b13-9a46-6d1e6e8d7f11";

    #[test]
    fn traceparent_wins_over_the_pod() {
        let startup = Startup::from_environment(&Environment::from_variables([
            ("TRACEPARENT", TRACEPARENT),
            ("POD_UID", POD_UID),
        ]));
        assert_eq!(
            startup.trace_id().unwrap().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert!(startup.parent().is_some());
    }

    #[test]
    fn the_pod_is_the_trace_of_the_first_root_only() {
        let startup =
            Startup::from_environment(&Environment::from_variables([("POD_UID", POD_UID)]));
        assert!(startup.parent().is_none());
        let ids = startup.id_generator();
        let first = ids.new_trace_id();
        assert_eq!(first.to_string(), "5b8efff798b44b139a466d1e6e8d7f11");
        assert_ne!(ids.new_trace_id(), first);
    }

    #[test]
    fn a_malformed_traceparent_is_reported_and_passed_over() {
        for malformed in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parse_traceparent(malformed, None).is_none(), "{malformed}");
        }
        let startup = Startup::from_environment(&Environment::from_variables([
            ("TRACEPARENT", "nonsense"),
            ("POD_UID", POD_UID),
        ]));
        assert!(startup.problem().unwrap().starts_with("TRACEPARENT="));
        assert!(startup.trace_id().is_some());
    }
}
