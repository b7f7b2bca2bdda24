//! The breakers of all scanners of a process, and what processes tell each other of them.
//!
//! A breaker belongs to a scanner's name, `(pool, instance)`, and outlives the registry it was made for: a reload of the
//! configuration that does not change a scanner does not change what is known of it.
//!
//! Each process finds by itself that a scanner is broken, and tells the others through the queue; they leave it alone
//! at once instead of each burning a few tasks to learn the same. What an operator orders goes the same way. One process
//! tries whether the scanner is back while the others wait. A queue that does not answer leaves each process with what it
//! finds by itself, and is told when it is back. That a login was refused is believed by those that ran already and were
//! never let in, so that they do not lock the account together; one that is started later may have the right password.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, futures::OwnedNotified};
use tracing::{debug, warn};

use super::{guarded::Guarded, interface::ScannerInterface};
use crate::{
    circuit_breaker::{CircuitBreaker, CircuitOpen, CircuitState, News},
    config::CircuitSettings,
    error::chain,
    ids::{InstanceId, PoolName, WorkerId, scanner_name},
    queue::{CircuitChange, CircuitRecord, PublishOutcome, Queue, QueueError},
};

/// How often a process looks at what others have told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a process waits after the queue did not answer.
const FAILURE_WAIT: Duration = Duration::from_secs(5);
/// Why a scanner that refused another process's login is not unusable after all.
const LET_IN: &str = "the scanner accepts the login of another process";

/// The breakers of a process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Circuits {
    inner: Arc<Inner>,
}

struct Inner {
    settings: CircuitSettings,
    /// How this process signs what it tells.
    name: String,
    known: Mutex<HashMap<(PoolName, InstanceId), Arc<Circuit>>>,
    changed: Arc<Notify>,
    /// Held while records are compared, so that nothing is told twice.
    exchanging: tokio::sync::Mutex<()>,
}

/// A breaker and what was told of it.
struct Circuit {
    breaker: CircuitBreaker,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The generation of the last record that was taken over or told.
    generation: u64,
    /// Changes of the breaker that are in that record.
    changes: u64,
    /// Openings and failures that others know of.
    counts: (u64, u64),
    /// Whether the queue has lost what was told: it is told again.
    is_lost: bool,
    /// Whether this process has looked at what was told: what it finds new is younger than itself.
    has_looked: bool,
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Default for Circuits {
    fn default() -> Self {
        Self::new(CircuitSettings::default())
    }
}

impl Circuits {
    /// No breakers yet; those to come have these settings.
    pub fn new(settings: CircuitSettings) -> Self {
        let name = format!("process:{}", WorkerId::generate());
        let inner = Inner {
            settings,
            name,
            known: Mutex::default(),
            changed: Arc::default(),
            exchanging: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The breaker of a scanner; made when it is asked for the first time.
    pub fn breaker(&self, pool: &PoolName, instance: &InstanceId) -> CircuitBreaker {
        self.circuit(pool, instance).breaker.clone()
    }

    /// Puts the breaker of a scanner in front of it.
    pub fn guard(&self, pool: &PoolName, instance: &InstanceId, scanner: Arc<dyn ScannerInterface>) -> Arc<Guarded> {
        Arc::new(Guarded::new(scanner, self.breaker(pool, instance)))
    }

    /// A breaker that nobody is told of, for what has had this name before.
    pub(super) fn former(&self, pool: &PoolName, instance: &InstanceId) -> CircuitBreaker {
        let name = format!("{} as configured before", scanner_name(pool, instance));
        CircuitBreaker::new(name, self.inner.settings.clone())
    }

    /// Whether calls to a scanner would be made now.
    ///
    /// # Errors
    /// [`CircuitOpen`] when not.
    pub fn check(&self, pool: &PoolName, instance: &InstanceId) -> Result<(), CircuitOpen> {
        self.circuit(pool, instance).breaker.check()
    }

    /// Looks at what others have told of these scanners, takes it over, and tells what this process has found.
    ///
    /// # Errors
    /// When the queue does not answer; nothing is lost, the next call makes up for it.
    pub async fn exchange(
        &self,
        queue: &dyn Queue,
        pool: &PoolName,
        instances: &[InstanceId],
    ) -> Result<(), QueueError> {
        let _alone = self.inner.exchanging.lock().await;
        let records = queue.circuits(pool, instances).await?;
        for (instance, record) in instances.iter().zip(records) {
            let circuit = self.circuit(pool, instance);
            circuit.breaker.tick();
            circuit.take_over(record.as_ref(), &self.inner.name);
            if let Some((change, changes)) = circuit.untold(record.as_ref(), &self.inner.name) {
                let outcome = queue.publish_circuit(pool, instance, &change).await?;
                if matches!(outcome, PublishOutcome::Published(_)) {
                    circuit.was_told(outcome.into_record().generation, changes, &change);
                } else {
                    // Another was faster, or it is ours and the reply was lost.
                    circuit.take_over(Some(&outcome.into_record()), &self.inner.name);
                }
            }
        }
        Ok(())
    }

    /// Does so for all scanners at once after each change, and every second. Never returns.
    pub async fn follow(&self, queue: &dyn Queue) {
        let mut reachable = true;
        loop {
            let changed = self.next_change();
            let exchanged = self.exchange_all(queue).await;
            match &exchanged {
                Ok(()) => reachable = true,
                Err(error) if reachable => {
                    warn!(error = chain(error), "circuits are not shared with other processes for now");
                    reachable = false;
                }
                Err(error) => debug!(error = chain(error), "circuits are still not shared"),
            }
            let pause = if exchanged.is_ok() { LOOK_EVERY } else { FAILURE_WAIT };
            tokio::select! {
                () = changed, if exchanged.is_ok() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Ready after the next change of a breaker, from when this is called.
    fn next_change(&self) -> OwnedNotified {
        Arc::clone(&self.inner.changed).notified_owned()
    }

    async fn exchange_all(&self, queue: &dyn Queue) -> Result<(), QueueError> {
        let mut pools: HashMap<PoolName, Vec<InstanceId>> = HashMap::new();
        for (pool, instance) in self.known().keys() {
            pools.entry(pool.clone()).or_default().push(instance.clone());
        }
        for (pool, instances) in pools {
            self.exchange(queue, &pool, &instances).await?;
        }
        Ok(())
    }

    fn circuit(&self, pool: &PoolName, instance: &InstanceId) -> Arc<Circuit> {
        let make = || {
            let changed = Arc::clone(&self.inner.changed);
            let breaker = CircuitBreaker::new(scanner_name(pool, instance), self.inner.settings.clone())
                .with_listener(move || changed.notify_waiters());
            Arc::new(Circuit { breaker, told: Mutex::default() })
        };
        Arc::clone(self.known().entry((pool.clone(), instance.clone())).or_insert_with(make))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(PoolName, InstanceId), Arc<Circuit>>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a record that is newer than what is known. An older one says that the queue has lost what came after it,
    /// in a failover for example: what is known is told again, as following that record.
    fn take_over(&self, record: Option<&CircuitRecord>, us: &str) {
        let mut told = self.told();
        let since_start = std::mem::replace(&mut told.has_looked, true);
        let Some(record) = record else { return };
        if record.generation == told.generation {
            return;
        }
        let went_back = record.generation < told.generation;
        told.generation = record.generation;
        let view = self.breaker.view();
        // Only an order ends an isolation: one that was lost has to be given again.
        if went_back && (record.state != CircuitState::Isolated || view.order.is_some()) {
            told.is_lost = view.state != record.state;
            return;
        }
        told.is_lost = false;
        if record.order.is_none() && record.by == us {
            return;
        }
        let news = News::new(record.state, record.left, record.reason.clone());
        let news = news.with_order(record.order).told_since_start(since_start);
        self.breaker.hear(news);
        // What this process had found before is superseded, unless it does not believe what it hears.
        let view = self.breaker.view();
        if view.state == record.state {
            told.changes = view.changes;
        }
    }

    /// What this process has found and nobody knows, with the number of changes it stands for. A record that was lost is
    /// told again.
    fn untold(&self, record: Option<&CircuitRecord>, us: &str) -> Option<(CircuitChange, u64)> {
        let told = self.told();
        let view = self.breaker.view();
        let lost = told.is_lost || record.is_none() && view.state != CircuitState::Closed;
        // Somebody was refused, and our calls are made: that is news when one of them was let in, or by order.
        let is_doubted =
            view.state == CircuitState::Closed && record.is_some_and(|record| record.state == CircuitState::Unusable);
        let let_in = is_doubted && view.has_worked;
        let says_nothing = is_doubted && !view.has_worked && view.order.is_none();
        if says_nothing || view.changes == told.changes && !lost && !let_in {
            return None;
        }
        let reason = if let_in { LET_IN.to_owned() } else { view.reason };
        let (opens, failures) = told.counts;
        let mut change = CircuitChange::found(told.generation, view.state, reason, us);
        // An order is passed on; that this process is let in is none, and must not make others try again.
        change.order = view.order.filter(|_| !let_in);
        Some((
            change
                .lasting(view.left)
                .with_counts(view.opens.saturating_sub(opens), view.failures.saturating_sub(failures)),
            view.changes,
        ))
    }

    fn was_told(&self, generation: u64, changes: u64, change: &CircuitChange) {
        let mut told = self.told();
        told.generation = told.generation.max(generation);
        told.changes = changes;
        told.is_lost = false;
        told.counts = (told.counts.0 + change.opens, told.counts.1 + change.failures);
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
#[path = "circuits_tests.rs"]
mod tests;
