//! The tasks of one place, whichever kind of place it is.

use std::{
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use serde_json::Value;
use tracing::warn;

use super::{
    document::parse,
    entries::{Abandoned, Inspected, Inventory},
    files::Files,
    lock::TaskLock,
    names::{ARCHIVE, SEALED_FILE, TASK_FILE, TASKS, key, newest_first},
    storage::{Hold, Prepared, ROUNDS, Storage, pause},
};
#[cfg(feature = "objects")]
use super::{objects::Objects, storage::LONGEST_UPLOAD};
use crate::{
    blocking,
    config::BucketUrl,
    durable::{DurableFile, EntryKind},
    error::chain,
    ids::TaskId,
    task::{
        error::TaskError,
        model::Task,
        place::ResultPlace,
        queue_file::{QUEUE_FILE, QueueFile},
    },
    time::Timestamp,
};
#[cfg(feature = "objects")]
use crate::{parts::PartFigures, task::failure::hint};

/// How many tasks are asked for at once over a network.
const ASKED_AT_ONCE: usize = 8;

/// A file of results that was written and that nobody sees yet.
#[derive(Debug)]
pub(in crate::task) struct PublishedFile(Prepared);

/// Where tasks are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::task) struct TaskStore {
    storage: Arc<dyn Storage>,
    /// The place of the tasks, for messages.
    root: Arc<Path>,
}

impl TaskStore {
    /// The directory as it is; nothing is made or written.
    pub(in crate::task) fn to_read(data_dir: &Path) -> Self {
        Self::of(Arc::new(Files::to_read(data_dir)))
    }

    /// Creates the directory and checks that it can be written to, so that a bad one is noticed at the start.
    pub(in crate::task) fn open(data_dir: &Path) -> Result<Self, TaskError> {
        Ok(Self::of(Arc::new(Files::open(data_dir)?)))
    }

    /// The tasks of a bucket, with a directory for files of this machine and how many bytes of results may be kept there. Nothing is asked of it and nothing is written.
    #[cfg(feature = "objects")]
    pub(in crate::task) fn to_read_bucket(bucket: &BucketUrl, local: (&Path, u64)) -> Result<Self, TaskError> {
        let failed = TaskError::storage("cannot use", PathBuf::from(bucket.to_string()));
        Ok(Self::of(Arc::new(Objects::new(bucket, local).map_err(failed)?)))
    }

    /// The same, after it was checked that the store can be used; and the time by the store's clock.
    #[cfg(feature = "objects")]
    pub(in crate::task) fn open_bucket(
        bucket: &BucketUrl,
        local: (&Path, u64),
    ) -> Result<(Self, Timestamp), TaskError> {
        let failed = || TaskError::storage("cannot use", PathBuf::from(bucket.to_string()));
        let objects = Objects::new(bucket, local).map_err(failed())?;
        let time = objects.probe().map_err(failed())?;
        Ok((Self::of(Arc::new(objects)), time))
    }

    #[cfg(not(feature = "objects"))]
    pub(in crate::task) fn to_read_bucket(bucket: &BucketUrl, _local: (&Path, u64)) -> Result<Self, TaskError> {
        let refused = io::Error::new(io::ErrorKind::Unsupported, "this build has no object store");
        Err(TaskError::storage("cannot use", PathBuf::from(bucket.to_string()))(refused))
    }

    #[cfg(not(feature = "objects"))]
    pub(in crate::task) fn open_bucket(
        bucket: &BucketUrl,
        local: (&Path, u64),
    ) -> Result<(Self, Timestamp), TaskError> {
        Ok((Self::to_read_bucket(bucket, local)?, Timestamp::from_millis(0)))
    }

    /// The tasks of a place.
    pub(super) fn of(storage: Arc<dyn Storage>) -> Self {
        let root = storage.shown(TASKS).into();
        Self { storage, root }
    }

    /// Runs `work` on a thread that may block.
    pub(in crate::task) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, TaskError> + Send + 'static,
    ) -> Result<T, TaskError> {
        let store = self.clone();
        let result = blocking::run(move || work(&store)).await;
        result.map_err(TaskError::storage("cannot reach", self.root()))?
    }

    /// The place of the tasks, for messages.
    pub(in crate::task) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether that place is there.
    pub(in crate::task) fn is_there(&self) -> bool {
        self.storage.is_there()
    }

    /// What a file of a task is called: its path, where it is one.
    pub(in crate::task) fn path(&self, task_id: &TaskId, file: &str) -> PathBuf {
        self.storage.shown(&key(task_id, file))
    }

    /// Takes hold of a task that is to be created; whatever a killed process left of an earlier try is taken over.
    pub(in crate::task) fn begin(&self, task_id: &TaskId) -> Result<Hold, TaskError> {
        self.storage.begin(task_id)
    }

    /// Writes a new task, after its sealed login if it has one. Where that is refused, nothing of it is left behind.
    pub(in crate::task) fn create(&self, task: &Task, sealed: Option<&[u8]>, hold: Hold) -> Result<(), TaskError> {
        let created = self.storage.create(&hold, task, sealed);
        drop(hold);
        if created.is_err()
            && let Err(error) = self.remove_empty(&task.task_id)
        {
            warn!(task_id = %task.task_id, error = chain(&error), "what a task has left that could not be written is still there");
        }
        created
    }

    /// The sealed login of a task, if there is one.
    pub(in crate::task) fn sealed_login(&self, task_id: &TaskId) -> Result<Option<Vec<u8>>, TaskError> {
        let failed = || TaskError::storage("cannot read", self.path(task_id, SEALED_FILE));
        match self.storage.sealed_login(task_id).map_err(failed())? {
            None if !self.is_there() => Err(failed()(io::ErrorKind::NotFound.into())),
            sealed => Ok(sealed),
        }
    }

    /// Whether a task was written.
    pub(in crate::task) fn has_file(&self, task_id: &TaskId) -> bool {
        self.storage.has(&key(task_id, TASK_FILE)).unwrap_or_default()
    }

    /// Whether the sealed login of a task is still there although it has ended.
    pub(in crate::task) fn has_login_left(&self, task: &Task) -> bool {
        task.status.is_terminal() && task.has_sealed_login() && self.storage.has_login_left(&task.task_id)
    }

    /// Removes the sealed login of a task that has ended; whether it is gone.
    pub(in crate::task) fn remove_login(&self, task: &Task) -> bool {
        let removed = self.storage.remove(&key(&task.task_id, SEALED_FILE));
        match &removed {
            Ok(_) => warn!(task_id = %task.task_id, "the sealed login of a task that had ended was removed"),
            Err(error) => {
                warn!(task_id = %task.task_id, error = chain(error), "the login of a task that has ended is still there");
            }
        }
        removed.is_ok()
    }

    /// Takes hold of a task.
    pub(in crate::task) fn hold(&self, task_id: &TaskId) -> Result<Hold, TaskError> {
        self.hold_until(task_id, TaskLock::deadline())
    }

    /// As [`hold`](Self::hold), but waits no longer than until `deadline`.
    pub(in crate::task) fn hold_until(&self, task_id: &TaskId, deadline: Instant) -> Result<Hold, TaskError> {
        self.storage.hold(task_id, deadline).map_err(|error| self.missing_or(task_id, error, "cannot lock"))
    }

    /// There is no such task, if its file is missing. Where the whole place of the tasks is missing, such as a disk
    /// that is not mounted, nothing is known of it.
    fn missing_or(&self, task_id: &TaskId, error: io::Error, action: &'static str) -> TaskError {
        if error.kind() == io::ErrorKind::NotFound && self.is_there() {
            TaskError::NotFound(task_id.clone())
        } else {
            TaskError::storage(action, self.path(task_id, TASK_FILE))(error)
        }
    }

    /// Reads a task. Readers need no hold: the file is replaced as a whole.
    pub(in crate::task) fn read(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let path = || self.path(task_id, TASK_FILE);
        let read = self.storage.get(&key(task_id, TASK_FILE)).map_err(TaskError::storage("cannot read", path()))?;
        let missing = || self.missing_or(task_id, io::ErrorKind::NotFound.into(), "cannot read");
        parse(task_id, path, &read.ok_or_else(missing)?)
    }

    /// The task as it is under a hold.
    pub(in crate::task) fn read_held(&self, hold: &Hold, task_id: &TaskId) -> Result<Task, TaskError> {
        match hold {
            Hold::Lock { .. } => self.read(task_id),
            #[cfg(feature = "objects")]
            Hold::Seen(seen) => {
                let content = seen.content.as_deref().ok_or_else(|| TaskError::NotFound(task_id.clone()))?;
                parse(task_id, || self.path(task_id, TASK_FILE), content)
            }
        }
    }

    /// As [`read`](Self::read), without reading a file again that is as it was then.
    pub(in crate::task) fn look(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        self.storage.look(task_id)
    }

    /// Reads, changes and writes a task that nobody else changes meanwhile. `change` is done again with a task that was changed
    /// by others first.
    pub(in crate::task) fn change<T>(
        &self,
        task_id: &TaskId,
        mut change: impl FnMut(&Hold, Task) -> Result<T, TaskError>,
    ) -> Result<T, TaskError> {
        let mut round = 0;
        loop {
            let hold = self.hold(task_id)?;
            let task = self.read_held(&hold, task_id)?;
            match change(&hold, task) {
                Err(error) => round = Self::again(round, error)?,
                changed => return changed,
            }
        }
    }

    /// Waits before a change is made again that others were faster with, and counts that.
    ///
    /// # Errors
    /// `error`, if it is another one, or the change was made too often.
    pub(in crate::task) fn again(round: u32, error: TaskError) -> Result<u32, TaskError> {
        if !matches!(error, TaskError::Contended(_)) || round >= ROUNDS {
            return Err(error);
        }
        pause(round + 1);
        Ok(round + 1)
    }

    /// Replaces the task's file, and removes the sealed login of a task that ends.
    ///
    /// # Errors
    /// [`TaskError::Contended`] when somebody else has changed the task since it was read.
    pub(in crate::task) fn write(&self, hold: &Hold, task: &Task) -> Result<(), TaskError> {
        self.storage.write(hold, task)
    }

    /// Forgets the results of a task that is written next: what an earlier attempt has found must not be taken for the findings of
    /// this one.
    pub(in crate::task) fn drop_results(&self, task: &mut Task) -> Result<(), TaskError> {
        self.storage.drop_results(task)
    }

    /// Does `work` with each of these, and gives what it came to in their order. Where tasks are asked for over a network, several are
    /// asked for at once.
    pub(in crate::task) fn each<T: Send>(&self, ids: &[TaskId], work: impl Fn(&TaskId) -> T + Sync) -> Vec<T> {
        if self.locks() || ids.len() < 2 {
            return ids.iter().map(work).collect();
        }
        let work = &work;
        thread::scope(|scope| {
            let share = ids.len().div_ceil(ASKED_AT_ONCE);
            let shares: Vec<_> =
                ids.chunks(share).map(|some| scope.spawn(move || some.iter().map(work).collect::<Vec<_>>())).collect();
            shares.into_iter().flat_map(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }

    /// Whether nobody else can write a task as long as it is held.
    pub(in crate::task) fn locks(&self) -> bool {
        self.storage.locks()
    }

    /// Whether a task has this file of results.
    pub(in crate::task) fn has_results(&self, task: &Task, name: &str) -> bool {
        self.storage.has_results(task, name)
    }

    /// Where a file of results is.
    pub(in crate::task) fn place(&self, task: &Task, name: &str) -> ResultPlace {
        self.storage.place(task, name)
    }

    /// Whether all of a file of results is there, as the place says of it without reading it; `None` where only a reading tells.
    pub(in crate::task) fn is_whole(&self, task: &Task, name: &str) -> Result<Option<bool>, TaskError> {
        let path = self.path(&task.task_id, name);
        self.storage.is_whole(task, name).map_err(TaskError::storage("cannot look at", path))
    }

    /// What was done to fetch results; `None` where they are read where they lie.
    #[cfg(feature = "objects")]
    pub(in crate::task) fn figures(&self) -> Option<PartFigures> {
        self.storage.figures()
    }

    /// A file to write results into. Nobody sees it.
    pub(in crate::task) fn begin_file(&self, task_id: &TaskId, name: &str) -> Result<DurableFile, TaskError> {
        self.storage.begin_file(task_id, name).map_err(TaskError::storage("cannot write", self.path(task_id, name)))
    }

    /// Makes what was written durable: a gigabyte may take a while, so it happens before anything is held.
    pub(in crate::task) fn prepare(
        &self,
        task_id: &TaskId,
        name: &str,
        file: DurableFile,
    ) -> Result<PublishedFile, TaskError> {
        self.storage.prepare(task_id, name, file).map(PublishedFile)
    }

    /// Lets everybody see a file of results, of a task that `check` lets it be published for.
    pub(in crate::task) fn publish(
        &self,
        task_id: &TaskId,
        name: &str,
        file: PublishedFile,
        check: impl Fn(&Task) -> Result<(), TaskError>,
    ) -> Result<(), TaskError> {
        match file.0 {
            Prepared::File(file) => {
                let hold = self.hold(task_id)?;
                check(&self.read_held(&hold, task_id)?)?;
                file.commit().map_err(TaskError::storage("cannot write to", self.path(task_id, name)))
            }
            #[cfg(feature = "objects")]
            Prepared::Parts(parts, begun) => {
                let published = self.change(task_id, |hold, mut task| {
                    check(&task)?;
                    // Asked after the task was read: who collects the parts changes it first, so one of the two is refused.
                    if begun.elapsed() > LONGEST_UPLOAD {
                        return Err(TaskError::storage("cannot write", self.path(task_id, name))(
                            io::ErrorKind::TimedOut.into(),
                        ));
                    }
                    task.files.insert(name.to_owned(), parts.clone());
                    task.revision = task.revision.saturating_add(1);
                    self.write(hold, &task)
                });
                // Where it is not sure that it is not named, housekeeping finds out.
                if let Err(TaskError::StaleFencingToken { .. } | TaskError::Transition(_) | TaskError::NotFound(_)) =
                    published
                    && let Err(error) = self.storage.discard(task_id, name, &parts)
                {
                    warn!(%task_id, error = chain(&error), hint = hint(&error), "results that nobody sees are still there");
                }
                published
            }
        }
    }

    /// Removes what earlier workers have begun and not published; how much that was. The caller's claim is written already.
    pub(in crate::task) fn remove_leftovers(&self, task: &Task) -> Result<usize, TaskError> {
        self.storage.remove_leftovers(task)
    }

    /// Reads a file that lies beside the tasks; `None` when there is none.
    pub(in crate::task) fn data_file(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError> {
        self.get(name)
    }

    /// Replaces a file that lies beside the tasks.
    pub(in crate::task) fn write_data_file(&self, name: &str, content: &[u8]) -> Result<(), TaskError> {
        self.put(name, content)
    }

    /// Writes a document to `archive/`, beside the tasks.
    pub(in crate::task) fn archive(&self, name: &str, document: &Value) -> Result<(), TaskError> {
        self.put(&format!("{ARCHIVE}/{name}.json"), format!("{document:#}\n").as_bytes())
    }

    /// What lies in `archive/`.
    pub(in crate::task) fn archive_entries(&self) -> Result<Vec<(String, EntryKind)>, TaskError> {
        self.storage.archive_entries()
    }

    /// Reads a record of the archive.
    pub(in crate::task) fn archived(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError> {
        self.storage.archived(name)
    }

    /// Removes a record of the archive; whether it was there.
    pub(in crate::task) fn remove_archived(&self, name: &str) -> Result<bool, TaskError> {
        self.storage.remove_archived(name)
    }

    /// Removes what a task that could not be created has left; whether nothing is left.
    pub(in crate::task) fn remove_empty(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.storage.remove_empty(task_id)
    }

    /// Reads what is remembered here of the queue.
    pub(in crate::task) fn queue_file(&self) -> Result<QueueFile, TaskError> {
        QueueFile::parse(self.get(QUEUE_FILE)?, || self.storage.shown(QUEUE_FILE))
    }

    /// Changes it; returns it as it then is.
    pub(in crate::task) fn update_queue_file(
        &self,
        change: impl FnOnce(&mut QueueFile) + Clone,
    ) -> Result<QueueFile, TaskError> {
        let path = || self.storage.shown(QUEUE_FILE);
        let mut after = QueueFile::default();
        self.storage.change(QUEUE_FILE, &mut |content| {
            let before = QueueFile::parse(content, path)?;
            after = before.clone();
            change.clone()(&mut after);
            if after == before {
                return Ok(None);
            }
            let text = serde_json::to_string_pretty(&after)
                .map_err(|error| TaskError::Damaged { path: path(), message: error.to_string() })?;
            Ok(Some(format!("{text}\n").into_bytes()))
        })?;
        Ok(after)
    }

    /// The ids of all tasks, newest first by the time in their names.
    pub(in crate::task) fn list(&self) -> Result<Vec<TaskId>, TaskError> {
        let mut ids = self.ids()?;
        ids.sort_by(newest_first);
        Ok(ids)
    }

    /// The ids of all tasks.
    pub(in crate::task) fn ids(&self) -> Result<Vec<TaskId>, TaskError> {
        self.storage.ids()
    }

    /// What lies in `tasks/`.
    pub(in crate::task) fn inventory(&self) -> Result<Inventory, TaskError> {
        self.storage.inventory()
    }

    /// Reads a task, and looks what else lies there of it.
    pub(in crate::task) fn inspect(&self, task_id: &TaskId) -> Inspected {
        let contents = match self.storage.contents(task_id) {
            Ok(contents) => contents.unwrap_or_default(),
            Err(error) => return Inspected { task_id: task_id.clone(), task: Err(error), foreign: Vec::new() },
        };
        let task = if contents.has_file { self.read(task_id).map(Some) } else { Ok(None) };
        let task = match task {
            Err(TaskError::NotFound(_)) => Ok(None),
            task => task,
        };
        Inspected { task_id: task_id.clone(), task, foreign: contents.foreign }
    }

    /// Whether something lies there of a task that is none of ours.
    pub(in crate::task) fn has_foreign(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.storage.has_foreign(task_id)
    }

    /// Takes a task away from all readers, before its files are removed.
    pub(in crate::task) fn move_away(&self, hold: &Hold, task: &Task) -> Result<(), TaskError> {
        self.storage.move_away(hold, task)
    }

    /// The task that was moved away; `None` when its file is gone already.
    pub(in crate::task) fn moved_task(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError> {
        self.storage.moved_task(task_id)
    }

    /// Removes what was moved away; whether it is gone. It stays if something lies there that is none of ours.
    pub(in crate::task) fn remove_moved(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.storage.remove_moved(task_id)
    }

    /// Removes what killed processes have left and nobody has touched for a day. In a dry run it is only listed.
    pub(in crate::task) fn remove_abandoned(&self, tasks: &[TaskId], dry_run: bool) -> Result<Abandoned, TaskError> {
        self.storage.remove_abandoned(tasks, dry_run)
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TaskError> {
        self.storage.get(key).map_err(TaskError::storage("cannot read", self.storage.shown(key)))
    }

    fn put(&self, key: &str, content: &[u8]) -> Result<(), TaskError> {
        self.storage.put(key, content).map_err(TaskError::storage("cannot write", self.storage.shown(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_again_where_others_were_faster_and_not_for_ever() {
        let task_id = TaskId::generate("nessus", "nessus", Timestamp::from_millis(0));
        let contended = || TaskError::Contended(task_id.clone());
        assert!(matches!(TaskStore::again(0, contended()), Ok(1)));
        assert!(matches!(TaskStore::again(ROUNDS, contended()), Err(TaskError::Contended(_))));
        let missing = TaskStore::again(0, TaskError::NotFound(task_id.clone()));
        assert!(matches!(missing, Err(TaskError::NotFound(_))));
    }
}
