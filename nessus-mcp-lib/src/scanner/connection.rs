//! Scanners that are in use, and logging out of each when its last user is done.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Mutex as AsyncMutex,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{error::ScannerError, facts::ScannerHealth, interface::ScannerInterface, offer::ScanOffer};

/// How long logging out may take.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A scanner as it is reached in one way: one address, login and set of options. Whoever may call it holds this value.
/// Dropping the last one logs out.
#[derive(Debug)]
pub(super) struct Connection {
    scanner: Arc<dyn ScannerInterface>,
    health: Mutex<Option<ScannerHealth>>,
    /// What it was last found to offer, and when.
    offer: AsyncMutex<Option<(Instant, Arc<ScanOffer>)>>,
    /// Where it is to be logged out of; `None` outside a registry.
    registered: Option<Arc<Connections>>,
}

impl Connection {
    /// One that nobody logs out of.
    pub(super) fn unregistered(scanner: Arc<dyn ScannerInterface>) -> Arc<Self> {
        Arc::new(Self::new(scanner, None))
    }

    fn new(scanner: Arc<dyn ScannerInterface>, registered: Option<Arc<Connections>>) -> Self {
        Self { scanner, health: Mutex::default(), offer: AsyncMutex::default(), registered }
    }

    pub(super) fn scanner(&self) -> &Arc<dyn ScannerInterface> {
        &self.scanner
    }

    /// What the last health check found.
    pub(super) fn health(&self) -> MutexGuard<'_, Option<ScannerHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the scanner offers, as it was at most `max_age` ago. Whoever asks meanwhile waits, so that it is asked once.
    pub(super) async fn offer(
        &self,
        max_age: Duration,
        ask: &dyn ScannerInterface,
    ) -> Result<Arc<ScanOffer>, ScannerError> {
        let begun = Instant::now();
        let mut known = self.offer.lock().await;
        if let Some((at, offer)) = &*known
            && (*at >= begun || at.elapsed() < max_age)
        {
            return Ok(Arc::clone(offer));
        }
        let offer = Arc::new(ask.offer().await?);
        *known = Some((Instant::now(), Arc::clone(&offer)));
        Ok(offer)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(connections) = mem::take(&mut self.registered) {
            connections.close_one(&self.scanner);
        }
    }
}

/// The connections of a registry.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<Vec<Open>>,
    /// The logouts under way.
    closing: TaskTracker,
}

/// A scanner that nobody has logged out of yet.
#[derive(Debug)]
struct Open {
    scanner: Arc<dyn ScannerInterface>,
    connection: Weak<Connection>,
}

impl Connections {
    /// The connection of this scanner: there is one at a time for each value.
    pub(super) fn connect(self: &Arc<Self>, scanner: &Arc<dyn ScannerInterface>) -> Arc<Connection> {
        let mut open = self.open();
        let mut known = open.iter().filter(|known| Arc::ptr_eq(&known.scanner, scanner));
        if let Some(connection) = known.find_map(|known| known.connection.upgrade()) {
            return connection;
        }
        let (scanner, registered) = (Arc::clone(scanner), Some(Arc::clone(self)));
        let connection = Arc::new(Connection::new(Arc::clone(&scanner), registered));
        open.push(Open { scanner, connection: Arc::downgrade(&connection) });
        connection
    }

    /// Logs out of a scanner whose last user is done. Outside a runtime that waits for [`close`](Self::close).
    fn close_one(&self, scanner: &Arc<dyn ScannerInterface>) {
        if let Ok(runtime) = Handle::try_current() {
            let is_it = |open: &Open| Arc::ptr_eq(&open.scanner, scanner) && open.connection.strong_count() == 0;
            self.open().retain(|open| !is_it(open));
            self.closing.spawn_on(close(Arc::clone(scanner)), &runtime);
        }
    }

    /// Logs out of all scanners at once, those in use as well, and waits for the logouts that have begun.
    pub(super) async fn close(&self) {
        let open: Vec<_> = self.open().iter().map(|open| Arc::clone(&open.scanner)).collect();
        for scanner in open {
            self.closing.spawn(close(scanner));
        }
        self.closing.close();
        let _ = timeout(CLOSE_WAIT, self.closing.wait()).await;
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs out, for as long as that may take. A scanner that does not answer ends the session by itself.
async fn close(scanner: Arc<dyn ScannerInterface>) {
    let _ = timeout(CLOSE_WAIT, scanner.close()).await;
}
