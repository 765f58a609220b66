//! What the API answers, a file each.

mod get_product;
mod health;
mod list_products;
mod place_order;
mod ready;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use shutdown::Shutdown;

use crate::answer::{ApiError, BODY_LIMIT};
use crate::database::Database;
use crate::request_span;
use crate::settings::ApiKey;

/// What the routes work with.
pub(crate) struct Api {
    pub(crate) database: Database,
    pub(crate) key: ApiKey,
    pub(crate) shutdown: Shutdown,
}

/// All routes. The probes have neither spans nor the limit of time: they come every few seconds, and have a limit of
/// their own.
pub(crate) fn router(api: Arc<Api>, request_timeout: Duration) -> Router {
    let probes = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(ready::ready))
        .method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .route("/api/product", get(list_products::list_products))
        .route("/api/product/{productId}", get(get_product::get_product))
        .route("/api/order", post(place_order::place_order))
        .fallback(no_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(request_timeout, limit_time))
        .layer(from_fn(request_span::request_span))
        .merge(probes)
        .with_state(api)
}

async fn no_path() -> ApiError {
    ApiError::NoPath
}

async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

async fn limit_time(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tokio::time::timeout(limit, next.run(request))
        .await
        .map_err(|_| ApiError::Timeout(limit))
}
