//! The loader's or the server's disk is full: the run fails and says so, the tables are as before, and the next run ends
//! right when there is room.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use test_postgres::Server;
use test_proof::{ensure, prove, size};

use crate::mount::Mount;
use crate::scenario::{Scenario, database};

/// More than a run needs, in bytes.
const PLENTY: u64 = 8 << 20;
/// Less than the work directory needs.
const TOO_SMALL: u64 = 600 << 10;
/// Less than the staged rows of a run need that is not the first.
const TOO_SMALL_FOR_STAGING: u64 = 100 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_work_directory_is_told_and_changes_nothing() {
    let scenario = Scenario::new(Server::shared()).await;
    let database = database(Server::shared()).await;
    let directory = scenario.work_directory.path();
    let Some(disk) = Mount::new(directory) else {
        return;
    };
    prove(
        "temporary directory full",
        size("PROOF_DISK_ROUNDS", 5),
        "longest next run",
        async |random| {
            disk.resize((16 << 10) + random.below(TOO_SMALL));
            let attempt = scenario.begin(&database, random).await;
            let target = attempt.target;
            let (ended, _) = attempt.judge().await?;
            let full = format!("coupons: the disk of {} is full", directory.display());
            let is_told =
                ended.stderr.contains(&full) && ended.stderr.contains("are needed in all");
            ensure(ended.code == Some(1) && is_told, || format!("{ended:?}"))?;
            disk.resize(PLENTY);
            scenario.finish(&database, target).await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_changes_nothing() {
    // Its data directory shows who it runs as, and it has to be able to walk to its disk.
    let server = Server::start(&[]);
    let scenario = Scenario::new(&server).await;
    let database = database(&server).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let disk = Mount::new(directory.path());
    if disk.is_some() {
        let owner = std::fs::metadata(server.data_directory()).unwrap();
        chown(directory.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let path = directory.path().display();
        database
            .execute(&format!("CREATE TABLESPACE small LOCATION '{path}'"))
            .await;
    }
    prove(
        "disk of the server full",
        size("PROOF_DISK_ROUNDS", 5),
        "longest next run",
        async |random| {
            let alter = format!("ALTER DATABASE {}", database.name());
            let (setting, reason) = match &disk {
                Some(disk) if random.below(2) == 0 => {
                    disk.resize((32 << 10) + random.below(TOO_SMALL_FOR_STAGING));
                    ("temp_tablespaces = small", "No space left on device")
                }
                _ => {
                    database
                        .execute(&format!("{alter} SET work_mem = '64kB'"))
                        .await;
                    ("temp_file_limit = '64kB'", "temporary file size exceeds")
                }
            };
            database.execute(&format!("{alter} SET {setting}")).await;
            let attempt = scenario.begin(&database, random).await;
            let target = attempt.target;
            // The first rows of a table go there directly.
            let is_first = scenario.is_empty(&attempt.before);
            let judged = attempt.judge().await;
            database.execute(&format!("{alter} RESET ALL")).await;
            let (ended, _) = judged?;
            let is_told = ended.code == Some(1) && ended.stderr.contains(reason);
            ensure(is_told || is_first, || format!("{setting}: {ended:?}"))?;
            scenario.finish(&database, target).await
        },
    )
    .await;
}
