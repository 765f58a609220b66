//! Reading files of each kind, whole, damaged and changed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data_file::{Compression, ContentHash, DataFileError, Reader, open};
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;

/// A file of its own, by a name that tells nothing of its compression.
struct Given {
    _directory: TempDir,
    path: PathBuf,
    hash: ContentHash,
}

impl Given {
    fn new(stored: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("products");
        fs::write(&path, stored).unwrap();
        let hash = ContentHash::of_file(&path).unwrap();
        Self {
            _directory: directory,
            path,
            hash,
        }
    }

    fn read(&self) -> Result<Vec<u8>, DataFileError> {
        let reader = open(&self.path, self.hash, Arc::default())?;
        rest(reader, &self.path)
    }
}

fn rest(mut reader: Reader, path: &Path) -> Result<Vec<u8>, DataFileError> {
    let mut content = Vec::new();
    match reader.read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(error) => Err(Reader::error(path, &error)),
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

/// Lines that do not compress to next to nothing.
fn lines(count: u64) -> Vec<u8> {
    (0..count)
        .flat_map(|number| {
            format!(
                "{number},{:x}\n",
                number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            )
            .into_bytes()
        })
        .collect()
}

fn is_changed(result: &Result<Vec<u8>, DataFileError>) -> bool {
    matches!(result, Err(DataFileError::Changed { .. }))
}

fn broke_off(result: Result<Vec<u8>, DataFileError>) -> String {
    match result {
        Err(DataFileError::Read { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_each_kind_whole() {
    let content = lines(20_000);
    for stored in [content.clone(), gzip(&content), zstandard(&content)] {
        assert!(Given::new(&stored).read().unwrap() == content);
    }
}

#[test]
fn reads_all_members_and_frames() {
    let (first, second) = (lines(20_000), lines(7));
    let whole = [first.clone(), Vec::new(), second.clone()].concat();
    for compress in [gzip, zstandard] {
        let stored = [compress(&first), compress(&[]), compress(&second)].concat();
        assert!(Given::new(&stored).read().unwrap() == whole);
    }
}

#[test]
fn passes_over_frames_that_hold_no_content() {
    let note = [&[0x50, 0x2A, 0x4D, 0x18, 5, 0, 0, 0][..], b"index"].concat();
    let stored = [zstandard(b"one\n"), note.clone(), zstandard(b"two\n"), note].concat();
    assert_eq!(Given::new(&stored).read().unwrap(), b"one\ntwo\n");
}

#[test]
fn reads_empty_files_of_each_kind() {
    for stored in [Vec::new(), gzip(&[]), zstandard(&[])] {
        assert_eq!(Given::new(&stored).read().unwrap(), b"");
    }
}

#[test]
fn the_content_tells_the_compression() {
    let directory = tempfile::tempdir().unwrap();
    for (name, stored) in [
        ("products.csv", gzip(b"1,Waffle\n")),
        ("products.gz", zstandard(b"1,Waffle\n")),
        ("products.zst", b"1,Waffle\n".to_vec()),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, &stored).unwrap();
        let reader = open(&path, ContentHash::of_bytes(&stored), Arc::default()).unwrap();
        assert_eq!(rest(reader, &path).unwrap(), b"1,Waffle\n", "{name}");
    }
}

#[test]
fn a_name_loses_the_ending_of_its_compression_alone() {
    for (path, name) in [
        ("/data/products.csv.gz", "products.csv"),
        ("couponbase1.zst", "couponbase1"),
        ("/data.gz/products.csv", "products.csv"),
    ] {
        assert_eq!(
            Compression::strip_extension(Path::new(path)),
            Path::new(name)
        );
    }
}

#[test]
fn a_compressed_file_that_is_cut_off_is_an_error_wherever_the_cut_is() {
    let content = lines(500);
    for stored in [gzip(&content), zstandard(&content)] {
        // Shorter ones cannot be told from files that are not compressed.
        for length in (4..stored.len()).step_by(61).chain([stored.len() - 1]) {
            let problem = broke_off(Given::new(&stored[..length]).read());
            assert_eq!(
                problem, "the compressed file is cut off",
                "after {length} bytes"
            );
        }
    }
}

#[test]
fn a_damaged_file_is_an_error() {
    let content = lines(500);
    for stored in [gzip(&content), zstandard(&content)] {
        let mut damaged = stored.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        broke_off(Given::new(&damaged).read());
        let mut wrong_checksum = stored;
        let place = wrong_checksum.len() - 6.min(wrong_checksum.len());
        wrong_checksum[place] ^= 0x10;
        broke_off(Given::new(&wrong_checksum).read());
    }
}

#[test]
fn a_change_after_the_hash_is_noticed() {
    let content = lines(40_000);
    let other = lines(40_001);
    for compress in [<[u8]>::to_vec, gzip, zstandard] {
        let stored = compress(&content);
        let mut flipped = stored.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        let appended = [stored.clone(), compress(b"more\n")].concat();
        let truncated = stored[..stored.len() - 5].to_vec();
        for changed in [flipped, appended, truncated, Vec::new(), compress(&other)] {
            let given = Given::new(&stored);
            fs::write(&given.path, changed).unwrap();
            assert!(is_changed(&given.read()));
        }
    }
}

#[test]
fn a_change_while_it_is_read_is_noticed() {
    let content = lines(40_000);
    let other: Vec<u8> = content.iter().rev().copied().collect();
    for compress in [<[u8]>::to_vec, gzip, zstandard] {
        let stored = compress(&content);
        let changes: [&dyn Fn(&File); 3] = [
            &|file| file.set_len(stored.len() as u64 / 2).unwrap(),
            &|mut file| file.write_all(&compress(&other)).unwrap(),
            &|file| {
                let mut file = file;
                std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
                file.write_all(&compress(b"more\n")).unwrap();
            },
        ];
        for change in changes {
            let given = Given::new(&stored);
            let mut reader = open(&given.path, given.hash, Arc::default()).unwrap();
            reader.read_exact(&mut [0; 100]).unwrap();
            change(&File::options().write(true).open(&given.path).unwrap());
            assert!(is_changed(&rest(reader, &given.path)));
        }
    }
}

#[test]
fn a_file_that_another_takes_the_place_of_is_read_as_it_was() {
    let given = Given::new(&gzip(&lines(40_000)));
    let reader = open(&given.path, given.hash, Arc::default()).unwrap();
    let successor = given.path.with_extension("new");
    fs::write(&successor, b"another").unwrap();
    fs::rename(&successor, &given.path).unwrap();
    assert!(rest(reader, &given.path).unwrap() == lines(40_000));
}

#[test]
fn progress_counts_stored_bytes() {
    let content = lines(20_000);
    for stored in [content.clone(), gzip(&content), zstandard(&content)] {
        let given = Given::new(&stored);
        let progress = Arc::new(AtomicU64::new(7));
        let reader = open(&given.path, given.hash, Arc::clone(&progress)).unwrap();
        rest(reader, &given.path).unwrap();
        assert_eq!(progress.load(Ordering::Relaxed), 7 + stored.len() as u64);
    }
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("/nowhere/products.csv");
    let errors = [
        ContentHash::of_file(path).err(),
        open(path, ContentHash::of_bytes(b""), Arc::default()).err(),
    ];
    for error in errors {
        let text = error.unwrap().to_string();
        assert!(
            text.starts_with("/nowhere/products.csv cannot be opened: No such file"),
            "{text}"
        );
    }
}

#[test]
fn hashes_tell_contents_apart() {
    let given = Given::new(b"content");
    assert_eq!(given.hash, ContentHash::of_bytes(b"content"));
    assert_ne!(given.hash, ContentHash::of_bytes(b"Content"));
    let (one, two) = (ContentHash::of_bytes(b"1"), ContentHash::of_bytes(b"2"));
    assert_ne!(
        ContentHash::of_all(&[one, two]),
        ContentHash::of_all(&[two, one])
    );
    assert_eq!(one.to_string().len(), 64);
}
