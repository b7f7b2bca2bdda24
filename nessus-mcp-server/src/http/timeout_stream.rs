//! Closes a connection whose client does not read its answer, and reads what a client still sends before it closes one: else
//! the client might never see why it was refused.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// How long a client may pause while it still sends what nobody wants.
const LINGER: Duration = Duration::from_secs(1);
/// The most bytes of it that are read.
const MOST_UNWANTED_BYTES: usize = 16 << 20;

/// A stream on which a write fails when it makes no progress for `timeout`. When it is shut down, it goes on reading until the
/// client is done, within bounds.
#[derive(Debug)]
pub(super) struct TimeoutStream {
    stream: TcpStream,
    timeout: Duration,
    /// Set while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Set once it is shut down.
    lingers: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    pause: Pin<Box<Sleep>>,
    ends_at: Instant,
    bytes: usize,
}

impl TimeoutStream {
    pub(super) fn new(stream: TcpStream, timeout: Duration) -> Self {
        Self { stream, timeout, deadline: None, lingers: None }
    }

    fn with_deadline(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.timeout)));
        ready!(deadline.as_mut().poll(context));
        // Drops what the kernel still buffers for the client, too.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.with_deadline(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.with_deadline(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // It does not wait on a socket, so it needs no deadline.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers.is_none() {
            // It does not wait on the socket either.
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let timeout = this.timeout;
        let linger = this.lingers.get_or_insert_with(|| Linger {
            pause: Box::pin(sleep(LINGER.min(timeout))),
            ends_at: Instant::now() + timeout,
            bytes: 0,
        });
        let mut unwanted = [0; 4096];
        loop {
            if linger.pause.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut unwanted);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() && linger.bytes < MOST_UNWANTED_BYTES => {
                    linger.bytes += buffer.filled().len();
                    linger.pause.as_mut().reset(linger.ends_at.min(Instant::now() + LINGER));
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
