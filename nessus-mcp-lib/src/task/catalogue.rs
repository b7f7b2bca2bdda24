//! The catalogue of tasks, as the only writer of tasks uses it: what is recorded when, and what a process has of it in memory.
//!
//! A task is recorded as unfinished *before* its file says so, and as ended *after* its file says that. So the unfinished tasks of
//! the catalogue contain those of the files, whatever is killed when.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicBool,
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{
    entry::{TaskEntry, TaskFacts},
    error::TaskError,
    mirror::{Found, Mirror},
    model::Task,
    query::TaskQuery,
    store::TaskStore,
};
use crate::{
    ids::TaskId,
    queue::{CATALOGUE_BATCH, CatalogueChanges, Queue, QueueError},
};

/// The version of the entries. A catalogue of another version is made again.
const VERSION: u32 = 1;
/// How long a step waits for the catalogue that can do without.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The tasks of whose changes the catalogue has not heard, each with the number of its last such change. They are never more than
/// the mirror has.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    pub(super) tasks: HashMap<TaskId, u64>,
    /// The number of the last change.
    pub(super) last: u64,
}

impl Unrecorded {
    /// Adds a change.
    pub(super) fn add(&mut self, task_id: TaskId) {
        self.last += 1;
        self.tasks.insert(task_id, self.last);
    }
}

/// The catalogue of the tasks of a data directory.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) store: TaskStore,
    pub(super) queue: Arc<dyn Queue>,
    /// The id of the data directory, once it is known.
    directory: OnceLock<String>,
    mirror: RwLock<Mirror>,
    /// Held while the mirror is brought up to date or the catalogue is made again, so that a process does either once.
    pub(super) updating: tokio::sync::Mutex<()>,
    unrecorded: Mutex<Unrecorded>,
    empty: Mutex<HashSet<TaskId>>,
    /// When it was last tried to record these; held meanwhile.
    pub(super) tried: tokio::sync::Mutex<Option<Instant>>,
    /// When the queue last failed.
    failed: Mutex<Option<Instant>>,
    /// Whether it was said that it cannot be used.
    pub(super) is_said: AtomicBool,
}

impl Catalogue {
    pub(super) fn new(store: TaskStore, queue: Arc<dyn Queue>) -> Self {
        let (directory, mirror, updating, unrecorded, empty, tried, failed, is_said) = Default::default();
        Self { store, queue, directory, mirror, updating, unrecorded, empty, tried, failed, is_said }
    }

    /// Records a task that is about to be unfinished. Only then may its file be written.
    pub(super) async fn enter(&self, task: &mut Task) -> Result<(), TaskError> {
        loop {
            let refused = self.queue.record_tasks(&[TaskEntry::record(task, false)]).await?;
            let Some((_, stands)) = refused.into_iter().next() else { return Ok(()) };
            // The file was brought back from a copy.
            task.revision = stands.saturating_add(1);
        }
    }

    /// What the queue answers in time.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = Result<T, QueueError>>) -> Result<T, TaskError> {
        let answer = timeout(PATIENCE, asked).await;
        let answer = answer.map_or_else(|_| Err(unavailable("it does not answer in time")), |answer| Ok(answer?));
        if answer.is_err() {
            self.notice_failure();
        }
        answer
    }

    /// Says that the queue did not do what it was asked for.
    pub(super) fn notice_failure(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it has failed a moment ago: whoever can do without it then does not ask, and so waits for nothing.
    pub(super) fn has_just_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < PATIENCE)
    }

    /// The changes that could not be recorded.
    pub(super) fn unrecorded(&self) -> MutexGuard<'_, Unrecorded> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are changes of this process that the catalogue has not heard of.
    pub(super) fn is_behind(&self) -> bool {
        !self.unrecorded().tasks.is_empty()
    }

    /// The id of the data directory; `None` as long as it has none.
    pub(super) async fn directory(&self) -> Result<Option<String>, TaskError> {
        if self.directory.get().is_none()
            && let Some(id) = self.store.blocking(TaskStore::queue_file).await?.id
        {
            self.directory.get_or_init(|| id);
        }
        Ok(self.directory.get().cloned())
    }

    /// A mark for a catalogue of this version and directory.
    pub(super) fn new_mark(directory: Option<&str>) -> String {
        format!("{VERSION}:{}:{}", directory.unwrap_or_default(), uuid::Uuid::new_v4().simple())
    }

    /// Whether a catalogue with this mark is whole, of this version and of this directory.
    pub(super) fn is_ours(mark: Option<&str>, directory: &str) -> bool {
        let rest = mark.and_then(|mark| mark.strip_prefix(&format!("{VERSION}:")));
        rest.and_then(|rest| rest.strip_prefix(directory)).is_some_and(|rest| rest.starts_with(':'))
    }

    /// Brings the mirror up to date; whether the catalogue is whole and ours.
    pub(super) async fn catch_up(self: &Arc<Self>, directory: &str) -> Result<bool, TaskError> {
        let (mut mark, mut last) = {
            let mirror = self.mirror();
            (mirror.mark.clone(), mirror.last)
        };
        // What is read from the start is not shown in parts.
        let mut fresh: Option<Mirror> = None;
        loop {
            let changes = self.in_time(self.queue.catalogue_changes(last, CATALOGUE_BATCH)).await?;
            if !Self::is_ours(changes.mark.as_deref(), directory) {
                return Ok(false);
            }
            if changes.mark != mark {
                mark.clone_from(&changes.mark);
                fresh = Some(Mirror::of(mark.clone()));
                if last > 0 {
                    last = 0;
                    continue;
                }
            }
            let is_last = changes.records.len() < CATALOGUE_BATCH;
            last = changes.last;
            if changes.records.is_empty() && fresh.is_none() {
                return Ok(true);
            }
            let catalogue = Arc::clone(self);
            let taken = self.store.blocking(move |_| Ok(catalogue.take(fresh, changes, is_last)));
            match taken.await? {
                Ok(_) if is_last => return Ok(true),
                Ok(rest) => fresh = rest,
                Err(task_id) => {
                    warn!(%task_id, "the catalogue of tasks has an entry of another version");
                    return Ok(false);
                }
            }
        }
    }

    /// Takes changes over into `fresh`, which takes the mirror's place with the last of them, or else into the mirror.
    fn take(
        &self,
        mut fresh: Option<Mirror>,
        changes: CatalogueChanges,
        is_last: bool,
    ) -> Result<Option<Mirror>, TaskId> {
        if let Some(fresh) = &mut fresh {
            fresh.take(changes.records, changes.last)?;
        } else {
            let mut mirror = self.changed_mirror();
            // A caller that was dropped may have had these, and another newer ones since.
            if mirror.mark == changes.mark && mirror.last < changes.last {
                mirror.take(changes.records, changes.last)?;
            }
        }
        if is_last && let Some(fresh) = fresh.take() {
            let before = mem::replace(&mut *self.changed_mirror(), fresh);
            // It is large, and nobody waits for this.
            drop(before);
        }
        Ok(fresh)
    }

    /// As [`catch_up`](Self::catch_up); an error where the catalogue is not whole.
    pub(super) async fn catch_up_whole(self: &Arc<Self>, directory: &str) -> Result<(), TaskError> {
        if self.catch_up(directory).await? { Ok(()) } else { Err(Self::lost()) }
    }

    /// The catalogue is not whole (any more).
    pub(super) fn lost() -> TaskError {
        unavailable("it was lost meanwhile, and has to be made again")
    }

    /// The directories of tasks that were seen to hold no task file.
    pub(super) fn empty(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `ask` finds in the mirror, on a thread that may block.
    pub(super) async fn blocking_mirror<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Mirror) -> T + Send + 'static,
    ) -> Result<T, TaskError> {
        let catalogue = Arc::clone(self);
        self.store.blocking(move |_| Ok(ask(&catalogue.mirror()))).await
    }

    pub(super) fn mirror(&self) -> RwLockReadGuard<'_, Mirror> {
        self.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed_mirror(&self) -> RwLockWriteGuard<'_, Mirror> {
        self.mirror.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks of the mirror that match, at most `most` (0 for all).
    pub(super) async fn find(self: &Arc<Self>, query: TaskQuery, most: usize) -> Result<Found, TaskError> {
        let catalogue = Arc::clone(self);
        self.store
            .blocking(move |store| {
                // The mirror is not held while files are read.
                let undecided = catalogue.mirror().undecided(&query);
                let matches =
                    |task_id: &TaskId| store.read(task_id).is_ok_and(|task| query.matches(&TaskFacts::of(&task)));
                let decided = undecided.into_iter().filter(matches).collect();
                Ok(catalogue.mirror().find(&query, most, &decided))
            })
            .await
    }
}

fn unavailable(problem: &str) -> TaskError {
    let (location, problem) = ("the catalogue of tasks".to_owned(), problem.to_owned());
    QueueError::Unavailable { location, problem, source: None }.into()
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::queue::MockQueue;

    /// Also a queue that says nothing at all keeps one caller waiting, and not those behind it.
    #[tokio::test(start_paused = true)]
    async fn a_queue_that_hangs_is_not_asked_again_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let store = TaskStore::open(directory.path()).unwrap();
        let catalogue = Catalogue::new(store, Arc::new(MockQueue::new()));
        assert!(!catalogue.has_just_failed());
        let hangs = std::future::pending::<Result<(), QueueError>>();
        assert!(matches!(catalogue.in_time(hangs).await, Err(TaskError::Catalogue(_))));
        assert!(catalogue.has_just_failed());
        tokio::time::sleep(PATIENCE).await;
        assert!(!catalogue.has_just_failed());
    }
}
