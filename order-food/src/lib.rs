//! A REST API for ordering food. `api/openapi.yaml` is its contract.
//!
//! [`serve`] listens at once, waits for the database, answers requests until it is asked to stop, and finishes those
//! that it has begun. [`check()`] looks at a running one from outside.

mod answer;
mod check;
pub mod command_line;
mod connections;
mod database;
mod offer;
mod order;
mod product;
mod request_span;
mod routes;
mod server;
mod settings;

pub use check::{CheckError, check};
pub use server::{ServeError, serve};
pub use settings::{ApiSettings, VARIABLES};
