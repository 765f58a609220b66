//! The rounds of a proof, and what is told of them.

use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use crate::random::Random;

/// A number from the environment, or the moderate one.
pub fn size<Number: FromStr>(variable: &str, moderate: Number) -> Number {
    match std::env::var(variable) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {value}")),
        Err(_) => moderate,
    }
}

/// Plays all rounds, also after one has failed, and tells the figures on one line. A round returns the time that counts
/// in it, or what did not hold.
pub async fn prove(
    proof: &str,
    rounds: u64,
    measured: &str,
    mut round: impl AsyncFnMut(&mut Random) -> Result<Duration, String>,
) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let first_seed = size("PROOF_SEED", now.expect("it is after 1970").as_secs());
    let started = Instant::now();
    let mut failures = 0;
    let mut longest = Duration::ZERO;
    for seed in (first_seed..).take(usize::try_from(rounds).expect("so many are never over")) {
        match round(&mut Random::new(seed)).await {
            Ok(time) => longest = longest.max(time),
            Err(reason) => {
                failures += 1;
                println!("{proof}, PROOF_SEED={seed}: {reason}");
            }
        }
    }
    println!(
        "figures: {proof} | {rounds} | {failures} | {} | {measured}: {:.2} s",
        started.elapsed().as_secs(),
        longest.as_secs_f64()
    );
    assert_eq!(failures, 0, "rounds of {proof} that failed");
}

/// Something that has to hold in a round.
pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}
