//! `GET /api/product/{productId}`

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use crate::answer::ApiError;
use crate::product::Product;
use crate::routes::Api;

/// One product. The contract has its id as a number here, and as a text everywhere else.
pub(crate) async fn get_product(
    State(api): State<Arc<Api>>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Product>, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::ProductId)?;
    let product = Product::one(&api.database, &id.to_string()).await?;
    product.map(Json).ok_or(ApiError::NoProduct(id))
}
