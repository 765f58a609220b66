//! What a server really does when it runs a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use statement_effects::{Catalog, LockMode, Relation};
use test_postgres::Database;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::case::Case;

/// A relation as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) file: String,
    /// Sequential scans that this session has begun.
    pub(crate) scans: u64,
}

pub(crate) type Relations = BTreeMap<u32, Known>;

/// What was seen.
pub(crate) struct Observation {
    pub(crate) before: Relations,
    pub(crate) after: Relations,
    /// The strongest lock of the statement on each relation.
    pub(crate) locks: BTreeMap<u32, LockMode>,
    /// The relations that each of the told ones stands for.
    pub(crate) told: BTreeMap<String, BTreeSet<u32>>,
    /// The relations to which a lock on one extends.
    pub(crate) extensions: BTreeMap<u32, BTreeSet<u32>>,
    /// Whether the count of scans is that of the statement.
    pub(crate) scans_are_counted: bool,
}

/// The types of all columns, as the server has them.
pub(crate) struct ServerCatalog(BTreeMap<(String, String), String>);

impl Catalog for ServerCatalog {
    fn column_type(&self, table: &str, column: &str) -> Option<String> {
        self.0.get(&(table.to_owned(), column.to_owned())).cloned()
    }
}

/// Makes the database what every case starts with.
pub(crate) async fn reset(client: &Client) {
    run(client, "SET client_min_messages = error; DROP SCHEMA IF EXISTS public, other CASCADE; CREATE SCHEMA public").await;
    run(client, include_str!("base.sql")).await;
}

/// Runs what the case asks for before its statement.
pub(crate) async fn set_up(client: &Client, case: &Case) {
    for statement in &case.setup {
        run(client, statement).await;
    }
}

pub(crate) async fn catalog(client: &Client) -> ServerCatalog {
    let columns = rows(
        client,
        "SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute
         JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0",
    )
    .await;
    ServerCatalog(
        columns
            .into_iter()
            .map(|column| ((column[0].clone(), column[1].clone()), column[2].clone()))
            .collect(),
    )
}

/// Runs the statement in a transaction that is rolled back after a look at its locks.
pub(crate) async fn in_transaction(
    client: &Client,
    case: &Case,
    relations: &[Relation],
) -> Result<Observation, String> {
    run(client, "BEGIN").await;
    let before = state(client).await;
    let mut told = resolve(client, relations).await;
    let extensions = extensions(client).await;
    if let Err(error) = client.batch_execute(&case.statement).await {
        run(client, "ROLLBACK").await;
        return Err(format!("the server refuses it: {error:?}"));
    }
    let own = "(SELECT pg_backend_pid())";
    let locks = locks(client, own).await;
    let after = state(client).await;
    // What the statement made is there only now.
    for (relation, found) in resolve(client, relations).await {
        let known = told.entry(relation).or_default();
        if known.is_empty() {
            known.extend(found);
        }
    }
    run(client, "ROLLBACK").await;
    Ok(Observation {
        before,
        after,
        locks,
        told,
        extensions,
        scans_are_counted: true,
    })
}

/// Runs the statement outside a transaction, once for each lock of others that holds it up, and looks at its locks from
/// another session meanwhile.
pub(crate) async fn held_up(
    database: &Database<'_>,
    client: &Client,
    case: &Case,
    relations: &[Relation],
) -> Observation {
    let mut seen: Option<Observation> = None;
    for lock in &case.held_up_by {
        reset(client).await;
        set_up(client, case).await;
        let before = state(client).await;
        let told = resolve(client, relations).await;
        let extensions = extensions(client).await;
        let blocker = database.client().await;
        run(&blocker, &format!("BEGIN; {lock}")).await;
        let runner = database.client().await;
        let process = rows(&runner, "SELECT pg_backend_pid()").await[0][0].clone();
        let statement = case.statement.clone();
        let running = tokio::spawn(async move { runner.batch_execute(&statement).await });
        wait_until_held_up(client, &process, &case.statement).await;
        let found = locks(client, &process).await;
        run(&blocker, "COMMIT").await;
        running
            .await
            .expect("the statement ends")
            .expect(&case.statement);
        let after = state(client).await;
        let mut all = found;
        if let Some(earlier) = seen.take() {
            add_earlier(&mut all, &before, &earlier);
        }
        seen = Some(Observation {
            before,
            after,
            locks: all,
            told,
            extensions,
            scans_are_counted: false,
        });
    }
    seen.expect("something holds it up")
}

/// Each start has given the relations new numbers, but the same names.
fn add_earlier(locks: &mut BTreeMap<u32, LockMode>, now: &Relations, earlier: &Observation) {
    for (relation, known) in now {
        let same = earlier
            .before
            .iter()
            .find(|(_, other)| other.name == known.name);
        if let Some(lock) = same.and_then(|(number, _)| earlier.locks.get(number)) {
            let strongest = locks.entry(*relation).or_insert(*lock);
            *strongest = (*lock).max(*strongest);
        }
    }
}

/// Whether the server refuses the statement in a transaction block.
pub(crate) async fn is_refused_in_transaction(client: &Client, statement: &str) -> bool {
    run(client, "BEGIN").await;
    let outcome = client.batch_execute(statement).await;
    run(client, "ROLLBACK").await;
    let code = outcome.err().and_then(|error| error.code().cloned());
    code == Some(tokio_postgres::error::SqlState::ACTIVE_SQL_TRANSACTION)
}

async fn wait_until_held_up(client: &Client, process: &str, statement: &str) {
    let query = format!(
        "SELECT 1 FROM pg_stat_activity WHERE pid = {process} AND wait_event_type = 'Lock'"
    );
    for _ in 0..1000 {
        if !rows(client, &query).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing holds up {statement}");
}

async fn run(client: &Client, statements: &str) {
    if let Err(error) = client.batch_execute(statements).await {
        panic!("{statements}: {error:?}");
    }
}

async fn rows(client: &Client, query: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(query).await;
    messages
        .expect(query)
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

async fn numbers(client: &Client, query: &str) -> BTreeSet<u32> {
    rows(client, query)
        .await
        .iter()
        .map(|row| row[0].parse().expect("an object identifier"))
        .collect()
}

async fn state(client: &Client) -> Relations {
    let relations = rows(
        client,
        "SELECT oid, relname, relkind, coalesce(pg_relation_filenode(oid), 0), pg_stat_get_xact_numscans(oid)
         FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'other'))",
    )
    .await;
    relations
        .into_iter()
        .map(|row| {
            let known = Known {
                name: row[1].clone(),
                kind: row[2].clone(),
                file: row[3].clone(),
                scans: row[4].parse().expect("a count"),
            };
            (row[0].parse().expect("an object identifier"), known)
        })
        .collect()
}

/// Locks that are held or waited for.
async fn locks(client: &Client, process: &str) -> BTreeMap<u32, LockMode> {
    let query = format!(
        "SELECT relation, mode FROM pg_locks WHERE pid = {process} AND locktype = 'relation'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let mut strongest = BTreeMap::new();
    for row in rows(client, &query).await {
        let mode = LockMode::ALL
            .into_iter()
            .find(|mode| mode.name_in_pg_locks() == row[1])
            .expect("a mode that PostgreSQL names");
        let known = strongest
            .entry(row[0].parse().expect("an object identifier"))
            .or_insert(mode);
        *known = mode.max(*known);
    }
    strongest
}

async fn resolve(client: &Client, relations: &[Relation]) -> BTreeMap<String, BTreeSet<u32>> {
    let mut resolved = BTreeMap::new();
    for relation in relations {
        let query = query_of(relation);
        resolved.insert(relation.to_string(), numbers(client, &query).await);
    }
    resolved
}

/// How the catalog finds what a told relation stands for.
fn query_of(relation: &Relation) -> String {
    match relation {
        Relation::Named(name) => format!("SELECT to_regclass('{name}')::oid WHERE to_regclass('{name}') IS NOT NULL"),
        Relation::TableOf(name) => format!(
            "SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass('{name}')
             UNION SELECT stxrelid FROM pg_statistic_ext WHERE stxname = '{name}'"
        ),
        Relation::ParentOf(name) => format!(
            "SELECT related FROM pg_inherits JOIN pg_partitioned_table ON partrelid = inhparent,
             unnest(ARRAY[inhparent, partdefid]) AS related WHERE inhrelid = to_regclass('{name}') AND related <> 0"
        ),
        Relation::DefaultPartitionOf(name) => format!(
            "SELECT partdefid FROM pg_partitioned_table WHERE partrelid = to_regclass('{name}') AND partdefid <> 0"
        ),
        Relation::ReferencedBy(name) => format!(
            "SELECT confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass('{name}')"
        ),
        Relation::ReferencesTo(name) => format!(
            "SELECT conrelid FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass('{name}')"
        ),
        Relation::AcrossColumn { table, column } => format!(
            "SELECT CASE conrelid WHEN to_regclass('{table}') THEN confrelid ELSE conrelid END FROM pg_constraint
             JOIN pg_attribute ON attname = '{column}' AND attrelid = to_regclass('{table}')
             WHERE contype = 'f' AND (conrelid = attrelid AND attnum = ANY (conkey) OR confrelid = attrelid AND attnum = ANY (confkey))"
        ),
        Relation::AcrossConstraint { table, constraint } => format!(
            "SELECT confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass('{table}') AND conname = '{constraint}'"
        ),
        Relation::DependentsOf(name) => format!(
            "SELECT ev_class FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
             WHERE refobjid = to_regclass('{name}') AND ev_class <> refobjid
             UNION SELECT conrelid FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass('{name}')"
        ),
        Relation::SourcesOf(name) => format!(
            "SELECT refobjid FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
             WHERE ev_class = to_regclass('{name}') AND refclassid = 'pg_class'::regclass AND refobjid <> ev_class"
        ),
        Relation::TablesWithDomain(name) => format!(
            "SELECT attrelid FROM pg_attribute WHERE atttypid = '{name}'::regtype"
        ),
        Relation::All => "SELECT oid FROM pg_class WHERE relkind IN ('r', 'm', 'p')".to_owned(),
    }
}

/// Partitions and children, and what views read, all the way down.
async fn extensions(client: &Client) -> BTreeMap<u32, BTreeSet<u32>> {
    let edges = rows(
        client,
        "WITH RECURSIVE step(above, below) AS (
           SELECT inhparent, inhrelid FROM pg_inherits
           UNION SELECT ev_class, refobjid FROM pg_rewrite
             JOIN pg_depend ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
             JOIN pg_class ON pg_class.oid = ev_class AND relkind = 'v'
             WHERE refclassid = 'pg_class'::regclass AND refobjid <> ev_class
         ), way(above, below) AS (
           SELECT * FROM step UNION SELECT way.above, step.below FROM way JOIN step ON step.above = way.below
         ) SELECT above, below FROM way",
    )
    .await;
    let mut extensions: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for edge in edges {
        let [above, below] = [0, 1].map(|side| edge[side].parse().expect("an object identifier"));
        extensions.entry(above).or_default().insert(below);
    }
    extensions
}
