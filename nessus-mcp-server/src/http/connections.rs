//! Connections: how many there may be, and for how long one may hold its place without doing anything.
//!
//! Each connection is an open file, and so are task files and the queue. Where clients took them all, no scan could be
//! accepted and none be watched: so at most half of what the process may open is for connections.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nessus_mcp_lib::telemetry::Metrics;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::patient_stream::PatientStream;

/// The most connections, whatever the process may open.
const MOST_CONNECTIONS: usize = 1024;
/// How many clients are told at once that there are too many.
const MOST_REFUSALS: usize = 32;
/// How long such a client may take to hear it.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);
/// What a connection may hold of a request's head.
const MOST_BUFFERED: usize = 64 << 10;
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer above the ceiling; it is written without reading a request.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 45\r\n\r\n\
too many connections are open; try again soon";

/// Serves until `stop` is cancelled and all connections have ended.
///
/// `patience` is how long a client may take to send the head of a request, be idle between two, or leave an answer
/// unread.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Duration,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let open = Arc::new(Semaphore::new(most_connections()));
    let refusals = Arc::new(Semaphore::new(MOST_REFUSALS));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MOST_BUFFERED);
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _address)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        if let Ok(permit) = Arc::clone(&open).try_acquire_owned() {
            let place = Place::new(permit, &metrics);
            let (protocol, router, stop) = (protocol.clone(), router.clone(), stop.clone());
            connections.spawn(async move {
                let ended = serve_one(stream, &protocol, router, patience, &stop).await;
                drop(place);
                if let Err(error) = ended {
                    debug!(%error, "a connection ended early");
                }
            });
        } else {
            metrics.process().http_refused("connections");
            match Arc::clone(&refusals).try_acquire_owned() {
                Ok(permit) => drop(connections.spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL_WAIT, turn_away(stream)).await;
                    drop(permit);
                })),
                // A flood must not take the files that are left.
                Err(_) => drop(turn_away_at_once(stream)),
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
    files.map_or(MOST_CONNECTIONS, |files| (files / 2).clamp(1, MOST_CONNECTIONS))
}

async fn pause_after(error: &io::Error) {
    // The client's doing, and over.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve_one(
    stream: TcpStream,
    protocol: &http1::Builder,
    router: Router,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    // Without it small answers wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(PatientStream::new(stream, patience));
    let mut connection = pin!(protocol.serve_connection(stream, TowerToHyperService::new(router)));
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(TOO_MANY).await?;
    stream.shutdown().await?;
    // The system would take the answer back if the connection were closed before the request was read.
    let mut request = [0; 1024];
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}

/// The same without waiting for anything: a client that is slow to send may not hear it.
fn turn_away_at_once(stream: TcpStream) -> io::Result<()> {
    // It does not block.
    let mut stream = stream.into_std()?;
    stream.write_all(TOO_MANY)?;
    stream.shutdown(Shutdown::Write)?;
    let mut request = [0; 1024];
    // One that never stops sending must not hold up those who are accepted after it.
    for _ in 0..MOST_BUFFERED / request.len() {
        if stream.read(&mut request)? == 0 {
            break;
        }
    }
    Ok(())
}

/// One of the connections there may be.
#[derive(Debug)]
struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        metrics.process().add_http_connections(1);
        Self { metrics: Arc::clone(metrics), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.process().add_http_connections(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{text}");
    }
}
