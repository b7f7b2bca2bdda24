//! The only writer of tasks.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::task::JoinError;
use tracing::{Instrument as _, info, warn};

use super::{
    catalogue::Catalogue,
    deliveries::announce_deliveries,
    entry::{TaskEntry, digest},
    error::TaskError,
    events::{EventKind, TaskEvent},
    model::Task,
    queue_file::QueueFile,
    records::{Charges, HistoryEntry},
    state::{StateTransitionError, TaskStatus},
    store::{EXPORT_FILE, TaskStore},
};
use crate::{
    error::chain,
    fail_points::fail_point,
    ids::{FencingToken, TaskId},
    policy::Scope,
    queue::{CatalogueRecord, Queue},
    time::{Clock, SystemClock, Timestamp},
};

/// Who changes a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A worker that holds the claim with this fencing token. It may only change tasks that are not terminal, and only
    /// while no later claim has written.
    Worker(FencingToken),
    /// The API layer or an operator, who hold no claim.
    Api,
}

/// Creates, reads and changes tasks. Cheap to clone; any number of processes may share one data directory.
///
/// # Example
/// ```
/// # tokio_test(async {
/// use nessus_mcp_lib::{TaskManager, ids::{PoolName, TaskId, TraceId}, task::{ScanPayload, ScanType, Task, TaskStatus, Writer}, time::Timestamp};
/// let directory = tempfile::tempdir()?;
/// let tasks = TaskManager::open(directory.path())?;
/// let now = Timestamp::from_millis(1_764_599_422_000);
/// let id = TaskId::generate("nessus", "nessus", now);
/// let payload = ScanPayload::new("office", "192.0.2.0/24");
/// tasks.create(Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "nessus", PoolName::new("nessus")?, payload, now)).await?;
/// let task = tasks.update(&id, Writer::Api, |task| task.status = TaskStatus::Cancelled).await?;
/// assert!(task.completed_at.is_some());
/// assert!(tasks.update(&id, Writer::Api, |task| task.status = TaskStatus::Running).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # });
/// # fn tokio_test(f: impl Future<Output = Result<(), Box<dyn std::error::Error>>>) {
/// #     tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f).unwrap();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TaskManager {
    pub(super) store: TaskStore,
    clock: Arc<dyn Clock>,
    /// Who changes tasks, as their events say.
    actor: Option<Arc<str>>,
    pub(super) catalogue: Option<Arc<Catalogue>>,
    /// Whose webhooks are told what happens to tasks.
    webhooks: Option<Scope>,
    /// The tasks that could not be read, each of which was said in the log once.
    pub(super) unreadable: Arc<Mutex<HashSet<TaskId>>>,
}

impl TaskManager {
    /// Opens `{data_dir}/tasks`, creating it when it is missing.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when the directory cannot be created or written to.
    pub fn open(data_dir: &Path) -> Result<Self, TaskError> {
        Self::open_with_clock(data_dir, Arc::new(SystemClock))
    }

    /// The tasks of a data directory that is there, for who only reads: nothing is made, and nothing is written to find out whether
    /// it could be.
    pub fn to_read(data_dir: &Path) -> Self {
        Self::in_store(TaskStore::to_read(data_dir), Arc::new(SystemClock))
    }

    /// As [`TaskManager::open`], with a clock of the caller's.
    pub fn open_with_clock(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, TaskError> {
        Ok(Self::in_store(TaskStore::open(data_dir)?, clock))
    }

    /// The tasks of this store.
    pub(super) fn in_store(store: TaskStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, actor: None, catalogue: None, webhooks: None, unreadable: Arc::default() }
    }

    /// The same tasks, recorded in the catalogue that this queue keeps: lists then come from there. Without it, every list
    /// reads all files.
    #[must_use]
    pub fn with_catalogue(mut self, queue: Arc<dyn Queue>) -> Self {
        if self.catalogue.as_ref().is_none_or(|catalogue| !Arc::ptr_eq(&catalogue.queue, &queue)) {
            self.catalogue = Some(Arc::new(Catalogue::new(self.store.clone(), queue)));
        }
        self
    }

    /// The same tasks, of which the webhooks of this scope are told. Without them, nobody is.
    #[must_use]
    pub fn with_webhooks(mut self, scope: Scope) -> Self {
        self.webhooks = Some(scope);
        self
    }

    /// The same tasks, with changes dated by another clock.
    pub(crate) fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self.clone() }
    }

    /// The same tasks, changed by somebody: a client, `user@host` or a worker. Their events say so.
    #[must_use]
    pub fn acting_as(&self, actor: impl Into<Arc<str>>) -> Self {
        Self { actor: Some(actor.into()), ..self.clone() }
    }

    /// Who changes tasks, if that was said.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Writes a new task, durably.
    ///
    /// # Errors
    /// [`TaskError::AlreadyExists`] when a task of this id was created before; it is not changed.
    pub async fn create(&self, task: Task) -> Result<(), TaskError> {
        self.create_with(task, None).await
    }

    /// As [`create`](Self::create), with the sealed login that came with the request, which is kept until the task ends.
    pub(crate) fn create_with(
        &self,
        mut task: Task,
        sealed: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let manager = self.clone();
        self.to_its_end(async move {
            task.revision = 1;
            task.note_submit(manager.actor());
            note_events(&mut task, None, manager.webhooks.as_ref());
            let to_tell = task.has_deliveries().then(|| task.clone());
            let task_id = task.task_id.clone();
            let hold = manager.store.blocking(move |store| store.begin(&task_id)).await?;
            if let Some(catalogue) = &manager.catalogue
                && let Err(error) = catalogue.enter(&mut task).await
            {
                drop(hold);
                manager.store.blocking(move |store| store.remove_empty(&task.task_id)).await?;
                return Err(error);
            }
            fail_point!("submit_task_recorded");
            let record = manager.record_again_of(&task);
            manager.store.blocking(move |store| store.create(&task, sealed.as_deref(), hold)).await?;
            manager.note_again(record).await;
            if let Some(task) = to_tell {
                manager.announce(&task).await;
            }
            Ok(())
        })
    }

    /// The sealed login that came with the request of a task, if it is kept.
    pub(crate) async fn sealed_login(&self, task_id: &TaskId) -> Result<Option<Vec<u8>>, TaskError> {
        let task_id = task_id.clone();
        self.store.blocking(move |store| store.sealed_login(&task_id)).await
    }

    /// Reads a task.
    pub async fn get(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let task_id = task_id.clone();
        self.store.blocking(move |store| store.look(&task_id)).await
    }

    /// Reads a task, and whether its export is there.
    pub(crate) async fn get_with_export(&self, task_id: &TaskId) -> Result<(Task, bool), TaskError> {
        let task_id = task_id.clone();
        self.store
            .blocking(move |store| {
                let task = store.look(&task_id)?;
                let has_export = store.has_results(&task, EXPORT_FILE);
                Ok((task, has_export))
            })
            .await
    }

    /// Changes a task while nobody else does and writes it durably; returns it as it then is. Where others cannot be kept from it,
    /// `change` is done again with what they have written.
    ///
    /// A changed `status` is checked against the state machine and recorded in `history`; entering a terminal state
    /// sets `completed_at` and `execution_time`, and removes the sealed login. Everything else is as `change` leaves it.
    ///
    /// # Errors
    /// [`TaskError::Transition`] for a step the state machine does not have, [`TaskError::StaleFencingToken`] when a later
    /// claim has written since; the file is then as it was.
    pub async fn update(
        &self,
        task_id: &TaskId,
        writer: Writer,
        change: impl FnOnce(&mut Task) + Clone + Send + 'static,
    ) -> Result<Task, TaskError> {
        let (task_id, manager) = (task_id.clone(), self.clone());
        self.to_its_end(async move {
            let (clock, actor) = (Arc::clone(&manager.clock), manager.actor.clone());
            let webhooks = manager.webhooks.clone();
            let written = manager.store.blocking(move |store| {
                store.change(&task_id, |hold, before| {
                    check_writer(&before, writer)?;
                    let mut task = before.clone();
                    change.clone()(&mut task);
                    let now = clock.now();
                    if let Writer::Worker(fence) = writer {
                        task.fence = Some(fence);
                    }
                    if task.status != before.status {
                        before.status.check(task.status)?;
                        record_step(&mut task, before.status, now);
                    }
                    let has_events = note_events(&mut task, Some(&before), webhooks.as_ref());
                    if task != before {
                        let events = task.note_changes(&before, actor.as_deref(), now);
                        task.revision = before.revision.saturating_add(1);
                        store.write(hold, &task)?;
                        for event in &events {
                            say(&task, event);
                        }
                    }
                    let record = TaskEntry::record(&task, store.has_login_left(&task));
                    let is_new = digest(&record) != digest(&TaskEntry::record(&before, false));
                    Ok((task, is_new.then_some(record), has_events))
                })
            });
            let (task, record, has_events) = written.await?;
            if task.status.is_terminal() {
                fail_point!("worker_end_not_recorded");
            }
            if let (Some(catalogue), Some(record)) = (&manager.catalogue, record) {
                catalogue.note(record).await;
            }
            if has_events {
                manager.announce(&task).await;
            }
            Ok(task)
        })
        .await
    }

    /// Puts a failed or timed out task back into the queue: `attempt` grows, the history stays. A scan that is complete, or
    /// that may run and was not told to stop, stays the task's; any other that may run stands in [`Task::open_scans`]. `charges` is
    /// what the next attempt counts, what is of a day only if it has to launch a scan, and `principal` under whose rights it runs.
    ///
    /// # Errors
    /// [`TaskError::Transition`] when the task is in another state, [`TaskError::LoginGone`] when it needs another scan and its
    /// login was removed.
    pub(crate) async fn retry(
        &self,
        task_id: &TaskId,
        charges: Charges,
        principal: Option<String>,
    ) -> Result<Task, TaskError> {
        let (task_id, manager) = (task_id.clone(), self.clone());
        self.to_its_end(async move {
            let again = |task: &mut Task| {
                begin_retry(task, (charges.clone(), principal.clone()), manager.clock.now())?;
                task.note_retry(manager.actor(), manager.clock.now());
                Ok(true)
            };
            let task = manager.reopen(&task_id, again).await?;
            for event in task.events.iter().rev().take(2) {
                say(&task, event);
            }
            Ok(task)
        })
        .await
    }

    /// Lets what webhooks could not be told of a task be told again, from the start; returns the task, and how much that is.
    pub(crate) async fn revive_deliveries(&self, task_id: &TaskId) -> Result<(Task, usize), TaskError> {
        let (task_id, manager) = (task_id.clone(), self.clone());
        self.to_its_end(async move {
            let mut revived = 0;
            let again = |task: &mut Task| {
                revived = task.revive_deliveries();
                Ok(revived > 0)
            };
            let task = manager.reopen(&task_id, again).await?;
            Ok((task, revived))
        })
        .await
    }

    /// Writes a task that has ended as one that has to be looked after again, if `change` says so. The reconciler finds what the catalogue
    /// has as unfinished, whoever dies in between.
    async fn reopen(
        &self,
        task_id: &TaskId,
        mut change: impl FnMut(&mut Task) -> Result<bool, TaskError>,
    ) -> Result<Task, TaskError> {
        let mut round = 0;
        loop {
            let of = task_id.clone();
            let read = self.store.blocking(move |store| {
                let hold = store.hold(&of)?;
                let task = store.read_held(&hold, &of)?;
                Ok((hold, task))
            });
            let (hold, mut task) = read.await?;
            let attempt = task.attempt;
            if !change(&mut task)? {
                return Ok(task);
            }
            task.revision = task.revision.saturating_add(1);
            if let Some(catalogue) = &self.catalogue {
                catalogue.enter(&mut task).await?;
            }
            if task.attempt != attempt {
                fail_point!("retry_recorded");
            }
            let record = self.record_again_of(&task);
            let written = self.store.blocking(move |store| {
                if task.attempt != attempt {
                    store.drop_results(&mut task)?;
                }
                store.write(&hold, &task)?;
                Ok(task)
            });
            match written.await {
                Err(error) => round = self.store.blocking(move |_| TaskStore::again(round, error)).await?,
                Ok(task) => {
                    self.note_again(record).await;
                    return Ok(task);
                }
            }
        }
    }

    /// What is recorded of a task once more after it was written, where somebody may have made the catalogue again between its record and
    /// its file: nobody is kept from reading a task that is not locked.
    fn record_again_of(&self, task: &Task) -> Option<CatalogueRecord> {
        (!self.store.locks()).then(|| TaskEntry::record(task, false))
    }

    async fn note_again(&self, record: Option<CatalogueRecord>) {
        if let (Some(catalogue), Some(record)) = (&self.catalogue, record) {
            catalogue.note(record).await;
        }
    }

    /// Puts a task into the queue of deliveries if there is something of it to deliver, to be looked at now. A queue that cannot do that
    /// fails nothing: the reconciler does it when the queue answers again.
    pub(crate) async fn announce(&self, task: &Task) {
        let Some(catalogue) = self.catalogue.as_ref().filter(|_| task.has_deliveries()) else { return };
        let enqueued = if catalogue.has_just_failed() {
            None
        } else {
            let enqueued = catalogue.in_time(announce_deliveries(catalogue.queue.as_ref(), task)).await;
            enqueued
                .inspect_err(|error| warn!(task_id = %task.task_id, error = chain(error), "webhooks are told later"))
                .ok()
        };
        if enqueued.is_none() {
            catalogue.unrecorded().add(task.task_id.clone());
        }
    }

    /// The ids of all tasks, newest first by the time in their names. A task that is just being created or removed may be among
    /// them.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when they cannot be listed.
    pub async fn ids(&self) -> Result<Vec<TaskId>, TaskError> {
        self.store.blocking(TaskStore::list).await
    }

    /// Writes a document about something that is removed to `archive/{name}.json`, durably; an older one is replaced.
    pub(crate) async fn archive(&self, name: &str, document: Value) -> Result<(), TaskError> {
        let name = name.to_owned();
        self.store.blocking(move |store| store.archive(&name, &document)).await
    }

    /// What is remembered beside the tasks of their queue; empty where nothing is.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when it cannot be read, [`TaskError::Damaged`] when it makes no sense.
    pub async fn queue_file(&self) -> Result<QueueFile, TaskError> {
        self.store.blocking(TaskStore::queue_file).await
    }

    /// Reads a file that lies beside the tasks; `None` when there is none.
    pub(crate) async fn data_file(&self, name: &'static str) -> Result<Option<Vec<u8>>, TaskError> {
        self.store.blocking(move |store| store.data_file(name)).await
    }

    /// Replaces a file that lies beside the tasks, durably.
    pub(crate) async fn write_data_file(&self, name: &'static str, content: Vec<u8>) -> Result<(), TaskError> {
        self.store.blocking(move |store| store.write_data_file(name, &content)).await
    }

    /// Changes what the data directory remembers of its queue, durably; returns it as it then is.
    pub(crate) async fn update_queue_file(
        &self,
        change: impl FnOnce(&mut QueueFile) + Clone + Send + 'static,
    ) -> Result<QueueFile, TaskError> {
        self.store.blocking(move |store| store.update_queue_file(change)).await
    }

    /// Does `work` to its end, even when the returned future is dropped: a file that was written is recorded.
    pub(super) fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TaskError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, TaskError>> + Send {
        let running = tokio::spawn(work.in_current_span());
        async {
            match running.await.map_err(JoinError::try_into_panic) {
                Ok(result) => result,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_cancelled)) => {
                    let stopping = io::Error::other("the runtime is shutting down");
                    Err(TaskError::storage("cannot reach", self.store.root())(stopping))
                }
            }
        }
    }
}

/// Makes of a task what its next attempt begins with.
fn begin_retry(
    task: &mut Task,
    (charges, principal): (Charges, Option<String>),
    now: Timestamp,
) -> Result<(), TaskError> {
    let from = task.status;
    if !from.allows_retry() {
        return Err(StateTransitionError { from, to: TaskStatus::Queued }.into());
    }
    task.charge_retry(charges);
    task.status = TaskStatus::Queued;
    record_step(task, from, now);
    task.pass_on_scan();
    if task.nessus_scan_id.is_none() && task.has_sealed_login() {
        return Err(TaskError::LoginGone(task.task_id.clone()));
    }
    task.attempt += 1;
    task.principal = principal;
    task.started_at = None;
    task.completed_at = None;
    task.execution_time = None;
    task.error_message = None;
    task.error_code = None;
    task.error_hint = None;
    task.validation_stats = None;
    task.validation_warnings.clear();
    task.authentication_status = None;
    task.progress = None;
    task.observation = None;
    task.export_fetched_at = None;
    task.export = None;
    task.cancel_requested_at = None;
    task.cancel_reason = None;
    task.pause_request = None;
    task.paused_seconds = 0.0;
    // A scan that it goes on with may be held because of us, and has to be resumed.
    task.pause = task.pause.take().filter(|_| task.nessus_scan_id.is_some());
    if let Some(pause) = &mut task.pause {
        pause.since = now;
    }
    task.dismissed_at = None;
    // Each attempt needs one of its own.
    task.approval = None;
    Ok(())
}

/// Writes down what has happened since `before` and webhooks want to hear; whether there is something.
fn note_events(task: &mut Task, before: Option<&Task>, webhooks: Option<&Scope>) -> bool {
    webhooks.is_some_and(|scope| task.note_events(before, scope))
}

pub(super) fn check_writer(task: &Task, writer: Writer) -> Result<(), TaskError> {
    let Writer::Worker(ours) = writer else {
        return Ok(());
    };
    if let Some(current) = task.fence.filter(|current| *current > ours) {
        return Err(TaskError::StaleFencingToken { task_id: task.task_id.clone(), current, ours });
    }
    if task.status.is_terminal() {
        return Err(StateTransitionError { from: task.status, to: TaskStatus::Running }.into());
    }
    Ok(())
}

fn record_step(task: &mut Task, from: TaskStatus, now: Timestamp) {
    task.history.push(HistoryEntry {
        at: now,
        from,
        to: task.status,
        attempt: task.attempt,
        error_code: task.error_code.clone(),
    });
    if task.status == TaskStatus::Running && task.started_at.is_none() {
        task.started_at = Some(now);
    }
    if task.status.is_terminal() {
        task.completed_at = Some(now);
        task.last_error = None;
        task.execution_time = task.time_counts_from(now).map(|start| now.since(start).as_secs_f64());
    }
}

/// Says in the log what people and workers have decided about a task: the steps of its scan are said where they are taken.
fn say(task: &Task, event: &TaskEvent) {
    let said = match event.event {
        EventKind::Claimed => "a worker has claimed the task",
        EventKind::Adopted => "a worker goes on with the scan of another",
        EventKind::HandedOver => "the task is handed over to the next worker",
        EventKind::CancelRequested => "somebody wants the task to be cancelled",
        EventKind::Cancelled => "the task is cancelled",
        EventKind::PauseRequested => "somebody wants the task to be paused",
        EventKind::ResumeRequested => "somebody wants the task to go on",
        EventKind::RetryRequested => "somebody lets the task run once more",
        _ => return,
    };
    let TaskEvent { attempt, by, detail, code, .. } = event;
    info!(task_id = %task.task_id, trace_id = %task.trace_id, event = event.event.as_str(), attempt, by, detail, code, "{said}");
}

#[cfg(test)]
mod tests;
