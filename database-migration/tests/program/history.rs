//! The rules about files and history.

use crate::support::{directory, migrate, program, read_only_role, table_exists, versions, write};
use test_postgres::Server;
use test_process::run;

#[tokio::test]
async fn a_changed_file_stops_with_both_checksums() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let checksum = database
        .value("SELECT checksum FROM refinery_schema_history")
        .await;

    write(files.path(), "1_a.sql", "CREATE TABLE a (id int);");
    write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stderr.contains(&format!(
            "1_a.sql: changed after it was applied as version 1 a: checksum {checksum} in the history"
        )),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "b").await);
}

#[tokio::test]
async fn other_line_ends_are_no_change() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a (\n);")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    std::fs::write(
        files.path().join("1_a.sql"),
        "-- +++++ UP\r\nCREATE TABLE a (\r\n);\r\n",
    )
    .unwrap();
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_database_that_is_ahead_is_left_alone_with_a_warning() {
    let database = Server::shared().database().await;
    let newer = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();"),
    ]);
    assert_eq!(migrate(&database, newer.path()).code, Some(0));
    let older = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = migrate(&database, older.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("warning: the database is ahead of this program by 1 migrations"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1", "2"]);
}

#[tokio::test]
async fn an_applied_version_without_a_file_stops() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("2_b.sql", "CREATE TABLE b ();"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    std::fs::remove_file(files.path().join("1_a.sql")).unwrap();
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("version 1 a was applied, but there is no file for it"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_late_file_below_the_last_version_stops_and_is_named() {
    let database = Server::shared().database().await;
    let files = directory(&[("2_b.sql", "CREATE TABLE b ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(files.path(), "1_a.sql", "CREATE TABLE a ();");
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("1_a.sql: not applied, though version 2 is"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
}

#[tokio::test]
async fn a_history_of_another_tool_is_not_touched() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE TABLE refinery_schema_history (version bigint, dirty boolean)")
        .await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stderr.contains("has the columns version, dirty"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_and_no_panic() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    database
        .execute("UPDATE refinery_schema_history SET applied_on = 'yesterday'")
        .await;
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("version 1: applied_on is \"yesterday\""),
        "{ended:?}"
    );
}

#[tokio::test]
async fn other_roles_may_read_the_history_but_not_write_it() {
    let database = Server::shared().database().await;
    let role = format!("writer \"of\" {}", database.name());
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    database
        .execute(&format!(
            "CREATE ROLE {quoted};
             ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {quoted}, PUBLIC"
        ))
        .await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = run(program(&database)
        .arg("--migrations")
        .arg(files.path())
        .env("MIGRATION_TABLE", "it's history"));
    assert_eq!(ended.code, Some(0), "{ended:?}");

    for (table, privilege, granted) in [
        ("a", "INSERT", "t"),
        ("\"it''s history\"", "SELECT", "t"),
        ("\"it''s history\"", "INSERT", "f"),
        ("\"it''s history\"", "UPDATE", "f"),
        ("\"it''s history\"", "DELETE", "f"),
        ("\"it''s history\"", "TRUNCATE", "f"),
    ] {
        let query = format!("SELECT has_table_privilege('{role}', '{table}', '{privilege}')");
        assert_eq!(database.value(&query).await, granted, "{query}");
    }
    database
        .execute(&format!("DROP OWNED BY {quoted}; DROP ROLE {quoted}"))
        .await;
}

#[tokio::test]
async fn a_role_that_may_not_create_the_history_is_told_why() {
    let database = Server::shared().database().await;
    // Before PostgreSQL 15 everybody may.
    database
        .execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .await;
    let role = read_only_role(&database).await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let ended = run(program(&database)
        .env("DB_USER", role.name())
        .env("DB_PASSWORD", role.name())
        .arg("--migrations")
        .arg(files.path()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for told in [
        "the table \"public\".\"refinery_schema_history\" could not be created: \
         permission denied for schema public (SQLSTATE 42501)",
        "next: let the user create tables in this schema",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
    role.drop().await;
}

#[tokio::test]
async fn rules_about_files_can_be_relaxed() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        ("3_c.sql", "CREATE TABLE c ();"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(files.path(), "1_a.sql", "CREATE TABLE a (changed int);");
    write(files.path(), "2_b.sql", "CREATE TABLE b ();");
    let relaxed = |variables: &[(&str, &str)]| {
        run(program(&database)
            .envs(variables.iter().copied())
            .arg("--migrations")
            .arg(files.path()))
    };
    // Each rule lets only its own contradiction pass.
    let checksums = ("MIGRATION_CHECKSUM_VALIDATION", "false");
    let order = ("MIGRATION_OUT_OF_ORDER", "true");
    let ended = relaxed(&[checksums]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        !ended.stderr.contains("changed after it was applied"),
        "{ended:?}"
    );
    let ended = relaxed(&[order]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(!ended.stderr.contains("2_b.sql"), "{ended:?}");

    let ended = relaxed(&[checksums, order]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("warning: ") && ended.stderr.contains("changed after it was applied"),
        "{ended:?}"
    );
    // What came late is not the newest.
    assert!(
        ended.stdout.contains("is at version 3 c, 1 applied"),
        "{ended:?}"
    );
    assert_eq!(versions(&database).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_told_from_a_path_that_names_none() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    let up = |table: &str| {
        let ended = run(program(&database)
            .env("MIGRATION_TABLE", table)
            .arg("--migrations")
            .arg(files.path()));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        ended.stderr
    };
    let told = up("menu.history");
    assert!(
        told.contains(
            "the schema menu, where the history is to be, does not exist\n  \
             next: create the schema, or name another one in MIGRATION_TABLE"
        ),
        "{told}"
    );
    database
        .execute(&format!(
            "ALTER DATABASE {} SET search_path = nowhere",
            database.name()
        ))
        .await;
    let told = up("history");
    assert!(
        told.contains("the search_path of user postgres names no schema that exists"),
        "{told}"
    );
}

#[tokio::test]
async fn a_role_that_owns_nothing_but_its_schema_can_do_all_of_it() {
    let database = Server::shared().database().await;
    let role = format!("{}_owner", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret' NOSUPERUSER NOCREATEDB NOCREATEROLE;
             CREATE SCHEMA menu AUTHORIZATION {role};
             REVOKE ALL ON SCHEMA public FROM PUBLIC;
             REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC;
             ALTER ROLE {role} IN DATABASE {name} SET search_path = menu",
            name = database.name()
        ))
        .await;
    let files = directory(&[
        (
            "1_a.sql",
            "CREATE TYPE mood AS ENUM ('glad');
             CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood, b text);
             CREATE VIEW v AS SELECT id FROM a;
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f();
             INSERT INTO a (b) VALUES ('x');
             \n-- +++++ DOWN\nDROP VIEW v; DROP TABLE a; DROP FUNCTION f; DROP TYPE mood;",
        ),
        (
            "2_i.sql",
            "-- Transaction: none\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);\nVACUUM a;\n\
             -- +++++ DOWN\n-- Transaction: none\nDROP INDEX CONCURRENTLY i;",
        ),
    ]);
    let command = |arguments: &[&str]| {
        let ended = run(program(&database)
            .env("DB_USER", &role)
            .env("DB_PASSWORD", "secret")
            .env("MIGRATIONS_DIR", files.path())
            .args(arguments));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains("permission denied"), "{ended:?}");
        ended
    };
    command(&["up", "--to", "1"]);
    // An index that somebody has built before is compared with the one that is wanted.
    database.execute("CREATE INDEX i ON menu.a (b)").await;
    command(&["up"]);
    command(&["status", "--exit-code"]);
    command(&["verify"]);
    command(&["plan"]);
    write(
        files.path(),
        "3_c.sql",
        "CREATE TABLE c ();\n-- +++++ DOWN\nDROP TABLE c;",
    );
    command(&["up"]);
    command(&["redo"]);
    database
        .execute("ALTER TABLE menu.a ADD COLUMN by_hand int")
        .await;
    command(&["repair"]);
    command(&["verify"]);
    command(&["down", "--to", "0", "--allow-data-loss"]);
    command(&["baseline", "--to", "3"]);
    command(&["down", "--to", "3"]);
    database
        .execute(&format!(
            "DROP TABLE menu.refinery_schema_history;
             CREATE TABLE menu.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
             INSERT INTO menu.schema_migrations VALUES (3, false);
             ALTER TABLE menu.schema_migrations OWNER TO {role}"
        ))
        .await;
    command(&["adopt"]);
    command(&["verify"]);
    let elsewhere = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(database.value(elsewhere).await, "0");
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}
