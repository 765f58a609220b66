//! Orders: what may be ordered, and how an order is kept.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::{Database, DatabaseError, Statement};
use crate::offer::Offer;
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
    INSERT INTO orders (id, coupon_code) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO order_items (order_id, product_id, quantity)
SELECT placed.id, item.product_id, item.quantity
FROM placed, unnest($3, $4) AS item (product_id, quantity)",
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

/// What an order asks for, checked as far as it goes without the database.
pub(crate) struct Cart {
    /// Each product once, in the order of first mention.
    items: Vec<Item>,
    coupon: Option<String>,
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
    #[serde(skip)]
    coupon: Option<String>,
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
    #[error("coupons cannot be checked, since none have been loaded yet; nothing was ordered")]
    NoCoupons,
    /// There is no such coupon.
    #[error("couponCode {0:?} is not a valid coupon")]
    UnknownCoupon(String),
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
    /// What is ordered. Checks all that needs no database.
    pub(crate) fn cart(self) -> Result<Cart, OrderError> {
        Ok(Cart {
            items: merged(self.items.unwrap_or_default())?,
            coupon: coupon(self.coupon_code.unwrap_or_default())?,
        })
    }
}

/// The coupon of this code; an empty one is none.
fn coupon(code: String) -> Result<Option<String>, OrderError> {
    match code.chars().count() {
        0 => Ok(None),
        // PostgreSQL refuses texts with this character, so no coupon holds it.
        8..=10 if code.contains('\0') => Err(OrderError::UnknownCoupon(code)),
        8..=10 => Ok(Some(code)),
        length => Err(OrderError::CouponLength(length)),
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

impl Cart {
    pub(crate) fn product_ids(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.product_id.as_str())
    }

    pub(crate) fn coupon(&self) -> Option<&str> {
        self.coupon.as_deref()
    }
}

impl Order {
    /// An order of what is in the cart, if all of it is offered.
    pub(crate) fn new(cart: Cart, offer: Offer) -> Result<Self, OrderError> {
        let Cart { items, coupon } = cart;
        let mut products: HashMap<_, _> = offer
            .products
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
        match &coupon {
            Some(_) if !offer.are_coupons_loaded => return Err(OrderError::NoCoupons),
            Some(code) if !offer.is_coupon_valid => {
                return Err(OrderError::UnknownCoupon(code.clone()));
            }
            _ => (),
        }
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
            // What a coupon takes off is not defined anywhere.
            discounts: Decimal::ZERO,
            coupon,
        })
    }

    /// Keeps the order in the database.
    pub(crate) async fn insert(&self, database: &Database) -> Result<(), DatabaseError> {
        let (products, quantities): (Vec<&str>, Vec<i64>) = self
            .items
            .iter()
            .map(|item| (item.product_id.as_str(), item.quantity))
            .unzip();
        database
            .query(
                &INSERT,
                &[
                    (&self.id, Type::TEXT),
                    (&self.coupon, Type::TEXT),
                    (&products, Type::TEXT_ARRAY),
                    (&quantities, Type::INT8_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }
}
