//! A proxy between the program and its database that loses connections on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// It runs on the test's runtime.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Connections of earlier generations are lost as soon as they are used.
    generation: AtomicUsize,
    /// The next answer is not passed on, and its connection is lost.
    swallows_answer: AtomicBool,
    /// Requests stay here.
    holds_requests: AtomicBool,
    /// How many do.
    held: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            plan: Arc::default(),
        };
        let plan = proxy.plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(pass_on(client, server, plan.clone()));
            }
        });
        proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Loses all connections that there are, which shows only when they are used.
    pub(crate) fn lose_connections(&self) {
        self.plan.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Loses the next answer, and the connection with it.
    pub(crate) fn lose_answer(&self) {
        self.plan.swallows_answer.store(true, Ordering::SeqCst);
    }

    /// Passes on no request any more, as a network that loses packets.
    pub(crate) fn hold_requests(&self) {
        self.plan.holds_requests.store(true, Ordering::SeqCst);
    }

    /// How many requests have come since.
    pub(crate) fn held(&self) -> usize {
        self.plan.held.load(Ordering::SeqCst)
    }
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, plan: Arc<Plan>) {
    let generation = plan.generation.load(Ordering::SeqCst);
    let (mut sent, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut sent) => {
                if length == 0 || plan.generation.load(Ordering::SeqCst) > generation {
                    return;
                }
                if plan.holds_requests.load(Ordering::SeqCst) {
                    plan.held.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                server.write_all(&sent[..length]).await.unwrap();
            }
            Ok(length) = server.read(&mut answered) => {
                if length == 0 || plan.swallows_answer.swap(false, Ordering::SeqCst) {
                    return;
                }
                client.write_all(&answered[..length]).await.unwrap();
            }
            else => return,
        }
    }
}
