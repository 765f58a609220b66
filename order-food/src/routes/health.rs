//! `GET /health`

use axum::Json;

use crate::answer::ApiResponse;

/// The process answers. It does not ask the database: to be restarted would not bring that back.
pub(crate) async fn health() -> Json<ApiResponse> {
    ApiResponse::ok("healthy")
}
