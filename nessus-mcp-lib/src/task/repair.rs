//! Making the catalogue agree with the task files, which are the truth.

use std::{
    collections::{HashMap, HashSet},
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};

use super::{
    catalogue::{self, Catalogue},
    entry::{TaskEntry, digest},
    error::TaskError,
    model::Task,
    store::{Hold, TaskStore},
};
use crate::{
    error::{Classified as _, chain},
    fail_points::fail_point,
    ids::TaskId,
    queue::{CATALOGUE_BATCH, CatalogueRecord},
};

/// How many files are compared at once under their locks.
const COMPARED: usize = 10;
/// How long the locks of these are waited for. Who holds some must not let the rest wait for long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a record is compared again that others write meanwhile.
const ROUNDS: usize = 3;

/// A task that has to be looked after, as the catalogue knows it; without a catalogue, by its id only.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) task_id: TaskId,
    pub(super) known: Option<(u64, u64)>,
}

impl Catalogue {
    /// Records what a file says now. What cannot be recorded is kept in mind, and recorded when the queue answers again.
    pub(super) async fn note(&self, record: CatalogueRecord) {
        let task_id = record.task_id.clone();
        if self.is_behind() || self.has_just_failed() {
            self.unrecorded().add(task_id);
            self.record_rest_if_due().await;
            return;
        }
        let noted = async {
            let refused = self.in_time(self.queue.record_tasks(slice::from_ref(&record))).await?;
            self.mend(known_of(refused)).await
        };
        match noted.await {
            Ok(left) if left.is_empty() => {}
            Ok(_) => self.unrecorded().add(task_id),
            Err(error) => {
                let error = chain(&error);
                warn!(%task_id, error, "changes of tasks are not recorded in the catalogue until the queue answers again");
                self.unrecorded().add(task_id);
            }
        }
    }

    /// Records what could not be recorded, unless that was tried a moment ago or somebody is just doing it. Whether nothing is left.
    pub(super) async fn record_rest_if_due(&self) -> bool {
        if let (true, Ok(mut tried)) = (self.is_behind() && !self.has_just_failed(), self.tried.try_lock())
            && tried.is_none_or(|at| at.elapsed() >= catalogue::PATIENCE)
            && let Err(error) = self.record_rest_at(&mut tried).await
        {
            debug!(error = chain(&error), "changes of tasks still cannot be recorded in the catalogue");
        }
        !self.is_behind()
    }

    /// Records what could not be recorded.
    pub(super) async fn record_rest(&self) -> Result<(), TaskError> {
        let mut tried = self.tried.lock().await;
        self.record_rest_at(&mut tried).await
    }

    async fn record_rest_at(&self, tried: &mut Option<tokio::time::Instant>) -> Result<(), TaskError> {
        let (tasks, last) = {
            let unrecorded = self.unrecorded();
            (unrecorded.tasks.keys().map(|task_id| (task_id.clone(), None)).collect::<Vec<_>>(), unrecorded.last)
        };
        if tasks.is_empty() {
            return Ok(());
        }
        let left = self.mend(tasks).await;
        *tried = Some(tokio::time::Instant::now());
        let left: HashSet<_> = left?.into_iter().collect();
        // What has changed meanwhile may have been read before.
        self.unrecorded().tasks.retain(|task_id, number| *number > last || left.contains(task_id));
        Ok(())
    }

    /// Makes the records of these tasks right, each by its file under the task's lock. Of each the revision is given that the
    /// catalogue has, if it has one. Returns those that are left, because others held their locks or wrote their records meanwhile.
    pub(super) async fn mend(&self, mut tasks: Vec<(TaskId, Option<u64>)>) -> Result<Vec<TaskId>, TaskError> {
        let mut left = Vec::new();
        for _ in 0..ROUNDS {
            let mut refused = Vec::new();
            // All take locks in one order, so that nobody waits for somebody who waits for them.
            tasks.sort_unstable();
            for some in tasks.chunks(COMPARED) {
                let some = some.to_vec();
                let read = move |store: &TaskStore| {
                    let deadline = Instant::now() + PATIENCE;
                    let known: HashMap<_, _> = some.iter().cloned().collect();
                    let ids: Vec<_> = some.into_iter().map(|(task_id, _)| task_id).collect();
                    Ok(store.each(&ids, |task_id| {
                        let known = known.get(task_id).copied().flatten();
                        (record_of(store, task_id, known, deadline), task_id.clone())
                    }))
                };
                // Nobody writes these files before the records are put.
                let (mut holds, mut records) = (Vec::new(), Vec::new());
                for (record, task_id) in self.store.blocking(read).await? {
                    match record? {
                        Says::Record(hold, record) => {
                            holds.push(hold);
                            records.push(record);
                        }
                        Says::Nothing => {}
                        Says::IsHeld => left.push(task_id),
                    }
                }
                if !records.is_empty() {
                    refused.extend(known_of(self.in_time(self.queue.record_tasks(&records)).await?));
                }
            }
            tasks = refused;
            if tasks.is_empty() {
                break;
            }
        }
        left.extend(tasks.into_iter().map(|(task_id, _)| task_id));
        Ok(left)
    }

    /// The task, if its file can be read and it has not ended, or webhooks are to be told of it. Its record is made right if it says other than the file.
    pub(super) async fn compare(&self, unfinished: &Unfinished) -> Result<Option<Task>, TaskError> {
        let task_id = unfinished.task_id.clone();
        let known = unfinished.known.map(|(revision, _)| revision);
        let (read, says, is_over) = self
            .store
            .blocking(move |store| {
                let read = store.read(&task_id);
                let is_over = read.as_ref().is_ok_and(|task| {
                    task.status.is_terminal() && (store.has_login_left(task) || !task.has_deliveries())
                });
                let says = match &read {
                    Ok(task) => Some(TaskEntry::record(task, store.has_login_left(task))),
                    Err(error) => unreadable(store, &task_id, known, error),
                };
                Ok((read, says, is_over))
            })
            .await?;
        let agrees = |says: &CatalogueRecord| {
            unfinished.known.is_some_and(|(revision, known)| says.revision >= revision && digest(says) == known)
        };
        match &read {
            Err(error @ TaskError::Storage { .. }) if says.is_none() => return Err(error.clone()),
            _ if !is_over && says.as_ref().is_some_and(agrees) => {}
            _ => _ = self.mend(vec![(unfinished.task_id.clone(), known)]).await?,
        }
        Ok(read.ok().filter(|task| !task.status.is_terminal() || task.has_deliveries()))
    }

    /// Makes the catalogue again from all files.
    pub(super) async fn rebuild(self: &Arc<Self>) -> Result<(), TaskError> {
        let mut rebuild = Rebuild::begin(Some(Arc::clone(self)), self.store.clone()).await?;
        let all = self.store.blocking(TaskStore::list).await?;
        if !all.is_empty() {
            warn!(
                tasks = all.len(),
                "the catalogue of tasks is not whole, or was kept by a server that was started again: it is made again"
            );
        }
        for some in all.chunks(Rebuild::AT_ONCE) {
            rebuild.read(some).await?;
        }
        rebuild.finish().await
    }
}

/// Tasks of which this is known.
fn known_of(tasks: Vec<(TaskId, u64)>) -> Vec<(TaskId, Option<u64>)> {
    tasks.into_iter().map(|(task_id, revision)| (task_id, Some(revision))).collect()
}

/// What a task's file asks for.
enum Says {
    /// A record, with the hold under which the file was read, where it could be taken.
    Record(Option<Hold>, CatalogueRecord),
    /// That nothing is recorded.
    Nothing,
    /// Nothing for now: somebody holds its lock.
    IsHeld,
}

fn record_of(store: &TaskStore, task_id: &TaskId, known: Option<u64>, deadline: Instant) -> Result<Says, TaskError> {
    let gone = || known.map(|known| CatalogueRecord::gone(task_id.clone(), known));
    let hold = match store.hold_until(task_id, deadline) {
        Err(TaskError::NotFound(_)) => return Ok(gone().map_or(Says::Nothing, |record| Says::Record(None, record))),
        Err(error) if error.is_timeout() => return Ok(Says::IsHeld),
        // A file that can be read counts, also where its lock cannot be opened.
        hold => hold.ok(),
    };
    let record = match hold.as_ref().map_or_else(|| store.read(task_id), |hold| store.read_held(hold, task_id)) {
        Ok(mut task) => {
            if let Some(known) = known.filter(|known| task.revision < *known) {
                // The file was brought back from a copy: what is recorded from now on must count.
                task.revision = known;
                if let Some(hold) = &hold
                    && let Err(error) = store.write(hold, &task)
                {
                    warn!(%task_id, error = chain(&error), hint = error.hint(), "a task that was brought back cannot be written");
                }
            }
            let login_is_left = store.has_login_left(&task) && !(hold.is_some() && store.remove_login(&task));
            Some(TaskEntry::record(&task, hold.is_none() || login_is_left))
        }
        // Without its lock, it may be just being created.
        Err(TaskError::NotFound(_)) if hold.is_none() => return Ok(Says::IsHeld),
        Err(TaskError::NotFound(_)) => gone(),
        Err(error) => Some(unreadable(store, task_id, known, &error).ok_or(error)?),
    };
    Ok(record.map_or(Says::Nothing, |record| Says::Record(hold, record)))
}

/// The record of a task whose file says nothing; `None` for an error that says nothing about this one file.
fn unreadable(
    store: &TaskStore,
    task_id: &TaskId,
    revision: Option<u64>,
    error: &TaskError,
) -> Option<CatalogueRecord> {
    let is_its_own = match error {
        TaskError::Damaged { .. } | TaskError::Newer { .. } => true,
        // Of a disk that is not mounted, no file says anything.
        TaskError::Storage { .. } => !error.is_shortage() && store.is_there(),
        _ => false,
    };
    is_its_own.then(|| TaskEntry::unreadable(task_id, revision.unwrap_or_default(), &error.to_string()))
}

/// A reading of all tasks, by which the catalogue is made again.
#[derive(Debug)]
pub(crate) struct Rebuild {
    catalogue: Option<Arc<Catalogue>>,
    store: TaskStore,
    begun: String,
    seen: HashSet<TaskId>,
}

impl Rebuild {
    /// How many tasks are best read at once.
    pub(crate) const AT_ONCE: usize = 200;

    /// Takes the catalogue's mark away. Without a catalogue, tasks are only read.
    pub(super) async fn begin(catalogue: Option<Arc<Catalogue>>, store: TaskStore) -> Result<Self, TaskError> {
        let begun = match &catalogue {
            Some(catalogue) => catalogue.queue.begin_catalogue().await?,
            None => String::new(),
        };
        Ok(Self { catalogue, store, begun, seen: HashSet::new() })
    }

    /// Reads tasks and records them.
    pub(crate) async fn read(&mut self, some: &[TaskId]) -> Result<Vec<(TaskId, Result<Task, TaskError>)>, TaskError> {
        let Some(catalogue) = &self.catalogue else {
            let some = some.to_vec();
            let read = move |store: &TaskStore| Ok(store.each(&some, |task_id| (task_id.clone(), store.read(task_id))));
            return self.store.blocking(read).await;
        };
        let ids = some.to_vec();
        let read = catalogue.store.blocking(move |store| Ok(store.each(&ids, |id| read_alone(store, id.clone()))));
        let (tasks, records): (Vec<_>, Vec<_>) = read.await?.into_iter().unzip();
        let left_out = tasks.iter().zip(&records).find_map(|((_, read), record)| match read {
            Err(error) if record.is_none() && !matches!(error, TaskError::NotFound(_)) => Some(error),
            _ => None,
        });
        if let Some(error) = left_out {
            // It would stay lost.
            return Err(error.clone());
        }
        self.seen.extend(some.iter().cloned());
        let records: Vec<_> = records.into_iter().flatten().collect();
        for some in records.chunks(CATALOGUE_BATCH) {
            let refused = catalogue.queue.record_tasks(some).await?;
            catalogue.mend(known_of(refused)).await?;
        }
        fail_point!("rebuild_catalogue_half");
        Ok(tasks)
    }

    /// Gives the catalogue its mark.
    pub(crate) async fn finish(self) -> Result<(), TaskError> {
        let Some(catalogue) = self.catalogue else { return Ok(()) };
        // What stands there from an attempt that was cut short may be gone since.
        let (mut after, mut more) = (0, true);
        while more {
            let changes = catalogue.queue.catalogue_changes(after, CATALOGUE_BATCH).await?;
            (after, more) = (changes.last, changes.records.len() == CATALOGUE_BATCH);
            let of_others = changes
                .records
                .into_iter()
                .filter(|record| record.entry.is_some() && !self.seen.contains(&record.task_id));
            catalogue.mend(of_others.map(|record| (record.task_id, Some(record.revision))).collect()).await?;
        }
        let mark = Catalogue::new_mark(catalogue.directory().await?.as_deref());
        if catalogue.queue.finish_catalogue(&self.begun, &mark).await? {
            info!(tasks = self.seen.len(), "the catalogue of tasks was made again from their files");
        } else {
            return Err(Catalogue::lost());
        }
        Ok(())
    }
}

/// Reads a task while nobody writes it, and what is to be recorded of it. Where others do not let go of it, it is recorded as
/// unfinished, because it may just be becoming that.
fn read_alone(store: &TaskStore, task_id: TaskId) -> ((TaskId, Result<Task, TaskError>), Option<CatalogueRecord>) {
    let hold = store.hold(&task_id);
    let read = match &hold {
        Err(TaskError::NotFound(_)) => Err(TaskError::NotFound(task_id.clone())),
        Err(_) => store.read(&task_id),
        Ok(hold) => store.read_held(hold, &task_id).and_then(|task| keep_others_off(store, hold, task)),
    };
    let record = match &read {
        Ok(task) => Some(TaskEntry::record(task, hold.is_err() || store.has_login_left(task))),
        // Whoever creates it has recorded it, perhaps before the catalogue was emptied.
        Err(TaskError::NotFound(_)) if hold.is_err_and(|error| error.is_timeout()) => {
            Some(TaskEntry::unreadable(&task_id, 0, "it is just being created"))
        }
        Err(error) => unreadable(store, &task_id, None, error),
    };
    ((task_id, read), record)
}

/// Writes a task anew that somebody may just be opening again, and who has recorded that in the catalogue that was lost: that write then
/// fails, and is made again with another record. Whoever is locked out needs no such thing.
fn keep_others_off(store: &TaskStore, hold: &Hold, mut task: Task) -> Result<Task, TaskError> {
    if store.locks() || !task.may_be_reopened() {
        return Ok(task);
    }
    task.revision = task.revision.saturating_add(1);
    match store.write(hold, &task) {
        Ok(()) => Ok(task),
        // It was written meanwhile, and is recorded as it is now.
        Err(TaskError::Contended(_)) => store.read(&task.task_id),
        Err(error) => Err(error),
    }
}
