//! `adopt`: takes over the history that another tool has written, in one transaction.

use exit_code::{ExitCode, Failure};
use refinery::Migration;
use shutdown::Shutdown;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::info;

use crate::database::{self, Database};
use crate::error::MigrationError;
use crate::execution::insertion;
use crate::files::{MigrationFile, MigrationSet};
use crate::history::{self, Applied, Location, TableName};
use crate::session::Query;
use crate::settings::MigrationSettings;
use crate::sql::quoted;

/// Added to the name of the other tool's table, if ours is to have that name.
const KEPT_SUFFIX: &str = "_adopted";

/// The table of golang-migrate, if no other is named.
const GOLANG_MIGRATE_TABLE: &str = "schema_migrations";

/// Why a history is not taken over. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// There is no such table.
    #[error("there is no table {0} to take the history from")]
    NoTable(String),
    /// The history is ours already.
    #[error("the history {0} is one of database-migration already")]
    AlreadyOurs(String),
    /// No tool that we know has such a table.
    #[error(
        "the table {table} has the columns {}; known are refinery's version, name, applied_on, checksum and \
         golang-migrate's version, dirty",
        .columns.join(", ")
    )]
    UnknownLayout {
        /// The table's full name.
        table: String,
        /// The columns it has.
        columns: Vec<String>,
    },
    /// A row that its tool would not have written.
    #[error("the table {table} holds a row that cannot be read: {row}")]
    UnreadableRow {
        /// The table's full name.
        table: String,
        /// The row.
        row: String,
    },
    /// golang-migrate has stopped in the middle of a migration.
    #[error("golang-migrate failed in version {0} and has marked the database as dirty")]
    Dirty(i64),
    /// Applied migrations are not those of the files.
    #[error("the history is not that of the files; nothing was changed{}", .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
    OtherFiles(Vec<String>),
}

impl Failure for AdoptError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoTable(_) | Self::AlreadyOurs(_) => ExitCode::Usage,
            _ => ExitCode::Disagreement,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NoTable(_) => "name the table with --from; without any, begin with database-migration up or baseline",
            Self::AlreadyOurs(_) => "nothing is to be taken over; go on with database-migration up",
            Self::UnknownLayout { .. } => {
                "record what is applied with database-migration baseline --to VERSION and another MIGRATION_TABLE"
            }
            Self::UnreadableRow { .. } => "mend the row by hand",
            Self::Dirty(_) => {
                "look what of that version is in the database, complete it or take it back by hand, tell golang-migrate \
                 so (migrate force VERSION), and run again"
            }
            Self::OtherFiles(_) => {
                "name the directory with the files as they were applied; those that were changed on purpose have to be \
                 restored for now"
            }
        }
        .to_owned())
    }
}

/// Takes over the history of golang-migrate or of refinery: out of the table `from`, or, if that is not given, out of
/// the table that is in the place of ours, or `schema_migrations`. The result is a sentence for people.
///
/// Where the table has the name that ours is to have, it is kept under another one.
pub async fn adopt(
    settings: MigrationSettings,
    from: Option<&str>,
    shutdown: &Shutdown,
) -> Result<String, MigrationError> {
    let from = from
        .map(|table| TableName::parse("--from", table))
        .transpose()
        .map_err(connection::ConnectError::from)?;
    database::with_foreign(settings, shutdown, async |database, set| {
        take_over(database, &set, from).await
    })
    .await
}

async fn take_over(
    mut database: Database,
    set: &MigrationSet,
    from: Option<TableName>,
) -> Result<String, MigrationError> {
    database.exclude_others().await?;
    let source = source(&database, from).await?;
    let migrations = read(&database, &source, set).await?;

    let target = database.session.location().clone();
    let table = target.qualified();
    let is_same = source.qualified() == table;
    let renaming = format!(
        "ALTER TABLE {table} RENAME TO {}",
        quoted(&format!("{}{KEPT_SUFFIX}", target.table))
    );
    let creation = history::creation(&table);
    let protection = history::protection(&table);
    let insertions: Vec<_> = migrations
        .iter()
        .map(|(file, applied)| insertion(file, applied, &table, "NULL::timestamptz"))
        .collect();
    let mut queries = Vec::new();
    if is_same {
        queries.push(Query::own(&renaming));
    }
    queries.extend([Query::own(&creation), Query::own(&protection)]);
    queries.extend(insertions.iter().map(|sql| Query::own(sql)));
    database
        .session
        .transact(&queries)
        .await
        .map_err(MigrationError::server("taking over the history"))?;
    database.locate().await?;
    database.keep_description().await;

    if is_same {
        info!(
            "the table of the other tool is kept as {}",
            target.beside(KEPT_SUFFIX)
        );
    }
    let name = database.name().to_owned();
    database.unlock().await?;
    Ok(format!(
        "{name}: {} migrations taken over from {}; none was run",
        migrations.len(),
        source.qualified()
    ))
}

async fn source(database: &Database, from: Option<TableName>) -> Result<Location, MigrationError> {
    let ours = database.session.location();
    if ours.exists && !ours.is_foreign() {
        return Err(AdoptError::AlreadyOurs(ours.qualified()).into());
    }
    let name = match from {
        Some(name) => name,
        None if ours.exists => return Ok(ours.clone()),
        None => TableName::unqualified(GOLANG_MIGRATE_TABLE),
    };
    let user = database.settings.connection.user();
    let source = history::find(database.session.connection(), &name, user).await?;
    if source.exists {
        Ok(source)
    } else {
        Err(AdoptError::NoTable(source.qualified()).into())
    }
}

type Taken<'set> = Vec<(&'set MigrationFile, Applied)>;

async fn read<'set>(
    database: &Database,
    source: &Location,
    set: &'set MigrationSet,
) -> Result<Taken<'set>, MigrationError> {
    let table = source.qualified();
    let tool = Tool::of(source)?;
    let rows = database
        .session
        .rows(&format!("SELECT * FROM {table} ORDER BY version"))
        .await
        .map_err(MigrationError::server("reading the other tool's history"))?;
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| {
            Row((0..row.len())
                .map(|column| row.get(column).unwrap_or_default().to_owned())
                .collect())
        })
        .collect();
    Ok(match tool {
        Tool::Refinery => of_refinery(&table, &rows, set)?,
        Tool::GolangMigrate => of_golang_migrate(&table, &rows, set)?,
    })
}

/// Who has written a history.
enum Tool {
    Refinery,
    GolangMigrate,
}

impl Tool {
    fn of(source: &Location) -> Result<Self, AdoptError> {
        let columns = source.columns();
        match columns.as_slice() {
            ["version", "name", "applied_on", "checksum"] => Ok(Self::Refinery),
            ["version", "dirty"] => Ok(Self::GolangMigrate),
            _ => Err(AdoptError::UnknownLayout {
                table: source.qualified(),
                columns: columns.into_iter().map(ToOwned::to_owned).collect(),
            }),
        }
    }
}

/// A row as text, with nothing for NULL.
struct Row(Vec<String>);

impl Row {
    fn unreadable(&self, table: &str) -> AdoptError {
        AdoptError::UnreadableRow {
            table: table.to_owned(),
            row: self.0.join(" | "),
        }
    }
}

/// A row for each migration, with refinery's checksum, whose versions have 32 or 64 bits.
fn of_refinery<'set>(
    table: &str,
    rows: &[Row],
    set: &'set MigrationSet,
) -> Result<Taken<'set>, AdoptError> {
    let mut taken = Vec::new();
    let mut problems = Vec::new();
    for row in rows {
        let [version, name, applied_on, checksum] = row.0.as_slice() else {
            return Err(row.unreadable(table));
        };
        let version: i64 = version.parse().map_err(|_| row.unreadable(table))?;
        let checksum: u64 = checksum.parse().map_err(|_| row.unreadable(table))?;
        let applied_on =
            OffsetDateTime::parse(applied_on, &Rfc3339).map_err(|_| row.unreadable(table))?;
        let file = set.files().iter().find(|file| file.version == version);
        match file {
            Some(file) if file.name == *name && file.refinery_checksums().contains(&checksum) => {
                let applied =
                    Migration::applied(version, name.clone(), applied_on, file.checksum);
                taken.push((file, applied));
            }
            Some(file) => problems.push(format!(
                "{}: refinery has applied another file as version {version} {name}, with checksum {checksum}",
                file.path.display()
            )),
            None => problems.push(format!(
                "version {version} {name} was applied, but there is no file for it"
            )),
        }
    }
    if problems.is_empty() {
        Ok(taken)
    } else {
        Err(AdoptError::OtherFiles(problems))
    }
}

/// At most one row, with the newest version: all files up to it are applied.
fn of_golang_migrate<'set>(
    table: &str,
    rows: &[Row],
    set: &'set MigrationSet,
) -> Result<Taken<'set>, AdoptError> {
    let [row] = rows else {
        return Ok(Vec::new());
    };
    let [version, dirty] = row.0.as_slice() else {
        return Err(row.unreadable(table));
    };
    let version: i64 = version.parse().map_err(|_| row.unreadable(table))?;
    if dirty == "t" {
        return Err(AdoptError::Dirty(version));
    }
    if !set.files().iter().any(|file| file.version == version) {
        return Err(AdoptError::OtherFiles(vec![format!(
            "version {version} was applied, but there is no file for it"
        )]));
    }
    Ok(set
        .files()
        .iter()
        .filter(|file| file.version <= version)
        .map(|file| (file, file.applied_now()))
        .collect())
}
