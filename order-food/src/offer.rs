//! What the database has to offer for an order.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::{Database, DatabaseError, Statement};
use crate::product::{Product, product};

/// In one statement, so that products and coupon are looked up in one round trip and at one moment.
const FIND: Statement = Statement {
    summary: "SELECT products coupons",
    text: "SELECT id, name, price, category,
       EXISTS (SELECT FROM load_run WHERE data_set = 'coupons' AND outcome <> 'failed'),
       EXISTS (SELECT FROM coupons WHERE code = $2)
FROM products
WHERE id = ANY($1) AND removed_at IS NULL",
};

/// The products that an order asks for, as far as they are offered, and whether its coupon is a valid one.
#[derive(Default)]
pub(crate) struct Offer {
    /// In any order.
    pub(crate) products: Vec<Product>,
    /// Whether there ever was a set of valid coupons to look one up in. Not known without a product.
    pub(crate) are_coupons_loaded: bool,
    /// Whether the coupon is in that set. Not known without a product.
    pub(crate) is_coupon_valid: bool,
}

impl Offer {
    pub(crate) async fn find(
        database: &Database,
        product_ids: impl Iterator<Item = &str>,
        coupon: Option<&str>,
    ) -> Result<Self, DatabaseError> {
        // PostgreSQL refuses texts with this character, so no product's id holds it.
        let ids: Vec<_> = product_ids.filter(|id| !id.contains('\0')).collect();
        let rows = database
            .query(&FIND, &[(&ids, Type::TEXT_ARRAY), (&coupon, Type::TEXT)])
            .await?;
        let mut offer = Self::default();
        for row in &rows {
            offer.add(row).map_err(|source| FIND.failed(source))?;
        }
        Ok(offer)
    }

    fn add(&mut self, row: &Row) -> Result<(), tokio_postgres::Error> {
        self.products.push(product(row)?);
        self.are_coupons_loaded = row.try_get(4)?;
        self.is_coupon_valid = row.try_get(5)?;
        Ok(())
    }
}
