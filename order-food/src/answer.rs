//! What requests are answered with when it is not what they asked for.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::database::DatabaseError;
use crate::order::OrderError;

/// A longer body is not read.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

/// The contract's `ApiResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct ApiResponse {
    code: u16,
    r#type: &'static str,
    message: String,
}

impl ApiResponse {
    pub(crate) fn ok(message: &str) -> Json<Self> {
        Json(Self {
            code: StatusCode::OK.as_u16(),
            r#type: "ok",
            message: message.to_owned(),
        })
    }
}

/// Why a request is not answered with success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request is not of the form that the contract asks for.
    #[error("{0}")]
    Malformed(String),
    /// An order without a key.
    #[error("the header api_key is missing")]
    KeyMissing,
    /// An order with a wrong key.
    #[error("the key in the header api_key is not valid")]
    KeyRefused,
    /// The path holds no id of a product.
    #[error("the productId in the path is not a whole number")]
    ProductId,
    /// There is no such product.
    #[error("there is no product {0}")]
    NoProduct(i64),
    /// There is no such path.
    #[error(
        "there is no such path; the paths are /api/product, /api/product/{{productId}} and /api/order"
    )]
    NoPath,
    /// The path knows other methods.
    #[error("the path does not know this method; the header Allow lists those it knows")]
    MethodNotAllowed,
    /// The body is too long.
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    BodyTooLong,
    /// The order breaks a rule.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The answer took too long.
    #[error("there was no answer within {} s; the server may have acted on the request all the same", .0.as_secs_f64())]
    Timeout(Duration),
    /// Requests should be sent elsewhere for now.
    #[error("not ready: {0}")]
    NotReady(&'static str),
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What the log says about an answer, beside its status.
#[derive(Clone)]
pub(crate) struct Cause(pub(crate) String);

impl ApiError {
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) | Self::ProductId => (StatusCode::BAD_REQUEST, "malformed"),
            Self::KeyMissing => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::KeyRefused => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NoProduct(_) | Self::NoPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTooLong => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Order(OrderError::NoCoupons) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Order(_) => (StatusCode::UNPROCESSABLE_ENTITY, "validation"),
            Self::Database(error) if !error.is_passing() => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            Self::Timeout(_) | Self::NotReady(_) | Self::Database(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        }
    }

    /// What the client is told; how the database puts it is nobody's business.
    fn message(&self) -> String {
        match self {
            Self::Database(error) if error.is_passing() => {
                "the database is not available at the moment; try again in a few seconds".to_owned()
            }
            Self::Database(_) => {
                "the request could not be answered; the server's log says why".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// After how many seconds another try may have more success.
    fn retry_after(&self) -> u16 {
        match self {
            // The next load may be some hours away.
            Self::Order(OrderError::NoCoupons) => 3600,
            _ => 5,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind) = self.status();
        let body = ApiResponse {
            code: status.as_u16(),
            r#type: kind,
            message: self.message(),
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(self.retry_after()));
        }
        response.extensions_mut().insert(Cause(self.to_string()));
        response
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::BodyTooLong
        } else {
            Self::Malformed(rejection.body_text())
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Malformed(rejection.body_text())
    }
}
