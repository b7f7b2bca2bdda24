//! Scanners that are to be closed as soon as nobody uses them any more.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::ScannerInterface;

/// How long logging out may take.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Whoever uses a scanner holds this; dropping the last one says that nobody does.
#[derive(Debug, Default)]
pub(super) struct InUse {
    over: CancellationToken,
}

impl InUse {
    /// Cancelled when this value is dropped.
    pub(super) fn over(&self) -> CancellationToken {
        self.over.clone()
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// Logs out, for as long as that may take. A scanner that does not answer ends the session by itself.
pub(super) async fn close(scanner: &dyn ScannerInterface) {
    let _ = tokio::time::timeout(CLOSE_WAIT, scanner.close()).await;
}

/// The scanners that wait for their last user, and those that are being closed.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    scanners: Mutex<Vec<Leaver>>,
}

#[derive(Debug, Clone)]
struct Leaver {
    scanner: Arc<dyn ScannerInterface>,
    /// Cancelled when nobody uses it any more.
    unused: CancellationToken,
    /// Cancelled when it was closed then; `None` where nobody waits for that, because it was to leave outside a runtime.
    closed: Option<CancellationToken>,
}

impl Leaver {
    fn is_closed(&self) -> bool {
        self.closed.as_ref().is_some_and(CancellationToken::is_cancelled)
    }
}

impl Leaving {
    /// Closes the scanner when `unused` is cancelled. Outside a runtime it stays open until [`close`](Self::close).
    pub(super) fn close_when(&self, unused: CancellationToken, scanner: Arc<dyn ScannerInterface>) {
        let closed = Handle::try_current().ok().map(|runtime| {
            let (closed, unused, scanner) = (CancellationToken::new(), unused.clone(), Arc::clone(&scanner));
            let told = closed.clone().drop_guard();
            runtime.spawn(async move {
                unused.cancelled().await;
                close(scanner.as_ref()).await;
                drop(told);
            });
            closed
        });
        let mut scanners = self.scanners();
        scanners.retain(|leaver| !leaver.is_closed());
        scanners.push(Leaver { scanner, unused, closed });
    }

    /// Closes the scanners that are left, those still in use as well, in `closing`.
    pub(super) fn close(&self, closing: &mut JoinSet<()>) {
        let left = self.scanners().iter().filter(|leaver| !leaver.is_closed()).cloned().collect::<Vec<_>>();
        for Leaver { scanner, unused, closed } in left {
            closing.spawn(async move {
                close(scanner.as_ref()).await;
                // Somebody else may be at it already, and then there was nothing left to do for us.
                if let (true, Some(closed)) = (unused.is_cancelled(), closed) {
                    closed.cancelled().await;
                }
            });
        }
    }

    fn scanners(&self) -> MutexGuard<'_, Vec<Leaver>> {
        self.scanners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
