//! The rows that a table has already, by the hashes of their texts.

/// The hashes of a table's rows, and which of them the source has as well. At most 18 bytes a row.
pub(crate) struct Existing {
    /// In order.
    hashes: Vec<u128>,
    /// Where the hashes begin that start with these bits.
    starts: Vec<usize>,
    /// How many bits of a hash do not tell its start.
    shift: u32,
    /// A bit a row.
    found: Vec<u64>,
    missing: usize,
}

/// What the table knows of a row of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The table has no such row.
    New,
    /// It has this row.
    Same,
    /// It has this row, which the source had before.
    Again,
}

impl Existing {
    /// Of all rows of a table, none of which has the hash of another.
    pub(crate) fn new(mut hashes: Vec<u128>) -> Self {
        hashes.sort_unstable();
        // Some 4 to 8 of them share a start: more would be more to fetch from memory, fewer more memory.
        let bits = (hashes.len() / 4).max(2).ilog2();
        let shift = u128::BITS - bits;
        let mut starts = vec![0; (1 << bits) + 1];
        for hash in &hashes {
            starts[prefix(*hash, shift) + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self {
            found: vec![0; hashes.len().div_ceil(64)],
            missing: hashes.len(),
            hashes,
            starts,
            shift,
        }
    }

    /// How many rows the table has.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// How many of them were not found so far.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Looks a row up and notes that it was found.
    pub(crate) fn find(&mut self, hash: u128) -> Found {
        let Some(position) = self.position(hash) else {
            return Found::New;
        };
        let (word, bit) = (position / 64, 1 << (position % 64));
        if self.found[word] & bit != 0 {
            return Found::Again;
        }
        self.found[word] |= bit;
        self.missing -= 1;
        Found::Same
    }

    /// Whether a row was found.
    pub(crate) fn is_found(&self, hash: u128) -> bool {
        self.position(hash)
            .is_some_and(|position| self.found[position / 64] & (1 << (position % 64)) != 0)
    }

    /// Brings what is needed to look these up near to the processor, which can wait for many at once as long as none
    /// depends on what was found for another.
    pub(crate) fn fetch(&self, hashes: &[u128]) {
        let touched = hashes.iter().fold(0, |touched, hash| {
            let start = self.starts[prefix(*hash, self.shift)];
            let near = [start, start + 4].map(|position| self.hashes.get(position).copied());
            touched ^ near[0].unwrap_or_default() ^ near[1].unwrap_or_default()
        });
        std::hint::black_box(touched);
    }

    fn position(&self, hash: u128) -> Option<usize> {
        let prefix = prefix(hash, self.shift);
        let start = self.starts[prefix];
        // Few share a start, but nobody keeps a source from having rows that do.
        self.hashes[start..self.starts[prefix + 1]]
            .binary_search(&hash)
            .ok()
            .map(|position| start + position)
    }
}

/// The first bits of a hash, of which there are few enough for an index.
fn prefix(hash: u128, shift: u32) -> usize {
    usize::try_from(hash >> shift).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loading::rows::row_hash;

    #[test]
    fn each_row_is_found_once() {
        let hash = |number: u32| row_hash(number.to_string().as_bytes());
        let mut existing = Existing::new((0..10_000).map(hash).collect());
        for number in 0..9_990 {
            assert_eq!(existing.find(hash(number)), Found::Same);
        }
        assert_eq!(existing.find(hash(7)), Found::Again);
        assert_eq!(existing.find(hash(10_000)), Found::New);
        assert_eq!((existing.len(), existing.missing()), (10_000, 10));
        assert!(existing.is_found(hash(0)));
        assert!(!existing.is_found(hash(9_995)));
    }

    #[test]
    fn hashes_at_the_ends_of_the_range_are_found() {
        let ends = [0, 1, u128::MAX - 1, u128::MAX];
        let mut existing = Existing::new(ends.to_vec());
        for hash in ends {
            assert_eq!(existing.find(hash), Found::Same);
        }
        assert_eq!(Existing::new(Vec::new()).find(0), Found::New);
    }
}
