//! What the tasks need of the place where they are kept.

use std::{
    fmt, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::{
    entries::{Abandoned, Contents, Inventory},
    lock::TaskLock,
};
use crate::{
    durable::{DurableFile, EntryKind},
    ids::TaskId,
    task::{error::TaskError, model::Task, place::ResultPlace},
};
#[cfg(feature = "objects")]
use crate::{task::records::StoredFile, time::BootInstant};

/// How long after its beginning an upload may be published. What has a mark for longer than a day is removed, so it must be over by then.
#[cfg(feature = "objects")]
pub(super) const LONGEST_UPLOAD: Duration = Duration::from_secs(12 * 3600);
/// How often a change is made again that others were faster with.
pub(super) const ROUNDS: u32 = 50;

/// The right to write a task: nobody else changes it between what was read under it and what is written under it.
#[derive(Debug)]
pub(in crate::task) enum Hold {
    /// Others wait until it is let go of.
    Lock { _lock: TaskLock },
    /// What was read. A write fails with [`TaskError::Contended`] when something else stands there by then.
    #[cfg(feature = "objects")]
    Seen(Seen),
}

/// An object as it was read.
#[cfg(feature = "objects")]
#[derive(Debug, Default)]
pub(in crate::task) struct Seen {
    /// Which version it is; `None` where there was none.
    pub(super) tag: Option<Tag>,
    pub(super) content: Option<Vec<u8>>,
}

/// The version of an object.
#[cfg(feature = "objects")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) struct Tag {
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    /// What its last conditional writes were called, the latest first, with dots between; empty where it was written without a condition.
    pub(super) writes: String,
}

#[cfg(feature = "objects")]
impl Tag {
    pub(super) fn writes(&self) -> impl Iterator<Item = &str> {
        self.writes.split('.').filter(|name| !name.is_empty())
    }

    /// Whether whoever saw `seen` has seen this: it is the same, or what stood there before.
    pub(super) fn is_seen_with(&self, seen: &Self) -> bool {
        self == seen || self.writes().next().is_some_and(|latest| seen.writes().any(|name| name == latest))
    }
}

/// What was written of a file of results, before it is published.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A file that waits for its name.
    File(DurableFile),
    /// Parts that no task names yet, and when their upload began.
    #[cfg(feature = "objects")]
    Parts(StoredFile, BootInstant),
}

/// How a place of tasks changes one of the files beside them.
pub(super) type Change<'a> = dyn FnMut(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TaskError> + 'a;

/// A place where tasks are kept. Keys are paths in it, such as `tasks/{task_id}/task.json`. All of it runs on threads that may block.
pub(super) trait Storage: fmt::Debug + Send + Sync {
    /// What a key is called in messages.
    fn shown(&self, key: &str) -> PathBuf;

    /// Whether the place itself is there: where it is missing, such as a disk that is not mounted, a missing file says nothing.
    fn is_there(&self) -> bool;

    /// The content of a key; `None` where there is none.
    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>>;

    /// Whether there is something.
    fn has(&self, key: &str) -> io::Result<bool>;

    /// Puts this there, whole and durably.
    fn put(&self, key: &str, content: &[u8]) -> io::Result<()>;

    /// Removes what is there; whether something was, as far as the place tells.
    fn remove(&self, key: &str) -> io::Result<bool>;

    /// Reads, changes and puts again what nobody else changes meanwhile. `change` may be called several times; where it gives `None`,
    /// all stays as it is.
    fn change(&self, key: &str, change: &mut Change<'_>) -> Result<(), TaskError>;

    /// The ids of all tasks.
    fn ids(&self) -> Result<Vec<TaskId>, TaskError>;

    /// A task as it stands, without reading again what has not changed since.
    fn look(&self, task_id: &TaskId) -> Result<Task, TaskError>;

    /// Begins a task that is to be created.
    ///
    /// # Errors
    /// [`TaskError::AlreadyExists`].
    fn begin(&self, task_id: &TaskId) -> Result<Hold, TaskError>;

    /// Whether nobody else can write a task as long as it is held.
    fn locks(&self) -> bool;

    /// Takes hold of a task.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none, [`io::ErrorKind::TimedOut`] when others do not let go until the deadline.
    fn hold(&self, task_id: &TaskId, deadline: Instant) -> io::Result<Hold>;

    /// Writes the file of a new task, after or with its sealed login if it has one.
    fn create(&self, hold: &Hold, task: &Task, sealed: Option<&[u8]>) -> Result<(), TaskError>;

    /// The sealed login of a task, if there is one.
    fn sealed_login(&self, task_id: &TaskId) -> io::Result<Option<Vec<u8>>>;

    /// Whether the sealed login of a task that has ended may be left there.
    fn has_login_left(&self, task_id: &TaskId) -> bool;

    /// Replaces the task's file, and removes the sealed login of a task that ends.
    fn write(&self, hold: &Hold, task: &Task) -> Result<(), TaskError>;

    /// Removes what a task that could not be created has left; whether nothing is left.
    fn remove_empty(&self, task_id: &TaskId) -> Result<bool, TaskError>;

    /// A file to write results into that will be called `name`. Nobody sees it.
    fn begin_file(&self, task_id: &TaskId, name: &str) -> io::Result<DurableFile>;

    /// Makes what was written durable, before it is published.
    fn prepare(&self, task_id: &TaskId, name: &str, file: DurableFile) -> Result<Prepared, TaskError>;

    /// Throws away what was prepared and is not published.
    #[cfg(feature = "objects")]
    fn discard(&self, task_id: &TaskId, name: &str, file: &StoredFile) -> io::Result<()>;

    /// Forgets the results of a task that is written next.
    fn drop_results(&self, task: &mut Task) -> Result<(), TaskError>;

    /// Removes what earlier workers have begun and not published; how much that was. The caller's claim is written already.
    fn remove_leftovers(&self, task: &Task) -> Result<usize, TaskError>;

    /// Whether a task has this file of results.
    fn has_results(&self, task: &Task, name: &str) -> bool;

    /// Where a file of results is.
    fn place(&self, task: &Task, name: &str) -> ResultPlace;

    /// What lies in `tasks/`.
    fn inventory(&self) -> Result<Inventory, TaskError>;

    /// What lies there of a task; `None` where there is nothing.
    fn contents(&self, task_id: &TaskId) -> Result<Option<Contents>, TaskError>;

    /// Whether something lies there of a task that is none of ours.
    fn has_foreign(&self, task_id: &TaskId) -> Result<bool, TaskError>;

    /// Takes a task away from all readers, before its files are removed.
    fn move_away(&self, hold: &Hold, task: &Task) -> Result<(), TaskError>;

    /// The task that was moved away; `None` when its file is gone already.
    fn moved_task(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError>;

    /// Removes what was moved away; whether it is gone. It stays if something lies there that is none of ours.
    fn remove_moved(&self, task_id: &TaskId) -> Result<bool, TaskError>;

    /// Removes what killed processes have left and nobody has touched for a day. In a dry run it is only listed.
    fn remove_abandoned(&self, tasks: &[TaskId], dry_run: bool) -> Result<Abandoned, TaskError>;

    /// What lies in `archive/`.
    fn archive_entries(&self) -> Result<Vec<(String, EntryKind)>, TaskError>;

    /// Reads a record of the archive.
    fn archived(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError>;

    /// Removes a record of the archive; whether it was there.
    fn remove_archived(&self, name: &str) -> Result<bool, TaskError>;
}

/// Waits before a change is made again that others were faster with: longer each time, and not as long as they do.
pub(super) fn pause(round: u32) {
    let most = 5_u64 << round.min(5);
    thread::sleep(Duration::from_millis(u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * most / 256));
}
