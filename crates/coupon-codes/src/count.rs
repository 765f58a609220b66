//! Counting in how many files the codes of each bucket stand.

use std::ops::RangeInclusive;
use std::thread::available_parallelism;

use crate::code::Code;
use crate::packed::Packed;
use crate::scan::{BUCKETS, Scan};
use crate::text::Text;
use crate::workers::{self, Workers};
use crate::{CouponError, Progress, Rule};

/// The most memory for the codes of a bucket, in bytes; sorting may take as much again. With 313 million lines a bucket
/// has 10 MB.
const MEMORY: usize = 16 * 1024 * 1024;

/// What all buckets together say.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Those that stand in enough files, in no order.
    pub(crate) codes: Vec<String>,
    /// The number of different codes of each file.
    pub(crate) distinct: Vec<u64>,
}

/// Counts the codes of all buckets.
pub(crate) fn all(scans: &[Scan], rule: Rule, progress: &Progress) -> Result<Counted, CouponError> {
    let workers = Workers::new(2 * BUCKETS, progress);
    let threads = available_parallelism()
        .map_or(1, usize::from)
        .min(workers::MOST);
    let counted = workers.run(threads, || {
        let mut counter = Counter::new(scans, rule.minimum_files, MEMORY, &workers);
        while let Some(bucket) = workers.next() {
            counter.count_bucket(bucket)?;
        }
        Ok(counter.counted)
    })?;
    Ok(Counted {
        distinct: (0..scans.len())
            .map(|scan| counted.iter().map(|counted| counted.distinct[scan]).sum())
            .collect(),
        codes: counted
            .into_iter()
            .flat_map(|counted| counted.codes)
            .collect(),
    })
}

/// Counts the codes of one bucket at a time.
struct Counter<'a> {
    scans: &'a [Scan],
    minimum_files: usize,
    memory: usize,
    workers: &'a Workers<'a>,
    content: Vec<u8>,
    counted: Counted,
}

/// Different codes of a bucket, those of each file sorted and behind those of the file before.
struct Loaded<C> {
    codes: Vec<C>,
    /// How many are those of each file.
    distinct: Vec<usize>,
}

impl<'a> Counter<'a> {
    fn new(
        scans: &'a [Scan],
        minimum_files: usize,
        memory: usize,
        workers: &'a Workers<'a>,
    ) -> Self {
        Self {
            scans,
            minimum_files,
            memory,
            workers,
            content: Vec::new(),
            counted: Counted {
                codes: Vec::new(),
                distinct: vec![0; scans.len()],
            },
        }
    }

    fn count_bucket(&mut self, bucket: usize) -> Result<(), CouponError> {
        if bucket < BUCKETS {
            self.count::<Packed>(bucket, 0..=u64::MAX)
        } else {
            self.count::<Text>(bucket, 0..=u64::MAX)
        }
    }

    /// Counts the codes of a bucket whose hashes are in a range: at once, or half by half where memory does not suffice.
    fn count<C: Code>(
        &mut self,
        bucket: usize,
        hashes: RangeInclusive<u64>,
    ) -> Result<(), CouponError> {
        let Some(Loaded {
            mut codes,
            distinct,
        }) = self.load::<C>(bucket, &hashes)?
        else {
            let middle = hashes.start().midpoint(*hashes.end());
            self.count::<C>(bucket, *hashes.start()..=middle)?;
            return self.count::<C>(bucket, middle + 1..=*hashes.end());
        };
        for (sum, distinct) in self.counted.distinct.iter_mut().zip(distinct) {
            *sum += distinct as u64;
        }
        // Stable, since that makes use of what is sorted already.
        codes.sort();
        let alike = codes.chunk_by(|one, other| one == other);
        let enough = alike.filter(|files| files.len() >= self.minimum_files);
        self.counted
            .codes
            .extend(enough.map(|files| files[0].to_text()));
        Ok(())
    }

    /// None if there is not enough memory.
    fn load<C: Code>(
        &mut self,
        bucket: usize,
        hashes: &RangeInclusive<u64>,
    ) -> Result<Option<Loaded<C>>, CouponError> {
        let is_divisible = hashes.start() < hashes.end();
        let mut loaded = Loaded {
            codes: Vec::new(),
            distinct: Vec::new(),
        };
        let mut loaded_memory = 0;
        for scan in self.scans {
            let mut codes: Vec<C> = Vec::new();
            let mut memory = 0;
            for block in scan.blocks(bucket) {
                self.workers.check()?;
                scan.read(block, &mut self.content)?;
                for code in C::decode(&self.content).filter(|code| hashes.contains(&code.hash())) {
                    memory += code.memory();
                    codes.push(code);
                }
                if loaded_memory + memory > self.memory {
                    memory = sort_and_deduplicate(&mut codes);
                    // With less room than half, each further block would have to be sorted again.
                    if loaded_memory + memory > self.memory / 2 && is_divisible {
                        return Ok(None);
                    }
                }
            }
            loaded_memory += sort_and_deduplicate(&mut codes);
            loaded.distinct.push(codes.len());
            loaded.codes.append(&mut codes);
        }
        Ok(Some(loaded))
    }
}

/// Gives the memory that the codes then take.
fn sort_and_deduplicate<C: Code>(codes: &mut Vec<C>) -> usize {
    codes.sort_unstable();
    codes.dedup();
    codes.iter().map(C::memory).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::fs;

    use data_file::ContentHash;

    use super::*;
    use crate::{CodeFile, WorkDirectory, scan};

    /// A few hundred codes, each of which is in one to four of as many files, and often in some of these.
    fn contents(begin: &str) -> [String; 4] {
        [1, 2, 3, 4].map(|file| {
            (0..400)
                .filter(|number| number % file == 0)
                .flat_map(|number| {
                    vec![format!("{begin}{number}\n"); if number == 0 { 500 } else { 2 }]
                })
                .collect()
        })
    }

    #[test]
    fn too_little_memory_for_a_bucket_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let rule = Rule {
            minimum_length: 1,
            maximum_length: 10,
            minimum_files: 2,
        };
        for begin in ["a", "é"] {
            let files = [0, 1, 2, 3].map(|place| {
                let path = directory.path().join(place.to_string());
                fs::write(&path, &contents(begin)[place]).unwrap();
                let hash = ContentHash::of_file(&path).unwrap();
                CodeFile { path, hash }
            });
            let progress = Progress::default();
            let work = WorkDirectory::lock(&directory.path().join("work"), 0, &progress).unwrap();
            let scans = scan::all(&files, rule, &work, &progress).unwrap();
            for memory in [0, 8, 100, 1_000] {
                let workers = Workers::new(2 * BUCKETS, &progress);
                let mut counter = Counter::new(&scans, rule.minimum_files, memory, &workers);
                while let Some(bucket) = workers.next() {
                    counter.count_bucket(bucket).unwrap();
                }
                let Counted { codes, distinct } = counter.counted;
                assert_eq!(distinct, [400, 200, 134, 100]);
                // Those in the first file, which has all, and at least one other.
                let expected = (0..400).filter(|number| number % 2 == 0 || number % 3 == 0);
                let expected: BTreeSet<String> =
                    expected.map(|number| format!("{begin}{number}")).collect();
                assert_eq!(codes.len(), expected.len());
                assert_eq!(BTreeSet::from_iter(codes), expected);
            }
        }
    }
}
