//! A span for each request, as the OpenTelemetry conventions for HTTP servers have it.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::header::{AsHeaderName, HOST, USER_AGENT};
use axum::http::uri::Authority;
use axum::http::{Method, Version};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, error, field, info_span};

use crate::answer::Cause;

/// Answers the request in its span, and logs a failure of ours.
pub(crate) async fn request_span(request: Request, next: Next) -> Response {
    let span = span(&request);
    if let Some(traceparent) = header(&request, "traceparent") {
        telemetry::adopt_remote_parent(&span, traceparent, header(&request, "tracestate"));
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "error");
        let cause = response.extensions().get::<Cause>();
        let cause = cause.map_or("", |Cause(cause)| cause.as_str());
        span.in_scope(|| error!("{method} {} answered with {status}: {cause}", uri.path()));
    }
    response
}

/// A root: nothing in this process has caused the request.
fn span(request: &Request) -> Span {
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let server = header(request, HOST).and_then(|host| host.parse::<Authority>().ok());
    info_span!(
        parent: None,
        "request",
        otel.name = match route {
            Some(route) => format!("{} {route}", method.unwrap_or("HTTP")),
            None => method.unwrap_or("HTTP").to_owned(),
        },
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = route,
        http.response.status_code = field::Empty,
        error.r#type = field::Empty,
        url.scheme = "http",
        url.path = request.uri().path(),
        network.protocol.version = version(request.version()),
        server.address = server.as_ref().map(Authority::host),
        server.port = server.as_ref().and_then(Authority::port_u16).map(i64::from),
        client.address = client.map(|client| client.ip().to_string()),
        user_agent.original = header(request, USER_AGENT),
    )
}

fn header(request: &Request, name: impl AsHeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// The method, unless a client made it up: names of spans must not be a client's choice.
fn known_method(method: &Method) -> Option<&str> {
    const KNOWN: [Method; 9] = [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ];
    KNOWN.contains(method).then(|| method.as_str())
}

fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    }
}
