//! Proofs: something is done again and again, at random moments, and has to hold each time.
//!
//! Each proof has a moderate number of rounds; `tests/proof --full` runs them at full size and prints the figures. A
//! round's random moments come from a seed, which is told when the round fails: `PROOF_SEED` begins with it again.

#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic)] // What fails here fails the test.

mod random;
mod rounds;

pub use random::Random;
pub use rounds::{ensure, prove, size};
