//! `load`: brings tables to the state of their sources.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use advisory_lock::{LockError, LockName};
use backon::{BackoffBuilder, ExponentialBuilder};
use connection::{Connection, Connector};
use shutdown::Shutdown;
use tokio_postgres::Transaction;
use tracing::{Instrument, Span, error, field, info, info_span, warn};

use crate::codes;
use crate::commands::preview::{Previewed, preview};
use crate::commands::{Prepared, begin, blocking, groups, guarded, manifest, prepare, rejects};
use crate::error::{LoadError, Problem};
use crate::history::{self, LastRun, Outcome, Run};
use crate::loading::{Compared, Counts, DataSetWork, Purpose, compare};
use crate::manifest::{Content, Vanished};
use crate::metrics;
use crate::rejection::Rejection;
use crate::report::{self, DataSetReport, Summary, milliseconds};
use crate::settings::{IfRunning, LoadSettings};
use crate::source::{self, SourceFile};
use crate::target::statement_span;

/// How often a transaction that gave way to others is tried.
const ATTEMPTS: usize = 5;
/// With a larger share of changed rows than 1 in this number, the planner is told of them.
const ANALYSE_FROM: u64 = 10;

/// Brings all tables to the state of their sources, or only looks what that would do.
pub async fn load(
    settings: LoadSettings,
    is_preview: bool,
    shutdown: &Shutdown,
) -> Result<Summary, LoadError> {
    let mut run = LoadRun {
        summary: Summary {
            data_sets: Vec::new(),
            is_preview,
            has_left: false,
            started: Instant::now(),
        },
        failure: None,
        settings,
    };
    let outcome = run.start(shutdown).await;
    let outcome = outcome.and_then(|()| run.failure.take().map_or(Ok(()), Err));
    if let Some(path) = &run.settings.report {
        let written = report::write(path, &run.summary, outcome.as_ref().err());
        // A load that failed is worse than a report that cannot be written.
        outcome.and(written)?;
    } else {
        outcome?;
    }
    Ok(run.summary)
}

/// One run over all data sets.
struct LoadRun {
    settings: LoadSettings,
    summary: Summary,
    /// The first failure of a data set that did not keep others from being loaded.
    failure: Option<LoadError>,
}

impl LoadRun {
    async fn start(&mut self, shutdown: &Shutdown) -> Result<(), LoadError> {
        let connector = self.settings.connector()?;
        let selection = manifest(&self.settings)?;
        let (connection, prepared) = prepare(&connector, selection, shutdown).await?;
        guarded(&connector, connection, shutdown, async |connection| {
            self.run(&connector, connection, prepared).await
        })
        .await
    }

    async fn run(
        &mut self,
        connector: &Connector,
        mut connection: Connection,
        prepared: Vec<Prepared>,
    ) -> Result<(), LoadError> {
        if self.summary.is_preview {
            if !history::exists(&connection).await? {
                return self.preview(connection, prepared).await;
            }
        } else {
            history::create(&connection).await?;
        }
        let mut changed = Vec::new();
        for prepared in prepared {
            // Known without the lock: whoever has nothing to do need not wait for a long load of somebody else.
            match self.known(&*connection, &prepared).await? {
                Some(last) => self.note_unchanged(&connection, &prepared, &last).await?,
                None => changed.push(prepared),
            }
        }
        if self.summary.is_preview {
            return self.preview(connection, changed).await;
        }
        if !changed.is_empty() {
            connector.require_session(&connection).await?;
            if self.exclude_others(&connection, &changed).await? {
                let groups = groups::by_foreign_keys(changed);
                for (number, group) in groups.iter().enumerate() {
                    let is_last = number + 1 == groups.len();
                    self.load_group(&mut connection, group, is_last).await?;
                }
            }
        }
        connection.close().await;
        Ok(())
    }

    /// The last run of a data set, if the same again would change nothing, and need not be looked for.
    async fn known(
        &self,
        client: &impl tokio_postgres::GenericClient,
        prepared: &Prepared,
    ) -> Result<Option<LastRun>, LoadError> {
        if self.settings.is_forced {
            return Ok(None);
        }
        unchanged(client, prepared).await
    }

    async fn note_unchanged(
        &mut self,
        connection: &Connection,
        prepared: &Prepared,
        last: &LastRun,
    ) -> Result<(), LoadError> {
        let report = DataSetReport {
            data_set: prepared.data_set.name.clone(),
            table: prepared.table.name.clone(),
            outcome: Outcome::Unchanged,
            counts: last.counts_unchanged(),
            bytes: prepared.source.size(),
            duration_ms: milliseconds(prepared.started.elapsed()),
            checksum: last.checksum.clone(),
            samples: Vec::new(),
        };
        if !self.summary.is_preview {
            let run = prepared.run(&report, None);
            if history::record(&**connection, &run, &[]).await? {
                history::prune(connection, &report.data_set).await;
            }
            if let Content::Codes { rule, .. } = prepared.data_set.content {
                codes::forget(&prepared.source, rule, &self.settings.work_directory);
            }
        }
        metrics::lag(&report.data_set, last.age);
        metrics::ended(
            &report.data_set,
            "unchanged",
            prepared.started.elapsed(),
            report.bytes,
            &report.counts,
        );
        info!(
            "✓ {}: the source is unchanged ({} ms)",
            report.data_set, report.duration_ms
        );
        self.summary.data_sets.push(report);
        Ok(())
    }

    /// Takes the locks of all tables, always in the same order. Whether this run is to go on.
    async fn exclude_others(
        &mut self,
        connection: &Connection,
        prepared: &[Prepared],
    ) -> Result<bool, LoadError> {
        let mut tables: Vec<_> = prepared
            .iter()
            .map(|prepared| (&*prepared.table.schema, &*prepared.table.name))
            .collect();
        tables.sort_unstable();
        tables.dedup();
        let limit = match self.settings.if_running {
            IfRunning::Wait => self.settings.runner_wait,
            IfRunning::Leave => Some(std::time::Duration::ZERO),
        };
        for (schema, table) in tables {
            let database = self.settings.connection.database();
            let lock = LockName::new(&["database-load", database, schema, table]);
            match advisory_lock::acquire(connection, &lock, limit).await {
                Ok(()) => {}
                Err(LockError::Timeout { .. }) if self.settings.if_running == IfRunning::Leave => {
                    self.summary.has_left = true;
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Loads data sets that belong together in one transaction. A failure of theirs does not keep others from being
    /// loaded, unless the connection is gone.
    async fn load_group(
        &mut self,
        connection: &mut Connection,
        group: &[Prepared],
        is_last: bool,
    ) -> Result<(), LoadError> {
        let mut written = Vec::with_capacity(group.len());
        let outcome = self.attempts(connection, group, &mut written).await;
        let reports = match outcome {
            Ok(reports) => reports,
            Err(error) if connection.is_closed() => return Err(error),
            Err(error) => {
                // The verdict tells of the first failure, which is too late where there is more to do.
                if self.failure.is_some() || !is_last {
                    error!("{error}");
                }
                self.note_failure(connection, group, &written, error).await;
                return Ok(());
            }
        };
        for (prepared, (report, is_history_long)) in group.iter().zip(&reports) {
            if report.outcome == Outcome::Loaded {
                analyse(connection, prepared, &report.counts).await;
            }
            if *is_history_long {
                history::prune(connection, &report.data_set).await;
            }
        }
        let reports = reports.into_iter().map(|(report, _)| report);
        self.summary.data_sets.extend(reports);
        Ok(())
    }

    async fn attempts(
        &self,
        connection: &mut Connection,
        group: &[Prepared],
        written: &mut Vec<(Span, Written)>,
    ) -> Result<Vec<(DataSetReport, bool)>, LoadError> {
        let mut delays = ExponentialBuilder::default()
            .with_jitter()
            .with_max_times(ATTEMPTS - 1)
            .with_min_delay(std::time::Duration::from_millis(50))
            .build();
        loop {
            written.clear();
            let error = match self.attempt(connection, group, written).await {
                Ok(reports) => return Ok(reports),
                Err(error) => error,
            };
            let tables = group.iter().map(|prepared| &*prepared.table);
            match delays.next().filter(|_| error.is_lost_to_others(tables)) {
                Some(delay) => {
                    info!("{error}; the load is tried again");
                    tokio::time::sleep(delay).await;
                }
                None => return Err(error),
            }
        }
    }

    /// One transaction over a group: first what is new or changed, in the order of foreign keys, then what vanished, in
    /// the opposite order. Returns for each whether the history is to be pruned, too. What was `written` tells which
    /// rows were rejected, also where the attempt fails.
    async fn attempt(
        &self,
        connection: &mut Connection,
        group: &[Prepared],
        written: &mut Vec<(Span, Written)>,
    ) -> Result<Vec<(DataSetReport, bool)>, LoadError> {
        let transaction = begin(connection)
            .await
            .map_err(|error| group[0].error(Problem::Database(error)))?;
        for (number, prepared) in group.iter().enumerate() {
            let span = load_span(&prepared.data_set.name);
            self.write(&transaction, group, number, written)
                .instrument(span.clone())
                .await
                .inspect_err(|_| {
                    span.record("database.load.outcome", Outcome::Failed.name());
                    span.record("otel.status_code", "ERROR");
                })?;
        }
        for (span, outcome) in written.iter_mut().rev() {
            if let Written::Loaded(work, compared) = outcome {
                compared
                    .vanished
                    .apply(&transaction, work, &mut compared.counts)
                    .instrument(span.clone())
                    .await
                    .map_err(|error| work.database_error(error))?;
            }
        }
        let mut reports = Vec::with_capacity(group.len());
        for (prepared, (span, outcome)) in group.iter().zip(&*written) {
            let report = outcome.report(prepared);
            let rejections = match outcome.compared() {
                Some(compared) => prepared.with_headers(compared.rejections.kept()).await,
                None => Vec::new(),
            };
            let run = prepared.run(&report, None);
            let is_history_long = history::record(&transaction, &run, &rejections)
                .instrument(span.clone())
                .await?;
            reports.push((report, is_history_long));
        }
        transaction
            .commit()
            .await
            .map_err(|error| group[0].error(Problem::Database(error)))?;
        for (prepared, ((span, outcome), (report, _))) in
            group.iter().zip(written.iter().zip(&reports))
        {
            span.in_scope(|| tell(prepared, outcome, report));
        }
        Ok(reports)
    }

    /// Writes what is new or changed in one table of a group.
    async fn write(
        &self,
        transaction: &Transaction<'_>,
        group: &[Prepared],
        number: usize,
        written: &mut Vec<(Span, Written)>,
    ) -> Result<(), LoadError> {
        let prepared = &group[number];
        // Another run may have loaded the same before this one got the lock.
        if let Some(last) = self.known(transaction, prepared).await? {
            written.push((Span::current(), Written::Before(last)));
            return Ok(());
        }
        let mut work = prepared.work(number, &self.settings.work_directory).await?;
        let later = group[number + 1..].iter();
        work.loaded_later = later.map(|prepared| prepared.table.oid).collect();
        let loading = async {
            let mut compared = compare(transaction, &work, Purpose::Load).await?;
            let outcome = match compared.guard(&work) {
                Ok(()) => compared.write(transaction, &work).await,
                Err(problem) => Err(work.error(problem)),
            };
            let loaded = Written::Loaded(Box::new(work.clone()), Box::new(compared));
            written.push((Span::current(), loaded));
            outcome
        };
        work.progress.during(loading).await
    }

    /// Keeps a failure in the history, on its own: a run of the data set that failed, and one of each that belongs to it.
    async fn note_failure(
        &mut self,
        connection: &Connection,
        group: &[Prepared],
        written: &[(Span, Written)],
        failure: LoadError,
    ) {
        let failed = match &failure {
            LoadError::DataSet { data_set, .. } => data_set.as_str(),
            _ => group[0].data_set.name.as_str(),
        };
        for (number, prepared) in group.iter().enumerate() {
            let problem = if prepared.data_set.name == failed {
                failure.to_string()
            } else {
                format!(
                    "not loaded, since {failed} failed, which is loaded in the same transaction"
                )
            };
            let compared = written
                .get(number)
                .and_then(|(_, written)| written.compared());
            self.note_failed(connection, prepared, problem, compared)
                .await;
        }
        self.failure.get_or_insert(failure);
    }

    async fn note_failed(
        &mut self,
        connection: &Connection,
        prepared: &Prepared,
        problem: String,
        compared: Option<&Compared>,
    ) {
        let counts = compared.map(Compared::counts_read).unwrap_or_default();
        let rejections = compared.map_or(&[][..], |compared| compared.rejections.kept());
        let report = DataSetReport {
            data_set: prepared.data_set.name.clone(),
            table: prepared.table.name.clone(),
            outcome: Outcome::Failed,
            counts,
            bytes: prepared.source.size(),
            duration_ms: milliseconds(prepared.started.elapsed()),
            checksum: None,
            samples: Vec::new(),
        };
        let run = prepared.run(&report, Some(problem));
        let rejections = prepared.with_headers(rejections).await;
        match history::record(&**connection, &run, &rejections).await {
            Ok(true) => history::prune(connection, &report.data_set).await,
            Ok(false) => {}
            Err(problem) => warn!("the failure is not kept: {problem}"),
        }
        if let Ok(Some(last)) = history::last(&**connection, &report.data_set, &report.table).await
        {
            metrics::lag(&report.data_set, last.age);
        }
        metrics::ended(
            &report.data_set,
            "failed",
            prepared.started.elapsed(),
            report.bytes,
            &report.counts,
        );
        self.summary.data_sets.push(report);
    }

    /// Looks what a load would do.
    async fn preview(
        &mut self,
        mut connection: Connection,
        prepared: Vec<Prepared>,
    ) -> Result<(), LoadError> {
        for group in groups::by_foreign_keys(prepared) {
            let directory = &self.settings.work_directory;
            let previewed = preview(&mut connection, &group, directory, Compared::guard).await?;
            for (prepared, previewed) in group.iter().zip(previewed) {
                let Previewed {
                    work,
                    compared,
                    samples,
                } = previewed;
                for sample in &samples {
                    info!("{}: {sample}", work.data_set.name);
                }
                let written = Written::Loaded(Box::new(work), Box::new(compared));
                let mut report = written.report(prepared);
                report.samples = samples;
                self.summary.data_sets.push(report);
            }
        }
        Ok(())
    }
}

/// What happened to a data set within the transaction.
enum Written {
    /// Another run had loaded the same.
    Before(LastRun),
    Loaded(Box<DataSetWork>, Box<Compared>),
}

impl Written {
    fn compared(&self) -> Option<&Compared> {
        match self {
            Self::Before(_) => None,
            Self::Loaded(_, compared) => Some(compared),
        }
    }

    fn report(&self, prepared: &Prepared) -> DataSetReport {
        let (outcome, counts, checksum) = match self {
            Self::Before(last) => (
                Outcome::Unchanged,
                last.counts_unchanged(),
                last.checksum.clone(),
            ),
            Self::Loaded(_, compared) => (
                Outcome::Loaded,
                compared.counts,
                compared.checksum.map(|checksum| checksum.to_string()),
            ),
        };
        DataSetReport {
            data_set: prepared.data_set.name.clone(),
            table: prepared.table.name.clone(),
            outcome,
            counts,
            bytes: prepared.source.size(),
            duration_ms: milliseconds(prepared.started.elapsed()),
            checksum,
            samples: Vec::new(),
        }
    }
}

impl Prepared {
    /// Rejected rows, and before them the header of each file that they are from.
    async fn with_headers(&self, rejections: &[Rejection]) -> Vec<Rejection> {
        let Content::Rows { format, csv } = self.data_set.content.clone() else {
            return rejections.to_vec();
        };
        let files: BTreeSet<_> = rejections
            .iter()
            .map(|rejection| rejection.file.clone())
            .collect();
        let source = Arc::clone(&self.source);
        let mut all = blocking(move || {
            let files = source
                .files
                .iter()
                .filter(|file| files.contains(&file.name));
            let header = |file: &SourceFile| {
                let format = format.or_else(|| file.format())?;
                // Without its header the rows are still worth keeping.
                let record = source::header_record(file, format, &csv).unwrap_or_default();
                Some(rejects::header(&file.name, format, record))
            };
            files.filter_map(header).collect::<Vec<_>>()
        })
        .await;
        all.extend_from_slice(rejections);
        all
    }

    /// What the history keeps of it.
    fn run<'run>(&'run self, report: &'run DataSetReport, problem: Option<String>) -> Run<'run> {
        Run {
            data_set: &report.data_set,
            table: &report.table,
            outcome: report.outcome,
            source_hash: Some(self.source.hash.to_string()),
            mapping_hash: Some(self.mapping_hash.clone()),
            table_state: Some(self.table.state.clone()),
            checksum: report.checksum.clone(),
            counts: report.counts,
            bytes: report.bytes,
            duration: std::time::Duration::from_millis(report.duration_ms),
            problem,
        }
    }
}

/// The last run of a data set, if the same again would change nothing: the same source, the same way of loading it, and
/// the same table, which is not empty unless it was left so.
async fn unchanged(
    client: &impl tokio_postgres::GenericClient,
    prepared: &Prepared,
) -> Result<Option<LastRun>, LoadError> {
    let Some(last) = history::last(client, &prepared.data_set.name, &prepared.table.name).await?
    else {
        return Ok(None);
    };
    let is_same = last.source_hash == Some(prepared.source.hash.to_string())
        && last.mapping_hash.as_ref() == Some(&prepared.mapping_hash)
        && last.table_state.as_ref() == Some(&prepared.table.state)
        // What had to be kept may be gone without another source.
        && (last.counts.kept == 0 || prepared.data_set.vanished != Some(Vanished::Delete))
        // And what a rejected row refers to may be there.
        && (last.counts.rejected == 0 || prepared.table.references.is_empty());
    if !is_same || last.counts.valid == 0 {
        return Ok(last_if(last, is_same));
    }
    let query = format!("SELECT EXISTS (SELECT FROM {})", prepared.table.qualified());
    let rows = client
        .query_typed(&query, &[])
        .await
        .map_err(|error| prepared.error(Problem::Database(error)))?;
    Ok(last_if(last, rows.first().is_some_and(|row| row.get(0))))
}

fn last_if(last: LastRun, is_same: bool) -> Option<LastRun> {
    is_same.then_some(last)
}

fn load_span(data_set: &str) -> Span {
    info_span!(
        "load",
        otel.name = format!("load {data_set}"),
        otel.kind = "internal",
        otel.status_code = field::Empty,
        database.load.data_set = data_set,
        database.load.outcome = field::Empty,
        database.load.bytes = field::Empty,
        database.load.rows.read = field::Empty,
        database.load.rows.rejected = field::Empty,
        database.load.rows.inserted = field::Empty,
        database.load.rows.updated = field::Empty,
        database.load.rows.unchanged = field::Empty,
        database.load.rows.marked = field::Empty,
        database.load.rows.deleted = field::Empty,
        database.load.rows.kept = field::Empty,
    )
}

/// Says in log, span and metrics what was done.
fn tell(prepared: &Prepared, outcome: &Written, report: &DataSetReport) {
    let span = Span::current();
    span.record("database.load.outcome", report.outcome.name());
    span.record("database.load.bytes", report.bytes.cast_signed());
    span.record("database.load.rows.read", report.counts.read.cast_signed());
    for (name, rows) in report.counts.by_outcome() {
        span.record(
            format!("database.load.rows.{name}").as_str(),
            rows.cast_signed(),
        );
    }
    let duration = prepared.started.elapsed();
    metrics::lag(&report.data_set, 0.0);
    metrics::ended(
        &report.data_set,
        report.outcome.name(),
        duration,
        report.bytes,
        &report.counts,
    );
    match outcome {
        Written::Before(_) => info!("✓ {}: another load did it meanwhile", report.data_set),
        Written::Loaded(work, compared) => {
            work.codes.clean();
            if compared.rejections.count() > 0 {
                warn!(
                    "{}: {} rows were rejected, as the guards allow; `database-load rejects {}` prints them:{}",
                    report.data_set,
                    compared.rejections.count(),
                    report.data_set,
                    compared.rejections
                );
            }
            info!(
                "✓ {} loaded: {} ({} ms)",
                report.data_set,
                report.counts,
                duration.as_millis()
            );
        }
    }
}

/// Tells the planner when enough has changed. A load that is done does not fail over it.
async fn analyse(connection: &Connection, prepared: &Prepared, counts: &Counts) {
    let changed = counts.inserted + counts.updated + counts.marked + counts.deleted;
    if changed * ANALYSE_FROM < counts.valid.max(1) || !prepared.table.may_be_analysed {
        return;
    }
    let statement = format!("ANALYZE {}", prepared.table.qualified());
    let analysing = connection
        .batch_execute(&statement)
        .instrument(statement_span("ANALYZE", &prepared.table));
    if let Err(error) = analysing.await {
        warn!("{}: {}", prepared.table.name, connection::describe(&error));
    }
}
