//! What has to hold whatever happens, proven by doing it again and again: kills, crashes, full disks, sources that
//! change, many loads at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attempt;
mod crash;
mod disk_full;
mod kill;
mod mount;
mod race;
mod scenario;
mod sources;
mod termination;
mod watcher;
