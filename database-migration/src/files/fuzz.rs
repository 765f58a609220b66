//! Feeds the parsers with damaged names and files for as long as one likes, each target in a test of its own:
//!
//! `FUZZ_SECONDS=3600 cargo test --release --package database-migration --lib fuzz -- --ignored --nocapture`
//!
//! A failure prints the input, and the seed that finds it again as `FUZZ_SEED`.

#![allow(clippy::unwrap_used)]

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use refinery::Migration;

use crate::files::problem::Fault;
use crate::files::style::{self, STYLES, Script};
use crate::files::{header, text};

const NAMES: &[&str] = &[
    "001_create_users",
    "V1__create_users",
    "U1__create_users",
    "V1.2__create_users",
    "R__views",
    "000001_create_users.up",
    "000001_create-users.down",
    "20261121120000_größe",
];

const NAME_PARTS: &[&str] = &[
    "V",
    "U",
    "R",
    "B",
    "v",
    "0",
    "9",
    "9223372036854775807",
    "_",
    "__",
    ".",
    "-",
    " ",
    ".up",
    ".down",
    ".sql",
    "ä",
    "²",
    "e\u{301}",
    "\u{FEFF}",
    "|",
];

const FILES: &[&str] = &[
    include_str!("../../migrations/001_create_products.sql"),
    include_str!("../../migrations/002_create_orders.sql"),
    include_str!("../../migrations/003_create_order_items.sql"),
    include_str!("../../migrations/004_create_load_history.sql"),
    "-- Transaction: none\n-- +++++ UP\nSELECT 1;\n-- +++++ DOWN\n-- Transaction: none\nSELECT 2;\n",
    "\u{FEFF}-- +++++ UP\r\nSELECT 1;\r\n\r\n-- +++++ DOWN\r\n\r\nSELECT 2;\r\n",
    "CREATE TABLE a ();\n",
];

const FILE_PARTS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "--",
    "-- ",
    "+++",
    "-- +++++ UP\n",
    "-- +++++ DOWN\n",
    "-- +++++ Up\n",
    " ",
    "\t",
    ":",
    "Migration",
    "Description",
    "Transaction: none",
    "Transaction",
    "none",
    "\u{FEFF}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "ä",
    ";",
    "$$",
    "/*",
    "*/",
    "'",
];

#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn file_names() {
    fuzz(NAMES, NAME_PARTS, |input| {
        let Ok(stem) = std::str::from_utf8(input) else {
            return;
        };
        if let Ok((_, file_name)) = style::recognize(stem) {
            let refinerys = format!("V{}__{}", file_name.version, file_name.name);
            let migration = Migration::unapplied(&refinerys, "").unwrap();
            assert_eq!(migration.version(), file_name.version);
            assert_eq!(migration.name(), file_name.name);
        }
    });
}

#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn sections() {
    fuzz(FILES, FILE_PARTS, |input| {
        let Ok(text) = text::decode(input) else {
            return;
        };
        for style in STYLES {
            match style.parse(&text) {
                Ok(content) => {
                    assert_in_place(&content.script, &text);
                    if let Some(down) = &content.down {
                        assert_in_place(down, &text);
                    }
                }
                Err(faults) => assert_lines(&faults, 1, &text),
            }
        }
        if !text.contains('\r') && !text.starts_with('\u{FEFF}') {
            let windows = text.replace('\n', "\r\n");
            assert_eq!(text::decode(windows.as_bytes()).unwrap(), text);
        }
    });
}

#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn headers() {
    fuzz(FILES, FILE_PARTS, |input| {
        let Ok(text) = text::decode(input) else {
            return;
        };
        match header::parse(&text, 7) {
            Ok(comments) => {
                let Some(end) = comments.end else { return };
                let line = text.split('\n').nth(end - 7).unwrap().trim();
                assert!(!line.is_empty() && !line.starts_with("--"));
            }
            Err(faults) => assert_lines(&faults, 7, &text),
        }
    });
}

/// The script is the text from its line on.
fn assert_in_place(script: &Script<'_>, text: &str) {
    let mut rest = text;
    for _ in 1..script.first_line {
        rest = rest.split_once('\n').unwrap().1;
    }
    assert!(rest.starts_with(script.sql));
}

fn assert_lines(faults: &[Fault], first_line: usize, text: &str) {
    let lines = first_line..first_line + text.split('\n').count();
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| lines.contains(&fault.line)));
}

/// Calls `check` with damaged copies of `seeds` for `FUZZ_SECONDS`, one second without it.
pub(crate) fn fuzz(seeds: &[&str], parts: &[&str], check: impl Fn(&[u8])) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("FUZZ_SEED").unwrap_or(now.as_secs());
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let mut random = Random(seed);
    let mut inputs = 0_u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            let mut input = random.pick(seeds).as_bytes().to_vec();
            for _ in 0..=random.below(8) {
                random.damage(&mut input, seeds, parts);
            }
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| check(&input))) {
                println!(
                    "FUZZ_SEED={seed} finds this input after {inputs} others:\n{}",
                    input.escape_ascii()
                );
                panic::resume_unwind(payload);
            }
            inputs += 1;
        }
    }
    println!("{inputs} inputs from FUZZ_SEED={seed}");
}

fn number<Number: FromStr>(variable: &str) -> Option<Number> {
    env::var(variable).ok()?.parse().ok()
}

/// SplitMix64: a few lines instead of a dependency, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<'choice>(&mut self, choices: &[&'choice str]) -> &'choice str {
        choices[self.below(choices.len())]
    }

    /// A range of an input, most often a short one.
    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(input.len() + 1);
        let limit = 1 + (input.len() - start) / (1 + self.below(16));
        start..start + self.below(limit)
    }

    /// Changes an input in one place.
    fn damage(&mut self, input: &mut Vec<u8>, seeds: &[&str], parts: &[&str]) {
        let range = self.range(input);
        match self.below(6) {
            0 => drop(input.drain(range)),
            1 => {
                let part = self.pick(parts).bytes();
                input.splice(range.start..range.start, part);
            }
            2 => {
                let part = self.pick(parts).bytes();
                input.splice(range, part);
            }
            3 => {
                let repeated = input[range.clone()].to_vec();
                input.splice(range.start..range.start, repeated);
            }
            4 => {
                let other = self.pick(seeds).as_bytes();
                let other = other[self.range(other)].to_vec();
                input.splice(range, other);
            }
            _ => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(range.start) {
                    *byte ^= bit;
                }
            }
        }
    }
}
