//! Exporters that remember what they could not deliver.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// What could not be delivered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses(Arc<Mutex<Option<Loss>>>);

/// How much was lost, and why the last of it.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    pub(crate) count: usize,
    pub(crate) reason: String,
}

impl Losses {
    pub(crate) fn get(&self) -> Option<Loss> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, count: usize, reason: String) {
        let mut loss = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = loss.as_ref().map_or(0, |loss| loss.count);
        *loss = Some(Loss {
            count: before + count,
            reason,
        });
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// An exporter that remembers what it could not deliver.
#[derive(Debug)]
pub(crate) struct Accounted<Exporter> {
    pub(crate) exporter: Exporter,
    pub(crate) losses: Losses,
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

impl<Exporter: PushMetricExporter> PushMetricExporter for Accounted<Exporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = self.exporter.export(metrics).await;
        // A cumulative export holds all of the earlier ones, so only the last one can lose anything.
        if self.temporality() == Temporality::Cumulative {
            self.losses.clear();
        }
        if let Err(error) = &outcome {
            let count = metrics.scope_metrics().flat_map(ScopeMetrics::metrics);
            self.losses.add(count.count(), error.to_string());
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
