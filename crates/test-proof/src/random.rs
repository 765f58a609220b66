//! Random numbers from a seed.

use std::time::Duration;

/// A generator whose numbers depend on its seed alone: SplitMix64.
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A moment in this time from now.
    pub fn moment(&mut self, within: Duration) -> Duration {
        let microseconds = u64::try_from(within.as_micros()).expect("it is no age of the world");
        Duration::from_micros(self.below(microseconds.max(1)))
    }
}
