//! Log lines for people, and OTLP spans and metrics when an endpoint is set.
//!
//! Finished steps are log lines that begin with `✓`. Spans and metrics go to `OTEL_EXPORTER_OTLP_ENDPOINT` over gRPC; a
//! collector that is away never fails a run and delays its end by no more than [`FLUSH_LIMIT`].
//!
//! A program creates its instruments with [`meter`] when it first uses them, so after [`Telemetry::start`]. Without an
//! endpoint they record nothing.

mod export;
mod log;
mod losses;
mod signal;
mod startup;

use std::time::Duration;

use environment::{Environment, SettingError};
use opentelemetry::Context;
pub use opentelemetry::KeyValue;
pub use opentelemetry::global::meter;
pub use opentelemetry::metrics::{Counter, Gauge, Histogram};
use opentelemetry::trace::{TraceContextExt, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::export::Exporting;
use crate::startup::Startup;

pub use crate::log::LogOutput;

/// The variables of this crate with their meaning, for `--help` texts.
pub const VARIABLES: &str = "  LOG_FORMAT          text or json [text]
  LOG_LEVEL           error, warn, info, debug or trace [info]
  OTEL_EXPORTER_OTLP_ENDPOINT
                      where spans and metrics go over gRPC, such as http://collector:4317 [nowhere]
  TRACEPARENT         the trace to belong to, as W3C Trace Context defines it
  POD_UID             without TRACEPARENT, the id of the trace
";

/// How long the end of a program may be delayed by spans and metrics that cannot be delivered.
pub const FLUSH_LIMIT: Duration = Duration::from_millis(1500);

/// Logging and tracing of this process, from [`Telemetry::start`] to [`Telemetry::finish`].
pub struct Telemetry {
    startup: Startup,
    exporting: Option<Exporting>,
}

impl Telemetry {
    /// Installs the process's subscriber. `service` is the name of the program.
    pub fn start(
        service: &'static str,
        version: &'static str,
        environment: &Environment,
        output: LogOutput,
    ) -> Result<Self, SettingError> {
        let level = log::level(environment)?;
        let format = log::Format::from_environment(environment)?;
        let startup = Startup::from_environment(environment);
        let exporting = Exporting::start(service, version, environment, &startup)?;

        let ours = |level: LevelFilter| {
            Targets::new()
                .with_default(level.min(LevelFilter::WARN))
                .with_targets(OUR_CRATES.iter().map(|name| (*name, level)))
                // It warns of each dead connection without saying why; whoever needed the connection does.
                .with_target("deadpool", LevelFilter::ERROR)
        };
        let tracer = exporting.as_ref().and_then(Exporting::tracer);
        let spans = tracer.map(|tracer| {
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_filter(ours(LevelFilter::INFO))
        });
        tracing_subscriber::registry()
            .with(spans)
            .with(log::layer(format, output).with_filter(ours(level)))
            .init();
        if let Some(problem) = startup.problem() {
            tracing::warn!("{problem}");
        }
        Ok(Self { startup, exporting })
    }

    /// Makes `span` the first of the process: a child of `TRACEPARENT`, or a root whose trace id is the pod's UID.
    pub fn adopt_startup_span(&self, span: &Span) {
        if let Some(parent) = self.startup.parent()
            && self.exporting.is_some()
        {
            // Fails only for a span that no layer records, which needs no parent.
            let _ = span.set_parent(parent);
        }
    }

    /// The id of the trace that the process's start belongs to, if it is known.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.startup.trace_id()
    }

    /// Delivers what is left and stops exporting.
    pub fn finish(self) {
        if let Some(exporting) = self.exporting {
            exporting.finish();
        }
    }
}

/// Makes `span` a child of the span that a request names in its W3C Trace Context headers; what is malformed is passed
/// over.
pub fn adopt_remote_parent(span: &Span, traceparent: &str, tracestate: Option<&str>) {
    if let Some(parent) = startup::parse_traceparent(traceparent, tracestate) {
        // Fails only for a span that no layer records, which needs no parent.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// The id of the trace that the current span belongs to, if it is being recorded.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span_context = span.span_context();
    span_context
        .is_valid()
        .then(|| span_context.trace_id().to_string())
}

/// Crates whose spans are exported and whose log lines follow `LOG_LEVEL`; others speak only to warn.
const OUR_CRATES: [&str; 7] = [
    "advisory_lock",
    "connection",
    "database_load",
    "database_migration",
    "order_food",
    "program",
    "telemetry",
];
