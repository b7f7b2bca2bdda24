//! Standard output and standard error, each written by a thread of its own.
//!
//! Whoever started the process need not read its pipes, and a write to a full pipe waits for ever. Here nobody waits
//! but that thread: bytes are handed over to it, and a process ends although they were never read.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A buffer that has grown beyond this is given back after use.
const KEPT_CAPACITY: usize = 64 << 10;
/// Between two tries to write to a pipe that somebody has made non-blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Standard output of this process.
pub fn stdout() -> &'static StreamWriter {
    static STDOUT: OnceLock<StreamWriter> = OnceLock::new();
    // The lock is held through each write: at its end the process leaves a locked stdout alone, and waits for no other.
    STDOUT.get_or_init(|| StreamWriter::start("stdout", || io::stdout().lock()))
}

/// Standard error of this process.
pub fn stderr() -> &'static StreamWriter {
    static STDERR: OnceLock<StreamWriter> = OnceLock::new();
    STDERR.get_or_init(|| StreamWriter::start("stderr", || io::stderr().lock()))
}

/// A stream with the thread that writes it.
#[derive(Debug)]
pub struct StreamWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits to be written, or was written.
    changed: Condvar,
    /// The same for those who must not block.
    written: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// How many bytes the thread is writing.
    writing: usize,
    /// How many lines were refused and are not yet reported.
    refused: u64,
    /// How many lines were refused since the process began.
    refused_at_all: u64,
    /// Why nothing is written any more.
    error: Option<Broken>,
}

/// An [`io::Error`] that can be told more than once.
#[derive(Debug, Clone)]
struct Broken(Arc<io::Error>);

impl State {
    fn pending(&self) -> usize {
        if self.error.is_some() { 0 } else { self.waiting.len() + self.writing }
    }
}

impl StreamWriter {
    /// Writes to what `open` gives, which is opened anew for each batch.
    pub(crate) fn start<W: Write>(name: &str, open: impl Fn() -> W + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(move || writer.run(open)) {
            shared.fail(error);
        }
        Self(shared)
    }

    /// Hands these bytes over. They are written unless the stream is broken or the process ends before.
    pub fn write(&self, bytes: &[u8]) {
        self.0.hand_over(self.0.lock(), bytes);
    }

    /// Hands over a line, unless more than `most` bytes would wait. A refused one is counted, and a log line says how
    /// many there were as soon as there is room again.
    pub(crate) fn offer(&self, line: &[u8], most: usize) {
        let mut state = self.0.lock();
        if state.error.is_some() || state.waiting.len() + line.len() > most {
            state.refused += 1;
            state.refused_at_all += 1;
        } else {
            self.0.hand_over(state, line);
        }
    }

    /// How many lines were refused since the process began.
    pub(crate) fn lines_refused(&self) -> u64 {
        self.0.lock().refused_at_all
    }

    /// How many bytes are not written yet; none when the stream is broken.
    pub fn pending(&self) -> usize {
        self.0.lock().pending()
    }

    /// Waits until no more than `most` bytes are not written yet, or the stream is broken.
    pub async fn drained(&self, most: usize) {
        self.until(|state| state.pending() <= most).await;
    }

    /// Waits until nothing can be written any more, mostly because the reader has left.
    pub async fn broken(&self) {
        self.until(|state| state.error.is_some()).await;
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let written = self.0.written.notified();
            if reached(&self.0.lock()) {
                return;
            }
            written.await;
        }
    }

    /// Waits until everything is written, at most for this time where one is given.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], or that of the write which failed: [`ErrorKind::BrokenPipe`] when the reader has left.
    pub fn finish(&self, patience: Option<Duration>) -> io::Result<()> {
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut state = self.0.lock();
        while state.pending() > 0 {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(ErrorKind::TimedOut.into()),
                Some(left) => left,
                None => Duration::from_secs(60),
            };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match &state.error {
            Some(Broken(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, mut state: MutexGuard<'_, State>, bytes: &[u8]) {
        if state.error.is_some() {
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(bytes);
        drop(state);
        if was_empty {
            self.changed.notify_all();
        }
    }

    /// Writes what is handed over until the stream breaks.
    fn run<W: Write>(&self, open: impl Fn() -> W) {
        let mut batch = Vec::new();
        loop {
            let refused = self.next(&mut batch);
            if refused > 0 {
                // Stands behind the batch and before what is handed over from now on: where the lines are missing.
                tracing::warn!(lines = refused, "log lines were dropped, because nobody read them in time");
            }
            if let Err(error) = write_all(&mut open(), &batch) {
                return self.fail(error);
            }
            self.lock().writing = 0;
            self.tell();
        }
    }

    /// Waits for the next batch; returns how many lines were refused after it.
    fn next(&self, batch: &mut Vec<u8>) -> u64 {
        batch.clear();
        batch.shrink_to(KEPT_CAPACITY);
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut state.waiting, batch);
        state.writing = batch.len();
        mem::take(&mut state.refused)
    }

    fn fail(&self, error: io::Error) {
        let mut state = self.lock();
        state.waiting = Vec::new();
        state.error = Some(Broken(Arc::new(error)));
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.written.notify_waiters();
    }
}

fn write_all(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match patient(|| stream.write(bytes))? {
            0 => return Err(ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    patient(|| stream.flush())
}

/// Tries again where a write was only interrupted, or the pipe is full and non-blocking.
fn patient<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match step() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    fn piped() -> (StreamWriter, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (StreamWriter::start("test", move || writer.try_clone().unwrap()), reader)
    }

    #[test]
    fn what_is_not_read_holds_nobody_up_and_arrives_whole() {
        let (writer, mut reader) = piped();
        let lines: Vec<u8> = (0..100_000_u32).flat_map(|line| format!("{line}\n").into_bytes()).collect();
        for chunk in lines.chunks(1000) {
            writer.write(chunk);
        }
        assert_eq!(writer.finish(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(writer.pending() > 0);
        let mut read = vec![0; lines.len()];
        reader.read_exact(&mut read).unwrap();
        writer.finish(None).unwrap();
        assert!(read == lines && writer.pending() == 0);
    }

    #[test]
    fn more_lines_than_may_wait_are_refused_and_counted() {
        let (writer, mut reader) = piped();
        let line = [b'x'; 1000];
        // The pipe, the batch being written and the lines that wait hold less than this.
        for _ in 0..10_000 {
            writer.offer(&line, 10 * line.len());
        }
        let taken = 10_000 - writer.lines_refused();
        assert!((10..9_000).contains(&taken), "{taken} lines were taken");
        let mut read = vec![0; usize::try_from(taken).unwrap() * line.len()];
        reader.read_exact(&mut read).unwrap();
        writer.finish(None).unwrap();
        writer.offer(&line, 10 * line.len());
        assert_eq!(writer.lines_refused(), 10_000 - taken, "there is room again");
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_it() {
        let (writer, reader) = piped();
        writer.write(&vec![b'x'; 1 << 20]);
        drop(reader);
        writer.broken().await;
        writer.drained(0).await;
        writer.write(b"nobody will read this");
        assert_eq!(writer.finish(None).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
