//! Work that blocks: files, locks, SQL, conversion. It runs on the threads tokio keeps for it.

use std::io;

use tokio::task::{JoinError, spawn_blocking};

/// Runs `work` where it may block; it runs to its end even when the returned future is dropped.
///
/// A panic goes on in the caller. An error means that the runtime is shutting down and the work was not begun.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    match spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(result) => Ok(result),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => Err(io::Error::other("the runtime is shutting down")),
    }
}
