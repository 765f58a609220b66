//! The rows that a table has already, by the hashes of their texts.

/// The hashes of a table's rows, and which of them the source has as well. 16 bytes a row.
pub(crate) struct Existing {
    /// In order.
    hashes: Vec<u128>,
    /// Where the hashes begin that start with these 16 bits.
    starts: Vec<usize>,
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
        let mut starts = Vec::with_capacity((1 << 16) + 1);
        for prefix in 0..=1_u128 << 16 {
            let from = starts.last().copied().unwrap_or_default();
            let rest: &[u128] = &hashes[from..];
            starts.push(from + rest.partition_point(|hash| hash >> 112 < prefix));
        }
        Self {
            found: vec![0; hashes.len().div_ceil(64)],
            missing: hashes.len(),
            hashes,
            starts,
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

    fn position(&self, hash: u128) -> Option<usize> {
        let prefix = usize::try_from(hash >> 112).unwrap_or_default();
        let (start, end) = (self.starts[prefix], self.starts[prefix + 1]);
        self.hashes[start..end]
            .binary_search(&hash)
            .ok()
            .map(|position| start + position)
    }
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
