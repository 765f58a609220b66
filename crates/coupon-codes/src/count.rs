//! Counting in how many files the codes of each bucket stand.

use std::ops::RangeInclusive;
use std::thread::available_parallelism;

use crate::code::Code;
use crate::packed::Packed;
use crate::scan::{BUCKETS, Scan};
use crate::text::Text;
use crate::workers::{self, Workers};
use crate::{CouponError, Progress, Rule};

/// The most memory for the codes of a bucket, in bytes; growing may take as much again. With 313 million lines a bucket
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
    let mut counted = Counted {
        codes: Vec::new(),
        distinct: vec![0; scans.len()],
    };
    for one in buckets::<Packed>(scans, rule, progress)?
        .into_iter()
        .chain(buckets::<Text>(scans, rule, progress)?)
    {
        counted.codes.extend(one.codes);
        for (sum, distinct) in counted.distinct.iter_mut().zip(one.distinct) {
            *sum += distinct;
        }
    }
    Ok(counted)
}

/// Counts the codes of all buckets of a kind, and gives what each thread has counted.
fn buckets<C: Code>(
    scans: &[Scan],
    rule: Rule,
    progress: &Progress,
) -> Result<Vec<Counted>, CouponError> {
    let workers = Workers::new(BUCKETS, progress);
    let threads = available_parallelism().map_or(1, usize::from);
    workers.run(threads.min(workers::MOST), || {
        let mut counter = Counter::<C>::new(scans, rule.minimum_files, MEMORY, &workers);
        while let Some(bucket) = workers.next() {
            counter.count(bucket, 0..=u64::MAX)?;
        }
        Ok(counter.counted)
    })
}

/// Counts the codes of one bucket at a time.
struct Counter<'a, C> {
    scans: &'a [Scan],
    minimum_files: usize,
    memory: usize,
    workers: &'a Workers<'a>,
    /// Of a block that is read.
    content: Vec<u8>,
    /// The different codes of each file in the bucket, sorted.
    codes: Vec<Vec<C>>,
    counted: Counted,
}

impl<'a, C: Code> Counter<'a, C> {
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
            codes: scans.iter().map(|_| Vec::new()).collect(),
            counted: Counted {
                codes: Vec::new(),
                distinct: vec![0; scans.len()],
            },
        }
    }

    /// Counts the codes of a bucket whose hashes are in a range: at once, or half by half where memory does not suffice.
    fn count(&mut self, bucket: usize, hashes: RangeInclusive<u64>) -> Result<(), CouponError> {
        if !self.load(bucket, &hashes)? {
            self.codes.fill_with(Vec::new);
            let middle = hashes.start().midpoint(*hashes.end());
            self.count(bucket, *hashes.start()..=middle)?;
            return self.count(bucket, middle + 1..=*hashes.end());
        }
        for (sum, codes) in self.counted.distinct.iter_mut().zip(&self.codes) {
            *sum += codes.len() as u64;
        }
        self.find_valid();
        Ok(())
    }

    /// Loads the codes of a bucket whose hashes are in a range; false if there is not enough memory.
    fn load(&mut self, bucket: usize, hashes: &RangeInclusive<u64>) -> Result<bool, CouponError> {
        let is_divisible = hashes.start() < hashes.end();
        let mut memory_before = 0;
        for (scan, codes) in self.scans.iter().zip(&mut self.codes) {
            codes.clear();
            let mut memory = 0;
            for block in scan.blocks(C::FIRST_BUCKET + bucket) {
                self.workers.check()?;
                scan.read(block, &mut self.content)?;
                let loaded = codes.len();
                codes.extend(C::decode(&self.content).filter(|code| hashes.contains(&code.hash())));
                memory += memory_of(&codes[loaded..]);
                if memory_before + memory > self.memory {
                    sort_and_deduplicate(codes);
                    memory = memory_of(codes);
                    // With less room than half, each further block would have to be sorted again.
                    if memory_before + memory > self.memory / 2 && is_divisible {
                        return Ok(false);
                    }
                }
            }
            sort_and_deduplicate(codes);
            memory_before += memory_of(codes);
        }
        Ok(true)
    }

    /// Goes through the codes of all files side by side.
    fn find_valid(&mut self) {
        let mut rests: Vec<&[C]> = self.codes.iter().map(Vec::as_slice).collect();
        while let Some(least) = rests.iter().filter_map(|rest| rest.first()).min() {
            let mut files = 0;
            for rest in &mut rests {
                if let Some((first, behind)) = rest.split_first()
                    && first == least
                {
                    files += 1;
                    *rest = behind;
                }
            }
            if files >= self.minimum_files {
                self.counted.codes.push(least.to_text());
            }
        }
    }
}

fn sort_and_deduplicate<C: Code>(codes: &mut Vec<C>) {
    codes.sort_unstable();
    codes.dedup();
}

fn memory_of<C: Code>(codes: &[C]) -> usize {
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

    fn count<C: Code>(scans: &[Scan], memory: usize, progress: &Progress) -> Counted {
        let workers = Workers::new(BUCKETS, progress);
        let mut counter = Counter::<C>::new(scans, 2, memory, &workers);
        while let Some(bucket) = workers.next() {
            counter.count(bucket, 0..=u64::MAX).unwrap();
        }
        counter.counted
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
                let Counted { codes, distinct } = if begin == "a" {
                    count::<Packed>(&scans, memory, &progress)
                } else {
                    count::<Text>(&scans, memory, &progress)
                };
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
