//! Writes three files of codes of the shape that order-food's have, at any size: `generate DIRECTORY LINES`
//!
//! Lines in proportion to 107,260,777, 107,260,776 and 98,566,152. The first file has codes of 8 characters, a few of
//! them twice, the second of 9 and the third of 10, and both of 8 at their ends: those that are valid, and a decoy. The
//! same number of lines gives the same bytes.

use std::env::args_os;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Of the real files.
const LINES: [u64; 3] = [107_260_777, 107_260_776, 98_566_152];
const DUPLICATES: u64 = 2_077;
/// What is known of the codes of 8 characters in each file. Those that stand in two files are valid.
const KNOWN: [&[&str]; 3] = [
    &[
        "BIRTHDAY", "BUYGETON", "FIFTYOFF", "FREEZAAA", "GNULINUX", "HAPPYHRS", "OVER9000",
        "SIXTYOFF", "SUPER100",
    ],
    &[
        "BIRTHDAY", "BUYGETON", "FIFTYOFF", "FREEZAAA", "GNULINUX", "MOODYHRS", "OVER9000",
        "SIXTYOFF",
    ],
    &[
        "BIRTHDAY", "BUYGETON", "FIFTYOFF", "FREEZAAA", "GNULINUX", "HAPPYHRS", "OVER9000",
        "SIXTYOFF",
    ],
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = args_os().skip(1);
    let usage = "generate DIRECTORY LINES";
    let directory = arguments.next().ok_or(usage)?;
    let lines: u64 = arguments
        .next()
        .and_then(|lines| lines.into_string().ok())
        .ok_or(usage)?
        .parse()?;
    let paths =
        [1, 2, 3].map(|number| Path::new(&directory).join(format!("couponbase{number}.gz")));
    let all_lines: u64 = LINES.iter().sum();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..LINES.len())
            .map(|place| {
                let path = &paths[place];
                scope.spawn(move || write(path, place, share(lines, LINES[place], all_lines)))
            })
            .collect();
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        Ok(())
    })
}

fn share(lines: u64, part: u64, whole: u64) -> u64 {
    // Rounded up, so that there is one at least.
    (lines * part).div_ceil(whole)
}

fn write(path: &Path, place: usize, lines: u64) -> io::Result<()> {
    // Without a name and a time, so that the bytes depend on the content alone.
    let file = BufWriter::new(File::create(path)?);
    let mut file = BufWriter::with_capacity(1 << 16, GzEncoder::new(file, Compression::new(6)));
    let known = KNOWN[place];
    let duplicates = if place == 0 {
        share(lines, DUPLICATES, LINES[0])
    } else {
        0
    };
    let length = 8 + place;
    let mut code = vec![b'\n'; length + 1];
    let random_lines = lines.saturating_sub(known.len() as u64 + duplicates);
    for number in 0..random_lines {
        fill(&mut code[..length], number);
        file.write_all(&code)?;
        if number < duplicates {
            file.write_all(&code)?;
        }
    }
    for code in known {
        writeln!(file, "{code}")?;
    }
    let encoder = file.into_inner()?;
    encoder.finish()?.flush()
}

/// The code of a number: those of different numbers differ, and look random. Both halves of it are permuted in turn by
/// what the other one says.
fn fill(code: &mut [u8], number: u64) {
    let left_count = 62_u64.pow(4);
    let right_count = 62_u64.pow(u32::try_from(code.len()).unwrap_or(u32::MAX) - 4);
    let (mut left, mut right) = (number % left_count, number / left_count);
    for round in 0..2 {
        right = (right + mix(left ^ round << 32)) % right_count;
        left = (left + mix(right ^ round << 40)) % left_count;
    }
    let mut rest = right * left_count + left;
    for character in code {
        *character = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
}

/// The function that makes SplitMix64's numbers look random, cut off so that sums do not overflow.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed >> 16
}
