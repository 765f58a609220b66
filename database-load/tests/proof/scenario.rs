//! Two sets of data that are loaded in turn: products with their recipes, which belong together, and coupons.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Running, start};
use test_proof::{Random, ensure};
use tokio_postgres::Client;

use crate::attempt::Attempt;

/// No run takes so long, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

const PRODUCTS: u32 = 3_000;
const CODES: u32 = 30_000;

/// Recipes take the thorough way when they are not the first, since only the server knows what their minutes look like.
const RECIPES: &str = "CREATE TABLE recipes (
    product_id varchar(50) NOT NULL REFERENCES products (id),
    step integer NOT NULL,
    minutes double precision NOT NULL,
    PRIMARY KEY (product_id, step)
)";

const MANIFEST: &str = "data_sets:
  products:
    files: products.csv
  recipes:
    files: recipes.csv
    vanished: delete
  coupons:
    files: coupons*.txt
    codes: {minimum_length: 8, maximum_length: 10, minimum_files: 2, column: code}
";

/// Products and recipes in one look, then coupons: the tables that are loaded in one transaction.
const LINES: [&str; 2] = [
    "SELECT concat_ws('|', id, name, price, category) AS line FROM products WHERE removed_at IS NULL
     UNION ALL
     SELECT concat_ws('|', product_id, step, minutes) FROM recipes",
    "SELECT code AS line FROM coupons",
];

/// Does not depend on the order of the lines.
const FINGERPRINT: &str = "count(*) || ' ' || coalesce(sum(hashtextextended(line, 0)), 0)";

pub(crate) const DATA_SETS: [&str; 3] = ["products", "recipes", "coupons"];
/// For each data set, which part of the content it is in.
pub(crate) const PARTS: [usize; 3] = [0, 0, 1];

/// Fingerprints of what the tables hold that are loaded in one transaction.
pub(crate) type Content = [String; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Old,
    New,
}

pub(crate) struct Scenario {
    sets: [Prepared; 2],
    pub(crate) work_directory: TempDir,
    empty: Content,
    duration: Duration,
}

/// A set as files, and what the database holds when it is loaded.
struct Prepared {
    directory: TempDir,
    content: Content,
    /// Of each data set, as the history keeps them.
    hashes: Vec<String>,
}

impl Scenario {
    /// Loads both sets once, undisturbed.
    pub(crate) async fn new(server: &Server) -> Self {
        let database = database(server).await;
        let client = database.client().await;
        let empty = content(&client).await.unwrap();
        let mut scenario = Self {
            sets: [
                Prepared::write(&client, Set::Old).await,
                Prepared::write(&client, Set::New).await,
            ],
            work_directory: tempfile::tempdir().unwrap(),
            empty,
            duration: Duration::ZERO,
        };
        for set in [Set::Old, Set::New] {
            let duration = scenario.finish(&database, set).await.unwrap();
            scenario.duration = scenario.duration.max(duration);
            scenario.sets[set as usize].hashes = hashes(&client).await;
        }
        scenario
    }

    /// A moment of a run, or soon after it.
    pub(crate) fn moment(&self, random: &mut Random) -> Duration {
        random.moment(self.duration * 11 / 10)
    }

    /// Starts a run that changes what the tables hold; one in three begins with empty tables.
    pub(crate) async fn begin<'run>(
        &'run self,
        database: &'run Database<'run>,
        random: &mut Random,
    ) -> Attempt<'run> {
        let client = database.client().await;
        let is_first = random.below(3) == 0;
        if is_first || self.holds(&content(&client).await.unwrap()).is_none() {
            client
                .batch_execute("TRUNCATE products, recipes, coupons CASCADE")
                .await
                .unwrap();
        }
        let target = match self.holds(&content(&client).await.unwrap()) {
            Some(Set::New) => Set::Old,
            None if random.below(2) == 0 => Set::Old,
            Some(Set::Old) | None => Set::New,
        };
        Attempt::begin(self, database, target).await
    }

    /// Which set the tables hold, if it is one.
    fn holds(&self, content: &Content) -> Option<Set> {
        [Set::Old, Set::New]
            .into_iter()
            .find(|set| self.content(*set) == content)
    }

    pub(crate) fn is_empty(&self, content: &Content) -> bool {
        *content == self.empty
    }

    pub(crate) fn content(&self, set: Set) -> &Content {
        &self.sets[set as usize].content
    }

    /// What the history keeps of a set's sources, by data set.
    pub(crate) fn hashes(&self, set: Set) -> &[String] {
        &self.sets[set as usize].hashes
    }

    /// Fingerprints in words.
    pub(crate) fn name(&self, fingerprint: &str, part: usize) -> String {
        let known = [
            ("nothing", &self.empty),
            ("the old set", self.content(Set::Old)),
            ("the new set", self.content(Set::New)),
        ];
        let found = known
            .iter()
            .find(|(_, content)| content[part] == fingerprint);
        found.map_or_else(
            || format!("something else ({fingerprint})"),
            |(name, _)| (*name).to_owned(),
        )
    }

    pub(crate) fn start(&self, database: &Database<'_>, set: Set) -> Running {
        start(&mut self.command(database, set))
    }

    pub(crate) fn command(&self, database: &Database<'_>, set: Set) -> Command {
        let data = self.sets[set as usize].directory.path();
        let mut command = program(database, data);
        command.env("LOAD_WORK_DIR", self.work_directory.path());
        command
    }

    /// Runs undisturbed, and looks whether all is as it should be. Returns how long it took.
    pub(crate) async fn finish(
        &self,
        database: &Database<'_>,
        set: Set,
    ) -> Result<Duration, String> {
        let started = Instant::now();
        let ended = self.start(database, set).end_within(LIMIT);
        let duration = started.elapsed();
        ensure(ended.code == Some(0), || format!("the next run: {ended:?}"))?;
        let client = database.client().await;
        let found = content(&client).await.unwrap();
        ensure(found == *self.content(set), || {
            let [menu, coupons] = [0, 1].map(|part| self.name(&found[part], part));
            format!("after the next run there are {menu} of products and {coupons} of coupons")
        })?;
        nothing_is_left(database).await?;
        let files = files(self.work_directory.path());
        ensure(files == ["coupon-codes.lock"], || {
            format!("the work directory holds {files:?}")
        })?;
        Ok(duration)
    }
}

impl Prepared {
    async fn write(client: &Client, set: Set) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            std::fs::write(directory.path().join(name), content).unwrap();
        };
        let (products, recipes) = (products(set), recipes(set));
        write("manifest.yaml", MANIFEST);
        write("products.csv", &csv("id,name,price,category", &products));
        write("recipes.csv", &csv("product_id,step,minutes", &recipes));
        for (file, lines) in code_lines(set).into_iter().enumerate() {
            write(&format!("coupons{file}.txt"), &lines);
        }
        let menu = [products, recipes].concat();
        let content = [
            fingerprint(client, &menu).await,
            fingerprint(client, &codes(set)).await,
        ];
        Self {
            directory,
            content,
            hashes: Vec::new(),
        }
    }
}

/// A database with order-food's tables, and one that refers to the products.
pub(crate) async fn database(server: &Server) -> Database<'_> {
    let database = server.database().await;
    let migrations = database_migration::MigrationSet::embedded().unwrap();
    for file in migrations.files() {
        database.execute(&file.sql).await;
    }
    database.execute(RECIPES).await;
    database
}

/// The loader on a directory of data.
pub(crate) fn program(database: &Database<'_>, data: &Path) -> Command {
    let mut command = database.command(env!("CARGO_BIN_EXE_database-load"));
    command.arg("--data").arg(data);
    command
}

/// What the tables hold.
pub(crate) async fn content(client: &Client) -> Result<Content, tokio_postgres::Error> {
    let mut content = Content::default();
    for (part, lines) in LINES.iter().enumerate() {
        let query = format!("SELECT {FINGERPRINT} FROM ({lines}) AS present");
        content[part] = client.query_one(&query, &[]).await?.get(0);
    }
    Ok(content)
}

/// What a query for them will find in a table that holds these lines.
pub(crate) async fn fingerprint(client: &Client, lines: &[String]) -> String {
    let query = format!("SELECT {FINGERPRINT} FROM unnest($1::text[]) AS line");
    client.query_one(&query, &[&lines]).await.unwrap().get(0)
}

/// Waits until the server has forgotten the loaders; they leave no lock and no temporary table.
pub(crate) async fn nothing_is_left(database: &Database<'_>) -> Result<(), String> {
    database
        .until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'database-load%')",
        )
        .await;
    let left = database
        .values(
            "SELECT relname FROM pg_class WHERE relpersistence = 't'
             UNION ALL
             SELECT locktype FROM pg_locks
             JOIN pg_database ON pg_database.oid = database AND datname = current_database()
             WHERE locktype = 'advisory'",
        )
        .await;
    ensure(left.is_empty(), || format!("the server still has {left:?}"))
}

pub(crate) fn csv(header: &str, lines: &[String]) -> String {
    let mut text = format!("{header}\n");
    for line in lines {
        writeln!(text, "{}", line.replace('|', ",")).unwrap();
    }
    text
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

/// The source's hashes of the last loads.
async fn hashes(client: &Client) -> Vec<String> {
    let mut hashes = Vec::new();
    for data_set in DATA_SETS {
        let query = "SELECT source_hash FROM load_run WHERE data_set = $1 ORDER BY id DESC LIMIT 1";
        hashes.push(client.query_one(query, &[&data_set]).await.unwrap().get(0));
    }
    hashes
}

/// The sets have six in seven ids in common, and two in three of these rows are the same.
fn ids(set: Set) -> impl Iterator<Item = u32> {
    let spared = set as u32;
    (1..=PRODUCTS).filter(move |id| id % 14 != spared * 7)
}

fn products(set: Set) -> Vec<String> {
    let name = |id| match id % 3 {
        0 => format!("{set:?}"),
        _ => "Same".to_owned(),
    };
    ids(set)
        .map(|id| format!("{id}|{} {id}|{}.50|Category {}", name(id), id % 90, id % 7))
        .collect()
}

/// Of each product of the set that is in both sets, so that products that vanish are not needed.
fn recipes(set: Set) -> Vec<String> {
    ids(set)
        .filter(|id| id % 7 != 0 || set == Set::New)
        .map(|id| format!("{id}|1|{}.25", id % (20 + 10 * set as u32)))
        .collect()
}

/// The codes that stand in two files.
fn codes(set: Set) -> Vec<String> {
    (0..CODES / 100)
        .map(|number| format!("{set:?}{number:05}"))
        .chain((0..CODES / 100).map(|number| format!("BOTH{number:05}")))
        .collect()
}

/// Three files of codes, most of which stand in one of them only.
fn code_lines(set: Set) -> [String; 3] {
    [0, 1, 2].map(|file| {
        let mut lines = String::new();
        for number in 0..CODES {
            writeln!(lines, "{file}{set:?}{number:06}").unwrap();
        }
        for (number, code) in codes(set).iter().enumerate() {
            if number % 3 != file {
                writeln!(lines, "{code}").unwrap();
            }
        }
        lines
    })
}
