//! `GET /api/product`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::answer::ApiError;
use crate::product::Product;
use crate::routes::Api;

/// All products that are offered.
pub(crate) async fn list_products(
    State(api): State<Arc<Api>>,
) -> Result<Json<Vec<Product>>, ApiError> {
    Ok(Json(Product::all(&api.database).await?))
}
