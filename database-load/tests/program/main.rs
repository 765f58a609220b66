//! The program as its users meet it: run for real, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod concurrency;
mod convention;
mod documentation;
mod formats;
mod guards;
mod manifest;
mod policies;
mod rejects;
mod rights;
mod round_trips;
mod skipping;
mod support;
mod tables;
mod telemetry;
mod types;
mod ways;
