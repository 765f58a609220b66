//! All rows are staged, and each that cannot be loaded is found and named.

use std::collections::BTreeMap;

use tokio_postgres::{Row, Transaction};
use tracing::{Instrument, warn};

use crate::error::LoadError;
use crate::loading::rows::records_of;
use crate::loading::staging::{Copy, FILE, LINE, NUMBER, Typing, create_staging, staging_name};
use crate::loading::{
    Compared, Counts, DataSetWork, Pending, Reading, Staged, VanishedRows, vanished,
};
use crate::manifest::{Duplicates, Vanished};
use crate::rejection::{KEPT, Rejection, Rejections};
use crate::target::sql::{identifier, literal, names};
use crate::target::{Column, ForeignKey, statement_span};

/// The first version that can say whether a text is a value of a type.
const INPUT_IS_VALID: i32 = 160_000;

pub(super) async fn compare(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Compared, LoadError> {
    let mut thorough = Thorough {
        transaction,
        work,
        staging: staging_name(work.number),
        spared: format!("pg_temp.database_load_spared_{}", work.number),
        rejections: Rejections::default(),
        unread: Vec::new(),
        has_unknown_keys: false,
    };
    let staged = thorough
        .stage()
        .instrument(statement_span("COPY", &work.table))
        .await?;
    let database_error = |error| work.database_error(error);
    let read = staged + thorough.rejections.count();
    let left_out = thorough.reject().await.map_err(database_error)?;
    thorough.read_records().await?;
    let rejected = thorough.rejections.count();
    let rows_before = thorough.rows_before().await.map_err(database_error)?;
    let vanished = thorough.vanished().await.map_err(database_error)?;
    Ok(Compared {
        counts: Counts {
            read,
            valid: read - rejected - left_out,
            rejected,
            ..Counts::default()
        },
        rejections: thorough.rejections,
        checksum: None,
        vanished,
        rows_before,
        staged: Staged::All,
    })
}

/// Whether no staged row would be rejected.
pub(super) async fn is_regular(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<bool, tokio_postgres::Error> {
    let staging = staging_name(work.number);
    let key = names(work.table.key.iter().map(String::as_str));
    let mut conditions = vec![format!(
        "EXISTS (SELECT FROM {staging} GROUP BY {key} HAVING count(*) > 1)"
    )];
    conditions.extend(refusals(work).iter().map(|refusal| {
        format!(
            "EXISTS (SELECT FROM {staging} AS source WHERE {})",
            refusal.condition
        )
    }));
    let query = format!("SELECT NOT ({})", conditions.join(" OR "));
    Ok(transaction.query_one(&query, &[]).await?.get(0))
}

/// Rows that a constraint of the table does not take.
struct Refusal {
    columns: Vec<String>,
    reason: String,
    /// True for them, where `source` is the staging table.
    condition: String,
    /// Whether rejecting a row may make others rejected.
    is_recursive: bool,
}

/// The constraints that can be checked before the rows are written: those whose columns are all loaded. One of no column
/// in particular is the server's to check.
fn refusals(work: &DataSetWork) -> Vec<Refusal> {
    let columns = &work.layout.columns;
    let is_loaded = |name: &String| columns.iter().any(|column| column.name == *name);
    let checks = work.table.checks.iter();
    let checks =
        checks.filter(|check| !check.columns.is_empty() && check.columns.iter().all(is_loaded));
    let checks = checks.map(|check| Refusal {
        columns: check.columns.clone(),
        reason: format!(
            "the constraint {} is not met: {}",
            check.name, check.expression
        ),
        condition: format!("NOT ({})", check.expression),
        is_recursive: false,
    });
    let references = work.table.references.iter();
    let references = references.filter(|reference| reference.from_columns.iter().all(is_loaded));
    checks
        .chain(references.map(|reference| missing_reference(work, reference)))
        .collect()
}

fn missing_reference(work: &DataSetWork, reference: &ForeignKey) -> Refusal {
    let is_recursive = reference.to_oid == work.table.oid;
    let given: Vec<_> = reference
        .from_columns
        .iter()
        .map(|column| format!("source.{} IS NOT NULL", identifier(column)))
        .collect();
    let absent_from = |relation: &str| {
        let columns = reference.from_columns.iter().zip(&reference.to_columns);
        let same: Vec<_> = columns
            .map(|(from, to)| format!("parent.{} = source.{}", identifier(to), identifier(from)))
            .collect();
        format!(
            " AND NOT EXISTS (SELECT FROM {relation} AS parent WHERE {})",
            same.join(" AND ")
        )
    };
    let is_staged_in = |pending: &&Pending| {
        pending.table.oid == reference.to_oid && pending.has(&reference.to_columns)
    };
    let pending = work.pending.iter().filter(is_staged_in);
    let own = is_recursive.then_some(work.number);
    let numbers = own.into_iter().chain(pending.map(|pending| pending.number));
    let absent_from_staged: String = numbers
        .map(|number| absent_from(&staging_name(number)))
        .collect();
    Refusal {
        columns: reference.from_columns.clone(),
        reason: format!(
            "there is no such row in {} (constraint {})",
            reference.to, reference.name
        ),
        condition: format!(
            "{}{}{absent_from_staged}",
            given.join(" AND "),
            absent_from(&reference.to)
        ),
        is_recursive,
    }
}

struct Thorough<'run> {
    transaction: &'run Transaction<'run>,
    work: &'run DataSetWork,
    staging: String,
    /// The keys of rejected rows: what the table has under them has not vanished.
    spared: String,
    rejections: Rejections,
    /// The file and number of each rejected row whose record is still to be read, and its place in the rejections.
    unread: Vec<(usize, u64, Rejection)>,
    /// Whether a rejected row's key cannot be told.
    has_unknown_keys: bool,
}

impl Thorough<'_> {
    /// Returns how many rows are staged.
    async fn stage(&mut self) -> Result<u64, LoadError> {
        let (transaction, work) = (self.transaction, self.work);
        let database_error = |error| work.database_error(error);
        let columns = &work.layout.columns;
        create_staging(
            transaction,
            &self.staging,
            &work.table,
            columns,
            Typing::Loose,
        )
        .await
        .map_err(database_error)?;
        vanished::create_keys(transaction, work, &self.spared)
            .await
            .map_err(database_error)?;
        let mut reading = Reading::start(work);
        let mut copy = Copy::begin_staging(transaction, &self.staging, columns)
            .await
            .map_err(database_error)?;
        let mut spared = Vec::new();
        while let Some(batch) = reading.next().await? {
            for (row, text) in batch.iter() {
                copy.stage(batch.file, row, text)
                    .await
                    .map_err(database_error)?;
            }
            for rejected in batch.rejected {
                // What is not kept is not spared either: the memory is bounded.
                match rejected.key.filter(|_| self.rejections.kept().len() < KEPT) {
                    Some(key) => {
                        spared.extend_from_slice(&key);
                        spared.push(b'\n');
                    }
                    None => self.has_unknown_keys = true,
                }
                self.rejections.add(rejected.rejection);
            }
        }
        let staged = copy.finish().await.map_err(database_error)?;
        let key = names(
            work.layout
                .key
                .iter()
                .map(|&position| &*columns[position].name),
        );
        let sparing = async {
            let mut copy = Copy::begin(transaction, &self.spared, &key).await?;
            copy.send(spared).await?;
            copy.finish().await
        };
        sparing.await.map_err(database_error)?;
        Ok(staged)
    }

    /// Takes what cannot be loaded out of the staging table; returns how many rows are left out without being rejected.
    async fn reject(&mut self) -> Result<u64, tokio_postgres::Error> {
        self.reject_what_is_no_value().await?;
        self.transaction
            .batch_execute(&format!("ANALYZE {}", self.staging))
            .await?;
        let left_out = self.reject_duplicates().await?;
        for refusal in refusals(self.work) {
            let returned = format!(
                "{reason}, {value}",
                reason = literal(&refusal.reason),
                value = values(&refusal.columns),
            );
            let condition = format!("WHERE {}", refusal.condition);
            while self
                .delete("", &condition, &refusal.columns, &returned)
                .await?
                > 0
                && refusal.is_recursive
            {}
        }
        Ok(left_out)
    }

    /// Texts that the types of their columns do not take, as only the server can tell.
    async fn reject_what_is_no_value(&mut self) -> Result<(), tokio_postgres::Error> {
        let work = self.work;
        let columns = work.layout.columns.iter();
        let loose: Vec<&Column> = columns
            .filter(|column| !column.kind.is_canonical())
            .collect();
        if loose.is_empty() {
            return Ok(());
        }
        let version: i32 = self
            .transaction
            .query_one("SELECT current_setting('server_version_num')::integer", &[])
            .await?
            .get(0);
        if version < INPUT_IS_VALID {
            self.transaction.batch_execute(PROBLEM_OF_INPUT).await?;
        }
        let is_key_typed = work
            .layout
            .key
            .iter()
            .all(|&position| work.layout.columns[position].kind.is_canonical());
        let mut types = Vec::new();
        for column in loose {
            let name = identifier(&column.name);
            let kind = literal(&column.type_name);
            let problem = if version < INPUT_IS_VALID {
                format!("pg_temp.database_load_problem({name}, {kind})")
            } else {
                format!(
                    "CASE WHEN NOT pg_input_is_valid({name}, {kind})
                          THEN (SELECT message FROM pg_input_error_info({name}, {kind})) END"
                )
            };
            let bad = format!(
                "bad AS MATERIALIZED (SELECT place, problem FROM (
                     SELECT ctid AS place, {problem} AS problem FROM {} WHERE {name} IS NOT NULL
                 ) AS checked WHERE problem IS NOT NULL), ",
                self.staging
            );
            let columns = [column.name.clone()];
            let returned = format!("bad.problem, {}", values(&columns));
            let condition = "USING bad WHERE source.ctid = bad.place";
            let deleted = if is_key_typed {
                self.delete(&bad, condition, &columns, &returned).await?
            } else {
                self.delete_without_sparing(&bad, condition, &columns, &returned)
                    .await?
            };
            self.has_unknown_keys |= deleted > 0 && !is_key_typed;
            let collation = column.collation.as_ref();
            types.push(format!(
                "ALTER COLUMN {name} TYPE {0}{1} USING {name}::{0}",
                column.type_name,
                collation.map_or_else(String::new, |name| format!(" COLLATE {name}")),
            ));
        }
        self.transaction
            .batch_execute(&format!(
                "ALTER TABLE {} {}",
                self.staging,
                types.join(", ")
            ))
            .await
    }

    /// Rows of one key, of which only one can be loaded.
    async fn reject_duplicates(&mut self) -> Result<u64, tokio_postgres::Error> {
        let work = self.work;
        let order = match work.data_set.duplicates {
            Duplicates::Reject | Duplicates::First => format!("{FILE}, {NUMBER}"),
            Duplicates::Last => format!("{FILE} DESC, {NUMBER} DESC"),
        };
        let numbered = format!(
            "numbered AS MATERIALIZED (
                 SELECT ctid AS place, row_number() OVER same_key AS position, first_value({LINE}) OVER same_key AS line,
                        nullif(first_value({FILE}) OVER same_key, {FILE}) AS file
                 FROM {staging}
                 WINDOW same_key AS (PARTITION BY {key} ORDER BY {order})
             ), ",
            staging = self.staging,
            key = names(work.table.key.iter().map(String::as_str)),
        );
        let condition =
            "USING numbered WHERE source.ctid = numbered.place AND numbered.position > 1";
        if work.data_set.duplicates == Duplicates::Reject {
            let files = work.source.files.iter().map(|file| literal(&file.name));
            let returned = format!(
                "concat('the key is already that of line ', numbered.line,
                        ' of ' || (ARRAY[{}])[numbered.file + 1]), {}",
                files.collect::<Vec<_>>().join(", "),
                values(&work.table.key)
            );
            self.delete(&numbered, condition, &work.table.key, &returned)
                .await?;
            return Ok(0);
        }
        let numbered = numbered.trim_end_matches(", ");
        self.transaction
            .execute(
                &format!(
                    "WITH {numbered} DELETE FROM {} AS source {condition}",
                    self.staging
                ),
                &[],
            )
            .await
    }

    /// Deletes rows from the staging table and notes them as rejected; returns how many. `returned` is the reason and the
    /// value.
    async fn delete(
        &mut self,
        with: &str,
        condition: &str,
        columns: &[String],
        returned: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        let key = names(self.work.table.key.iter().map(String::as_str));
        let sparing = format!(
            "spared AS (INSERT INTO {} SELECT {key} FROM gone) ",
            self.spared
        );
        self.delete_and(with, condition, columns, returned, &sparing)
            .await
    }

    /// Does the same where the rows' keys may not be values of their types.
    async fn delete_without_sparing(
        &mut self,
        with: &str,
        condition: &str,
        columns: &[String],
        returned: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        self.delete_and(with, condition, columns, returned, "nothing AS (SELECT) ")
            .await
    }

    async fn delete_and(
        &mut self,
        with: &str,
        condition: &str,
        columns: &[String],
        returned: &str,
        further: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        let work = self.work;
        let key: Vec<_> = work
            .table
            .key
            .iter()
            .map(|name| format!("source.{}", identifier(name)))
            .collect();
        let rows = self
            .transaction
            .query(
                &format!(
                    "WITH {with}gone ({FILE}, {NUMBER}, {LINE}, {key_names}, database_load_reason, database_load_value) AS (
                         DELETE FROM {staging} AS source {condition}
                         RETURNING source.{FILE}, source.{NUMBER}, source.{LINE}, {key}, {returned}
                     ), {further}
                     SELECT {FILE}, {NUMBER}, {LINE}, database_load_reason::text, database_load_value, count(*) OVER () FROM gone
                     ORDER BY {FILE}, {NUMBER} LIMIT {KEPT}",
                    staging = self.staging,
                    key = key.join(", "),
                    key_names = names(work.table.key.iter().map(String::as_str)),
                ),
                &[],
            )
            .await?;
        let total: i64 = rows.first().map_or(0, |row| row.get(5));
        for row in &rows {
            self.note(row, columns);
        }
        let total = total.cast_unsigned();
        self.rejections.count_more(total - rows.len() as u64);
        Ok(total)
    }

    fn note(&mut self, row: &Row, columns: &[String]) {
        let file = usize::try_from(row.get::<_, i32>(0)).unwrap_or_default();
        let rejection = Rejection {
            file: self.work.source.files[file].name.clone(),
            line: row.get::<_, i64>(2).cast_unsigned(),
            column: Some(columns.join(", ")),
            reason: row.get(3),
            value: row.get(4),
            record: Vec::new(),
        };
        self.unread
            .push((file, row.get::<_, i64>(1).cast_unsigned(), rejection));
    }

    /// Reads the records of the rows that the server rejected once more, to keep them as their files have them.
    async fn read_records(&mut self) -> Result<(), LoadError> {
        let mut by_file: BTreeMap<usize, BTreeMap<u64, Rejection>> = BTreeMap::new();
        for (file, number, rejection) in std::mem::take(&mut self.unread) {
            by_file.entry(file).or_default().insert(number, rejection);
        }
        for (file, mut rejections) in by_file {
            let work = self.work.clone();
            let numbers: Vec<_> = rejections.keys().copied().collect();
            let reading = tokio::task::spawn_blocking(move || records_of(&work, file, &numbers));
            let records = match reading.await {
                Ok(records) => records.map_err(|error| self.work.source_error(error))?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            for (number, record) in records {
                if let Some(rejection) = rejections.get_mut(&number) {
                    rejection.record = record;
                }
            }
            for rejection in rejections.into_values() {
                self.rejections.add(rejection);
            }
        }
        self.rejections.sort();
        Ok(())
    }

    async fn rows_before(&self) -> Result<u64, tokio_postgres::Error> {
        let query = format!(
            "SELECT count(*) FROM {} AS target WHERE {}",
            self.work.table.qualified(),
            self.work.is_present("target")
        );
        let count: i64 = self.transaction.query_one(&query, &[]).await?.get(0);
        Ok(count.cast_unsigned())
    }

    async fn vanished(&self) -> Result<VanishedRows, tokio_postgres::Error> {
        if self.has_unknown_keys && self.work.vanished_policy() != Vanished::Keep {
            warn!(
                "{}: rejected rows have keys that cannot be read, so no row of {} is taken as vanished",
                self.work.data_set.name, self.work.table.name
            );
            return Ok(VanishedRows::none());
        }
        vanished::list_missing(self.transaction, self.work, &self.spared).await
    }
}

/// What is wrong with a text as a value of a type; null if nothing is. For servers that cannot tell it themselves.
const PROBLEM_OF_INPUT: &str = "
    CREATE OR REPLACE FUNCTION pg_temp.database_load_problem(value text, kind text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        -- A cast would cut what is too long; an assignment refuses it.
        EXECUTE format('DO %L', format('DECLARE x %s := %L; BEGIN END', kind, value));
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLERRM;
    END $$";

/// The columns' values as one text.
fn values(columns: &[String]) -> String {
    let columns: Vec<_> = columns
        .iter()
        .map(|name| format!("source.{}", identifier(name)))
        .collect();
    format!("left(concat_ws(', ', {}), 1000)", columns.join(", "))
}
