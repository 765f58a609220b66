//! Migrations of every kind, whose outcome tells whether each statement took effect exactly once.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, Running, start};
use test_proof::ensure;

/// No run takes so long, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// Not made by a migration, so that it still tells how often statements have run when all is undone.
const COUNTER: &str = "CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)";

/// How often the migrations count.
const COUNTED: &str = "5";

const MIGRATIONS: [(&str, &str); 4] = [
    (
        "1_tables.sql",
        "-- +++++ UP
         CREATE TABLE wide (id int PRIMARY KEY, a int, b int NOT NULL, c text);
         INSERT INTO wide SELECT n, n % 1000, n, md5(n::text) FROM generate_series(1, 60000) AS n;
         CREATE INDEX wide_old ON wide (b);
         CREATE TABLE parts (n int) PARTITION BY LIST (n);
         CREATE TABLE part_one PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE part_two PARTITION OF parts FOR VALUES IN (2);
         UPDATE counter SET n = n + 1;
         -- +++++ DOWN
         UPDATE counter SET n = n - 1;
         DROP TABLE parts, wide;",
    ),
    (
        "2_view.sql",
        "-- +++++ UP
         CREATE VIEW narrow AS SELECT id, c FROM wide;
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
         CREATE TRIGGER stamped BEFORE UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION stamp();
         -- +++++ DOWN
         DROP TRIGGER stamped ON wide;
         DROP FUNCTION stamp();
         DROP VIEW narrow;",
    ),
    (
        "3_indexes.sql",
        "-- +++++ UP
         -- Transaction: none
         UPDATE counter SET n = n + 1;
         CREATE INDEX CONCURRENTLY wide_a ON wide (a, id);
         UPDATE counter SET n = n + 1;
         CREATE UNIQUE INDEX CONCURRENTLY wide_b ON wide (b) INCLUDE (a);
         DROP INDEX CONCURRENTLY wide_old;
         CREATE INDEX CONCURRENTLY IF NOT EXISTS wide_c ON wide (lower(c)) WHERE a > 10;
         REINDEX INDEX CONCURRENTLY wide_a;
         ALTER TABLE parts DETACH PARTITION part_one CONCURRENTLY;
         ALTER TABLE wide ADD CONSTRAINT wide_b_unique UNIQUE USING INDEX wide_b;
         UPDATE counter SET n = n + 1;
         -- +++++ DOWN
         -- Transaction: none
         UPDATE counter SET n = n - 1;
         DROP INDEX CONCURRENTLY wide_c;
         CREATE INDEX CONCURRENTLY wide_old ON wide (b);
         UPDATE counter SET n = n - 1;
         ALTER TABLE wide DROP CONSTRAINT wide_b_unique;
         ALTER TABLE parts ATTACH PARTITION part_one FOR VALUES IN (1);
         DROP INDEX CONCURRENTLY wide_a;
         UPDATE counter SET n = n - 1;",
    ),
    (
        "4_last.sql",
        "-- +++++ UP
         UPDATE counter SET n = n + 1;
         ALTER TABLE wide ADD COLUMN d int DEFAULT 7;
         -- +++++ DOWN
         ALTER TABLE wide DROP COLUMN d;
         UPDATE counter SET n = n - 1;",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// The migrations, and what comes of them when nothing disturbs them.
pub(crate) struct Scenario {
    directory: TempDir,
    up: Undisturbed,
    down: Undisturbed,
}

/// A run that nothing disturbs.
struct Undisturbed {
    duration: Duration,
    schema: Vec<String>,
}

impl Scenario {
    /// Runs it once, undisturbed.
    pub(crate) async fn new(server: &Server) -> Self {
        let directory = directory(&MIGRATIONS);
        let database = database(server).await;
        let up = undisturbed(&database, command(&database, &directory, Direction::Up)).await;
        let down = undisturbed(&database, command(&database, &directory, Direction::Down)).await;
        Self {
            directory,
            up,
            down,
        }
    }

    /// Starts a run.
    pub(crate) fn start(&self, database: &Database<'_>, direction: Direction) -> Running {
        start(&mut command(database, &self.directory, direction))
    }

    /// How long a run takes that nothing disturbs.
    pub(crate) fn duration(&self, direction: Direction) -> Duration {
        self.undisturbed(direction).duration
    }

    fn undisturbed(&self, direction: Direction) -> &Undisturbed {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Lets a run go on that was disturbed, to its end, and compares what comes of it. Returns how long it took.
    pub(crate) async fn finish(
        &self,
        database: &Database<'_>,
        direction: Direction,
    ) -> Result<Duration, String> {
        let started = Instant::now();
        let ended = self.start(database, direction).end_within(LIMIT);
        let duration = started.elapsed();
        ensure(ended.code == Some(0), || format!("the next run: {ended:?}"))?;
        self.compare(database, direction).await?;
        Ok(duration)
    }

    async fn compare(&self, database: &Database<'_>, direction: Direction) -> Result<(), String> {
        let schema = schema(database).await;
        let expected = &self.undisturbed(direction).schema;
        ensure(schema == *expected, || {
            let missing = expected.iter().filter(|line| !schema.contains(line));
            let surplus = schema.iter().filter(|line| !expected.contains(line));
            format!(
                "after {direction:?} the schema lacks {:?} and has {:?}",
                missing.collect::<Vec<_>>(),
                surplus.collect::<Vec<_>>()
            )
        })?;
        let (counted, versions): (_, &[&str]) = match direction {
            Direction::Up => (COUNTED, &["1", "2", "3", "4"]),
            Direction::Down => ("0", &[]),
        };
        let count = database.value("SELECT n FROM counter").await;
        ensure(count == counted, || format!("counted {count}"))?;
        let history = versions_of(database).await;
        ensure(history == versions, || {
            format!("the history has {history:?}")
        })?;
        let steps = database
            .value("SELECT count(*) FROM refinery_schema_history_steps")
            .await;
        ensure(steps == "0", || format!("{steps} steps are left"))?;
        let verdict = verify(database, &self.directory);
        let is_compared = verdict.stdout.contains("nothing was changed by hand");
        ensure(verdict.code == Some(0) && is_compared, || {
            format!("verify: {verdict:?}")
        })
    }
}

/// A directory of migration files, without the indentation that they have here.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let lines: Vec<_> = content.lines().map(str::trim_start).collect();
        let content = lines.join("\n");
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

/// The program on a directory of migrations.
pub(crate) fn program(database: &Database<'_>, directory: &TempDir) -> std::process::Command {
    let mut command = database.command(env!("CARGO_BIN_EXE_database-migration"));
    command.env("MIGRATIONS_DIR", directory.path());
    command
}

/// A database that counts how often statements have run.
pub(crate) async fn database(server: &Server) -> Database<'_> {
    let database = server.database().await;
    database.execute(COUNTER).await;
    database
}

/// The versions that the history holds.
pub(crate) async fn versions_of(database: &Database<'_>) -> Vec<String> {
    database
        .values("SELECT version FROM refinery_schema_history ORDER BY version")
        .await
}

fn command(
    database: &Database<'_>,
    directory: &TempDir,
    direction: Direction,
) -> std::process::Command {
    let mut command = program(database, directory);
    match direction {
        Direction::Up => command.arg("up"),
        Direction::Down => command.args(["down", "--to", "0", "--allow-data-loss"]),
    };
    command
}

fn verify(database: &Database<'_>, directory: &TempDir) -> Ended {
    test_process::run(program(database, directory).arg("verify"))
}

async fn undisturbed(database: &Database<'_>, mut command: std::process::Command) -> Undisturbed {
    let started = Instant::now();
    let ended = start(&mut command).end_within(LIMIT);
    let duration = started.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    Undisturbed {
        duration,
        schema: schema(database).await,
    }
}

/// All that the catalog says of the schema, in lines that can be compared, and what pg_dump makes of it.
async fn schema(database: &Database<'_>) -> Vec<String> {
    let mut lines = database.values(include_str!("schema.sql")).await;
    let version = database.value("SHOW server_version_num").await;
    let major: u32 = version.parse::<u32>().unwrap() / 10_000;
    if pg_dump_major() >= Some(major) {
        lines.extend(dump(database));
    }
    lines
}

/// The version of the installed pg_dump, which cannot dump from newer servers.
fn pg_dump_major() -> Option<u32> {
    let version = std::process::Command::new("pg_dump")
        .arg("--version")
        .output()
        .ok()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let number = version.split_whitespace().nth(2)?;
    number.split('.').next()?.parse().ok()
}

fn dump(database: &Database<'_>) -> Vec<String> {
    let ours = database.command("pg_dump");
    let variable = |name: &str| {
        ours.get_envs()
            .find_map(|(key, value)| value.filter(|_| key == name))
            .unwrap()
    };
    let mut command = std::process::Command::new("pg_dump");
    command
        .args([
            "--schema-only",
            "--restrict-key=proof",
            "--username=postgres",
        ])
        .env("PGHOST", variable("DB_HOST"))
        .env("PGPORT", variable("DB_PORT"))
        .env("PGPASSWORD", variable("DB_PASSWORD"))
        .env("PGDATABASE", variable("DB_NAME"));
    let dumped = test_process::run(&mut command);
    assert_eq!(dumped.code, Some(0), "{dumped:?}");
    dumped.stdout.lines().map(ToOwned::to_owned).collect()
}
