//! Products, as the database keeps them and the API shows them.

use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::database::{Database, DatabaseError, Statement};

/// Identifiers are numbers as text, so the shorter one is the smaller one.
const ALL: Statement = Statement {
    summary: "SELECT products",
    text: "SELECT id, name, price, category FROM products WHERE removed_at IS NULL ORDER BY length(id), id",
};

const ONE: Statement = Statement {
    summary: "SELECT products",
    text: "SELECT id, name, price, category FROM products WHERE id = $1 AND removed_at IS NULL",
};

/// The contract's `Product`. One that the loader has marked as removed is there for the orders that hold it, and is not
/// offered any more.
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
    /// All products that are offered, 2 before 10.
    pub(crate) async fn all(database: &Database) -> Result<Vec<Self>, DatabaseError> {
        let rows = database.query(&ALL, &[]).await?;
        products(&ALL, &rows)
    }

    /// The product of this id, if it is offered.
    pub(crate) async fn one(database: &Database, id: &str) -> Result<Option<Self>, DatabaseError> {
        let rows = database.query(&ONE, &[(&id, Type::TEXT)]).await?;
        Ok(products(&ONE, &rows)?.into_iter().next())
    }
}

fn products(statement: &Statement, rows: &[Row]) -> Result<Vec<Product>, DatabaseError> {
    rows.iter()
        .map(product)
        .collect::<Result<_, _>>()
        .map_err(|source| statement.failed(source))
}

/// The product in the first columns of a row.
pub(crate) fn product(row: &Row) -> Result<Product, tokio_postgres::Error> {
    Ok(Product {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        price: row.try_get(2)?,
        category: row.try_get(3)?,
    })
}
