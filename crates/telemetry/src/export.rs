//! Delivery of spans and metrics over OTLP/gRPC.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use environment::{Environment, SettingError};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::warn;

use crate::FLUSH_LIMIT;
use crate::losses::{Accounted, Losses};
use crate::signal::{Endpoint, METRICS, SPANS, Signal};
use crate::startup::Startup;

/// Spans and metrics on their way to a collector.
pub(crate) struct Exporting {
    tracer: Option<SdkTracer>,
    deliveries: Vec<Delivery>,
    /// The exporters' own, so that they deliver while the program's runtime is busy or gone.
    runtime: tokio::runtime::Runtime,
}

impl Exporting {
    /// Starts exporting what an endpoint is set for.
    pub(crate) fn start(
        service: &'static str,
        version: &'static str,
        environment: &Environment,
        startup: &Startup,
    ) -> Result<Option<Self>, SettingError> {
        let spans = SPANS.endpoint(environment)?;
        let metrics = METRICS.endpoint(environment)?;
        let Some(first) = spans.as_ref().or(metrics.as_ref()) else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()
            .map_err(|error| first.invalid(&error))?;
        let mut exporting = Self {
            tracer: None,
            deliveries: Vec::new(),
            runtime,
        };
        let resource = resource(service, version, environment);
        if let Some(endpoint) = spans {
            exporting.start_spans(service, endpoint, resource.clone(), startup)?;
        }
        if let Some(endpoint) = metrics {
            exporting.start_metrics(endpoint, resource)?;
        }
        Ok(Some(exporting))
    }

    fn start_spans(
        &mut self,
        service: &'static str,
        endpoint: Endpoint,
        resource: Resource,
        startup: &Startup,
    ) -> Result<(), SettingError> {
        let _in_runtime = self.runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&endpoint.url)
            .build()
            .map_err(|error| endpoint.invalid(&error))?;
        let losses = Losses::default();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Accounted {
                exporter,
                losses: losses.clone(),
            })
            .with_id_generator(startup.id_generator())
            .with_resource(resource)
            .build();
        self.tracer = Some(provider.tracer(service));
        self.deliveries.push(Delivery {
            signal: SPANS,
            endpoint,
            losses,
            end: Box::new(move || provider.shutdown()),
        });
        Ok(())
    }

    /// From here on, the instruments of [`crate::meter`] record.
    fn start_metrics(
        &mut self,
        endpoint: Endpoint,
        resource: Resource,
    ) -> Result<(), SettingError> {
        let _in_runtime = self.runtime.enter();
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_endpoint(&endpoint.url)
            .build()
            .map_err(|error| endpoint.invalid(&error))?;
        let losses = Losses::default();
        let reader = PeriodicReader::builder(Accounted {
            exporter,
            losses: losses.clone(),
        });
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.build())
            .with_resource(resource)
            .build();
        opentelemetry::global::set_meter_provider(provider.clone());
        self.deliveries.push(Delivery {
            signal: METRICS,
            endpoint,
            losses,
            end: Box::new(move || provider.shutdown()),
        });
        Ok(())
    }

    /// What records spans, if they are exported.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.tracer.clone()
    }

    /// Delivers what is left, all at the same time and for [`FLUSH_LIMIT`] at most, and says if something was lost.
    pub(crate) fn finish(self) {
        let deadline = Instant::now() + FLUSH_LIMIT;
        let endings: Vec<_> = self.deliveries.into_iter().map(Delivery::end).collect();
        let problems: Vec<_> = endings
            .into_iter()
            .filter_map(|ending| ending.problem(deadline))
            .collect();
        self.runtime.shutdown_background();
        if !problems.is_empty() {
            warn!("telemetry was not delivered: {}", problems.join("; "));
        }
    }
}

/// One signal on its way.
struct Delivery {
    signal: Signal,
    endpoint: Endpoint,
    losses: Losses,
    /// Delivers what is left and ends.
    end: Box<dyn FnOnce() -> OTelSdkResult + Send>,
}

/// The end of a delivery, while it is awaited.
struct Ending {
    signal: Signal,
    endpoint: Endpoint,
    losses: Losses,
    outcome: mpsc::Receiver<OTelSdkResult>,
}

impl Delivery {
    /// Begins to deliver what is left, on a thread of its own: the providers keep to limits of their own, if any.
    fn end(self) -> Ending {
        let (sender, outcome) = mpsc::channel();
        let end = self.end;
        thread::spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = sender.send(end());
        });
        Ending {
            signal: self.signal,
            endpoint: self.endpoint,
            losses: self.losses,
            outcome,
        }
    }
}

impl Ending {
    /// Waits for the end until `deadline`, and tells what was lost.
    fn problem(self, deadline: Instant) -> Option<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = self.outcome.recv_timeout(left);
        let title = self.signal.title;
        let url = &self.endpoint.url;
        let problem = match (self.losses.get(), outcome) {
            (Some(loss), _) => format!("{} {title} to {url}, {}", loss.count, loss.reason),
            (None, Ok(Ok(()))) => return None,
            (None, Ok(Err(error))) => format!("perhaps some {title} to {url}, {error}"),
            (None, Err(_)) => {
                let limit = FLUSH_LIMIT.as_millis();
                format!("{title} to {url}, which did not answer in {limit} ms")
            }
        };
        let variable = self.signal.exporter;
        Some(format!("{problem} ({variable}=none turns them off)"))
    }
}

fn resource(service: &'static str, version: &'static str, environment: &Environment) -> Resource {
    let mut resource = Resource::builder();
    // The builder's own detectors read these; a name of ours would win over them.
    let attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or("");
    if environment.get("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
        resource = resource.with_service_name(service);
    }
    if !attributes.contains("service.version=") {
        resource =
            resource.with_attribute(opentelemetry::KeyValue::new("service.version", version));
    }
    resource.build()
}
