//! Making connections, and waiting for a server that is not there yet.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::task::JoinHandle;
use tokio_postgres::config::Config;
use tokio_postgres::{CancelToken, Client, SimpleQueryMessage};
use tracing::{Instrument, field, info, info_span, warn};

use crate::error::{Attempt, ConnectError, chain, describe};
use crate::server_options::ServerOptions;
use crate::settings::ConnectionSettings;
use crate::tls::{Tls, tls};

/// One attempt to connect takes no longer than this; a server that accepts but never answers counts as not ready.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// While waiting, a line is written this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Makes connections to one database.
#[derive(Clone)]
pub struct Connector {
    settings: ConnectionSettings,
    config: Config,
    options: ServerOptions,
    tls: Tls,
}

/// A connection. It closes when dropped.
pub struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    server_version: String,
    /// Whether the session began with the options that were asked for, so that RESET returns to them.
    has_options: bool,
}

impl Connector {
    /// Prepares connections that show in the server's views under the program's name and that of its pod.
    pub fn new(
        settings: ConnectionSettings,
        program: &str,
        options: ServerOptions,
    ) -> Result<Self, ConnectError> {
        let application_name = match &settings.client_name {
            Some(client) => format!("{program} {client}"),
            None => program.to_owned(),
        };
        let mut config = Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .user(&settings.user)
            .password(&settings.password)
            .dbname(&settings.database)
            .ssl_mode(settings.ssl_mode.driver_mode())
            .channel_binding(settings.channel_binding)
            .application_name(application_name)
            .options(options.startup_parameter())
            .connect_timeout(ATTEMPT_LIMIT)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            // Keepalives rest while a statement is unanswered; this bounds the loss of a server's node then.
            .tcp_user_timeout(Duration::from_secs(25));
        let tls = tls(&settings)?;
        Ok(Self {
            settings,
            config,
            options,
            tls,
        })
    }

    /// The settings that connections are made with.
    #[must_use]
    pub fn settings(&self) -> &ConnectionSettings {
        &self.settings
    }

    /// The driver's configuration, for a pool.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// The TLS side of the settings, for a pool or for cancelling a statement.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Connects, waiting up to `DB_WAIT_TIMEOUT` for a server that is not ready. A refusal that waiting cannot change
    /// is an error at once, or after `DB_STARTUP_GRACE` if it may be that of a server still being set up.
    pub async fn wait(&self) -> Result<Connection, ConnectError> {
        let span = info_span!(
            "connect",
            otel.name = "connect",
            otel.kind = "client",
            db.system.name = "postgresql",
            db.namespace = self.settings.database,
            server.address = self.settings.host,
            server.port = i64::from(self.settings.port),
            database.connect.attempts = field::Empty,
            error.r#type = field::Empty,
            otel.status_code = field::Empty,
        );
        let outcome = self.wait_in_span().instrument(span.clone()).await;
        if let Err(error) = &outcome {
            span.record("error.type", error_type(error));
            span.record("otel.status_code", "ERROR");
        }
        outcome
    }

    async fn wait_in_span(&self) -> Result<Connection, ConnectError> {
        let started = Instant::now();
        let mut connection = self.connect_when_ready().await?;
        self.assure_options(&mut connection).await?;
        info!(
            "✓ connected to PostgreSQL {} at {} as {} ({} ms)",
            connection.server_version,
            self.settings.target(),
            self.settings.user,
            started.elapsed().as_millis()
        );
        Ok(connection)
    }

    async fn connect_when_ready(&self) -> Result<Connection, ConnectError> {
        let target = self.settings.target();
        let started = Instant::now();
        let mut last_report = None;
        let mut attempts = 0_u32;
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .without_max_times()
            .build();

        loop {
            attempts += 1;
            let remaining = self.settings.wait_timeout.saturating_sub(started.elapsed());
            let reason = match self
                .attempt(remaining.clamp(Duration::from_secs(1), ATTEMPT_LIMIT))
                .await
            {
                Ok(connection) => {
                    tracing::Span::current()
                        .record("database.connect.attempts", i64::from(attempts));
                    return Ok(connection);
                }
                Err(Attempt::Hopeless(error)) => return Err(error),
                Err(Attempt::PossiblyBeingInitialised(answer)) => {
                    if started.elapsed() >= self.settings.startup_grace {
                        return Err(ConnectError::Refused {
                            target,
                            user: self.settings.user.clone(),
                            answer,
                        });
                    }
                    answer.message().to_owned()
                }
                Err(Attempt::NotReady(reason)) => reason,
            };

            let waited = started.elapsed();
            if waited >= self.settings.wait_timeout {
                return Err(ConnectError::NotReached {
                    target,
                    waited,
                    last: reason,
                });
            }
            if last_report.is_none_or(|last: Instant| last.elapsed() >= REPORT_INTERVAL) {
                last_report = Some(Instant::now());
                let limit = self.settings.wait_timeout.as_secs();
                info!(
                    "waiting for PostgreSQL at {target}, {:.0} s of at most {limit} s: {reason}",
                    waited.as_secs_f64()
                );
            }
            let remaining = self.settings.wait_timeout.saturating_sub(waited);
            let delay = delays.next().unwrap_or(Duration::from_secs(1));
            tokio::time::sleep(delay.min(remaining)).await;
        }
    }

    async fn attempt(&self, limit: Duration) -> Result<Connection, Attempt> {
        // Boxed, since all futures that connect would be large otherwise.
        let connecting = Box::pin(self.config.connect(self.tls.clone()));
        let Ok(outcome) = tokio::time::timeout(limit, connecting).await else {
            return Err(Attempt::NotReady(format!(
                "no answer within {} s",
                limit.as_secs()
            )));
        };
        let (client, driver) = outcome
            .map_err(|error| Attempt::sort(&error, &self.settings.target(), &self.settings.user))?;
        let server_version = driver
            .parameter("server_version")
            .unwrap_or("of unknown version")
            .to_owned();
        // The driver's errors reach whoever waits for an answer, so nothing is lost here.
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Connection {
            client,
            driver,
            server_version,
            has_options: false,
        })
    }

    /// Some poolers drop the start-up parameter `options` silently; what did not arrive is set now, if the session is
    /// ours to set it in.
    async fn assure_options(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        let missing = self.missing_options(connection).await?;
        if missing.is_empty() {
            connection.has_options = true;
            return Ok(());
        }
        let missing = missing.join(", ");
        let target = self.settings.target();
        if self.is_session_shared(connection).await? {
            warn!("{target} is a pooler of transactions, so {missing} cannot be set");
            return Ok(());
        }
        warn!("{missing} did not arrive with the connection to {target} and was set afterwards");
        connection
            .batch_execute(&self.options.setting_query())
            .await
            .map_err(|error| self.broken(&error))
    }

    async fn missing_options(
        &self,
        connection: &Connection,
    ) -> Result<Vec<&'static str>, ConnectError> {
        let answer = connection
            .simple_query(&self.options.comparison_query())
            .await
            .map_err(|error| self.broken(&error))?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        // Keepalives are zero on a connection without TCP, whatever is asked for.
        Ok(self
            .options
            .names()
            .enumerate()
            .filter(|(column, name)| {
                row.is_some_and(|row| row.get(*column) == Some("f")) && !name.starts_with("tcp_")
            })
            .map(|(_, name)| name)
            .collect())
    }

    /// Connects once, without waiting for a server that is not there, and without a word.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        self.attempt(ATTEMPT_LIMIT)
            .await
            .map_err(|attempt| self.connect_error(attempt))
    }

    /// SQL that brings the session back to what it was at its start, whatever somebody's SQL has set in it.
    #[must_use]
    pub fn session_reset(&self, connection: &Connection) -> String {
        let mut reset = "RESET ALL; RESET SESSION AUTHORIZATION".to_owned();
        if !connection.has_options {
            // What a pooler did not pass on at the start is not what RESET returns to.
            reset.push_str("; ");
            reset.push_str(&self.options.setting_query());
        }
        reset
    }

    /// Makes sure that the connection keeps its session, and with it its locks, from one transaction to the next.
    pub async fn require_session(&self, connection: &Connection) -> Result<(), ConnectError> {
        if self.is_session_shared(connection).await? {
            return Err(ConnectError::SharedSession {
                target: self.settings.target(),
            });
        }
        Ok(())
    }

    /// Whether a pooler gives the session to others between transactions. Its catalogs do not show that; but while
    /// another connection keeps an open transaction, this one gets another server process, or none at all.
    async fn is_session_shared(&self, connection: &Connection) -> Result<bool, ConnectError> {
        let before = self.server_process(connection).await?;
        // Where many runners begin at once, the server may have none to spare for a moment.
        let other = self.connect_when_ready().await?;
        other
            .batch_execute("BEGIN; SELECT")
            .await
            .map_err(|error| self.broken(&error))?;
        let after = tokio::time::timeout(ATTEMPT_LIMIT, self.server_process(connection)).await;
        other.close().await;
        match after {
            Ok(after) => Ok(after? != before),
            Err(_) => Ok(true),
        }
    }

    async fn server_process(&self, connection: &Connection) -> Result<String, ConnectError> {
        let answer = connection
            .simple_query("SELECT pg_backend_pid()")
            .await
            .map_err(|error| self.broken(&error))?;
        let process = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(process.unwrap_or_default().to_owned())
    }

    fn broken(&self, error: &tokio_postgres::Error) -> ConnectError {
        ConnectError::Broken {
            target: self.settings.target(),
            problem: describe(error),
        }
    }

    fn connect_error(&self, attempt: Attempt) -> ConnectError {
        match attempt {
            Attempt::Hopeless(error) => error,
            Attempt::PossiblyBeingInitialised(answer) => ConnectError::Refused {
                target: self.settings.target(),
                user: self.settings.user.clone(),
                answer,
            },
            Attempt::NotReady(problem) => ConnectError::Broken {
                target: self.settings.target(),
                problem,
            },
        }
    }
}

impl Connection {
    /// Closes the connection and returns once the server has been told.
    pub async fn close(self) {
        drop(self.client);
        let _ = self.driver.await;
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Asks the server to cancel what the connection of `token` is running.
pub async fn cancel(token: &CancelToken, tls: Tls) {
    if let Err(error) = token.cancel_query(tls).await {
        warn!(
            "the running statement could not be cancelled: {}",
            chain(&error)
        );
    }
}

fn error_type(error: &ConnectError) -> &str {
    match error {
        ConnectError::Refused { answer, .. } => answer.code().code(),
        ConnectError::NotReached { .. } => "not_reached",
        ConnectError::Tls { .. } => "tls",
        ConnectError::Setting(_)
        | ConnectError::Pooler { .. }
        | ConnectError::SharedSession { .. }
        | ConnectError::Broken { .. } => "_OTHER",
    }
}
