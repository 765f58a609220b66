//! Two loaders that change the offer again and again, while clients list products and place orders: no request fails, no
//! order is lost, and nobody sees half an offer.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use test_postgres::{Database, Server};
use test_process::run;
use test_proof::{Random, ensure, prove, size};

use crate::api::{Api, program, request};
use crate::offer::{OFFERS, SHARED_COUPON, SHARED_PRODUCTS, Vanished, is_whole};

const CLIENTS: u64 = 4;

/// What the clients got, or a loader.
#[derive(Default)]
struct Outcome {
    /// Orders that were taken, each in one line.
    orders: BTreeSet<String>,
    failures: Vec<String>,
    longest: Duration,
    loads: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_notice_two_loaders_at_once() {
    let seconds: u64 = size("PROOF_TRAFFIC_SECONDS", 5);
    prove(
        &format!("two loaders and {CLIENTS} clients of the API, for {seconds} s each"),
        size("PROOF_TRAFFIC_ROUNDS", 2),
        "slowest request",
        async |random| {
            let vanished = match random.below(2) {
                0 => Vanished::Mark,
                _ => Vanished::Delete,
            };
            let time = Duration::from_secs(seconds);
            round(random, vanished, time).await
        },
    )
    .await;
}

async fn round(
    random: &mut Random,
    vanished: Vanished,
    time: Duration,
) -> Result<Duration, String> {
    let database = Server::shared().database().await;
    let migrated = run(program("database-migration", &database).arg("up"));
    ensure(migrated.code == Some(0), || format!("{migrated:?}"))?;
    let directories = OFFERS.map(|offer| {
        let directory = tempfile::tempdir().unwrap();
        offer.write(directory.path(), vanished);
        directory
    });
    let loader = |directory: &Path| {
        let mut loader = program("database-load", &database);
        loader.arg("--data").arg(directory);
        loader
    };
    let loaders = directories
        .each_ref()
        .map(|directory| loader(directory.path()));
    let first = run(&mut loader(directories[0].path()));
    ensure(first.code == Some(0), || format!("{first:?}"))?;

    let api = Api::start(&database);
    let port = api.port();
    let is_over = AtomicBool::new(false);
    let seeds: Vec<_> = (0..CLIENTS).map(|_| random.below(u64::MAX)).collect();
    let outcome = std::thread::scope(|scope| {
        let loads = loaders.map(|loader| scope.spawn(|| load(loader, &is_over)));
        let clients = seeds.iter().map(|seed| {
            let is_over = &is_over;
            scope.spawn(move || requests(port, &mut Random::new(*seed), vanished, is_over))
        });
        let clients: Vec<_> = clients.collect();
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        let threads = clients.into_iter().chain(loads);
        threads.fold(Outcome::default(), |outcome, thread| {
            outcome.with(thread.join().unwrap())
        })
    });
    let stopped = api.stop();

    let (orders, loads) = (outcome.orders.len(), outcome.loads);
    println!("{vanished:?}: {orders} orders, {loads} loads");
    ensure(outcome.failures.is_empty(), || {
        let shown: Vec<_> = outcome.failures.iter().take(3).collect();
        format!(
            "{vanished:?}: {} failures such as {shown:?}; the API: {stopped:?}",
            outcome.failures.len()
        )
    })?;
    ensure(orders > 0 && loads > 2, || {
        format!("only {orders} orders and {loads} loads")
    })?;
    let kept = kept(&database).await;
    ensure(kept == outcome.orders, || {
        let lost: Vec<_> = outcome.orders.difference(&kept).collect();
        let surplus: Vec<_> = kept.difference(&outcome.orders).collect();
        format!("lost: {lost:?}; nobody knows of: {surplus:?}")
    })?;
    no_deadlock(&database).await?;
    Ok(outcome.longest)
}

/// Loads the same source again and again, in between the other loads of the other one.
fn load(mut loader: Command, is_over: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    while !is_over.load(Ordering::Relaxed) {
        let ended = run(&mut loader);
        if ended.code != Some(0) {
            outcome.failures.push(format!("{ended:?}"));
        }
        outcome.loads += 1;
    }
    outcome
}

/// Lists products and places orders. What both offers have can be ordered at any time.
fn requests(port: u16, random: &mut Random, vanished: Vanished, is_over: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        let failure = match random.below(3) {
            0 => list(port, vanished),
            1 => order(port, random, true, &mut outcome.orders),
            _ => order(port, random, false, &mut outcome.orders),
        };
        outcome.failures.extend(failure);
        outcome.longest = outcome.longest.max(started.elapsed());
    }
    outcome
}

fn list(port: u16, vanished: Vanished) -> Option<String> {
    let (status, answer) = request(port, "GET", "/api/product", "");
    let is_right = status == 200 && is_whole(&answer, vanished);
    (!is_right).then(|| format!("products: {status} {answer}"))
}

fn order(
    port: u16,
    random: &mut Random,
    is_shared: bool,
    orders: &mut BTreeSet<String>,
) -> Option<String> {
    let [shared_first, shared_last] = [*SHARED_PRODUCTS.start(), *SHARED_PRODUCTS.end()];
    let (first, last, coupon) = if is_shared {
        (shared_first, shared_last, SHARED_COUPON)
    } else {
        let offer = &OFFERS[usize::from(random.below(2) == 0)];
        (*offer.products.start(), *offer.products.end(), offer.coupon)
    };
    let one = first + random.below(last - first);
    let other = one + 1;
    let quantity = 1 + random.below(9);
    let body = format!(
        r#"{{"couponCode": "{coupon}", "items": [{{"productId": "{one}", "quantity": {quantity}}},
                                                 {{"productId": "{other}", "quantity": 1}}]}}"#
    );
    let (status, answer) = request(port, "POST", "/api/order", &body);
    match (status, answer["id"].as_str()) {
        (200, Some(id)) => {
            orders.insert(format!("{id} {coupon} {one}x{quantity} {other}x1"));
            None
        }
        // The other offer was there.
        (422, _) if !is_shared => None,
        _ => Some(format!("order {body}: {status} {answer}")),
    }
}

/// The orders that the database has, in the same form.
async fn kept(database: &Database<'_>) -> BTreeSet<String> {
    let orders = database
        .values(
            "SELECT concat_ws(' ', orders.id, coupon_code,
                              string_agg(product_id || 'x' || quantity, ' ' ORDER BY product_id::integer))
             FROM orders LEFT JOIN order_items ON order_id = orders.id GROUP BY orders.id",
        )
        .await;
    orders.into_iter().collect()
}

async fn no_deadlock(database: &Database<'_>) -> Result<(), String> {
    let deadlocks = database
        .value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .await;
    let log = Server::shared()
        .data_directory()
        .with_file_name("postgres.log");
    let log = std::fs::read_to_string(log).unwrap();
    ensure(
        deadlocks == "0" && !log.contains("deadlock detected"),
        || format!("{deadlocks} deadlocks, and in the log: {log}"),
    )
}

impl Outcome {
    fn with(mut self, other: Self) -> Self {
        self.orders.extend(other.orders);
        self.failures.extend(other.failures);
        self.longest = self.longest.max(other.longest);
        self.loads += other.loads;
        self
    }
}
