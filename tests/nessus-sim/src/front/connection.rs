//! One connection: requests in, answers out, until one of them breaks it.

use std::{
    convert::Infallible,
    fmt, future, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http_body_util::{BodyExt as _, Limited, combinators::UnsyncBoxBody};
use hyper::{Request, Response, body::Incoming as HyperBody, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{body, broken};
use crate::{
    reply::{Delay, Reply},
    wire::{Answer, ApiError, Incoming},
};

/// The longest request that is read.
const LONGEST_REQUEST: usize = 64 << 20;

/// What a connection runs over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// From now on the end of the connection is a reset.
    fn reset_at_end(&self) -> io::Result<()>;
}

impl Transport for TlsStream<TcpStream> {
    fn reset_at_end(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

impl Transport for TcpStream {
    fn reset_at_end(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// The request has an answer that hyper cannot give.
#[derive(Debug)]
struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is written by hand")
    }
}

impl std::error::Error for TakenOver {}

/// Serves a connection with TLS until it ends.
pub(super) async fn serve_tls(stream: TcpStream, acceptor: TlsAcceptor, answer: Arc<impl Answer>) {
    // A client that does not trust the certificate says so to its user.
    if let Ok(stream) = acceptor.accept(stream).await {
        serve(stream, answer).await;
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: impl Transport, answer: Arc<impl Answer>) {
    let by_hand = Mutex::new(None);
    let used = AtomicBool::new(false);
    let handle = |request: Request<HyperBody>| {
        let (by_hand, used, answer) = (&by_hand, &used, &answer);
        async move {
            let mut incoming = match read(request).await {
                Ok(incoming) => incoming,
                Err(error) => return Ok(whole(error.into())),
            };
            incoming.on_used_connection = used.swap(true, Ordering::Relaxed);
            let reply = answer.answer(&incoming);
            match reply.delivery.delay {
                Delay::For(delay) => sleep(delay).await,
                Delay::Forever => future::pending().await,
            }
            if reply.delivery.is_ordinary() {
                return Ok(whole(reply));
            }
            *by_hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
            Err(TakenOver)
        }
    };
    let service = service_fn(|request| Box::pin(handle(request)));
    let mut connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // It ends with an error when a reply was taken over, or when the client did something wrong: then there is none.
    let _ = future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    let reply = by_hand.lock().unwrap_or_else(PoisonError::into_inner).take();
    let ended = match reply {
        Some(reply) => broken::write(stream, reply).await,
        None => stream.shutdown().await,
    };
    // The client may have gone first.
    let _ = ended;
}

async fn read(request: Request<HyperBody>) -> Result<Incoming, ApiError> {
    let (head, body) = request.into_parts();
    let too_large = |error| ApiError::new(413, format!("the request cannot be read: {error}"));
    let body = Limited::new(body, LONGEST_REQUEST).collect().await.map_err(too_large)?.to_bytes();
    let headers = head.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let query = head.uri.query().unwrap_or_default();
    Ok(Incoming::new(head.method.as_str(), head.uri.path(), query, headers, body))
}

fn whole(reply: Reply) -> Response<UnsyncBoxBody<bytes::Bytes, Infallible>> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers() {
        response = response.header(name, value);
    }
    // Only a fault with an impossible status or header can fail here, and it says so.
    response.body(body::stream(reply.body)).unwrap_or_else(|error| whole(ApiError::new(500, error.to_string()).into()))
}
