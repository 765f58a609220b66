//! The server crashes at any moment: the runner does not hang, and the next run goes on where it stopped.

use test_postgres::Server;
use test_proof::{prove, size};

use crate::scenario::{Direction, LIMIT, Scenario, database};

#[tokio::test]
async fn after_a_crash_of_the_server_the_next_run_completes_the_schema() {
    // What was committed must outlive the crash, other than on servers that are only to be fast.
    let server = Server::start(&["--setting", "synchronous_commit=on"]);
    let scenario = Scenario::new(&server).await;
    prove(
        "crash of the server",
        size("PROOF_CRASH_ROUNDS", 5),
        "longest next run",
        async |random| {
            let database = database(&server).await;
            let run = scenario.start(&database, Direction::Up);
            tokio::time::sleep(random.moment(scenario.duration(Direction::Up))).await;
            server.crash();
            run.end_within(LIMIT);
            scenario.finish(&database, Direction::Up).await
        },
    )
    .await;
}
