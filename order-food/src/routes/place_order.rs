//! `POST /api/order`

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use subtle::ConstantTimeEq;
use tokio_postgres::error::SqlState;

use crate::answer::ApiError;
use crate::offer::Offer;
use crate::order::{Order, OrderError, OrderRequest};
use crate::routes::Api;

/// Proof that the request has the key. As an argument before the body it is asked for before the body is read.
pub(crate) struct Authorized;

impl FromRequestParts<Arc<Api>> for Authorized {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let key = parts.headers.get("api_key").ok_or(ApiError::KeyMissing)?;
        let is_right = key.as_bytes().ct_eq(api.key.as_bytes());
        if is_right.into() {
            Ok(Self)
        } else {
            Err(ApiError::KeyRefused)
        }
    }
}

/// Places an order. The body is taken for JSON whatever its Content-Type says, as the contract's other servers do.
pub(crate) async fn place_order(
    State(api): State<Arc<Api>>,
    _: Authorized,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Order>, ApiError> {
    let Json(request) = Json::<OrderRequest>::from_bytes(&body?)?;
    let cart = request.cart()?;
    let offer = Offer::find(&api.database, cart.product_ids(), cart.coupon()).await?;
    let order = Order::new(cart, offer)?;
    order.insert(&api.database).await.map_err(|error| {
        if error.state() == Some(&SqlState::FOREIGN_KEY_VIOLATION) {
            OrderError::ProductRemoved.into()
        } else {
            ApiError::from(error)
        }
    })?;
    Ok(Json(order))
}
