//! Deriving codes, as the loader does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use coupon_codes::{CodeFile, CouponError, Derived, FileFigures, Progress, Rule, derive};
use data_file::{ContentHash, DataFileError};
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;

const RULE: Rule = Rule {
    minimum_length: 8,
    maximum_length: 10,
    minimum_files: 2,
};

/// Files of codes, and a place for temporary ones.
struct Given {
    directory: TempDir,
    files: Vec<CodeFile>,
}

impl Given {
    fn new(contents: &[impl AsRef<[u8]>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = contents.iter().enumerate().map(|(number, content)| {
            file(&directory.path().join(format!("{number}.txt")), content)
        });
        Self {
            files: files.collect(),
            directory,
        }
    }

    fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    fn derive(&self, rule: Rule) -> Result<Derived, CouponError> {
        derive(&self.files, rule, &self.work(), &Progress::default())
    }
}

fn file(path: &Path, content: impl AsRef<[u8]>) -> CodeFile {
    fs::write(path, content).unwrap();
    CodeFile {
        path: path.to_owned(),
        hash: ContentHash::of_file(path).unwrap(),
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Codes of eight characters, all different.
fn many_codes(begin: char, count: u32) -> String {
    (0..count)
        .map(|number| format!("{begin}{number:07}\n"))
        .collect()
}

/// What is in a directory, by the endings of the names.
fn endings(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut endings: Vec<_> = entries
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .extension()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    endings.sort();
    endings
}

/// Waits for something that another thread or process does.
fn wait_for(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "it does not happen"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

mod results {
    use super::*;

    #[test]
    fn what_is_known_of_the_real_files_holds() {
        let both = "BIRTHDAY\nBUYGETON\nFIFTYOFF\nFREEZAAA\nGNULINUX\nOVER9000\nSIXTYOFF\n";
        let first = format!("aBcDeFg1\naBcDeFg1\nSUPER100\nHAPPYHRS\nSUPER100\n{both}");
        let second = format!("aBcDeFg12\nMOODYHRS\n{both}MOODYHRS");
        let third = format!("aBcDeFg123\nabcdefg123\n{both}HAPPYHRS\nHAPPYHOURS1\nFREE\n");
        let given = Given::new(&[
            gzip(first.as_bytes()),
            gzip(second.as_bytes()),
            gzip(third.as_bytes()),
        ]);
        let derived = given.derive(RULE).unwrap();
        let expected = "BIRTHDAY BUYGETON FIFTYOFF FREEZAAA GNULINUX HAPPYHRS OVER9000 SIXTYOFF";
        assert_eq!(derived.codes.join(" "), expected);
        assert_eq!(derived.lines, 12 + 10 + 12);
        let figures = derived
            .files
            .iter()
            .map(|file| (file.lines, file.codes, file.distinct));
        assert_eq!(
            figures.collect::<Vec<_>>(),
            [(12, 12, 10), (10, 10, 9), (12, 10, 10)]
        );
        assert_eq!(derived.resumed, 0);
        derived.work.clean().unwrap();
        assert_eq!(endings(&given.work()), ["lock"]);
    }

    #[test]
    fn the_demonstration_files_hold_the_eight_known_codes() {
        let data =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../database-load/data/demonstration");
        let files = [1, 2, 3].map(|number| {
            let path = data.join(format!("couponbase{number}.gz"));
            let hash = ContentHash::of_file(&path).unwrap();
            CodeFile { path, hash }
        });
        let work = tempfile::tempdir().unwrap();
        let derived = derive(&files, RULE, work.path(), &Progress::default()).unwrap();
        let expected = "BIRTHDAY BUYGETON FIFTYOFF FREEZAAA GNULINUX HAPPYHRS OVER9000 SIXTYOFF";
        assert_eq!(derived.codes.join(" "), expected);
        let [first, second, third] = &derived.files[..] else {
            panic!("{:?}", derived.files);
        };
        assert_eq!(first.distinct, first.lines - 1, "a line is there twice");
        assert_eq!(
            (second.distinct, third.distinct),
            (second.lines, third.lines)
        );
    }

    #[test]
    fn blocks_of_the_same_bucket_are_all_counted() {
        // So often that its bucket needs many blocks.
        let first = "AAAAAAAA\n".repeat(30_000) + "geschäft\n".repeat(30_000).as_str() + "BBBBBBBB";
        let second = many_codes('x', 60_000) + "BBBBBBBB\nAAAAAAAA\ngeschäft";
        let derived = Given::new(&[first, second]).derive(RULE).unwrap();
        assert_eq!(derived.codes, ["AAAAAAAA", "BBBBBBBB", "geschäft"]);
        assert_eq!(derived.files[0].codes, 60_001);
        assert_eq!(derived.files[0].distinct, 3);
        assert!(derived.work_bytes >= 8 * 90_004, "{}", derived.work_bytes);
    }

    #[test]
    fn progress_ends_with_all_bytes_and_lines() {
        let contents = [gzip(many_codes('a', 20_000).as_bytes()), b"x\ny".to_vec()];
        let given = Given::new(&contents);
        for resumed in [0, 2] {
            let progress = Progress::default();
            let derived = derive(&given.files, RULE, &given.work(), &progress).unwrap();
            assert_eq!(derived.resumed, resumed);
            assert_eq!(progress.lines(), 20_002);
            assert_eq!(
                progress.stored_bytes(),
                (contents[0].len() + contents[1].len()) as u64
            );
        }
    }

    #[test]
    fn more_files_than_workers_keep_their_order() {
        let contents: Vec<String> = (1..=9).map(|count| many_codes('a', count)).collect();
        let derived = Given::new(&contents)
            .derive(Rule {
                minimum_files: 9,
                ..RULE
            })
            .unwrap();
        assert_eq!(derived.codes, ["a0000000"]);
        let lines: Vec<u64> = derived.files.iter().map(|file| file.lines).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn no_files_have_no_codes() {
        let derived = Given::new(&[""; 0]).derive(RULE).unwrap();
        assert!(derived.codes.is_empty() && derived.files.is_empty());
    }
}

mod model {
    use super::*;

    /// The lines of a file, as the standard library has them, but for what is not UTF-8.
    fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
        content
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| match line {
                [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line => line,
            })
    }

    fn expected(contents: &[Vec<u8>], rule: Rule) -> (Vec<String>, Vec<[u64; 4]>) {
        let mut files_of: BTreeMap<&str, usize> = BTreeMap::new();
        let mut figures = Vec::new();
        for content in contents {
            let is_valid = |code: &&str| {
                (rule.minimum_length..=rule.maximum_length).contains(&code.chars().count())
            };
            let not_text = lines(content).filter(|line| {
                line.len() <= 4 * rule.maximum_length && str::from_utf8(line).is_err()
            });
            let codes: Vec<&str> = lines(content)
                .filter_map(|line| str::from_utf8(line).ok())
                .filter(is_valid)
                .collect();
            let distinct: BTreeSet<&str> = codes.iter().copied().collect();
            figures.push([
                lines(content).count() as u64,
                codes.len() as u64,
                distinct.len() as u64,
                not_text.count() as u64,
            ]);
            for code in distinct {
                *files_of.entry(code).or_default() += 1;
            }
        }
        let valid = files_of
            .iter()
            .filter(|(_, files)| **files >= rule.minimum_files);
        (valid.map(|(code, _)| (*code).to_owned()).collect(), figures)
    }

    /// Few of each kind, so that files share some.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "[aAbB0]{0,3}",
            2 => "[a-c]{9,12}",
            2 => "[aé✓ \t\r-]{0,3}",
            1 => "a{10}[bé]{0,40}",
        ]
        .prop_map(String::into_bytes)
        .boxed()
        .prop_union(
            prop::collection::vec(prop::sample::select(&[b'a', 0xC3, 0xFF, b'\r'][..]), 0..4)
                .boxed(),
        )
    }

    fn content() -> impl Strategy<Value = Vec<u8>> {
        let line = (line(), prop::sample::select(&["\n", "\n", "\r\n"][..]));
        (prop::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, is_last_ended)| {
            let mut content = Vec::new();
            for (line, end) in &lines {
                content.extend_from_slice(line);
                content.extend_from_slice(end.as_bytes());
            }
            if !is_last_ended {
                content.pop();
            }
            content
        })
    }

    fn stored(content: &[u8], kind: u8) -> Vec<u8> {
        match kind {
            0 => content.to_vec(),
            1 => gzip(content),
            _ => compress_to_vec(content, CompressionLevel::Fastest),
        }
    }

    proptest! {
        #[test]
        fn the_result_is_that_of_a_simple_model(
            files in prop::collection::vec((content(), 0..3_u8), 0..5),
            minimum_length in 0..12_usize,
            more in 0..12_usize,
            minimum_files in 1..4_usize,
        ) {
            let stored: Vec<Vec<u8>> = files.iter().map(|(content, kind)| stored(content, *kind)).collect();
            prop_assume!(stored.iter().collect::<BTreeSet<_>>().len() == stored.len());
            let contents: Vec<Vec<u8>> = files.into_iter().map(|(content, _)| content).collect();
            let rule = Rule { minimum_length, maximum_length: minimum_length + more, minimum_files };
            let derived = Given::new(&stored).derive(rule).unwrap();
            let (codes, figures) = expected(&contents, rule);
            prop_assert_eq!(derived.codes, codes);
            let found: Vec<_> = derived
                .files
                .iter()
                .map(|FileFigures { lines, codes, distinct, not_text, .. }| [*lines, *codes, *distinct, *not_text])
                .collect();
            prop_assert_eq!(found, figures);
        }
    }
}

mod refusals {
    use super::*;

    #[test]
    fn two_files_of_the_same_content_are_refused() {
        let error = Given::new(&["one", "two", "one"]).derive(RULE).unwrap_err();
        let CouponError::SameContent {
            one_path,
            other_path,
        } = &error
        else {
            panic!("{error}");
        };
        assert!(one_path.ends_with("0.txt") && other_path.ends_with("2.txt"));
    }

    #[test]
    fn a_file_beside_its_compressed_copy_is_refused() {
        let given = Given::new(&[""; 0]);
        let named = |name: &str| file(&given.directory.path().join(name), name);
        let derive =
            |names: [&str; 2]| derive(&names.map(named), RULE, &given.work(), &Progress::default());
        for names in [
            ["couponbase1.txt", "couponbase1.gz"],
            ["couponbase1.txt", "couponbase1.txt.zst"],
            ["couponbase1", "couponbase1.gz"],
        ] {
            let error = derive(names).unwrap_err();
            assert!(matches!(error, CouponError::SameName { .. }), "{error}");
            for name in names {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        derive(["couponbase.1.gz", "couponbase.2.gz"]).unwrap();
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_an_error_and_not_kept() {
        let given = Given::new(&["HAPPYHRS", "HAPPYHRS\n"]);
        fs::write(&given.files[1].path, "SUPER100\n").unwrap();
        let error = given.derive(RULE).unwrap_err();
        assert!(
            matches!(&error, CouponError::File(DataFileError::Changed { path }) if *path == given.files[1].path)
        );
        assert!(!endings(&given.work()).contains(&"partial".to_owned()));
        fs::remove_file(&given.files[1].path).unwrap();
        let error = given.derive(RULE).unwrap_err();
        assert!(
            matches!(error, CouponError::File(DataFileError::Open { .. })),
            "{error}"
        );
    }

    #[test]
    fn a_work_directory_that_cannot_be_made_is_named() {
        let given = Given::new(&["one"]);
        let work = given.files[0].path.join("work");
        let error = derive(&given.files, RULE, &work, &Progress::default()).unwrap_err();
        assert!(
            error.to_string().starts_with(work.to_str().unwrap()),
            "{error}"
        );
    }
}

mod interruptions {
    use super::*;

    #[test]
    fn what_was_not_cleaned_spares_the_next_run_the_scan() {
        let given = Given::new(&["HAPPYHRS\nSUPER100", "HAPPYHRS\nMOODYHRS"]);
        let first = given.derive(RULE).unwrap();
        let (codes, files) = (first.codes, first.files);
        drop(first.work);
        assert_eq!(endings(&given.work()), ["lock", "scan", "scan"]);
        let second = given.derive(RULE).unwrap();
        assert_eq!(second.resumed, 2);
        assert_eq!((second.codes, second.files), (codes, files));
        drop(second.work);
        // The number of files is not a matter of scans; lengths are.
        let third = given
            .derive(Rule {
                minimum_files: 1,
                ..RULE
            })
            .unwrap();
        assert_eq!((third.resumed, third.codes.len()), (2, 3));
        drop(third.work);
        let fourth = given
            .derive(Rule {
                maximum_length: 8,
                ..RULE
            })
            .unwrap();
        assert_eq!(fourth.resumed, 0);
        fourth.work.clean().unwrap();
        assert_eq!(endings(&given.work()), ["lock"]);
    }

    #[test]
    fn what_nobody_asks_for_any_more_is_removed_and_nothing_else() {
        let mut given = Given::new(&["HAPPYHRS", "HAPPYHRS\n"]);
        drop(given.derive(RULE).unwrap());
        let other = given.work().join("something.else");
        fs::write(&other, "of others").unwrap();
        fs::write(given.work().join("coupon-codes-abc.partial"), "half").unwrap();
        given.files[1] = file(&given.files[1].path, "HAPPYHRS\nSUPER100");
        let derived = given.derive(RULE).unwrap();
        assert_eq!(derived.resumed, 1);
        assert_eq!(endings(&given.work()), ["else", "lock", "scan", "scan"]);
        derived.work.clean().unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "of others");
    }

    #[test]
    fn what_is_forgotten_is_removed_unless_somebody_is_at_work() {
        let given = Given::new(&["HAPPYHRS", "HAPPYHRS\n"]);
        let forget = || coupon_codes::forget(&given.files, RULE, &given.work()).unwrap();
        forget();
        let derived = given.derive(RULE).unwrap();
        forget();
        assert_eq!(endings(&given.work()), ["lock", "scan", "scan"]);
        drop(derived);
        forget();
        assert_eq!(endings(&given.work()), ["lock"]);
    }

    #[test]
    fn a_kept_scan_that_is_damaged_is_not_used() {
        let given = Given::new(&[many_codes('a', 3_000) + "geschäft"]);
        let rule = Rule {
            minimum_files: 1,
            ..RULE
        };
        let right = given.derive(rule).unwrap().codes;
        let entries = fs::read_dir(given.work())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let scan = entries
            .filter(|path| path.extension().unwrap() == "scan")
            .last()
            .unwrap();
        let whole = fs::read(&scan).unwrap();
        let flipped = |place: usize| {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            damaged
        };
        let damages = [
            Vec::new(),
            vec![0; whole.len()],
            whole[..whole.len() - 1].to_vec(),
            whole[..5].to_vec(),
            whole[1..].to_vec(),
            flipped(0),
            flipped(whole.len() - 1),
            flipped(whole.len() - 70),
            flipped(whole.len() - 200),
        ];
        for damaged in damages {
            fs::write(&scan, damaged).unwrap();
            let derived = given.derive(rule).unwrap();
            assert_eq!(derived.resumed, 0);
            assert!(derived.codes == right);
        }
        assert_eq!(given.derive(rule).unwrap().resumed, 1);
    }

    /// Not a test of its own: what the next one kills.
    #[test]
    #[ignore = "run by another test"]
    fn derivation_in_a_process() {
        let Some(directory) = std::env::var_os("DIRECTORY").map(PathBuf::from) else {
            return;
        };
        let contents = [
            "HAPPYHRS\nSUPER100\n".to_owned(),
            many_codes('b', 100_000) + "HAPPYHRS",
        ];
        let files: Vec<CodeFile> = (0..2)
            .map(|number| CodeFile {
                path: directory.join(format!("{number}.txt")),
                hash: ContentHash::of_bytes(contents[number].as_bytes()),
            })
            .collect();
        derive(&files, RULE, &directory.join("work"), &Progress::default()).unwrap();
    }

    #[test]
    fn after_a_kill_only_what_was_not_finished_is_scanned_again() {
        let contents = [
            "HAPPYHRS\nSUPER100\n".to_owned(),
            many_codes('b', 100_000) + "HAPPYHRS",
        ];
        let given = Given::new(&contents);
        let slow = &given.files[1].path;
        fs::remove_file(slow).unwrap();
        assert!(Command::new("mkfifo").arg(slow).status().unwrap().success());
        let mut child: Child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "interruptions::derivation_in_a_process",
            ])
            .env("DIRECTORY", given.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // The child gets half of the second file and waits for the rest.
        let mut pipe = fs::File::options().write(true).open(slow).unwrap();
        pipe.write_all(&contents[1].as_bytes()[..500_000]).unwrap();
        wait_for(|| endings(&given.work()) == ["lock", "partial", "scan"]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(endings(&given.work()), ["lock", "partial", "scan"]);
        drop(pipe);
        fs::remove_file(slow).unwrap();
        fs::write(slow, &contents[1]).unwrap();
        let derived = given.derive(RULE).unwrap();
        assert_eq!(
            (derived.codes, derived.resumed),
            (vec!["HAPPYHRS".to_owned()], 1)
        );
        assert_eq!(endings(&given.work()), ["lock", "scan", "scan"]);
    }

    #[test]
    fn a_stop_takes_less_than_100_milliseconds() {
        let given = Given::new(&[many_codes('a', 2_000_000), many_codes('b', 2_000_000)]);
        let took = (0..5).map(|_| {
            let progress = Progress::default();
            thread::scope(|scope| {
                let run = scope.spawn(|| derive(&given.files, RULE, &given.work(), &progress));
                wait_for(|| progress.lines() > 0);
                let began = Instant::now();
                progress.stop();
                let error = run.join().unwrap().unwrap_err();
                assert!(matches!(error, CouponError::Stopped), "{error}");
                // What the runs before have left is gone.
                assert!(endings(&given.work()).len() <= 3);
                began.elapsed()
            })
        });
        // The best of some: the machine may do other things, too.
        let best = took.min().unwrap();
        assert!(best < Duration::from_millis(100), "{best:?}");
    }

    #[test]
    fn another_derivation_in_the_same_directory_waits() {
        let given = Given::new(&["HAPPYHRS", "HAPPYHRS\n"]);
        let first = given.derive(RULE).unwrap();
        let progress = Progress::default();
        thread::scope(|scope| {
            let second =
                scope.spawn(|| derive(&given.files, RULE, &given.work(), &Progress::default()));
            let third = scope.spawn(|| derive(&given.files, RULE, &given.work(), &progress));
            thread::sleep(Duration::from_millis(100));
            assert!(!second.is_finished() && !third.is_finished());
            progress.stop();
            assert!(matches!(third.join().unwrap(), Err(CouponError::Stopped)));
            first.work.clean().unwrap();
            let second = second.join().unwrap().unwrap();
            assert_eq!(
                (second.codes, second.resumed),
                (vec!["HAPPYHRS".to_owned()], 0)
            );
        });
    }
}

mod full_disk {
    use super::*;

    /// A small file system, as long as this lives.
    struct Mounted(PathBuf);

    impl Mounted {
        fn new(path: PathBuf) -> Option<Self> {
            fs::create_dir(&path).unwrap();
            mount(&["-t", "tmpfs", "-o", "size=512k", "tmpfs"], &path).then_some(Self(path))
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            Command::new("umount").arg(&self.0).status().unwrap();
        }
    }

    fn mount(arguments: &[&str], path: &Path) -> bool {
        let output = Command::new("mount").args(arguments).arg(path).output();
        output.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_full_disk_is_an_error_that_tells_how_much_is_needed() {
        let given = Given::new(&["HAPPYHRS".to_owned(), many_codes('a', 200_000) + "HAPPYHRS"]);
        let Some(mounted) = Mounted::new(given.work()) else {
            println!("skipped: a file system cannot be mounted here");
            return;
        };
        let error = given.derive(RULE).unwrap_err();
        let CouponError::DiskFull {
            directory,
            written,
            needed,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*directory, mounted.0);
        assert!((100_000..=512 * 1024).contains(written), "{error}");
        assert!((1_500_000..1_700_000).contains(needed), "{error}");
        let left = endings(&mounted.0);
        assert!(!left.contains(&"partial".to_owned()), "{left:?}");
        assert!(mount(&["-o", "remount,size=4m"], &mounted.0));
        let derived = given.derive(RULE).unwrap();
        assert_eq!(derived.codes, ["HAPPYHRS"]);
    }
}
