//! Behind PgBouncer.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use test_postgres::{Database, Server};
use test_process::{Ended, free_port, run};

use crate::support::{directory, program, table_exists};

/// A running PgBouncer in front of the shared server.
struct Pooler {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Pooler {
    async fn start(mode: &str, more_settings: &str) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        let settings = directory.path().join("pgbouncer.ini");
        let content = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={} user=postgres password={}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 3\n{more_settings}\n",
            Server::shared().port(),
            Server::shared().password(),
        );
        std::fs::write(&settings, content).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root, and this user always exists.
        if run(Command::new("id").arg("-u")).stdout.trim() == "0" {
            command.args(["--user", "nobody"]);
        }
        let process = command
            .arg(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is installed");
        let pooler = Self {
            process,
            port,
            _directory: directory,
        };
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pooler
    }

    async fn migrate(&self, database: &Database<'_>, sql: &str) -> Ended {
        self.run(database, "up", sql).await
    }

    async fn run(&self, database: &Database<'_>, subcommand: &str, sql: &str) -> Ended {
        let files = directory(&[("1_a.sql", sql)]);
        let mut command = program(database);
        command
            .arg(subcommand)
            .env("DB_PORT", self.port.to_string())
            .env("MIGRATION_LOCK_TIMEOUT", "300ms")
            .env("MIGRATION_LOCK_RETRY", "0s")
            .env("MIGRATIONS_DIR", files.path());
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn one_that_refuses_start_up_parameters_is_explained() {
    let database = Server::shared().database().await;
    let pooler = Pooler::start("session", "").await;
    let ended = pooler.migrate(&database, "CREATE TABLE a ();").await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("refused the start-up parameter options: unsupported startup parameter"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("ignore_startup_parameters = options"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn one_that_shares_sessions_is_refused_and_nothing_is_applied() {
    let database = Server::shared().database().await;
    let pooler = Pooler::start("transaction", "ignore_startup_parameters = options").await;
    let ended = pooler.migrate(&database, "CREATE TABLE a ();").await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("is a connection pooler that shares sessions between transactions"),
        "{ended:?}"
    );
    assert!(!table_exists(&database, "a").await);
    assert!(!table_exists(&database, "refinery_schema_history").await);
}

#[tokio::test]
async fn one_that_shares_sessions_is_good_enough_to_look() {
    let database = Server::shared().database().await;
    database.execute("CREATE TABLE a ()").await;
    let pooler = Pooler::start("transaction", "ignore_startup_parameters = options").await;
    let sql = "ALTER TABLE a ADD COLUMN b int;";
    let ended = pooler.run(&database, "plan", sql).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("    a: ACCESS EXCLUSIVE (0 bytes)\n"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn one_that_keeps_sessions_but_drops_parameters_does_no_harm() {
    let database = Server::shared().database().await;
    // Without the runner's own timeouts the migration would wait for the reader, and the test with it.
    database
        .execute(&format!(
            "CREATE TABLE a (); ALTER DATABASE {} SET statement_timeout = '20s'",
            database.name()
        ))
        .await;
    let pooler = Pooler::start("session", "ignore_startup_parameters = options").await;
    let mut reader = database.client().await;
    let transaction = reader.transaction().await.unwrap();
    transaction.batch_execute("SELECT FROM a").await.unwrap();
    // The lock timeout holds, though the pooler has dropped it from the start of the connection.
    let ended = pooler
        .migrate(&database, "ALTER TABLE a ADD COLUMN b int;")
        .await;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("lock_timeout, statement_timeout did not arrive"),
        "{ended:?}"
    );
    transaction.commit().await.unwrap();
    let ended = pooler
        .migrate(&database, "ALTER TABLE a ADD COLUMN b int;")
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
