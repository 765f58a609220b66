//! Orders: what may be ordered, and how an order is kept.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Statement};
use crate::product::Product;

/// How many of one product may be ordered.
const QUANTITY_LIMIT: i64 = 1000;
/// How many different products may be ordered.
const PRODUCT_LIMIT: usize = 100;

/// One transaction in one round trip. Running it again for the same order changes nothing, so that it can be repeated
/// when a connection is lost before the server's answer.
const INSERT: Statement = Statement {
    summary: "INSERT orders",
    text: "WITH placed AS (
    INSERT INTO orders (id) VALUES ($1) ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO order_items (order_id, product_id, quantity)
SELECT placed.id, item.product_id, item.quantity
FROM placed, unnest($2, $3) AS item (product_id, quantity)",
};

/// The contract's `OrderReq`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object with items")]
pub(crate) struct OrderRequest {
    coupon_code: Option<String>,
    items: Option<Vec<RequestedItem>>,
    /// Also keeps serde from reading an array as the fields in order.
    #[serde(flatten)]
    _unknown: (),
}

#[derive(Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "an object with productId and quantity"
)]
struct RequestedItem {
    product_id: Option<String>,
    quantity: Option<i64>,
    #[serde(flatten)]
    _unknown: (),
}

/// A product and how many of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    product_id: String,
    quantity: i64,
}

/// The contract's `Order`.
#[derive(Debug, Serialize)]
pub(crate) struct Order {
    id: String,
    items: Vec<Item>,
    products: Vec<Product>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    total: Decimal,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    discounts: Decimal,
}

/// Which rule an order breaks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// Nothing is ordered.
    #[error("items is missing or empty; expected at least one item")]
    NoItems,
    /// An item does not say which product.
    #[error("items[{0}].productId is missing or empty; expected the id of a product")]
    NoProductId(usize),
    /// An item does not say how many.
    #[error("items[{0}].quantity is missing or below 1; expected 1 to {QUANTITY_LIMIT}")]
    NoQuantity(usize),
    /// Too many of one product.
    #[error("the quantity of product {0:?} is above {QUANTITY_LIMIT}")]
    QuantityLimit(String),
    /// Too many products.
    #[error("items names more than {PRODUCT_LIMIT} different products")]
    ProductLimit,
    /// A coupon that nobody can check.
    #[error(
        "coupons cannot be checked, since this version has no set of valid ones; nothing was ordered"
    )]
    NoCoupons,
    /// The coupon cannot be one.
    #[error("couponCode has {0} characters; coupons have 8 to 10")]
    CouponLength(usize),
    /// There is no such product.
    #[error("there is no product {0:?}")]
    UnknownProduct(String),
    /// A product was there a moment ago.
    #[error("a product of the order has just been removed; nothing was ordered")]
    ProductRemoved,
}

impl OrderRequest {
    /// What is ordered: each product once, in the order of first mention. Checks all that needs no database.
    pub(crate) fn items(self) -> Result<Vec<Item>, OrderError> {
        let items = merged(self.items.unwrap_or_default())?;
        match self.coupon_code.map_or(0, |code| code.chars().count()) {
            0 => Ok(items),
            8..=10 => Err(OrderError::NoCoupons),
            length => Err(OrderError::CouponLength(length)),
        }
    }
}

fn merged(requested: Vec<RequestedItem>) -> Result<Vec<Item>, OrderError> {
    let mut items: Vec<Item> = Vec::new();
    for (position, requested) in requested.into_iter().enumerate() {
        let item = requested.item(position)?;
        match items
            .iter_mut()
            .find(|earlier| earlier.product_id == item.product_id)
        {
            Some(earlier) => earlier.quantity = earlier.quantity.saturating_add(item.quantity),
            None => items.push(item),
        }
        if items.len() > PRODUCT_LIMIT {
            return Err(OrderError::ProductLimit);
        }
    }
    if items.is_empty() {
        return Err(OrderError::NoItems);
    }
    match items.iter().find(|item| item.quantity > QUANTITY_LIMIT) {
        Some(item) => Err(OrderError::QuantityLimit(item.product_id.clone())),
        None => Ok(items),
    }
}

impl RequestedItem {
    fn item(self, position: usize) -> Result<Item, OrderError> {
        Ok(Item {
            product_id: self
                .product_id
                .filter(|id| !id.is_empty())
                .ok_or(OrderError::NoProductId(position))?,
            quantity: self
                .quantity
                .filter(|quantity| *quantity >= 1)
                .ok_or(OrderError::NoQuantity(position))?,
        })
    }
}

impl Item {
    pub(crate) fn product_id(&self) -> &str {
        &self.product_id
    }
}

impl Order {
    /// An order of items whose products are among `products`.
    pub(crate) fn new(items: Vec<Item>, products: Vec<Product>) -> Result<Self, OrderError> {
        let mut products: HashMap<_, _> = products
            .into_iter()
            .map(|product| (product.id.clone(), product))
            .collect();
        let products: Vec<_> = items
            .iter()
            .map(|item| {
                products
                    .remove(&item.product_id)
                    .ok_or_else(|| OrderError::UnknownProduct(item.product_id.clone()))
            })
            .collect::<Result<_, _>>()?;
        let total = items
            .iter()
            .zip(&products)
            .map(|(item, product)| product.price * Decimal::from(item.quantity))
            .sum();
        Ok(Self {
            id: Uuid::now_v7().to_string(),
            items,
            products,
            total,
            discounts: Decimal::ZERO,
        })
    }

    /// Keeps the order in the database.
    pub(crate) async fn insert(&self, database: &Database) -> Result<(), DatabaseError> {
        let (products, quantities): (Vec<&str>, Vec<i64>) = self
            .items
            .iter()
            .map(|item| (item.product_id(), item.quantity))
            .unzip();
        database
            .query(
                &INSERT,
                &[
                    (&self.id, Type::TEXT),
                    (&products, Type::TEXT_ARRAY),
                    (&quantities, Type::INT8_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }
}
