//! `check`: whether a running API does its work, seen from outside. It only reads.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::uri::Scheme;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use exit_code::{ExitCode, Failure};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use shutdown::Shutdown;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::info;

/// How long one request may take, the connection included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How long nobody may listen: a Service may know its pods a moment after they are ready.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How large an answer may be, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Why the check failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// What was given is not an address of an API.
    #[error("{0:?} is not the address of an API: expected a URL such as http://order-food:8080")]
    Address(String),
    /// Nobody answered.
    #[error("{method} {url}: no answer: {problem}")]
    NoAnswer {
        /// The request's method.
        method: Method,
        /// What was asked.
        url: String,
        /// Why there was none.
        problem: String,
    },
    /// The answer is not that of a working API.
    #[error("{method} {url}: expected {expected}, got {answer}")]
    WrongAnswer {
        /// The request's method.
        method: Method,
        /// What was asked.
        url: String,
        /// What a working API answers.
        expected: String,
        /// What this one answered.
        answer: String,
    },
    /// The process was asked to stop.
    #[error("stopped as asked")]
    Terminated,
}

impl Failure for CheckError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Address(_) => ExitCode::Usage,
            Self::NoAnswer { .. } | Self::WrongAnswer { .. } => ExitCode::Failed,
            Self::Terminated => ExitCode::Terminated,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NoAnswer { .. } => Some(
                "see whether the API runs, and whether anything on the way forbids the connection"
                    .to_owned(),
            ),
            Self::WrongAnswer { .. } => Some("read the API's log".to_owned()),
            Self::Address(_) | Self::Terminated => None,
        }
    }
}

/// Checks the API at `address`, and returns a sentence that says what was found.
pub async fn check(address: &str, shutdown: &Shutdown) -> Result<String, CheckError> {
    let started = Instant::now();
    let api = Api::parse(address)?;
    let products = shutdown
        .guard(api.check(), async || {})
        .await
        .ok_or(CheckError::Terminated)??;
    Ok(format!(
        "{address} works and offers {products} products ({} ms)",
        started.elapsed().as_millis()
    ))
}

/// Where the API is.
struct Api {
    authority: String,
    host: String,
    port: u16,
}

impl Api {
    fn parse(address: &str) -> Result<Self, CheckError> {
        let wrong = || CheckError::Address(address.to_owned());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme() != Some(&Scheme::HTTP) || !is_bare {
            return Err(wrong());
        }
        Ok(Self {
            authority: authority.to_string(),
            host: authority
                .host()
                .trim_matches(['[', ']'].as_slice())
                .to_owned(),
            port: authority.port_u16().unwrap_or(80),
        })
    }

    async fn check(&self) -> Result<usize, CheckError> {
        for path in ["/health", "/ready"] {
            self.expect(Method::GET, path, "", StatusCode::OK).await?;
        }
        let products = self
            .expect(Method::GET, "/api/product", "", StatusCode::OK)
            .await?;
        let products = match serde_json::from_slice(&products) {
            Ok(Value::Array(products)) => products.len(),
            _ => {
                return Err(self.wrong_answer(
                    Method::GET,
                    "/api/product",
                    "a JSON array",
                    &String::from_utf8_lossy(&products),
                ));
            }
        };
        // An order without a key must be refused, whatever is in it.
        self.expect(
            Method::POST,
            "/api/order",
            r#"{"items":[]}"#,
            StatusCode::UNAUTHORIZED,
        )
        .await?;
        Ok(products)
    }

    async fn expect(
        &self,
        method: Method,
        path: &str,
        body: &'static str,
        expected: StatusCode,
    ) -> Result<Bytes, CheckError> {
        let answer = timeout(REQUEST_LIMIT, self.send(method.clone(), path, body)).await;
        let (status, body) = answer
            .map_err(|_| format!("not within {} s", REQUEST_LIMIT.as_secs()))
            .and_then(|answer| answer.map_err(|error| error.to_string()))
            .map_err(|problem| CheckError::NoAnswer {
                method: method.clone(),
                url: self.url(path),
                problem,
            })?;
        if status != expected {
            let answer = format!("{status}: {}", String::from_utf8_lossy(&body));
            return Err(self.wrong_answer(method, path, expected.as_str(), &answer));
        }
        info!("✓ {method} {path} answers {}", status.as_u16());
        Ok(body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_str(&self.authority)?);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let exchange = async move {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = to_bytes(Body::new(answer.into_body()), ANSWER_LIMIT).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
        };
        // The connection may end before the last bytes of its answer are read, so the exchange decides.
        let (answer, _) = tokio::join!(exchange, connection);
        answer
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let started = Instant::now();
        loop {
            match TcpStream::connect((self.host.as_str(), self.port)).await {
                Err(_) if started.elapsed() < CONNECT_LIMIT => sleep(CONNECT_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    fn wrong_answer(&self, method: Method, path: &str, expected: &str, answer: &str) -> CheckError {
        CheckError::WrongAnswer {
            method,
            url: self.url(path),
            expected: expected.to_owned(),
            answer: answer.chars().take(200).collect(),
        }
    }
}
