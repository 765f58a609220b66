//! Delivery of spans over OTLP/gRPC.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use environment::{Environment, SettingError};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tracing::warn;

use crate::FLUSH_LIMIT;
use crate::startup::Startup;

const ENDPOINT_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Spans on their way to a collector.
pub(crate) struct Exporting {
    endpoint: String,
    provider: SdkTracerProvider,
    losses: Losses,
    /// The exporter's own, so that spans are delivered while the program's runtime is busy or gone.
    runtime: tokio::runtime::Runtime,
}

impl Exporting {
    /// Starts exporting if an endpoint is set.
    pub(crate) fn start(
        service: &'static str,
        version: &'static str,
        environment: &Environment,
        startup: &Startup,
    ) -> Result<Option<Self>, SettingError> {
        let is_disabled = environment
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || environment.get("OTEL_TRACES_EXPORTER") == Some("none");
        let endpoint = ENDPOINT_VARIABLES
            .iter()
            .find_map(|variable| Some((*variable, environment.get(variable)?)));
        let Some((variable, endpoint)) = endpoint.filter(|_| !is_disabled) else {
            return Ok(None);
        };
        let invalid = |problem: &dyn std::fmt::Display| SettingError::Invalid {
            variable: variable.to_owned(),
            value: endpoint.to_owned(),
            expected: format!("a URL such as http://collector:4317 ({problem})"),
        };
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(invalid(&"it begins with neither http:// nor https://"));
        }

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()
            .map_err(|error| invalid(&error))?;
        let losses = Losses::default();
        let provider = {
            let _guard = runtime.enter();
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .build()
                .map_err(|error| invalid(&error))?;
            SdkTracerProvider::builder()
                .with_batch_exporter(Accounted {
                    exporter,
                    losses: losses.clone(),
                })
                .with_id_generator(startup.id_generator())
                .with_resource(resource(service, version, environment))
                .build()
        };
        Ok(Some(Self {
            endpoint: endpoint.to_owned(),
            provider,
            losses,
            runtime,
        }))
    }

    pub(crate) fn tracer(&self, service: &'static str) -> SdkTracer {
        self.provider.tracer(service)
    }

    /// Delivers what is left, for [`FLUSH_LIMIT`] at most, and says if something was lost.
    pub(crate) fn finish(self) {
        let outcome = self.provider.shutdown_with_timeout(FLUSH_LIMIT);
        self.runtime.shutdown_background();
        match (self.losses.summary(), outcome) {
            (Some(losses), _) => warn!("spans were not delivered to {}: {losses}", self.endpoint),
            (None, Err(error)) => {
                warn!(
                    "spans may not have been delivered to {}: {error}",
                    self.endpoint
                );
            }
            (None, Ok(())) => {}
        }
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

/// An exporter that remembers what it could not deliver.
#[derive(Debug)]
struct Accounted<Exporter> {
    exporter: Exporter,
    losses: Losses,
}

#[derive(Debug, Clone, Default)]
struct Losses(Arc<Mutex<Option<(usize, String)>>>);

impl Losses {
    fn add(&self, spans: usize, reason: String) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = losses.as_ref().map_or(0, |(spans, _)| *spans);
        *losses = Some((before + spans, reason));
    }

    fn summary(&self) -> Option<String> {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses
            .as_ref()
            .map(|(spans, reason)| format!("{spans} lost, {reason}"))
    }
}

impl<Exporter: SpanExporter> SpanExporter for Accounted<Exporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        if let Err(error) = &outcome {
            self.losses.add(spans, error.to_string());
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
