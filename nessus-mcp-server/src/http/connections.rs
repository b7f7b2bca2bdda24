//! Accepts connections and limits them: how many may be open, how long one may stay idle, and how much it may send.
//!
//! HTTP/1.1 only: one request at a time on a connection, the next is read when the answer is written.
//!
//! Why a limit? Each connection is an open file, and so are task files and the queue. If clients took all descriptors, no
//! scan could be accepted or watched. So connections get at most half of the files that the process may open.

use std::{
    convert::Infallible,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr},
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
use nessus_mcp_lib::error::chain;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    door::Door,
    open::{OpenConnection, OpenConnections},
    refusals::Refusals,
    routes::Routes,
    timeout_stream::TimeoutStream,
};
use crate::client_address::ClientAddress;

/// The most connections, however many files the process may open.
const MAX_CONNECTIONS: usize = 1024;
/// The share of them that the address for administration has of its own, where there is one.
const OTHER_SHARE: usize = 16;
/// How many refused clients may be waited for at a time.
const MAX_REFUSALS: usize = 32;
/// How long such a client may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer when too many connections are open; it is written without reading a request.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 45\r\n\r\n\
too many connections are open; try again soon";

/// Serves until `stop` is cancelled and all connections have ended.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    door: Door,
    refusals: Refusals,
    stop: CancellationToken,
) {
    let open = OpenConnections::new(most_connections(door.routes), &refusals);
    let waited_for = Arc::new(Semaphore::new(MAX_REFUSALS));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(door.client_timeout).max_buf_size(MAX_HEAD_BYTES);
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        // Behind a proxy are many clients.
        match open.admit((!door.proxies.contain(address)).then(|| ClientAddress(address).network())) {
            Ok(connection) => {
                let (protocol, router, stop, door) = (protocol.clone(), router.clone(), stop.clone(), door.clone());
                let refusals = refusals.clone();
                connections.spawn(async move {
                    let ended = tokio::select! {
                        ended = serve_one(stream, peer, &protocol, router, &door, &connection, &stop) => ended,
                        () = connection.gives_way() => return,
                    };
                    drop(connection);
                    if let Err(ended) = ended {
                        ended.count(&refusals, address);
                        debug!(error = %ended, "a connection ended early");
                    }
                });
            }
            Err(what) => {
                refusals.count(what, Some(address));
                match Arc::clone(&waited_for).try_acquire_owned() {
                    Ok(permit) => drop(connections.spawn(async move {
                        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse(stream)).await;
                        drop(permit);
                    })),
                    // A flood of connections must not use up the remaining file descriptors.
                    Err(_) => drop(refuse_at_once(stream)),
                }
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Half of the files that the process may open, at most. What is offered at another address than `/mcp` has a part of them there,
/// which is kept free.
fn most_connections(routes: Routes) -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let all = files.map_or(MAX_CONNECTIONS, |files| (files / 2).clamp(1, MAX_CONNECTIONS));
    let of_another = (all / OTHER_SHARE).max(1);
    if !routes.mcp {
        return of_another;
    }
    let others = usize::from(!routes.pages) + usize::from(!routes.administration);
    all.saturating_sub(others * of_another).max(1)
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("no TLS was agreed on: {0}")]
    Handshake(io::Error),
    #[error("no TLS was agreed on in time")]
    HandshakeTime,
    #[error("{}", chain(.0))]
    Http(#[from] hyper::Error),
}

impl Ended {
    fn count(&self, refusals: &Refusals, address: IpAddr) {
        let what = match self {
            Self::Handshake(_) | Self::HandshakeTime => "handshake",
            Self::Http(error) if error.is_parse_too_large() => "head_size",
            // An idle connection ends so as well.
            Self::Http(_) => return,
        };
        refusals.count(what, Some(address));
    }
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
    connection: &OpenConnection,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    // Otherwise small answers wait for the client's delayed acknowledgement (Nagle).
    let _ = stream.set_nodelay(true);
    let stream = TimeoutStream::new(stream, door.client_timeout);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        door.proxies.mark(peer, &mut request);
        request.extensions_mut().insert(connection.handle());
        router.call(request)
    });
    match &door.tls {
        None => serve_stream(stream, protocol, service, stop).await?,
        Some(tls) => {
            let secured = tokio::time::timeout(door.client_timeout, tls.acceptor().accept(stream)).await;
            let secured = secured.map_err(|_elapsed| Ended::HandshakeTime)?.map_err(Ended::Handshake)?;
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
