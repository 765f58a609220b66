//! `GET /api/product/{productId}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::answer::ApiError;
use crate::product::Product;
use crate::routes::Api;

/// One product. The contract has its id as a number here, and as a text everywhere else.
pub(crate) async fn get_product(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Product>, ApiError> {
    let id: i64 = id.parse().map_err(|_| {
        ApiError::Malformed(format!("productId is {id:?}; expected a whole number"))
    })?;
    let products = Product::some(&api.database, [id.to_string().as_str()].into_iter()).await?;
    let product = products.into_iter().next();
    product.map(Json).ok_or(ApiError::NoProduct(id))
}
