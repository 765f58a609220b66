//! The loader is killed at any moment: the tables are as before or as the source, and the next run ends right.

use test_postgres::Server;
use test_proof::{prove, size};
use tokio::time::sleep;

use crate::scenario::{Scenario, database};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_each_table_is_whole_and_the_next_run_ends_right() {
    let server = Server::shared();
    let scenario = Scenario::new(server).await;
    let database = database(server).await;
    prove(
        "kill -9 of the loader",
        size("PROOF_KILL_ROUNDS", 15),
        "longest next run",
        async |random| {
            let mut attempt = scenario.begin(&database, random).await;
            sleep(scenario.moment(random)).await;
            attempt.run.signal("KILL");
            let target = attempt.target;
            attempt.judge().await?;
            scenario.finish(&database, target).await
        },
    )
    .await;
}
