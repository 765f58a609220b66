//! The program as its users meet it: run for real, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formats;
mod guards;
mod policies;
mod rejects;
mod round_trips;
mod skipping;
mod support;
mod tables;
mod types;
mod ways;
