//! An OTLP receiver for tests: a real gRPC server that keeps what it is sent.

#![allow(clippy::expect_used, clippy::missing_panics_doc)] // What fails here fails the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
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

/// A running receiver. It stops with the runtime it was started on.
pub struct Collector {
    endpoint: String,
    spans: Received,
}

type Received = Arc<Mutex<Vec<Span>>>;

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
        let service = TraceServiceServer::new(Service(spans.clone()));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { endpoint, spans }
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
}

struct Service(Received);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource_spans in request.into_inner().resource_spans {
            let resource = attributes(
                resource_spans
                    .resource
                    .map_or_else(Vec::new, |resource| resource.attributes),
            );
            let service = resource.get("service.name").cloned().unwrap_or_default();
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
