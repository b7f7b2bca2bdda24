//! Limits how many connections may be open, and how long one may stay idle.
//!
//! Why a limit? Each connection is an open file, and so are task files and the queue. If clients took all descriptors, no
//! scan could be accepted or watched. So connections get at most half of the files that the process may open.

use std::{
    convert::Infallible,
    error::Error,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nessus_mcp_lib::telemetry::Metrics;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{Door, timeout_stream::TimeoutStream};

/// The most connections, however many files the process may open.
const MAX_CONNECTIONS: usize = 1024;
/// How many refused clients may be waited for at a time.
const MAX_REFUSALS: usize = 32;
/// How long such a client may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer when too many connections are open; it is written without reading a request.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 45\r\n\r\n\
too many connections are open; try again soon";

/// Serves until `stop` is cancelled and all connections have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    door: Door,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let client_timeout = door.client_timeout;
    let open = Arc::new(Semaphore::new(most_connections()));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(client_timeout).max_buf_size(MAX_HEAD_BYTES);
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        if let Ok(permit) = Arc::clone(&open).try_acquire_owned() {
            let counted = OpenConnection::new(permit, &metrics);
            let (protocol, router, stop, door) = (protocol.clone(), router.clone(), stop.clone(), door.clone());
            connections.spawn(async move {
                let ended = serve_one(stream, peer, &protocol, router, &door, &stop).await;
                drop(counted);
                if let Err(error) = ended {
                    debug!(%error, "a connection ended early");
                }
            });
        } else {
            metrics.process().http_refused("connections");
            match Arc::clone(&refusals).try_acquire_owned() {
                Ok(permit) => drop(connections.spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse(stream)).await;
                    drop(permit);
                })),
                // A flood of connections must not use up the remaining file descriptors.
                Err(_) => drop(refuse_at_once(stream)),
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Half of the files that the process may open.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(MAX_CONNECTIONS, |files| (files / 2).clamp(1, MAX_CONNECTIONS))
}

async fn pause_after(error: &io::Error) {
    // The client has closed the connection: the next can be accepted at once.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    protocol: &http1::Builder,
    router: Router,
    door: &Door,
    stop: &CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Otherwise small answers wait for the client's delayed acknowledgement (Nagle).
    let _ = stream.set_nodelay(true);
    let stream = TimeoutStream::new(stream, door.client_timeout);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        door.proxies.mark(peer, &mut request);
        router.call(request)
    });
    match &door.tls {
        None => serve_stream(stream, protocol, service, stop).await?,
        Some(tls) => {
            let secured = tokio::time::timeout(door.client_timeout, tls.acceptor().accept(stream)).await??;
            serve_stream(secured, protocol, service, stop).await?;
        }
    }
    Ok(())
}

async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    protocol: &http1::Builder,
    service: impl Service<Request<Incoming>, Response = Response, Error = Infallible>,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(TOO_MANY).await?;
    stream.shutdown().await?;
    // Closing a connection with unread input resets it, and the client might lose the answer.
    let mut request = [0; 1024];
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}

/// Refuses a client without waiting. One that is slow to send may not receive the answer.
fn refuse_at_once(stream: TcpStream) -> io::Result<()> {
    // The socket is non-blocking.
    let mut stream = stream.into_std()?;
    stream.write_all(TOO_MANY)?;
    stream.shutdown(Shutdown::Write)?;
    let mut request = [0; 1024];
    // Bounded, because a client that never stops sending must not delay the next ones.
    for _ in 0..MAX_HEAD_BYTES / request.len() {
        if stream.read(&mut request)? == 0 {
            break;
        }
    }
    Ok(())
}

/// An open connection, counted in the metrics and against the limit.
#[derive(Debug)]
struct OpenConnection {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl OpenConnection {
    fn new(permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        metrics.process().add_http_connections(1);
        Self { metrics: Arc::clone(metrics), _permit: permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.process().add_http_connections(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_has_the_length_of_its_content_length() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{text}");
    }
}
