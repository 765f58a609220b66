//! The server crashes at any moment: the loader does not hang, the tables are as before or as the source, and the next
//! run ends right.

use test_postgres::Server;
use test_proof::{prove, size};
use tokio::time::sleep;

use crate::scenario::{Scenario, database};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_of_the_server_each_table_is_whole_and_the_next_run_ends_right() {
    // What was committed must outlive the crash, other than on servers that are only to be fast.
    let server = Server::start(&["--setting", "synchronous_commit=on"]);
    let scenario = Scenario::new(&server).await;
    let database = database(&server).await;
    prove(
        "crash of the server",
        size("PROOF_CRASH_ROUNDS", 6),
        "longest next run",
        async |random| {
            let attempt = scenario.begin(&database, random).await;
            sleep(scenario.moment(random)).await;
            server.crash();
            let target = attempt.target;
            attempt.judge().await?;
            scenario.finish(&database, target).await
        },
    )
    .await;
}
