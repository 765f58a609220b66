//! Connections to PostgreSQL: settings from the environment, TLS, waiting for the server, and SQLSTATE classes.

mod connector;
mod database_url;
mod error;
mod layer;
mod server_options;
mod settings;
pub mod sqlstate;
mod ssl_mode;
mod tls;

pub use connector::{Connection, Connector, cancel};
pub use error::{ConnectError, describe};
pub use server_options::ServerOptions;
pub use settings::{ConnectionSettings, VARIABLES};
pub use ssl_mode::SslMode;
pub use tls::Tls;
