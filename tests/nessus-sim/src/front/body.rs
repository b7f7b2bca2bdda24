//! Bodies on their way: in one piece, or written by another thread while they are sent.

use std::{
    convert::Infallible,
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body as HyperBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::reply::{Body, Writer};

/// How much is sent at once, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 4;

/// The body as hyper sends it.
pub(super) fn stream(body: Body) -> UnsyncBoxBody<Bytes, Infallible> {
    match body {
        Body::Bytes(bytes) => Full::new(Bytes::from(bytes)).boxed_unsync(),
        Body::Written { length, write } => Streamed { pieces: written(write), length }.boxed_unsync(),
    }
}

/// The body piece by piece.
pub(super) fn pieces(body: Body) -> mpsc::Receiver<Bytes> {
    match body {
        Body::Bytes(bytes) => written(Box::new(move |out| out.write_all(&bytes))),
        Body::Written { write, .. } => written(write),
    }
}

/// Writes on a thread of its own; the channel closes when all is written, or when it cannot be.
fn written(write: Writer) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = Outlet { sender, piece: BytesMut::with_capacity(PIECE) };
        // When nobody reads any more, or the source cannot be read, the client sees a body that is too short.
        let _ = write(&mut out).and_then(|()| out.flush());
    });
    receiver
}

struct Outlet {
    sender: mpsc::Sender<Bytes>,
    piece: BytesMut,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE));
        self.sender.blocking_send(piece.freeze()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct Streamed {
    pieces: mpsc::Receiver<Bytes>,
    length: u64,
}

impl HyperBody for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
