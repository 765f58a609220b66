//! The program as its users meet it: run for real, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod configuration;
mod create;
mod down;
mod files;
mod history;
mod library;
mod lint;
mod locks;
mod plan;
mod pooler;
mod refinery_experiments;
mod settings;
mod shell;
mod status;
mod stepwise;
mod support;
mod telemetry;
mod up;
mod verify;
mod wait;
