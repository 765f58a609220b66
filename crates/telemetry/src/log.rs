//! Log lines: for people by default, JSON on request.

use std::fmt;

use environment::{Environment, SettingError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The message, for people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl Format {
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, SettingError> {
        match environment.get("LOG_FORMAT") {
            None | Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(value) => Err(SettingError::Invalid {
                variable: "LOG_FORMAT".to_owned(),
                value: value.to_owned(),
                expected: "text or json".to_owned(),
            }),
        }
    }
}

pub(crate) fn level(environment: &Environment) -> Result<LevelFilter, SettingError> {
    match environment.get("LOG_LEVEL") {
        None | Some("info") => Ok(LevelFilter::INFO),
        Some("error") => Ok(LevelFilter::ERROR),
        Some("warn") => Ok(LevelFilter::WARN),
        Some("debug") => Ok(LevelFilter::DEBUG),
        Some("trace") => Ok(LevelFilter::TRACE),
        Some(value) => Err(SettingError::Invalid {
            variable: "LOG_LEVEL".to_owned(),
            value: value.to_owned(),
            expected: "error, warn, info, debug or trace".to_owned(),
        }),
    }
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    /// Facts go to standard output, warnings and errors to standard error.
    ByLevel,
    /// All lines go to standard error, since standard output is for a document.
    StandardError,
}

impl LogOutput {
    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::ByLevel => {
                let warnings = std::io::stderr.with_max_level(Level::WARN);
                BoxMakeWriter::new(warnings.or_else(std::io::stdout))
            }
            Self::StandardError => BoxMakeWriter::new(std::io::stderr),
        }
    }
}

pub(crate) fn layer<S>(format: Format, output: LogOutput) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let writer = output.writer();
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        Format::Text => layer.event_format(Text).fmt_fields(Text).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}

/// The message alone: whatever a person needs is in it, and `kubectl logs --timestamps` knows the time.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match *event.metadata().level() {
            Level::ERROR => writer.write_str("✗ ")?,
            Level::WARN => writer.write_str("warning: ")?,
            Level::INFO => {}
            Level::DEBUG | Level::TRACE => write!(writer, "{}: ", event.metadata().target())?,
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{}", message.0)
    }
}

/// The fields of spans, which no line shows.
impl<'writer> FormatFields<'writer> for Text {
    fn format_fields<R: RecordFields>(&self, _writer: Writer<'writer>, _fields: R) -> fmt::Result {
        Ok(())
    }
}

struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
