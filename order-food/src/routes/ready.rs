//! `GET /ready`

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tracing::warn;

use crate::answer::{ApiError, ApiResponse};
use crate::database::{Database, Statement};
use crate::routes::Api;

/// A database that needs longer for this cannot serve requests in time either.
const LIMIT: Duration = Duration::from_secs(1);

/// Finds each table that a request needs, and the newest column of an old one, without reading it: a table that is locked
/// for a while is no reason to send no requests to any pod.
const FIND: Statement = Statement {
    summary: "SELECT regclass",
    text: "SELECT 'orders'::regclass, 'order_items'::regclass, 'load_run'::regclass, 'coupons'::regclass,
       has_column_privilege('products', 'removed_at', 'SELECT')",
};

/// Whether requests should be sent here.
pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Result<Json<ApiResponse>, ApiError> {
    let reason = tokio::select! {
        biased;
        () = api.shutdown.requested() => Some("the server is stopping"),
        reason = obstacle(&api.database) => reason,
    };
    match reason {
        Some(reason) => Err(ApiError::NotReady(reason)),
        None => Ok(ApiResponse::ok("ready")),
    }
}

/// Why the database cannot be used. The log tells more than the answer, which anybody may read.
async fn obstacle(database: &Database) -> Option<&'static str> {
    let (reason, detail) = match timeout(LIMIT, database.query_without_span(&FIND, &[])).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) if error.state() == Some(&SqlState::UNDEFINED_TABLE) => (
            "a table is missing; run database-migration",
            error.to_string(),
        ),
        Ok(Err(error)) if error.state() == Some(&SqlState::UNDEFINED_COLUMN) => (
            "a column is missing; run database-migration",
            error.to_string(),
        ),
        Ok(Err(error)) => ("the database is not available", error.to_string()),
        Err(_) => (
            "the database is not available",
            format!("no answer within {} s", LIMIT.as_secs()),
        ),
    };
    warn!("not ready, {reason} ({detail})");
    Some(reason)
}
