//! What the tests of this program share.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use test_postgres::{Database, Server};
use test_process::{Ended, free_port};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::proxy::Proxy;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The documented products, one row each.
pub(crate) const PRODUCTS: &str = "
    INSERT INTO products (id, name, price, category) VALUES
    ('10', 'Veggie Burger', 10.49, 'Burger'),
    ('1', 'Chicken Waffle', 12.99, 'Waffle'),
    ('2', 'Belgian Waffle', 10.99, 'Waffle'),
    ('3', 'Blueberry Pancakes', 9.99, 'Pancakes'),
    ('4', 'Chocolate Pancakes', 11.99, 'Pancakes'),
    ('5', 'Caesar Salad', 8.99, 'Salad'),
    ('6', 'Greek Salad', 9.49, 'Salad'),
    ('7', 'Margherita Pizza', 13.99, 'Pizza'),
    ('8', 'Pepperoni Pizza', 15.99, 'Pizza'),
    ('9', 'Cheeseburger', 11.49, 'Burger')";

/// Some coupons, as a load leaves them.
pub(crate) const COUPONS: &str = "
    INSERT INTO coupons VALUES ('FIFTYOFF'), ('HAPPYHRS');
    INSERT INTO load_run (data_set, table_name, outcome, started_at) VALUES ('coupons', 'coupons', 'loaded', now())";

/// A database with the tables of database-migration and the documented products.
pub(crate) async fn database() -> Database<'static> {
    let database = Server::shared().database().await;
    migrate(&database).await;
    database.execute(PRODUCTS).await;
    database
}

/// Runs the UP sections of database-migration's files.
pub(crate) async fn migrate(database: &Database<'_>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../database-migration/migrations");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let up = text.split("-- +++++ DOWN").next().unwrap();
        database.execute(up).await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until so many statements of the program wait for a lock.
pub(crate) async fn until_waiting(database: &Database<'_>, statements: usize) {
    let query = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("statements wait for a lock", async || {
        database.value(query).await == statements.to_string()
    })
    .await;
}

/// Sends half a request for an order, and returns the first line of the answer to it.
pub(crate) async fn send_half_an_order(port: u16, key: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /api/order HTTP/1.1\r\nhost: localhost\r\napi_key: {key}\r\ncontent-length: 9\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = BufReader::new(stream).lines();
    let line = tokio::time::timeout(PATIENCE, answer.next_line()).await;
    line.expect("an answer comes").unwrap().unwrap()
}

/// The program, led to a test's database.
pub(crate) fn program(database: &Database<'_>) -> Command {
    database.command(env!("CARGO_BIN_EXE_order-food"))
}

/// The program without any settings.
pub(crate) fn bare_program() -> Command {
    test_process::bare_command(env!("CARGO_BIN_EXE_order-food"))
}

/// A running server.
pub(crate) struct Api {
    port: u16,
    process: Option<Child>,
}

impl Api {
    /// Starts the program, and returns when it answers.
    pub(crate) async fn start(command: &mut Command) -> Self {
        Self::start_with_prefix(command, "").await
    }

    /// The same for a program that reads variables with a prefix.
    pub(crate) async fn start_with_prefix(command: &mut Command, prefix: &str) -> Self {
        let port = free_port();
        let process = command
            .env(format!("{prefix}PORT"), port.to_string())
            .env(format!("{prefix}LISTEN_ADDRESS"), "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let api = Self {
            port,
            process: Some(process),
        };
        until("the server listens", async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        api
    }

    /// Starts the program on a database, and returns when it is ready.
    pub(crate) async fn on(database: &Database<'_>) -> Self {
        let api = Self::start(&mut program(database)).await;
        api.until_ready().await;
        api
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `/ready` answers 200.
    pub(crate) async fn until_ready(&self) {
        until("the server is ready", async || {
            self.get("/ready").await.status == 200
        })
        .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// Places an order with the right key.
    pub(crate) async fn order(&self, body: impl Into<Body>) -> Answer {
        self.send(order(body)).await
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Client::connect(self.port).await.send(request).await
    }

    /// Asks the server to stop.
    pub(crate) fn terminate(&self) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the server's end.
    pub(crate) async fn end(mut self) -> Ended {
        let process = self.process.take().unwrap();
        let wait = tokio::task::spawn_blocking(|| process.wait_with_output());
        let output = tokio::time::timeout(PATIENCE, wait).await;
        output.expect("the server ends").unwrap().unwrap().into()
    }

    /// Stops the server.
    pub(crate) async fn stop(self) -> Ended {
        self.terminate();
        self.end().await
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A ready server whose connections to the database lead through a proxy.
pub(crate) async fn api_behind_proxy(database: &Database<'_>) -> (Api, Proxy) {
    let proxy = Proxy::before(Server::shared().port()).await;
    let api = Api::start(program(database).env("DB_PORT", proxy.port().to_string())).await;
    api.until_ready().await;
    (api, proxy)
}

/// A connection to a server.
pub(crate) struct Client {
    sender: http1::SendRequest<Body>,
    port: u16,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, port }
    }

    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let host = format!("localhost:{}", self.port).parse().unwrap();
        request.headers_mut().insert("host", host);
        let answer = self.sender.send_request(request);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let (head, body) = answer.expect("an answer comes").unwrap().into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Whether the server has left the connection open.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// An order with the right key.
pub(crate) fn order(body: impl Into<Body>) -> Request<Body> {
    Request::post("/api/order")
        .header("api_key", "apitest")
        .body(body.into())
        .unwrap()
}

/// An order that is fine but for its coupon, which is given in JSON.
pub(crate) fn coupon(coupon: &str) -> String {
    format!(r#"{{"items": [{{"productId": "1", "quantity": 1}}], "couponCode": {coupon}}}"#)
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message, after a look at the rest of the `ApiResponse`.
    pub(crate) fn message(&self) -> String {
        let answer = self.json();
        assert_eq!(answer["code"], self.status, "{answer}");
        assert!(answer["type"].is_string(), "{answer}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        answer["message"].as_str().unwrap().to_owned()
    }
}
