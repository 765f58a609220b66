//! What the tests of this program share.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use test_postgres::Database;
use test_process::{Ended, run};

/// The program, led to a test's database.
pub(crate) fn program(database: &Database<'_>) -> Command {
    database.command(env!("CARGO_BIN_EXE_database-migration"))
}

/// The program without any settings.
pub(crate) fn bare_program() -> Command {
    test_process::bare_command(env!("CARGO_BIN_EXE_database-migration"))
}

/// Runs the program on a directory of migrations.
pub(crate) fn migrate(database: &Database<'_>, directory: &Path) -> Ended {
    run(program(database).arg("--migrations").arg(directory))
}

/// A directory of migration files, each with its name and the SQL of its UP section.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in files {
        write(directory.path(), name, sql);
    }
    directory
}

/// Writes one migration file.
pub(crate) fn write(directory: &Path, name: &str, sql: &str) {
    std::fs::write(directory.join(name), format!("-- +++++ UP\n{sql}\n")).unwrap();
}

/// The versions that the history holds, in their order.
pub(crate) async fn versions(database: &Database<'_>) -> Vec<String> {
    database
        .values("SELECT version FROM refinery_schema_history ORDER BY version")
        .await
}

/// Whether a table is there.
pub(crate) async fn table_exists(database: &Database<'_>, table: &str) -> bool {
    database
        .value(&format!("SELECT to_regclass('{table}') IS NOT NULL"))
        .await
        == "t"
}

/// The last ten lines of all that a run wrote, as `kubectl logs -l` shows them.
pub(crate) fn last_lines(ended: &Ended) -> String {
    let lines: Vec<_> = ended.stdout.lines().chain(ended.stderr.lines()).collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// A role that may read the schema `public` of a test's database, and no more. Its password is its name.
pub(crate) struct ReadOnlyRole<'database> {
    database: &'database Database<'database>,
    name: String,
}

pub(crate) async fn read_only_role<'database>(
    database: &'database Database<'database>,
) -> ReadOnlyRole<'database> {
    let name = format!("{}_reader", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{name}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"
        ))
        .await;
    ReadOnlyRole { database, name }
}

impl ReadOnlyRole<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Roles belong to the server, not to the database that goes with its test.
    pub(crate) async fn drop(self) {
        let name = &self.name;
        self.database
            .execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}"))
            .await;
    }
}

/// Compares an output with a file in `golden/`, which `UPDATE_GOLDEN=1` writes anew.
pub(crate) fn assert_golden(name: &str, output: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/program/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, output).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(output, expected, "{name}");
}
