//! Findings for an API that streams them, and has to say its status first.

use std::{
    io::{self, Write},
    mem,
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinHandle,
};
use tracing::Instrument as _;

use super::{
    ScanService,
    error::ServiceError,
    results::{ResultsRequest, read},
};
use crate::results::{ConversionSummary, ResultsError};

/// How much is handed over at once.
const CHUNK_BYTES: usize = 64 << 10;

impl ScanService {
    /// Prepares the findings as JSON-NL, however many there are, in bounded memory: an API can say its status before the first
    /// byte. The export was read and the query can be answered when this returns.
    ///
    /// # Errors
    /// Those of [`results`](Self::results), but for [`ServiceError::TooLarge`].
    pub async fn prepare_results(&self, request: ResultsRequest) -> Result<PreparedResults, ServiceError> {
        let (task_id, query) = read(request).await?;
        let (sender, chunks) = mpsc::channel(1);
        let service = self.clone();
        let work = async move {
            let output = Chunks { unsent: Vec::new(), sender };
            let (output, summary) = service.write(&task_id, query, output, 2 * CHUNK_BYTES).await?;
            if !output.unsent.is_empty() {
                output.sender.send(output.unsent).await.map_err(|_| ResultsError::Write(abandoned()))?;
            }
            Ok(summary)
        };
        let work = tokio::spawn(work.in_current_span());
        let mut prepared = PreparedResults { first: None, chunks, work: Some(work), summary: None };
        // Whoever gives this up drops it.
        prepared.first = prepared.next().await.transpose()?;
        Ok(prepared)
    }
}

/// Findings that are ready to be read, as JSON-NL; from [`ScanService::prepare_results`].
///
/// Nothing is read ahead of its reader by more than two chunks of 64 KiB. It holds a share of the memory for results, as
/// all who read do: one that is neither read nor dropped makes others wait. When it is dropped, the work stops.
#[derive(Debug)]
pub struct PreparedResults {
    first: Option<Vec<u8>>,
    chunks: mpsc::Receiver<Vec<u8>>,
    /// Until it has ended.
    work: Option<JoinHandle<Result<ConversionSummary, ServiceError>>>,
    summary: Option<ConversionSummary>,
}

impl PreparedResults {
    /// The next bytes; `None` after the last, and after an error. A line may be spread over two of them.
    ///
    /// # Errors
    /// [`ServiceError::Results`] when the bytes before are not all: the export was changed or could not be read on.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ServiceError>> {
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => self.chunks.recv().await,
        };
        if let Some(chunk) = next {
            return Some(Ok(chunk));
        }
        // It stays until it has ended: whoever drops this future in the meantime must not take the bytes so far for all.
        let ended = self.work.as_mut()?.await.map_err(|failed| ServiceError::stopping(io::Error::other(failed)));
        self.work = None;
        match ended.flatten() {
            Ok(summary) => {
                self.summary = Some(summary);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// What was converted; `None` before [`next`](Self::next) has given all.
    pub const fn summary(&self) -> Option<&ConversionSummary> {
        self.summary.as_ref()
    }

    /// Writes all of them into `output`, and flushes it.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and [`ResultsError::Write`] for what `output` says.
    pub async fn write<W: AsyncWrite + Unpin>(&mut self, output: &mut W) -> Result<(), ServiceError> {
        while let Some(chunk) = self.next().await.transpose()? {
            output.write_all(&chunk).await.map_err(ResultsError::Write)?;
        }
        Ok(output.flush().await.map_err(ResultsError::Write)?)
    }
}

impl Drop for PreparedResults {
    /// What waits for memory does so no more. What reads the export ends with the next bytes that nobody takes.
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}

/// Whoever reads has gone.
fn abandoned() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the rest of the findings was given up")
}

/// An output whose bytes go to [`PreparedResults`], once there are enough of them.
struct Chunks {
    unsent: Vec<u8>,
    sender: mpsc::Sender<Vec<u8>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unsent.extend_from_slice(bytes);
        if self.unsent.len() >= CHUNK_BYTES {
            let chunk = mem::take(&mut self.unsent);
            self.sender.blocking_send(chunk).map_err(|_| abandoned())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
