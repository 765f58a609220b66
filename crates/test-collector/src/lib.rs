//! An OTLP receiver for tests: a real gRPC server that keeps what it is sent.

#![allow(clippy::expect_used, clippy::missing_panics_doc)] // What fails here fails the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span as its receiver sees it.
#[derive(Debug, Clone)]
pub struct Span {
    /// The resource's `service.name`.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// In lower-case hexadecimal digits.
    pub trace_id: String,
    /// In lower-case hexadecimal digits.
    pub span_id: String,
    /// In lower-case hexadecimal digits; empty for a root.
    pub parent_id: String,
    /// As the OTLP specification numbers them: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// As the OTLP specification numbers them: 0 unset, 1 ok, 2 error.
    pub status: i32,
    /// Values of all types as text.
    pub attributes: BTreeMap<String, String>,
    /// Those of them that are whole numbers, and not text that looks like one.
    pub numbers: BTreeMap<String, i64>,
}

/// One point of a metric as its receiver sees it.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// The resource's `service.name`.
    pub service: String,
    /// The metric's name.
    pub name: String,
    /// Its unit, as UCUM writes it.
    pub unit: String,
    /// Values of all types as text.
    pub attributes: BTreeMap<String, String>,
    /// What was measured.
    pub value: Value,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// How often a counter was raised.
    Count(i64),
    /// What a histogram holds.
    Distribution {
        /// How many values.
        count: u64,
        /// All of them together.
        sum: f64,
    },
    /// What a gauge shows.
    Level(f64),
}

/// A running receiver. It stops with the runtime it was started on.
pub struct Collector {
    endpoint: String,
    spans: Received<Span>,
    measurements: Received<Measurement>,
}

type Received<Item> = Arc<Mutex<Vec<Item>>>;

impl Collector {
    /// Starts a receiver on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let endpoint = format!(
            "http://{}",
            listener.local_addr().expect("the port is known")
        );
        let spans = Received::default();
        let measurements = Received::default();
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(Traces(spans.clone())))
                .add_service(MetricsServiceServer::new(Metrics(measurements.clone())))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self {
            endpoint,
            spans,
            measurements,
        }
    }

    /// What to set `OTEL_EXPORTER_OTLP_ENDPOINT` to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The spans received so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The points of metrics received so far, of every export.
    #[must_use]
    pub fn measurements(&self) -> Vec<Measurement> {
        self.measurements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Traces(Received<Span>);

#[tonic::async_trait]
impl TraceService for Traces {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource_spans in request.into_inner().resource_spans {
            let service = service_name(resource_spans.resource);
            for span in resource_spans
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                received.push(Span {
                    service: service.clone(),
                    name: span.name,
                    trace_id: hexadecimal(&span.trace_id),
                    span_id: hexadecimal(&span.span_id),
                    parent_id: hexadecimal(&span.parent_span_id),
                    kind: span.kind,
                    status: span.status.map_or(0, |status| status.code),
                    numbers: numbers(&span.attributes),
                    attributes: attributes(span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

struct Metrics(Received<Measurement>);

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource_metrics in request.into_inner().resource_metrics {
            let service = service_name(resource_metrics.resource);
            for metric in resource_metrics
                .scope_metrics
                .into_iter()
                .flat_map(|scope| scope.metrics)
            {
                for (attributes, value) in metric.data.map_or_else(Vec::new, points) {
                    received.push(Measurement {
                        service: service.clone(),
                        name: metric.name.clone(),
                        unit: metric.unit.clone(),
                        attributes,
                        value,
                    });
                }
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The points of a counter, a histogram or a gauge; none of the other kinds, which no program has.
fn points(data: Data) -> Vec<(BTreeMap<String, String>, Value)> {
    match data {
        Data::Sum(sum) => sum
            .data_points
            .into_iter()
            .filter_map(|point| match point.value? {
                number_data_point::Value::AsInt(count) => {
                    Some((attributes(point.attributes), Value::Count(count)))
                }
                number_data_point::Value::AsDouble(_) => None,
            })
            .collect(),
        Data::Histogram(histogram) => histogram
            .data_points
            .into_iter()
            .map(|point| {
                let value = Value::Distribution {
                    count: point.count,
                    sum: point.sum.unwrap_or_default(),
                };
                (attributes(point.attributes), value)
            })
            .collect(),
        Data::Gauge(gauge) => gauge
            .data_points
            .into_iter()
            .filter_map(|point| match point.value? {
                number_data_point::Value::AsDouble(level) => {
                    Some((attributes(point.attributes), Value::Level(level)))
                }
                number_data_point::Value::AsInt(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn service_name(resource: Option<Resource>) -> String {
    let resource = attributes(resource.map_or_else(Vec::new, |resource| resource.attributes));
    resource.get("service.name").cloned().unwrap_or_default()
}

fn numbers(attributes: &[KeyValue]) -> BTreeMap<String, i64> {
    attributes
        .iter()
        .filter_map(|attribute| match attribute.value.as_ref()?.value {
            Some(any_value::Value::IntValue(number)) => Some((attribute.key.clone(), number)),
            _ => None,
        })
        .collect()
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes
        .into_iter()
        .map(|attribute| {
            let value = match attribute.value.and_then(|value| value.value) {
                Some(any_value::Value::StringValue(text)) => text,
                Some(any_value::Value::IntValue(number)) => number.to_string(),
                Some(any_value::Value::DoubleValue(number)) => number.to_string(),
                Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
                other => format!("{other:?}"),
            };
            (attribute.key, value)
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
