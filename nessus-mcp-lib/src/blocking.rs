//! Work that blocks: files, locks, SQL, conversion. It runs on the threads tokio keeps for it.

use std::io;

use tokio::task::{JoinError, spawn_blocking};
use tracing::Span;

/// Runs `work` where it may block; it runs to its end even when the returned future is dropped.
///
/// A panic goes on in the caller. An error means that the runtime is shutting down and the work was not begun.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // What it logs belongs to whatever called.
    let span = Span::current();
    match spawn_blocking(move || span.in_scope(work)).await.map_err(JoinError::try_into_panic) {
        Ok(result) => Ok(result),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => Err(io::Error::other("the runtime is shutting down")),
    }
}
