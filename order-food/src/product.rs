//! Products, as the database keeps them and the API shows them.

use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::{Database, DatabaseError, Statement};

/// Identifiers are numbers as text, so the shorter one is the smaller one.
const ALL: Statement = Statement {
    summary: "SELECT products",
    text: "SELECT id, name, price, category FROM products ORDER BY length(id), id",
};

const SOME: Statement = Statement {
    summary: "SELECT products",
    text: "SELECT id, name, price, category FROM products WHERE id = ANY($1)",
};

/// The contract's `Product`.
#[derive(Debug, Serialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    name: String,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub(crate) price: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
}

impl Product {
    /// All products, 2 before 10.
    pub(crate) async fn all(database: &Database) -> Result<Vec<Self>, DatabaseError> {
        let rows = database.query(&ALL, &[]).await?;
        products(&ALL, &rows)
    }

    /// Those products of the given ids that there are, in any order.
    pub(crate) async fn some(
        database: &Database,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<Self>, DatabaseError> {
        // PostgreSQL refuses texts with this character, so no product's id holds it.
        let ids: Vec<_> = ids.filter(|id| !id.contains('\0')).collect();
        let rows = database.query(&SOME, &[(&ids, Type::TEXT_ARRAY)]).await?;
        products(&SOME, &rows)
    }
}

fn products(statement: &Statement, rows: &[Row]) -> Result<Vec<Product>, DatabaseError> {
    rows.iter()
        .map(product)
        .collect::<Result<_, _>>()
        .map_err(|source| statement.failed(source))
}

fn product(row: &Row) -> Result<Product, tokio_postgres::Error> {
    Ok(Product {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        price: row.try_get(2)?,
        category: row.try_get(3)?,
    })
}
