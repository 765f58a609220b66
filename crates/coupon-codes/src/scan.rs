//! Scanning files into buckets on disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use data_file::{ContentHash, Reader};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::code::{Code, Line};
use crate::lines::{Pieces, split};
use crate::text::{self, END, Text};
use crate::work_directory::work_error;
use crate::workers::{self, Workers};
use crate::{CodeFile, CouponError, Progress, Rule, WorkDirectory};

/// Raised whenever scans of before must not be used.
const FORMAT: u32 = 1;
/// The uppermost bits of a code's hash, which tell its bucket.
const BUCKET_BITS: u32 = 8;
/// Buckets of packed codes, and as many again of codes that are kept as text.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;
/// Blocks are written when they reach so many bytes.
const BLOCK: usize = 64 * 1024;

/// What is found in a file while it is scanned.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) lines: u64,
    pub(crate) codes: u64,
    pub(crate) not_text: u64,
}

/// A finished scan.
#[derive(Debug)]
pub(crate) struct Scan {
    path: PathBuf,
    file: File,
    /// The blocks of each bucket.
    buckets: Vec<Vec<Block>>,
    pub(crate) figures: Figures,
    /// In bytes.
    pub(crate) size: u64,
    /// Whether a run before this one made it.
    pub(crate) resumed: bool,
}

/// Where some codes of a bucket are.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    begin: u64,
    length: usize,
}

/// What a scan's file ends with: the length of the footer in eight bytes, and its hash in hexadecimal.
const TRAILER: usize = 8 + 64;

/// What follows the blocks in a scan's file.
#[derive(Serialize, Deserialize)]
struct Footer {
    figures: Figures,
    /// The bucket and the length of each block, one after the other.
    blocks: Vec<(usize, usize)>,
    /// Of all blocks.
    hash: String,
}

/// The scans of all files, in their order.
pub(crate) fn all(
    files: &[CodeFile],
    rule: Rule,
    work: &WorkDirectory,
    progress: &Progress,
) -> Result<Vec<Scan>, CouponError> {
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|file| work.path_of(&name(file, rule)))
        .collect();
    work.remove_all_but(&paths)?;
    let workers = Workers::new(files.len(), progress);
    let scanning = Scanning {
        rule,
        work,
        progress,
        workers: &workers,
    };
    // Not bound to the number of cores: files that are scanned at the same time end at about the same time.
    let scans = workers.run(files.len().min(workers::MOST), || {
        let mut scans = Vec::new();
        while let Some(place) = workers.next() {
            scans.push((
                place,
                scanning.resume_or_scan(&files[place], &paths[place])?,
            ));
        }
        Ok(scans)
    })?;
    let mut scans: Vec<(usize, Scan)> = scans.into_iter().flatten().collect();
    scans.sort_unstable_by_key(|(place, _)| *place);
    Ok(scans.into_iter().map(|(_, scan)| scan).collect())
}

/// What a scan depends on.
pub(crate) fn name(file: &CodeFile, rule: Rule) -> String {
    let Rule {
        minimum_length,
        maximum_length,
        ..
    } = rule;
    format!(
        "{FORMAT}-{minimum_length}-{maximum_length}-{}.scan",
        file.hash
    )
}

/// What all scans of a run share.
struct Scanning<'a> {
    rule: Rule,
    work: &'a WorkDirectory,
    progress: &'a Progress,
    workers: &'a Workers<'a>,
}

impl Scanning<'_> {
    fn resume_or_scan(&self, file: &CodeFile, kept: &Path) -> Result<Scan, CouponError> {
        let Some((footer, stored)) = Footer::read(kept) else {
            return self.scan(file, kept);
        };
        let scan = Scan::new(kept, stored, &footer, true)?;
        if !self.is_whole(&scan, &footer)? {
            return self.scan(file, kept);
        }
        let bytes = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        self.progress
            .stored_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        self.progress
            .lines
            .fetch_add(footer.figures.lines, Ordering::Relaxed);
        self.work.add_found(scan.size);
        Ok(scan)
    }

    /// Kept scans are not forced to disk when they are written, so a crash of the machine may have damaged them.
    fn is_whole(&self, scan: &Scan, footer: &Footer) -> Result<bool, CouponError> {
        let mut hash = ContentHash::of_bytes(&[]);
        let mut content = Vec::new();
        for (_, block) in blocks(&footer.blocks) {
            self.workers.check()?;
            if scan.read(&block, &mut content).is_err() {
                return Ok(false);
            }
            hash = ContentHash::of_all(&[hash, ContentHash::of_bytes(&content)]);
        }
        Ok(hash.to_string() == footer.hash)
    }

    fn scan(&self, file: &CodeFile, kept: &Path) -> Result<Scan, CouponError> {
        let stored_bytes = Arc::clone(&self.progress.stored_bytes);
        let reader = data_file::open(&file.path, file.hash, stored_bytes)?;
        // One more than any code has, and one for the carriage return.
        let too_long = self.rule.most_bytes().saturating_add(2);
        let mut pieces = Pieces::new(reader, too_long);
        let mut buckets = Buckets::new(self.work)?;
        while let Some(piece) = pieces
            .next()
            .map_err(|error| Reader::error(&file.path, &error))?
        {
            self.progress.check().inspect_err(|_| buckets.leave())?;
            self.workers.check()?;
            let (lines, found) = (buckets.figures.lines, buckets.found);
            buckets.add_lines(piece, self.rule)?;
            let lines = buckets.figures.lines - lines;
            self.progress.lines.fetch_add(lines, Ordering::Relaxed);
            self.work.add_found(buckets.found - found);
        }
        buckets.finish(kept)
    }
}

/// The bucket of a code, among those of its kind.
fn bucket(hash: u64) -> usize {
    (hash >> (u64::BITS - BUCKET_BITS)) as usize
}

/// The buckets of a file that is scanned, each filled up to a block in memory and then written.
struct Buckets<'a> {
    work: &'a WorkDirectory,
    file: NamedTempFile,
    blocks: Vec<(usize, usize)>,
    hash: ContentHash,
    filling: Vec<Vec<u8>>,
    figures: Figures,
    /// The bytes that all codes take.
    found: u64,
}

impl<'a> Buckets<'a> {
    fn new(work: &'a WorkDirectory) -> Result<Self, CouponError> {
        Ok(Self {
            work,
            file: work.temporary_file()?,
            blocks: Vec::new(),
            hash: ContentHash::of_bytes(&[]),
            // Few files have codes that are kept as text.
            filling: [BLOCK, 0]
                .into_iter()
                .flat_map(|size| (0..BUCKETS).map(move |_| Vec::with_capacity(size)))
                .collect(),
            figures: Figures::default(),
            found: 0,
        })
    }

    fn add_lines(&mut self, piece: &[u8], rule: Rule) -> Result<(), CouponError> {
        for line in split(piece) {
            self.figures.lines += 1;
            match rule.line(line) {
                Line::Packed(code) => self.add(bucket(code.hash()), &code.to_bytes(), &[])?,
                Line::Text(code) => {
                    self.add(Text::FIRST_BUCKET + bucket(text::hash(code)), code, &[END])?;
                }
                Line::NotText => self.figures.not_text += 1,
                Line::OtherLength => {}
            }
        }
        Ok(())
    }

    /// Adds a code and what ends it. Inlined, since it is faster with a length that is known.
    #[inline]
    fn add(&mut self, bucket: usize, code: &[u8], end: &[u8]) -> Result<(), CouponError> {
        let filling = &mut self.filling[bucket];
        filling.extend_from_slice(code);
        filling.extend_from_slice(end);
        self.figures.codes += 1;
        self.found += (code.len() + end.len()) as u64;
        if filling.len() >= BLOCK {
            self.write(bucket)?;
        }
        Ok(())
    }

    fn write(&mut self, bucket: usize) -> Result<(), CouponError> {
        let block = &mut self.filling[bucket];
        self.file
            .write_all(block)
            .map_err(|error| self.work.error(&error))?;
        self.work.add_written(block.len() as u64);
        self.hash = ContentHash::of_all(&[self.hash, ContentHash::of_bytes(block)]);
        self.blocks.push((bucket, block.len()));
        block.clear();
        Ok(())
    }

    /// Leaves the file to the next run: to remove a large one takes longer than a stop may.
    fn leave(&mut self) {
        self.file.disable_cleanup(true);
    }

    /// Only a scan that is complete gets its name.
    fn finish(mut self, kept: &Path) -> Result<Scan, CouponError> {
        for bucket in 0..self.filling.len() {
            if !self.filling[bucket].is_empty() {
                self.write(bucket)?;
            }
        }
        let footer = Footer {
            figures: self.figures,
            blocks: self.blocks,
            hash: self.hash.to_string(),
        };
        footer
            .write(self.file.as_file_mut())
            .map_err(|error| self.work.error(&error))?;
        let file = self
            .file
            .persist(kept)
            .map_err(|failed| work_error(kept, &failed.error))?;
        Scan::new(kept, file, &footer, false)
    }
}

impl Footer {
    fn write(&self, file: &mut File) -> io::Result<()> {
        let mut footer = serde_json::to_vec(self)?;
        let length = footer.len() as u64;
        let hash = ContentHash::of_bytes(&footer).to_string();
        footer.extend_from_slice(&length.to_le_bytes());
        footer.extend_from_slice(hash.as_bytes());
        file.write_all(&footer)
    }

    /// None if there is no such scan, or its end is not what was written.
    fn read(path: &Path) -> Option<(Self, File)> {
        let mut file = File::open(path).ok()?;
        let mut trailer = [0; TRAILER];
        let end = file.metadata().ok()?.len().checked_sub(TRAILER as u64)?;
        file.read_exact_at(&mut trailer, end).ok()?;
        let (length, hash) = trailer.split_first_chunk()?;
        let length = u64::from_le_bytes(*length);
        file.seek(SeekFrom::Start(end.checked_sub(length)?)).ok()?;
        let mut footer = Vec::new();
        (&file).take(length).read_to_end(&mut footer).ok()?;
        if ContentHash::of_bytes(&footer).to_string().as_bytes() != hash {
            return None;
        }
        Some((serde_json::from_slice(&footer).ok()?, file))
    }
}

/// Blocks that stand one after the other, each given by its bucket and length.
fn blocks(lengths: &[(usize, usize)]) -> impl Iterator<Item = (usize, Block)> {
    let mut end = 0;
    lengths.iter().map(move |&(bucket, length)| {
        let begin = end;
        end += length as u64;
        (bucket, Block { begin, length })
    })
}

impl Scan {
    fn new(path: &Path, file: File, footer: &Footer, resumed: bool) -> Result<Self, CouponError> {
        let mut buckets = vec![Vec::new(); 2 * BUCKETS];
        for (bucket, block) in blocks(&footer.blocks) {
            buckets[bucket].push(block);
        }
        let metadata = file.metadata().map_err(|error| work_error(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            buckets,
            figures: footer.figures,
            size: metadata.len(),
            resumed,
        })
    }

    /// The blocks of a bucket.
    pub(crate) fn blocks(&self, bucket: usize) -> &[Block] {
        &self.buckets[bucket]
    }

    /// Reads a block in the place of what was read before.
    pub(crate) fn read(&self, block: &Block, content: &mut Vec<u8>) -> Result<(), CouponError> {
        content.resize(block.length, 0);
        self.file
            .read_exact_at(content, block.begin)
            .map_err(|error| work_error(&self.path, &error))
    }
}
