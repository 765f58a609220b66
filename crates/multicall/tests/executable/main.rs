//! The one executable under its three names, and the trace that the three programs make together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod names;
mod support;
mod trace;
