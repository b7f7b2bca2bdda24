//! The breakers of all scanners of a process, and what it shares of them with other processes.
//!
//! A breaker belongs to a scanner's name, `(pool, instance)`, and outlives the registry it was made for: a reload of the
//! configuration that does not change a scanner does not change what is known of it.
//!
//! Each process opens, tries and closes its own circuits. Through the queue it hears of two things only: what an operator
//! commands, and that another process was refused its login, so that processes do not lock the account together. In the
//! other direction it publishes how its circuits stand, for whoever looks. A queue that does not answer leaves each process
//! with what it finds by itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::Instant,
};
use tracing::{debug, info, warn};

use super::{guarded::Guarded, interface::ScannerInterface};
use crate::{
    circuit_breaker::{CircuitBreaker, CircuitOpen, CircuitState},
    config::{CircuitSettings, ConfigError, process_name},
    error::chain,
    ids::{InstanceId, PoolName, WorkerId, scanner_name},
    queue::{CircuitNotice, CircuitNoticeKind, CircuitReport, PostedNotice, ProcessCircuits, Queue, QueueError},
    telemetry::ScannerCalls,
};

/// How often a process looks for notices.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a process waits after the queue did not answer.
const FAILURE_WAIT: Duration = Duration::from_secs(5);
/// How often a process publishes the states of its circuits, beside after each change.
const PUBLISH_EVERY: Duration = Duration::from_secs(5);
/// How long they are shown after that, should the process be gone.
const STATES_LAST: Duration = Duration::from_secs(15);
/// How long the end of a process waits for a queue that does not answer.
const WITHDRAW_WAIT: Duration = Duration::from_secs(1);

/// The breakers of a process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Circuits {
    inner: Arc<Inner>,
}

struct Inner {
    settings: CircuitSettings,
    /// The name of this process: its machine, its number there, and something random.
    name: String,
    known: Mutex<HashMap<(PoolName, InstanceId), Arc<Circuit>>>,
    changes: Arc<Changes>,
    calls: ScannerCalls,
    /// Held while notices are read and posted, so that none is posted twice.
    exchanging: tokio::sync::Mutex<()>,
}

/// The changes of all breakers.
#[derive(Default)]
struct Changes {
    count: AtomicU64,
    notify: Arc<Notify>,
}

/// A breaker and what was shared of it.
struct Circuit {
    breaker: CircuitBreaker,
    shared: Mutex<SharedNotices>,
}

#[derive(Default)]
struct SharedNotices {
    /// Whether this process has looked already: what it finds new from then on is younger than itself.
    has_looked: bool,
    /// The last notice it has acted on.
    last: Option<PostedNotice>,
    /// Refusals of its own login that it has posted.
    posted_refusals: u64,
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Default for Circuits {
    fn default() -> Self {
        Self::with_checked(CircuitSettings::default())
    }
}

impl Circuits {
    /// No breakers yet; those to come have these settings.
    ///
    /// # Errors
    /// As [`CircuitSettings::check`].
    pub fn new(settings: CircuitSettings) -> Result<Self, ConfigError> {
        settings.check().map(Self::with_checked)
    }

    fn with_checked(settings: CircuitSettings) -> Self {
        let name = process_name(&WorkerId::generate());
        let inner = Inner {
            settings,
            name,
            known: Mutex::default(),
            changes: Arc::default(),
            calls: ScannerCalls::default(),
            exchanging: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The breaker of a scanner; made when it is asked for the first time.
    pub fn breaker(&self, pool: &PoolName, instance: &InstanceId) -> CircuitBreaker {
        self.circuit(pool, instance).breaker.clone()
    }

    /// Where calls to scanners are counted.
    pub(crate) fn calls(&self) -> &ScannerCalls {
        &self.inner.calls
    }

    /// Puts the breaker of a scanner in front of it.
    pub fn guard(&self, pool: &PoolName, instance: &InstanceId, scanner: Arc<dyn ScannerInterface>) -> Arc<Guarded> {
        Arc::new(Guarded::new(scanner, self.breaker(pool, instance)).counted(self.calls()))
    }

    /// A breaker that nobody is told of, for what has had this name before.
    pub(super) fn former(&self, pool: &PoolName, instance: &InstanceId) -> CircuitBreaker {
        let name = format!("{} as configured before", scanner_name(pool, instance));
        CircuitBreaker::with_checked(name, self.inner.settings.clone())
    }

    /// Whether calls to a scanner would be made now.
    ///
    /// # Errors
    /// [`CircuitOpen`] when not.
    pub fn check(&self, pool: &PoolName, instance: &InstanceId) -> Result<(), CircuitOpen> {
        self.circuit(pool, instance).breaker.check()
    }

    /// Acts on the notices about these scanners, and tells the others when one has refused the login of this process.
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
        let notices = queue.circuit_notices(pool, instances).await?;
        for (instance, posted) in instances.iter().zip(notices) {
            let circuit = self.circuit(pool, instance);
            circuit.breaker.tick();
            circuit.act_on(posted);
            if let Some((reason, refusals)) = circuit.untold_refusal() {
                let notice = CircuitNotice::login_refused(reason, &*self.inner.name);
                let posted = queue.post_circuit_notice(pool, instance, &notice).await?;
                circuit.shared().posted_refusals = refusals;
                circuit.act_on(Some(posted));
            }
        }
        Ok(())
    }

    /// Does so for all scanners, and publishes how their circuits stand: at once after each change, and again and again.
    /// Never returns.
    pub async fn follow(&self, queue: &dyn Queue) {
        info!(process = self.inner.name, "the circuits of this process are shown under this name");
        let mut reachable = true;
        let mut published = None;
        loop {
            let changed = self.next_change();
            let shared = self.share(queue, &mut published).await;
            match &shared {
                Ok(()) => reachable = true,
                Err(error) if reachable => {
                    warn!(error = chain(error), "circuits are not shared with other processes for now");
                    reachable = false;
                }
                Err(error) => debug!(error = chain(error), "circuits are still not shared"),
            }
            let pause = if shared.is_ok() { LOOK_EVERY } else { FAILURE_WAIT };
            tokio::select! {
                () = changed, if shared.is_ok() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// `published` is when the states were published last, and how many changes are in that.
    async fn share(&self, queue: &dyn Queue, published: &mut Option<(Instant, u64)>) -> Result<(), QueueError> {
        let mut pools: HashMap<PoolName, Vec<InstanceId>> = HashMap::new();
        for (pool, instance) in self.known().keys() {
            pools.entry(pool.clone()).or_default().push(instance.clone());
        }
        for (pool, instances) in pools {
            self.exchange(queue, &pool, &instances).await?;
        }
        let changes = self.inner.changes.count.load(Ordering::Acquire);
        if published.is_none_or(|(at, known)| known != changes || at.elapsed() >= PUBLISH_EVERY) {
            let own = self.report();
            queue.publish_circuit_states(&own.process, &own.circuits, STATES_LAST).await?;
            *published = Some((Instant::now(), changes));
        }
        Ok(())
    }

    /// Takes back what was published, when the process ends.
    pub(crate) async fn withdraw(&self, queue: &dyn Queue) {
        let withdrawn = queue.publish_circuit_states(&self.inner.name, &[], Duration::ZERO);
        if !matches!(tokio::time::timeout(WITHDRAW_WAIT, withdrawn).await, Ok(Ok(()))) {
            debug!("circuits of this process are shown for a few seconds more");
        }
    }

    /// How the circuits of this process stand now, by scanner.
    pub(crate) fn report(&self) -> ProcessCircuits {
        let known = self.known();
        let reports = known.iter().map(|((pool, instance), circuit)| {
            let view = circuit.breaker.view();
            CircuitReport::new(pool.clone(), instance.clone(), view.state, view.reason)
                .with_times(view.lasted, view.left)
                .with_counts(view.opens, view.failures)
        });
        ProcessCircuits::new(&*self.inner.name, Duration::ZERO, reports.collect())
    }

    /// Ready after the next change of a breaker, from when this is called.
    fn next_change(&self) -> OwnedNotified {
        Arc::clone(&self.inner.changes.notify).notified_owned()
    }

    fn circuit(&self, pool: &PoolName, instance: &InstanceId) -> Arc<Circuit> {
        let make = || {
            let changes = Arc::clone(&self.inner.changes);
            let breaker = CircuitBreaker::with_checked(scanner_name(pool, instance), self.inner.settings.clone());
            let breaker = breaker.with_listener(move || {
                changes.count.fetch_add(1, Ordering::AcqRel);
                changes.notify.notify_waiters();
            });
            Arc::new(Circuit { breaker, shared: Mutex::default() })
        };
        Arc::clone(self.known().entry((pool.clone(), instance.clone())).or_insert_with(make))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(PoolName, InstanceId), Arc<Circuit>>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn shared(&self) -> MutexGuard<'_, SharedNotices> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts on a notice that is newer than the last one. An older one stands in a queue that has lost what came after it.
    fn act_on(&self, posted: Option<PostedNotice>) {
        let mut shared = self.shared();
        let is_first_look = !std::mem::replace(&mut shared.has_looked, true);
        let Some(posted) = posted else { return };
        if shared.last.as_ref().is_some_and(|last| posted.version <= last.version) {
            return;
        }
        let last = shared.last.replace(posted.clone());
        let isolates = posted.isolates();
        let CircuitNotice { kind, reason, by } = posted.notice;
        if let CircuitNoticeKind::Command(command) = kind
            && (isolates || !is_first_look)
        {
            info!(scanner = self.breaker.name(), ?command, by, reason, at = %posted.at, "somebody commands the circuit of a scanner");
        }
        match kind {
            CircuitNoticeKind::Command(command) => self.breaker.command(command, reason),
            // This process may have been given another login.
            CircuitNoticeKind::LoginRefused if is_first_look => {}
            CircuitNoticeKind::LoginRefused => {
                if last.is_some_and(|last| last.isolates()) {
                    // A refusal does not replace an isolation: a command in between has ended it.
                    self.breaker.close("an operator has ended the isolation");
                }
                self.breaker.refused_elsewhere(reason);
            }
        }
    }

    /// Why the scanner has refused the login of this process, where others do not know, and how often it has done so.
    fn untold_refusal(&self) -> Option<(String, u64)> {
        let (view, refusals) = (self.breaker.view(), self.breaker.refusals());
        let is_untold = view.state == CircuitState::Unusable && refusals != self.shared().posted_refusals;
        is_untold.then_some((view.reason, refusals))
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
#[path = "circuits_tests.rs"]
mod tests;
