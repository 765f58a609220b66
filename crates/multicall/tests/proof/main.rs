//! What has to hold of the three programs together, proven by doing it again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod offer;
mod traffic;
