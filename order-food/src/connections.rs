//! The connections of clients, from the first to the last.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// When no connection can be accepted, as when all file descriptors are in use, others may close in the meantime.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the process is asked to stop, then lets the requests that have begun finish. The error is the number
/// of those that did not in `drain_timeout`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
    drain_timeout: Duration,
) -> Result<(), usize> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    connections.spawn(serve_client(stream, client, router.clone(), shutdown.clone()));
                }
                Err(error) => {
                    warn!("a connection could not be accepted: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    timeout(drain_timeout, all_closed)
        .await
        .map_err(|_| connections.len())
}

async fn serve_client(stream: TcpStream, client: SocketAddr, router: Router, shutdown: Shutdown) {
    // An answer is written at once; to wait for more to send only delays it.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
        router.call(request)
    });
    // The timer makes hyper close connections whose next request is not there within 30 s.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What goes wrong here is the client's doing and has been answered where that is possible.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
