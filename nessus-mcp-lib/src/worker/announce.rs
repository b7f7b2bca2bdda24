//! What a worker tells of itself through the queue, so that operators see it and nobody waits for one that is gone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::queue_clock::QueueClock;
use crate::{
    config::{host_name, user_name},
    error::chain,
    ids::{TaskId, WorkerId},
    queue::{Queue, QueueError, ServedPool, WorkerRecord},
    scanner::ScannerPool,
    telemetry::Metrics,
    time::{BootInstant, Clock as _, Timestamp},
};

/// How often a worker announces itself.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(5);
/// How long a worker is remembered that died without a word.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long the end of a worker waits for a queue that does not answer.
const WITHDRAW_WAIT: Duration = Duration::from_secs(1);

/// The tasks that a worker holds. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldTasks(Arc<Mutex<Vec<TaskId>>>);

/// A task counts as held until this is dropped.
pub(super) struct Holding {
    tasks: HeldTasks,
    task_id: TaskId,
}

impl HeldTasks {
    pub(super) fn hold(&self, task_id: TaskId) -> Holding {
        self.tasks().push(task_id.clone());
        Holding { tasks: self.clone(), task_id }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the order of their ids. One that was lost and claimed again is held twice for a moment.
    fn sorted(&self) -> Vec<TaskId> {
        let mut tasks = self.tasks().clone();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut tasks = self.tasks.tasks();
        if let Some(at) = tasks.iter().position(|held| *held == self.task_id) {
            tasks.swap_remove(at);
        }
    }
}

/// Tells of a worker. A queue that does not answer costs it nothing.
pub(super) struct Announcer<'w> {
    pub(super) worker: &'w WorkerId,
    pub(super) queue: &'w dyn Queue,
    pub(super) clock: &'w QueueClock,
    pub(super) metrics: &'w Metrics,
    pub(super) holds: &'w HeldTasks,
    /// Cancelled when the worker shall stop.
    pub(super) stop: &'w CancellationToken,
    /// When the worker started, by the time that goes on while the machine is suspended.
    pub(super) started: BootInstant,
}

impl Announcer<'_> {
    /// Announces the worker now, and again and again, with the pools that `pools` tells each time. Never returns.
    pub(super) async fn follow(&self, pools: impl Fn() -> Vec<Arc<ScannerPool>>) {
        let (host, user) = (host_name(), user_name());
        let mut started_at = None;
        loop {
            let announced = async {
                let since = match started_at {
                    Some(known) => known,
                    None => *started_at.insert(self.started_at().await?),
                };
                let mut record = WorkerRecord::new(self.worker.clone(), since);
                (record.host, record.user) = (host.clone(), user.clone());
                record.pools = pools().iter().map(|pool| served(pool)).collect();
                record.holds = self.holds.sorted();
                record.clock_offset_ms = self.clock.ahead_ms();
                record.stopping = self.stop.is_cancelled();
                self.queue.announce_worker(&record, KEPT).await
            };
            if let Err(error) = announced.await {
                debug!(error = chain(&error), "the worker could not announce itself");
            }
            tokio::time::sleep(ANNOUNCE_EVERY).await;
        }
    }

    /// Takes back what was told, when the worker ends.
    pub(super) async fn withdraw(&self) {
        let withdrawn = self.queue.withdraw_worker(self.worker);
        if !matches!(tokio::time::timeout(WITHDRAW_WAIT, withdrawn).await, Ok(Ok(()))) {
            debug!("the worker could not withdraw, and will be shown as lost");
        }
    }

    /// By the queue's clock.
    async fn started_at(&self) -> Result<Timestamp, QueueError> {
        self.clock.look(self.queue, self.metrics).await?;
        Ok(self.clock.now().minus(self.started.elapsed()))
    }
}

fn served(pool: &ScannerPool) -> ServedPool {
    ServedPool::new(pool.name.clone(), pool.instance_ids(), pool.capacity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_held_twice_is_held_until_both_end() {
        let holds = HeldTasks::default();
        let task = |name: &str| TaskId::generate("mock", name, Timestamp::from_millis(0));
        let (one, two) = (task("one"), task("two"));
        let (first, again, other) = (holds.hold(two.clone()), holds.hold(two.clone()), holds.hold(one.clone()));
        assert_eq!(holds.sorted(), [one.clone(), two.clone()]);
        drop(first);
        assert_eq!(holds.sorted(), [one, two.clone()]);
        drop(other);
        assert_eq!(holds.sorted(), [two]);
        drop(again);
        assert_eq!(holds.sorted(), []);
    }
}
