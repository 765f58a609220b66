//! The source is changed during the run: the table has the old or the new content of the file, or the run says that the
//! file was changed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use data_file::ContentHash;
use flate2::Compression;
use flate2::write::GzEncoder;
use test_postgres::{Database, Server};
use test_process::{Ended, start};
use test_proof::{Random, ensure, prove, size};
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::scenario::{LIMIT, content, csv, database, fingerprint, nothing_is_left, program};
use crate::watcher::Watcher;

/// So many that reading them takes a good part of the run.
const ROWS: u64 = 30_000;
const HEADER: &str = "id,name,price,category";

#[derive(Clone, Copy, Debug)]
enum Change {
    Replaced,
    Overwritten,
    Truncated,
    CutInALine,
    CutInsideQuotes,
    Appended,
}

const CHANGES: [Change; 6] = [
    Change::Replaced,
    Change::Overwritten,
    Change::Truncated,
    Change::CutInALine,
    Change::CutInsideQuotes,
    Change::Appended,
];

/// A file before and after its change.
struct Source<'directory> {
    directory: &'directory Path,
    name: &'static str,
    is_compressed: bool,
    change: Change,
    first: Vec<u8>,
    second: Vec<u8>,
    /// What the table holds when the file is loaded; none where the file is cut off and cannot be.
    contents: [Option<String>; 2],
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_is_loaded_as_it_was_or_is_or_not_at_all() {
    let database = database(Server::shared()).await;
    let client = database.client().await;
    let duration = undisturbed(&database).await;
    prove(
        "source changed during the run",
        size("PROOF_SOURCE_ROUNDS", 15),
        "longest next run",
        async |random| {
            let directory = tempfile::tempdir().unwrap();
            let source = Source::new(&client, directory.path(), random).await;
            source.write(&source.first);
            let before = products(&client).await;
            let watcher = Watcher::start(&database).await;
            let run = start(&mut program(&database, directory.path()));
            sleep(random.moment(duration)).await;
            source.change();
            let ended = run.end_within(LIMIT);
            nothing_is_left(&database).await?;
            let after = products(&client).await;
            let mut seen: Vec<_> = watcher.end().await;
            seen.retain(|content| content[0] != before && content[0] != after);
            ensure(seen.is_empty(), || format!("{source}: readers saw a mix"))?;
            source.judge(&ended, &before, &after)?;
            let told = hash(&client).await;
            ensure(ended.code != Some(0) || source.hash_of(&after) == Some(told), || {
                format!("{source}: the history has the hash of another file than that which was loaded")
            })?;
            source.next_run_ends_right(&database, &client).await
        },
    )
    .await;
}

impl<'directory> Source<'directory> {
    async fn new(client: &Client, directory: &'directory Path, random: &mut Random) -> Self {
        let change = CHANGES[usize::try_from(random.below(CHANGES.len() as u64)).unwrap()];
        let is_compressed = random.below(2) == 0;
        let first = lines(random);
        let kept = usize::try_from(ROWS * 6 / 10 + random.below(ROWS * 3 / 10)).unwrap();
        let second = match change {
            Change::Replaced | Change::Overwritten => lines(random),
            Change::Truncated | Change::CutInALine | Change::CutInsideQuotes => {
                first[..kept].to_vec()
            }
            Change::Appended => {
                [&first[..], &[format!("{}|Appended|1.00|None", 2 * ROWS)]].concat()
            }
        };
        let is_cut_off = match change {
            Change::Truncated => is_compressed,
            Change::CutInALine | Change::CutInsideQuotes => true,
            Change::Replaced | Change::Overwritten | Change::Appended => false,
        };
        let contents = [
            Some(fingerprint(client, &first).await),
            (!is_cut_off).then_some(fingerprint(client, &second).await),
        ];
        let (first, second) = match change {
            Change::CutInsideQuotes => (quoted(&first), quoted(&second)),
            _ => (first, second),
        };
        let text = [csv(HEADER, &first), csv(HEADER, &second)];
        let [first, second] = text.map(String::into_bytes);
        let (first, second) = if is_compressed {
            let packed = pack(&first);
            let second = match change {
                Change::Replaced | Change::Overwritten => pack(&second),
                Change::Truncated | Change::CutInALine | Change::CutInsideQuotes => {
                    packed[..packed.len() * 3 / 4].to_vec()
                }
                Change::Appended => [&packed[..], &pack(&second[first.len()..])].concat(),
            };
            (packed, second)
        } else if matches!(change, Change::CutInALine) {
            // Up to the comma after the id.
            let length = second.len()
                + first[second.len()..]
                    .iter()
                    .position(|b| *b == b',')
                    .unwrap();
            (first.clone(), first[..length].to_vec())
        } else if matches!(change, Change::CutInsideQuotes) {
            // Without the last row's closing quote and newline.
            (first, second[..second.len() - 2].to_vec())
        } else {
            (first, second)
        };
        Self {
            directory,
            name: if is_compressed {
                "products.csv.gz"
            } else {
                "products.csv"
            },
            is_compressed,
            change,
            first,
            second,
            contents,
        }
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.directory.join(self.name), bytes).unwrap();
    }

    fn change(&self) {
        let path = self.directory.join(self.name);
        match self.change {
            Change::Replaced => {
                let new = self.directory.join("new");
                std::fs::write(&new, &self.second).unwrap();
                std::fs::rename(&new, &path).unwrap();
            }
            Change::Overwritten => overwrite(&path, &self.second),
            Change::Truncated | Change::CutInALine | Change::CutInsideQuotes => {
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(self.second.len() as u64).unwrap();
            }
            Change::Appended => {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(&self.second[self.first.len()..]).unwrap();
            }
        }
    }

    fn judge(&self, ended: &Ended, before: &str, after: &str) -> Result<(), String> {
        if ended.code == Some(0) {
            return ensure(self.hash_of(after).is_some(), || {
                format!(
                    "{self}: it ended well, and the table is neither as the first nor as the second file"
                )
            });
        }
        ensure(after == before, || {
            format!("{self}: it failed and changed the table: {ended:?}")
        })?;
        let is_told = match ended.code {
            Some(1) => [
                "was changed while it was read",
                "the compressed file is cut off",
            ]
            .iter()
            .any(|told| ended.stderr.contains(told)),
            // The whole run may have met a file that ends in the middle of a row.
            Some(7) => {
                let problem = match self.change {
                    Change::CutInsideQuotes => "a quoted field of this row is not closed",
                    _ => "the row has 1 fields",
                };
                self.contents[1].is_none() && ended.stderr.contains(problem)
            }
            _ => false,
        };
        ensure(is_told, || format!("{self}: {ended:?}"))
    }

    /// As the history has it, by what the table holds.
    fn hash_of(&self, found: &str) -> Option<String> {
        let files = [&self.first, &self.second];
        let loaded = files.into_iter().zip(&self.contents);
        loaded
            .filter(|(_, content)| content.as_deref() == Some(found))
            .map(|(file, _)| ContentHash::of_all(&[ContentHash::of_bytes(file)]).to_string())
            .next()
    }

    /// With the changed file; where that is broken, with the first one, after a run that fails.
    async fn next_run_ends_right(
        &self,
        database: &Database<'_>,
        client: &Client,
    ) -> Result<Duration, String> {
        let run = || start(&mut program(database, self.directory)).end_within(LIMIT);
        if self.contents[1].is_none() {
            let before = products(client).await;
            let ended = run();
            let after = products(client).await;
            ensure(ended.code != Some(0) && before == after, || {
                format!("{self}: the next run loads what is cut off: {ended:?}")
            })?;
            self.write(&self.first);
        }
        let expected = self.contents.iter().flatten().last();
        let started = Instant::now();
        let ended = run();
        let duration = started.elapsed();
        let found = products(client).await;
        ensure(ended.code == Some(0) && Some(&found) == expected, || {
            format!("{self}: the next run: {ended:?}")
        })?;
        Ok(duration)
    }
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let compressed = if self.is_compressed { "gzip" } else { "CSV" };
        write!(formatter, "{:?}, {compressed}", self.change)
    }
}

/// How long a run takes that nothing disturbs.
async fn undisturbed(database: &Database<'_>) -> Duration {
    let client = database.client().await;
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(0);
    let mut longest = Duration::ZERO;
    for _ in 0..2 {
        let text = csv(HEADER, &lines(&mut random));
        std::fs::write(directory.path().join("products.csv"), text).unwrap();
        let started = Instant::now();
        let ended = start(&mut program(database, directory.path())).end_within(LIMIT);
        longest = longest.max(started.elapsed());
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert!(products(&client).await.starts_with(&ROWS.to_string()));
    longest
}

async fn products(client: &Client) -> String {
    let [products, _] = content(client).await.unwrap();
    products
}

/// Of the file that was loaded last, as the history has it.
async fn hash(client: &Client) -> String {
    let query =
        "SELECT source_hash FROM load_run WHERE outcome = 'loaded' ORDER BY id DESC LIMIT 1";
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Rows of which those of another call have the same ids.
fn lines(random: &mut Random) -> Vec<String> {
    let name = random.below(u64::MAX);
    (1..=ROWS)
        .map(|id| {
            format!(
                "{id}|{name:x} {id}|{}.50|Category {}",
                random.below(1_000),
                id % 9
            )
        })
        .collect()
}

/// The same rows with quotes around their last fields.
fn quoted(lines: &[String]) -> Vec<String> {
    let parts = lines.iter().filter_map(|line| line.rsplit_once('|'));
    parts
        .map(|(rest, last)| format!("{rest}|\"{last}\""))
        .collect()
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// In pieces and without an end in between, so that old and new stand in the file at once.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    for piece in bytes.chunks(bytes.len().div_ceil(8)) {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    file.set_len(bytes.len() as u64).unwrap();
}
