//! Whether a server lets anybody in.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// How long the one who closes a door waits for the server to do it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A door: while it is shut, connections are refused, as by a machine where nobody listens.
#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wanted: watch::Sender<Wanted>,
    /// Whether the server has shut it.
    shut: Mutex<bool>,
    moved: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Open,
    /// For so long, or until somebody opens it.
    Shut(Option<Duration>),
}

impl Door {
    /// An open door.
    pub(crate) fn new() -> Self {
        let inner = Inner { wanted: watch::Sender::new(Wanted::Open), shut: Mutex::new(false), moved: Condvar::new() };
        Self(Arc::new(inner))
    }

    /// Asks the server to shut it, breaking all connections.
    pub(crate) fn shut(&self, lasting: Option<Duration>) {
        self.0.wanted.send_replace(Wanted::Shut(lasting));
    }

    /// Asks the server to open it.
    pub(crate) fn open(&self) {
        self.0.wanted.send_replace(Wanted::Open);
    }

    /// Blocks until the server has done what was asked last; not to be called on the server's own thread.
    pub(crate) fn settle(&self) {
        let shut = self.0.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = |shut: &mut bool| *shut == (*self.0.wanted.borrow() == Wanted::Open);
        // A server that has ended will not move any more; its clients will tell.
        drop(self.0.moved.wait_timeout_while(shut, PATIENCE, differs));
    }

    /// Waits until it shall be shut; tells for how long.
    pub(super) async fn closed(&self) -> Option<Duration> {
        let mut wanted = self.0.wanted.subscribe();
        loop {
            if let Wanted::Shut(lasting) = *wanted.borrow_and_update() {
                return lasting;
            }
            // The sender lives as long as this door.
            let _ = wanted.changed().await;
        }
    }

    /// Waits until it shall be opened: by somebody, or because its time is over.
    pub(super) async fn opened(&self, lasting: Option<Duration>) {
        let mut wanted = self.0.wanted.subscribe();
        let until_open = wanted.wait_for(|wanted| *wanted == Wanted::Open);
        match lasting {
            Some(lasting) => drop(tokio::time::timeout(lasting, until_open).await),
            None => drop(until_open.await),
        }
        self.open();
    }

    /// The server has shut it.
    pub(super) fn is_shut(&self) {
        self.moved(true);
    }

    /// The server has opened it.
    pub(super) fn is_open(&self) {
        self.moved(false);
    }

    fn moved(&self, shut: bool) {
        *self.0.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
        self.0.moved.notify_all();
    }
}
