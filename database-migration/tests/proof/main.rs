//! What has to hold whatever happens, proven by doing it again and again: many runs at once, kills, crashes, busy tables.
//!
//! Each proof has a moderate number of rounds; `tests/proof --full` runs them at full size and prints the figures. A
//! round's random moments come from a seed, which is told when the round fails: `PROOF_SEED` begins with it again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod kill;
mod lock_storm;
mod race;
mod scenario;
mod termination;
