//! The program as its users meet it: run for real, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod contract;
mod coupons;
mod database;
mod http;
mod lifecycle;
mod orders;
mod proxy;
mod spans;
mod support;
