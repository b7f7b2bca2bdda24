//! The simulator's own HTTP server.
//!
//! hyper reads the requests and writes the answers that are as they should be. An answer that shall break on its way is
//! taken out of hyper's hands: it gives the connection back, and [`broken`] writes byte by byte what the fault asks for.
//! Nothing of a request is kept, and long bodies are written while they are sent.
//!
//! A server has a thread and a runtime of its own: it answers whatever the test's own threads wait for, in real time
//! even when the test's time stands still.

mod body;
mod broken;
mod connection;
mod door;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{net::TcpListener, runtime, sync::oneshot, task::JoinSet};

pub(super) use self::door::Door;
use super::{certificates::Certificates, wire::Answer};

/// How long bodies that are being written may take to notice that nobody reads them.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often a port that was given up is tried again, and how long apart.
const REBINDS: (u32, Duration) = (500, Duration::from_millis(20));

/// How one gets to a server.
pub(super) struct Gate {
    /// Whether one does.
    pub(super) door: Door,
    /// What it shows of itself; without them it does not speak TLS.
    pub(super) certificates: Option<Certificates>,
}

impl Gate {
    /// One that is always open, and speaks no TLS.
    pub(super) fn open() -> Self {
        Self { door: Door::new(), certificates: None }
    }
}

/// A running server. Dropping it breaks its connections and frees its port.
#[derive(Debug)]
pub(super) struct Front {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Front {
    /// Serves what comes to `listener`, as the gate says.
    pub(super) fn start(listener: StdListener, answer: impl Answer, gate: Gate) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, address, Arc::new(answer), &gate) => {}
                    // An error means that the handle is gone.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(FAREWELL);
        };
        let thread = thread::Builder::new().name("nessus-sim".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

/// Accepts connections until the door is closed; then none, until it is opened again.
async fn accept(listener: StdListener, address: SocketAddr, answer: Arc<impl Answer>, gate: &Gate) {
    let door = &gate.door;
    let mut listener = TcpListener::from_std(listener).ok();
    while let Some(open) = listener.take() {
        let mut connections = JoinSet::new();
        let closed_for = loop {
            tokio::select! {
                closed_for = door.closed() => break closed_for,
                accepted = open.accept() => {
                    // A client that was gone before it was let in is its own affair.
                    if let Ok((stream, _)) = accepted {
                        let shown = answer.connected();
                        // Without it only small answers are slower.
                        let _ = stream.set_nodelay(true);
                        let answer = Arc::clone(&answer);
                        match gate.certificates.as_ref().map(|certificates| certificates.acceptor(shown)) {
                            Some(acceptor) => connections.spawn(connection::serve_tls(stream, acceptor, answer)),
                            None => connections.spawn(connection::serve(stream, answer)),
                        };
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        };
        drop(open);
        connections.shutdown().await;
        door.is_shut();
        door.opened(closed_for).await;
        listener = rebind(address).await;
        door.is_open();
    }
}

async fn rebind(address: SocketAddr) -> Option<TcpListener> {
    for _ in 0..REBINDS.0 {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Some(listener);
        }
        tokio::time::sleep(REBINDS.1).await;
    }
    None
}
