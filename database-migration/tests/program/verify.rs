//! `verify` and `repair`.

use std::path::Path;

use crate::support::{directory, migrate, program, versions, write};
use test_postgres::{Database, Server};
use test_process::{Ended, run};

fn command(database: &Database<'_>, directory: &Path, arguments: &[&str]) -> Ended {
    run(program(database)
        .args(arguments)
        .arg("--migrations")
        .arg(directory))
}

const SCHEMA: &str = "CREATE TYPE mood AS ENUM ('glad');
    CREATE DOMAIN price AS numeric CHECK (VALUE > 0);
    CREATE TABLE a (id int PRIMARY KEY, b text NOT NULL DEFAULT 'x', c int GENERATED ALWAYS AS (id + 1) STORED);
    CREATE TABLE d (id bigint GENERATED ALWAYS AS IDENTITY, a int REFERENCES a, EXCLUDE USING btree (a WITH =));
    CREATE INDEX i ON a (b);
    CREATE VIEW v AS SELECT id FROM a;
    CREATE MATERIALIZED VIEW m AS SELECT id FROM a;
    CREATE TABLE p (id int) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE FUNCTION f(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
    CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
    CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER g BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION t();
    ALTER TABLE a ENABLE ROW LEVEL SECURITY;
    CREATE POLICY o ON a USING (id > 0);
    CREATE SCHEMA other; CREATE TABLE other.x ();
    CREATE SEQUENCE numbers;
    CREATE TYPE pair AS (one int, two text);
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE RULE nothing AS ON DELETE TO d DO INSTEAD NOTHING;
    CREATE TABLE child (id int); CREATE TABLE parent (id int);
    CREATE STATISTICS related ON id, b FROM a;";

#[tokio::test]
async fn a_database_as_the_migrations_left_it_passes() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", SCHEMA),
        (
            "2_i.sql",
            "-- Transaction: none\nCREATE INDEX CONCURRENTLY j ON a (id);",
        ),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for check in [
        "✓ files and history agree",
        "✓ no migration is half done",
        "✓ all indexes are valid",
        "✓ all constraints are validated",
        "✓ nothing was changed by hand",
        "is as the migrations have left it",
    ] {
        assert!(ended.stdout.contains(check), "{check}: {ended:?}");
    }
}

#[tokio::test]
async fn every_change_by_hand_is_found_and_shown() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", SCHEMA)]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    for (change, told) in [
        (
            "ALTER TABLE a ADD COLUMN e int",
            "column public.a.e was added\n    now: integer",
        ),
        (
            "ALTER TABLE a ALTER COLUMN b DROP DEFAULT",
            "column public.a.b was changed\n    before: text NOT NULL DEFAULT 'x'::text\n    now: text NOT NULL",
        ),
        ("DROP INDEX i", "index public.i was dropped"),
        (
            "CREATE OR REPLACE VIEW v AS SELECT id FROM public.a WHERE id > 1",
            "view public.v was changed",
        ),
        ("DROP TABLE other.x", "table other.x was dropped"),
        ("DROP TABLE p1", "table public.p1 was dropped"),
        (
            "CREATE OR REPLACE FUNCTION f(n int) RETURNS int LANGUAGE sql AS 'SELECT n + 1'",
            "function public.f(n integer) was changed",
        ),
        (
            "DROP AGGREGATE total(int)",
            "function public.total(integer) was dropped",
        ),
        (
            "ALTER TABLE a DISABLE TRIGGER g",
            "trigger g of public.a was changed",
        ),
        ("DROP TRIGGER g ON a", "trigger g of public.a was dropped"),
        (
            "ALTER POLICY o ON a TO postgres",
            "policy o of public.a was changed",
        ),
        ("DROP POLICY o ON a", "policy o of public.a was dropped"),
        (
            "ALTER TYPE mood ADD VALUE 'sad'",
            "type public.mood was changed",
        ),
        (
            "ALTER TABLE d DROP CONSTRAINT d_a_fkey",
            "constraint d_a_fkey of public.d was dropped",
        ),
        ("CREATE SEQUENCE s", "sequence public.s was added"),
        (
            "ALTER SEQUENCE numbers INCREMENT BY 10",
            "sequence public.numbers was changed",
        ),
        (
            "ALTER TYPE pair ADD ATTRIBUTE three date",
            "type public.pair was changed\n    before: composite one integer, two text",
        ),
        (
            "DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi)",
            "type public.span was changed",
        ),
        (
            "ALTER TABLE d DISABLE RULE nothing",
            "rule nothing of public.d was changed",
        ),
        (
            "DROP RULE nothing ON d",
            "rule nothing of public.d was dropped",
        ),
        (
            "ALTER TABLE child INHERIT parent",
            "table public.child was changed",
        ),
        (
            "DROP STATISTICS related",
            "statistics related of public.a was dropped",
        ),
    ] {
        database.execute(change).await;
        let ended = command(&database, files.path(), &["verify"]);
        assert_eq!(ended.code, Some(4), "{change}: {ended:?}");
        assert!(ended.stderr.contains(told), "{change}: {ended:?}");
        assert!(
            ended.stderr.contains("1 of the checks above failed"),
            "{change}: {ended:?}"
        );
        let ended = command(&database, files.path(), &["repair"]);
        assert_eq!(ended.code, Some(0), "{change}: {ended:?}");
        let ended = command(&database, files.path(), &["verify"]);
        assert_eq!(ended.code, Some(0), "{change}: {ended:?}");
    }
}

#[tokio::test]
async fn what_is_not_whole_is_named_with_what_completes_it() {
    let database = Server::shared().database().await;
    let files = directory(&[(
        "1_a.sql",
        "CREATE TABLE a (b int); CREATE INDEX i ON a (b);
         ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID;",
    )]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    database
        .execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass")
        .await;
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    for told in [
        "index public.i: REINDEX INDEX CONCURRENTLY public.i, or drop it",
        "constraint c of public.a: ALTER TABLE public.a VALIDATE CONSTRAINT c",
        "now: CREATE INDEX i ON public.a USING btree (b) (invalid)",
        "3 of the checks above failed",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
}

#[tokio::test]
async fn another_services_schema_is_none_of_our_business() {
    let database = Server::shared().database().await;
    database
        .execute("CREATE SCHEMA one; CREATE SCHEMA two")
        .await;
    let files = directory(&[("1_a.sql", "SELECT 1;")]);
    for schema in ["one", "two"] {
        let ended = run(program(&database)
            .env("MIGRATION_TABLE", format!("{schema}.history"))
            .arg("--migrations")
            .arg(files.path()));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    database.execute("CREATE TABLE two.a ()").await;
    let verify = |schema: &str| {
        run(program(&database)
            .env("MIGRATION_TABLE", format!("{schema}.history"))
            .args(["verify", "--migrations"])
            .arg(files.path()))
    };
    assert_eq!(verify("one").code, Some(0));
    assert_eq!(verify("two").code, Some(4));
}

const DOWN_IS_ANOTHER: &str = "2_b.sql: what undoes version 2 is another thing in the history, which down follows; \
     database-migration repair takes over the file's";

#[tokio::test]
async fn a_changed_down_section_is_a_warning() {
    let database = Server::shared().database().await;
    let files = directory(&[
        (
            "1_a.sql",
            "CREATE TABLE a ();\n-- +++++ DOWN\nDROP TABLE a;",
        ),
        ("2_b.sql", "CREATE TABLE b ();"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(
        files.path(),
        "2_b.sql",
        "CREATE TABLE b ();\n-- +++++ DOWN\nDROP TABLE b;",
    );
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains(DOWN_IS_ANOTHER), "{ended:?}");
    assert!(!ended.stderr.contains("1_a.sql"), "{ended:?}");

    write(files.path(), "3_c.sql", "CREATE TABLE c ();");
    let ended = migrate(&database, files.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains(DOWN_IS_ANOTHER), "{ended:?}");
    assert!(!ended.stderr.contains("1_a.sql"), "{ended:?}");
}

#[tokio::test]
async fn repair_takes_over_what_the_files_say() {
    let database = Server::shared().database().await;
    let files = directory(&[
        ("1_a.sql", "CREATE TABLE a ();"),
        (
            "2_b.sql",
            "CREATE TABLE b ();\n-- +++++ DOWN\nDROP TABLE nosuchtable;",
        ),
        ("3_c.sql", "CREATE TABLE c ();"),
        ("4_d.sql", "CREATE TABLE d ();"),
    ]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    write(files.path(), "1_a.sql", "CREATE TABLE a (); -- a comment");
    write(
        files.path(),
        "2_b.sql",
        "CREATE TABLE b ();\n-- +++++ DOWN\nDROP TABLE b;",
    );
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains(DOWN_IS_ANOTHER), "{ended:?}");
    std::fs::remove_file(files.path().join("3_c.sql")).unwrap();
    assert_eq!(migrate(&database, files.path()).code, Some(4));

    let ended = command(&database, files.path(), &["repair", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for told in [
        "version 1 a: takes over name, checksum and what undoes it from",
        "version 2 b: takes over what undoes it from",
        "2 corrections would be made; nothing was changed",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {ended:?}");
    }
    assert!(
        ended
            .stderr
            .contains("version 3 c has no file; --forget-missing takes it out of the history"),
        "{ended:?}"
    );
    assert_eq!(migrate(&database, files.path()).code, Some(4));

    let ended = command(&database, files.path(), &["repair", "--forget-missing"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("3 corrections made"), "{ended:?}");
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    assert_eq!(versions(&database).await, ["1", "2", "4"]);
    assert_eq!(
        database
            .value("SELECT down_sql FROM refinery_schema_history WHERE version = 2")
            .await,
        "DROP TABLE b;"
    );
}

#[tokio::test]
async fn what_is_the_servers_own_is_not_described() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE TABLE a ();")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    let described = database
        .values("SELECT object FROM refinery_schema_history_catalog ORDER BY object")
        .await;
    assert_eq!(described, ["table public.a"]);
}

#[tokio::test]
async fn a_description_of_another_layout_is_made_anew() {
    let database = Server::shared().database().await;
    let files = directory(&[("1_a.sql", "CREATE SEQUENCE a;")]);
    assert_eq!(migrate(&database, files.path()).code, Some(0));
    database
        .execute(
            "COMMENT ON TABLE refinery_schema_history_catalog IS NULL;
             UPDATE refinery_schema_history_catalog SET definition = 'permanent'",
        )
        .await;
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("is not known before"), "{ended:?}");
    let ended = migrate(&database, files.path());
    assert!(ended.stdout.contains("nothing to do"), "{ended:?}");
    let ended = command(&database, files.path(), &["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("✓ nothing was changed by hand"),
        "{ended:?}"
    );
}
