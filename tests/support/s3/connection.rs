//! Connections: requests in, answers out, unless a fault breaks them.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request as HttpRequest, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::sleep,
};

use super::{
    answers::Answer,
    control,
    fault::FaultKind,
    requests::{self, Begun, Sees},
    state::{Request, Shared},
    wire::Call,
};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers whoever comes; says when it is ready to.
pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, ready: oneshot::Sender<()>) {
    let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let listener = listener.unwrap_or_else(|error| panic!("the S3 server cannot listen: {error}"));
    // Nobody waits any more only when the test is over.
    let _ = ready.send(());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(attend(stream, Arc::clone(&shared)))),
            // No descriptors are left: some are given back.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn attend(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    // A connection that breaks, on demand or not, is its client's to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: HttpRequest<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with(control::PREFIX) {
        let body = read(body).await?;
        return response(control::answer(&shared, &parts, &body), None);
    }
    let mut call = Call::of(parts);
    // Before anybody can let it go.
    let mut releases = shared.releases();
    let (begun, (number, fault)) = shared.change(|state| (Begun::new(state, &call), state.note(noted(&call))));
    call.body = read(body).await?;
    shared.change(|state| {
        if let Some(request) = state.request(number) {
            request.received = length(&call.body);
        }
    });
    match fault {
        Some(FaultKind::Lost) => return Err(closed()),
        Some(FaultKind::Delayed(milliseconds)) => sleep(Duration::from_millis(milliseconds)).await,
        // An error means that the server is gone.
        Some(FaultKind::Held) => releases.changed().await.map_err(|_| closed())?,
        _ => {}
    }
    let answer = shared.change(|state| {
        let answer = match fault {
            Some(FaultKind::Answer(error)) => {
                let mut answer = Answer::error(error, call.parts.uri.path());
                if call.parts.method == hyper::Method::HEAD {
                    answer.body.clear();
                }
                answer
            }
            Some(FaultKind::Stale) => requests::answer(state, &call, begun, Sees::Before),
            _ => requests::answer(state, &call, begun, Sees::Now),
        };
        let is_head = call.parts.method == hyper::Method::HEAD;
        let sent = if is_head { 0 } else { length(&answer.body) };
        if let Some(request) = state.request(number).filter(|_| fault != Some(FaultKind::ReplyLost)) {
            request.status = Some(answer.status);
            request.sent = match fault {
                Some(FaultKind::CutAfter(bytes)) => sent.min(u64::try_from(bytes).unwrap_or(sent)),
                _ => sent,
            };
        }
        answer
    });
    match fault {
        Some(FaultKind::ReplyLost) => Err(closed()),
        Some(FaultKind::CutAfter(bytes)) => response(answer, Some(bytes)),
        _ => response(answer, None),
    }
}

fn noted(call: &Call) -> Request {
    Request {
        operation: call.operation,
        bucket: call.bucket.clone(),
        key: call.key.clone(),
        condition: call.condition(),
        range: call.header("range").map(str::to_owned),
        received: 0,
        sent: 0,
        status: None,
        fault: None,
    }
}

async fn read(body: Incoming) -> io::Result<Bytes> {
    Ok(body.collect().await.map_err(io::Error::other)?.to_bytes())
}

fn length(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

/// What makes hyper close a connection without a word.
fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// The answer; cut off after so many bytes of its body.
fn response(answer: Answer, cut: Option<usize>) -> io::Result<Response<Body>> {
    let mut response = Response::builder().status(answer.status).header("server", "simulated-s3");
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    // A 304 and a 204 have none.
    if !matches!(answer.status, 204 | 304) {
        response = response.header("content-length", answer.body.len());
    }
    let body = match cut.filter(|cut| *cut < answer.body.len()) {
        Some(cut) => broken_off(answer.body.slice(..cut)),
        None => Full::new(answer.body).map_err(|never| match never {}).boxed_unsync(),
    };
    response.body(body).map_err(io::Error::other)
}

/// A body that breaks after these bytes.
fn broken_off(bytes: Bytes) -> Body {
    let pieces = stream::unfold(Some(bytes), |bytes| async move {
        let Some(bytes) = bytes else {
            // What was there is sent while the rest is awaited.
            tokio::task::yield_now().await;
            return Some((Err(closed()), None));
        };
        Some((Ok(Frame::data(bytes)), None))
    });
    StreamBody::new(pieces).boxed_unsync()
}
