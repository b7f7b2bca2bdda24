//! The memory limit for reading results: a reader says how much memory it needs, and waits until that much is free.
//!
//! One number bounds what all readers of a process hold together, be it few large exports or many small ones. A reader
//! that would wait too long gets the error `busy`, and may try again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::error::ServiceError;

/// The least that a reader counts as, in MiB: more readers at once only take each other's time.
const LEAST_MIB: u32 = 16;
/// How long a reader waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands out shares of a fixed amount of memory.
#[derive(Debug, Clone)]
pub(super) struct MemoryGate {
    shares: Arc<Semaphore>,
    mib: u32,
    patience: Duration,
}

impl MemoryGate {
    /// A gate of so many MiB, at least 16.
    pub(super) fn new(mib: u32) -> Self {
        let mib = mib.max(LEAST_MIB);
        Self { shares: Arc::new(Semaphore::new(mib as usize)), mib, patience: PATIENCE }
    }

    /// The same gate for readers who wait for so long.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits for a share of so many bytes; who asks for more than there is gets all. First come, first served.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] when others hold too much for 30 seconds.
    pub(super) async fn enter(&self, bytes: u64) -> Result<MemoryShare, ServiceError> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).clamp(LEAST_MIB, self.mib);
        let share = timeout(self.patience, Arc::clone(&self.shares).acquire_many_owned(mib)).await;
        // It is never closed, so only the time can be over.
        share
            .ok()
            .and_then(Result::ok)
            .map(|permit| MemoryShare { _permit: permit })
            .ok_or(ServiceError::Busy { waited: self.patience })
    }
}

/// A share of a [`MemoryGate`], given back when it is dropped. It belongs to the work that reads an export.
#[derive(Debug)]
#[must_use = "the memory is given back when this is dropped"]
pub(super) struct MemoryShare {
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classified as _;

    #[tokio::test(start_paused = true)]
    async fn readers_wait_for_memory_and_not_for_ever() {
        let gate = MemoryGate::new(64);
        let first = gate.enter(19 << 20).await.unwrap();
        let large = gate.enter(21 << 20).await.unwrap();
        let second = gate.enter(1).await.unwrap();
        let error = gate.enter(10 << 20).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable(), error.hint().is_some()), ("busy", true, true));
        drop(large);
        let third = gate.enter(29 << 20).await.unwrap();
        drop((first, second));
        assert!(gate.enter(36 << 20).await.is_err());
        drop(third);
        let all = gate.enter(u64::MAX).await.unwrap();
        assert!(gate.enter(0).await.is_err(), "who needs more than there is gets all");
        drop(all);
        assert!(gate.enter(64 << 20).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_first_is_served_first() {
        let gate = MemoryGate::new(64);
        let held = gate.enter(32 << 20).await.unwrap();
        let large = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(64 << 20).await.map(drop) }
        });
        while gate.shares.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let hurried = gate.clone().with_patience(Duration::from_millis(1));
        assert!(hurried.enter(1).await.is_err(), "the small one does not overtake");
        drop(held);
        large.await.unwrap().unwrap();
        assert!(hurried.enter(1).await.is_ok());
    }
}
