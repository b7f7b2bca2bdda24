//! The queue as an index of the task files: whether it is the one of this data directory, and what is done when it has lost
//! what it knew.
//!
//! Data directory and queue carry one id. A new queue gets that of its directory, whoever comes first; a queue that has lost its
//! data has lost the id as well, is rebuilt from the files, and gets it again at the very end. Until then nothing is
//! claimed from it. A queue that has another id belongs to another directory: its tasks are not here, and ours are not
//! there, so nothing is done with it until an operator decides.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tracing::{debug, error, info, warn};

use super::{
    error::ReconcileError,
    rebuild::rebuild,
    reconcile::{GRACE, forgotten, keeps_its_key, reconcile},
};
use crate::{
    error::{Classified, ErrorKind, chain},
    ids::{InstanceId, PoolName},
    queue::{Binding, Queue, QueueError},
    task::{CatalogueAudit, PoolOrder, QueueFile, Task, TaskManager},
    time::Clock,
};

/// How often it is looked whether the queue is still whole.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The queue of a data directory. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct QueueIndex {
    inner: Arc<Inner>,
    /// Who gives orders.
    actor: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    tasks: TaskManager,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    /// The id of the directory, once it was seen to be that of the queue.
    id: OnceLock<String>,
    /// When the queue was last seen to be whole, and how it was bound.
    seen: Mutex<Option<(Instant, Binding)>>,
    /// The pools of which the log has said that they are paused, with the reason.
    pauses: Mutex<BTreeMap<PoolName, String>>,
    /// Held while the queue is bound, so that this process does it once.
    binding: tokio::sync::Mutex<()>,
    /// When the queue was last seen to fail, or to have lost its data.
    shaken: Mutex<Option<Instant>>,
    has_failed: AtomicBool,
    failure: Notify,
    /// The tasks that the queue had forgotten, and that were enqueued again here.
    repaired: AtomicU64,
}

impl QueueIndex {
    /// The queue of these tasks; nothing is looked at yet.
    /// The tasks are recorded in the catalogue that the queue keeps.
    pub fn new(tasks: TaskManager, queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) -> Self {
        let tasks = tasks.with_catalogue(Arc::clone(&queue));
        let (id, seen, pauses, binding, shaken, has_failed, failure, repaired) = Default::default();
        let actor = tasks.actor().map(Arc::from);
        let inner = Inner { tasks, queue, clock, id, seen, pauses, binding, shaken, has_failed, failure, repaired };
        Self { inner: Arc::new(inner), actor }
    }

    /// The tasks, recorded in the catalogue of this queue.
    pub fn tasks(&self) -> &TaskManager {
        &self.inner.tasks
    }

    /// The queue itself.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.inner.queue
    }

    /// The binding of the queue; `None` while it has none and nothing may be claimed from it.
    ///
    /// # Errors
    /// [`ReconcileError::Mismatch`] for a queue of another directory, [`ReconcileError::DirectoryChanged`], and when queue or
    /// directory cannot be read.
    pub async fn look(&self) -> Result<Option<Binding>, ReconcileError> {
        let was_bound = self.inner.id.get().is_some();
        let looked = self.read().await;
        let whole = looked.as_ref().ok().cloned().flatten();
        let is_another = |binding: &Binding| self.seen().as_ref().is_some_and(|(_, before)| before != binding);
        if looked.is_err() || whole.as_ref().map_or(was_bound, is_another) {
            self.shake();
        }
        *self.seen() = whole.map(|binding| (Instant::now(), binding));
        looked
    }

    /// As [`look`](Self::look), or as it was within the last second: for a step after which [`is_still`](Self::is_still) is
    /// asked, so that what has changed since is noticed there.
    pub(crate) async fn look_lately(&self) -> Result<Option<Binding>, ReconcileError> {
        let seen = self.seen().clone();
        match seen {
            Some((at, binding)) if at.elapsed() < LOOK_EVERY => Ok(Some(binding)),
            _ => self.look().await,
        }
    }

    /// Whether the queue has failed or lost its data so lately that it may not have heard from all who work.
    pub(crate) fn is_shaken(&self, lately: Duration) -> bool {
        let shaken = *self.inner.shaken.lock().unwrap_or_else(PoisonError::into_inner);
        shaken.is_some_and(|at| at.elapsed() < lately)
    }

    fn shake(&self) {
        *self.inner.shaken.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn seen(&self) -> MutexGuard<'_, Option<(Instant, Binding)>> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Option<Binding>, ReconcileError> {
        let Inner { tasks, queue, id: known, .. } = self.inner.as_ref();
        // What is found meanwhile by another look says nothing about a file that was read before.
        let before = known.get().cloned();
        // In this order: the directory has its id before the queue is bound to it, so what is bound is found there, also
        // while another process is just doing both.
        let binding = queue.binding().await?;
        let file = tasks.queue_file().await?;
        self.say_pauses(&file);
        if let Some(before) = before.filter(|before| file.id.as_ref() != Some(before)) {
            return Err(ReconcileError::DirectoryChanged { before });
        }
        let binding = check(&file, binding)?;
        if let Some(binding) = &binding {
            known.get_or_init(|| binding.directory.clone());
        }
        Ok(binding)
    }

    /// The binding of the queue, after it was rebuilt from the files and bound to this directory if it was to none.
    ///
    /// # Errors
    /// As [`look`](Self::look), and when the queue cannot be bound.
    pub(crate) async fn ensure(&self) -> Result<Binding, ReconcileError> {
        if let Some(binding) = self.look().await? {
            return Ok(binding);
        }
        let _alone = self.inner.binding.lock().await;
        if let Some(binding) = self.look().await? {
            return Ok(binding);
        }
        // Where both are new, or of an older version, there is nothing to restore.
        if self.inner.tasks.queue_file().await?.id.is_some() {
            self.rebuild().await?;
        }
        self.bind(None).await
    }

    /// Whether the queue's binding is still this one: what it was asked for meanwhile, it still knows.
    pub(crate) async fn is_still(&self, binding: &Binding) -> Result<bool, QueueError> {
        let is_still = self.inner.queue.binding().await?.as_ref() == Some(binding);
        if !is_still {
            self.shake();
            *self.seen() = None;
        }
        Ok(is_still)
    }

    /// Whether the task is the one that its idempotency key stands for, in a queue that is whole. It is cancelled if not.
    pub(crate) async fn settle(&self, task: &Task) -> Result<bool, ReconcileError> {
        self.ensure().await?;
        let Inner { tasks, queue, clock, .. } = self.inner.as_ref();
        keeps_its_key(tasks, queue.as_ref(), task, clock.now()).await
    }

    /// Stops claims of tasks that have not started from the pool, durably: a queue that is rebuilt is paused again.
    ///
    /// # Errors
    /// When directory or queue cannot be written; the pause may hold then, and the call can be repeated.
    pub async fn pause_pool(&self, pool: &PoolName, reason: &str) -> Result<(), ReconcileError> {
        self.ensure().await?;
        let (paused, text) = (pool.clone(), reason.to_owned());
        let order = self.order(true);
        let change = move |file: &mut QueueFile| {
            file.orders.insert(paused.clone(), order);
            file.paused.insert(paused, text);
        };
        self.inner.tasks.update_queue_file(change).await?;
        Ok(self.inner.queue.pause_pool(pool, reason).await?)
    }

    /// Allows claims from the pool again.
    ///
    /// # Errors
    /// As [`pause_pool`](Self::pause_pool).
    pub async fn resume_pool(&self, pool: &PoolName) -> Result<(), ReconcileError> {
        self.ensure().await?;
        let resumed = pool.clone();
        let order = self.order(false);
        let change = move |file: &mut QueueFile| {
            if file.paused.remove(&resumed).is_some() {
                file.orders.insert(resumed, order);
            }
        };
        self.inner.tasks.update_queue_file(change).await?;
        Ok(self.inner.queue.resume_pool(pool).await?)
    }

    fn order(&self, paused: bool) -> PoolOrder {
        PoolOrder::new(paused, self.actor.as_deref().unwrap_or("operator"), self.inner.clock.now())
    }

    /// The same index, for somebody who gives orders.
    pub(crate) fn with_actor(&self, actor: Arc<str>) -> Self {
        Self { actor: Some(actor), ..self.clone() }
    }

    /// Says in the log which pools are paused, and by whom, as often as that changes.
    fn say_pauses(&self, file: &QueueFile) {
        let mut said = self.inner.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        for (pool, reason) in file.paused.iter().filter(|(pool, reason)| said.get(*pool) != Some(*reason)) {
            let order = file.orders.get(pool).filter(|order| order.paused);
            let (by, at) = order.map(|order| (order.by.as_str(), tracing::field::display(order.at))).unzip();
            warn!(%pool, reason, by, at, "the pool is paused: no scan begins there until it is resumed");
        }
        for pool in said.keys().filter(|pool| !file.paused.contains_key(*pool)) {
            let order = file.orders.get(pool).filter(|order| !order.paused);
            let (by, at) = order.map(|order| (order.by.as_str(), tracing::field::display(order.at))).unzip();
            info!(%pool, by, at, "the pool is resumed and takes tasks again");
        }
        if *said != file.paused {
            said.clone_from(&file.paused);
        }
    }

    /// Writes down whether an operator has isolated a scanner, and why; the queue is told by the caller.
    pub(crate) async fn record_isolation(
        &self,
        pool: &PoolName,
        instance: &InstanceId,
        reason: Option<&str>,
    ) -> Result<(), ReconcileError> {
        self.ensure().await?;
        let (pool, instance, reason) = (pool.clone(), instance.clone(), reason.map(str::to_owned));
        let change = move |file: &mut QueueFile| {
            let isolated = file.isolated.entry(pool.clone()).or_default();
            match reason {
                Some(reason) => _ = isolated.insert(instance, reason),
                None => _ = isolated.remove(&instance),
            }
            file.isolated.retain(|_, instances| !instances.is_empty());
        };
        self.inner.tasks.update_queue_file(change).await?;
        Ok(())
    }

    async fn rebuild(&self) -> Result<(), ReconcileError> {
        self.shake();
        let Inner { tasks, queue, clock, .. } = self.inner.as_ref();
        rebuild(tasks, queue.as_ref(), clock.now()).await
    }

    /// Lets the queue belong to this directory, whatever it belonged to before, with all that the directory remembers.
    ///
    /// # Errors
    /// When queue or directory cannot be read or written, or another process binds the queue at the same moment.
    pub async fn rebind(&self) -> Result<Binding, ReconcileError> {
        let standing = self.inner.queue.binding().await?;
        self.rebuild().await?;
        self.bind(standing).await
    }

    /// Binds the queue to this directory. Of several processes that do so at once one succeeds, and the others find that it
    /// has done the same.
    async fn bind(&self, standing: Option<Binding>) -> Result<Binding, ReconcileError> {
        let Inner { tasks, queue, .. } = self.inner.as_ref();
        let new_id = || uuid::Uuid::new_v4().simple().to_string();
        let file = tasks.update_queue_file(move |file| _ = file.id.get_or_insert_with(new_id)).await?;
        let binding = Binding::new(file.id.clone().unwrap_or_default());
        let stands = queue.bind(standing, &binding).await?;
        debug!(directory = binding.directory, "the queue is bound to the data directory");
        Ok(check(&file, stands)?.unwrap_or(binding))
    }

    /// Compares all task files with the catalogue and the queue, and changes nothing; returns what was found, and how many tasks
    /// the queue has forgotten.
    ///
    /// # Errors
    /// As [`look`](Self::look), and when files or queue cannot be read.
    pub async fn audit(&self) -> Result<(CatalogueAudit, usize), ReconcileError> {
        let Inner { tasks, queue, clock, .. } = self.inner.as_ref();
        self.look().await?;
        let audit = tasks.audit().await?.unwrap_or_default();
        Ok((audit, forgotten(tasks, queue.as_ref(), clock.now()).await?))
    }

    /// As [`audit`](Self::audit), and makes right what the catalogue has wrong and enqueues what the queue has forgotten; returns
    /// what was found, and how many tasks were enqueued.
    ///
    /// # Errors
    /// Those of [`audit`](Self::audit), and when the queue cannot be written.
    pub async fn repair(&self) -> Result<(CatalogueAudit, usize), ReconcileError> {
        self.ensure().await?;
        let audit = self.inner.tasks.repair().await?.unwrap_or_default();
        Ok((audit, self.reconcile().await?))
    }

    /// Enqueues the tasks that the queue has forgotten, once; returns how many. Without need of a worker or server that
    /// [watches](Self::watch) the queue.
    ///
    /// # Errors
    /// When files cannot be read, or the queue cannot be asked or written.
    pub async fn reconcile(&self) -> Result<usize, ReconcileError> {
        let Inner { tasks, queue, clock, repaired, .. } = self.inner.as_ref();
        let enqueued = reconcile(tasks, queue.as_ref(), clock.now()).await?;
        repaired.fetch_add(enqueued as u64, Ordering::Relaxed);
        Ok(enqueued)
    }

    /// How many tasks this process has enqueued again that the queue had forgotten.
    pub(crate) fn repaired(&self) -> u64 {
        self.inner.repaired.load(Ordering::Relaxed)
    }

    /// Says that the queue did not do what it was asked for, so that it is compared with the files as soon as it answers.
    pub(crate) fn notice_failure(&self) {
        self.inner.has_failed.store(true, Ordering::Relaxed);
        self.inner.failure.notify_one();
    }

    /// Sees to it that the queue is bound and knows all tasks: at once, when it answers again after a failure, when it was
    /// bound anew, and regularly if a time is given. Never returns.
    pub async fn watch(&self, regularly: Option<Duration>) {
        let Inner { tasks, has_failed, failure, .. } = self.inner.as_ref();
        let mut bound: Option<Binding> = None;
        let mut said = None;
        let (mut compared, mut next): (Option<Instant>, Option<Instant>) = (None, None);
        let mut is_urgent = false;
        loop {
            match self.ensure().await {
                Ok(binding) => {
                    said = None;
                    let now = Instant::now();
                    if bound.as_ref() != Some(&binding) {
                        bound = Some(binding);
                        (is_urgent, next) = (true, Some(now));
                    } else if has_failed.swap(false, Ordering::Relaxed) || tasks.is_behind() {
                        // A queue that refuses one thing again and again need not be compared each time.
                        (is_urgent, next) = (true, Some(compared.map_or(now, |compared| compared + GRACE)));
                    }
                    if next.is_some_and(|next| next <= now) {
                        match self.reconcile().await {
                            Ok(0) => {}
                            Ok(count) => warn!(count, "tasks the queue had forgotten were enqueued again"),
                            Err(error) => {
                                has_failed.store(true, Ordering::Relaxed);
                                warn!(
                                    error = chain(&error),
                                    hint = error.hint(),
                                    "task files and queue could not be compared"
                                );
                            }
                        }
                        compared = Some(now);
                        // What was too young for this time must not wait for the next regular one.
                        let pause = if std::mem::take(&mut is_urgent) { Some(GRACE) } else { regularly };
                        next = pause.map(|pause| now + pause);
                    }
                }
                Err(failed) => {
                    has_failed.store(true, Ordering::Relaxed);
                    let code = failed.code();
                    if said == Some(code) {
                        debug!(error = chain(&failed), "the queue still cannot be used");
                    } else if failed.kind() == ErrorKind::Configuration {
                        error!(error = chain(&failed), hint = failed.hint(), "nothing is claimed from this queue");
                    } else {
                        warn!(error = chain(&failed), hint = failed.hint(), "the queue cannot be used for now");
                    }
                    said = Some(code);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = failure.notified(), if said.is_none() => {}
            }
        }
    }
}

/// The binding of the queue of these tasks; `None` for them where nobody has kept any yet.
///
/// # Errors
/// [`ReconcileError::Mismatch`] for a queue of another directory, and when queue or directory cannot be read.
pub async fn binding_of(tasks: Option<&TaskManager>, queue: &dyn Queue) -> Result<Option<Binding>, ReconcileError> {
    let binding = queue.binding().await?;
    let file = match tasks {
        Some(tasks) => tasks.queue_file().await?,
        None => QueueFile::default(),
    };
    check(&file, binding)
}

/// The binding, unless it is to another directory. A directory without an id is not the one that gave the queue its own.
fn check(file: &QueueFile, binding: Option<Binding>) -> Result<Option<Binding>, ReconcileError> {
    match binding {
        Some(binding) if file.id.as_ref() != Some(&binding.directory) => {
            Err(ReconcileError::Mismatch { directory: file.id.clone(), queue: binding.directory })
        }
        binding => Ok(binding),
    }
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::{queue::sqlite::SqliteQueue, time::SystemClock};

    /// What was seen a moment ago is enough before a claim because it is compared after it, and is not believed again then.
    #[tokio::test]
    async fn a_change_since_the_last_look_is_noticed_after_the_claim() {
        let directory = tempfile::tempdir().unwrap();
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
        let tasks = TaskManager::open(directory.path()).unwrap();
        let index = QueueIndex::new(tasks, Arc::clone(&queue), Arc::new(SystemClock));
        assert_eq!(index.look_lately().await.unwrap(), None, "not bound yet");
        let bound = index.ensure().await.unwrap();
        assert_eq!(index.look_lately().await.unwrap().as_ref(), Some(&bound));
        assert!(index.is_still(&bound).await.unwrap());

        queue.bind(Some(bound.clone()), &Binding::new("another")).await.unwrap();
        assert!(!index.is_still(&bound).await.unwrap());
        assert!(matches!(index.look_lately().await, Err(ReconcileError::Mismatch { .. })));
    }

    /// Until the queue has heard from all who work, nobody is missed. The first binding of a new queue is no loss.
    #[tokio::test]
    async fn it_is_known_for_a_while_that_the_queue_has_lost_its_data() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = TaskManager::open(directory.path()).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&directory.path().join("queue.db")).unwrap());
        let index = QueueIndex::new(tasks, Arc::clone(&queue), Arc::new(SystemClock));
        let lately = Duration::from_secs(3600);
        let bound = index.ensure().await.unwrap();
        index.look().await.unwrap();
        assert!(!index.is_shaken(lately));
        // Another process has rebuilt it.
        queue.bind(Some(bound.clone()), &Binding::new(bound.directory.clone())).await.unwrap();
        index.look().await.unwrap();
        assert!(index.is_shaken(lately) && !index.is_shaken(Duration::ZERO));
    }
}
