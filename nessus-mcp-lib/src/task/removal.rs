//! Removing tasks that nobody needs any more, and what killed processes have left.
//!
//! ```text
//! archive/{task_id}.json       written first: what is left of a removed task
//! tasks/{task_id}.removed      the directory under a name that no reader takes for a task; then its files go, task.json last
//! ```
//!
//! A task is decided about, archived and moved away under its lock, so whoever changes or reads it at the same moment comes before
//! or after all of that. Whatever is killed in between is finished by the next run. Nothing follows a symbolic link, and a
//! directory with anything in it that this version does not write stays as it is.

use std::{
    fmt, io,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::{
    error::TaskError,
    lock::TaskLock,
    manager::TaskManager,
    model::Task,
    store::{
        ARCHIVE, ARTIFACT_PREFIX, EXPORT_FILE, INDEX_FILE, LOCK_FILE, SEALED_FILE, TASK_FILE, TaskStore,
        profile_file_name,
    },
};
use crate::{
    durable::{EntryKind, Folder, FolderEntry, TEMPORARY_PREFIX},
    fail_points::fail_point,
    ids::TaskId,
    queue::CatalogueRecord,
    results::Profile,
    time::Timestamp,
};

/// The end of the name of a task's directory that is being removed. No id of a task ends so.
const REMOVED: &str = ".removed";
/// The most bytes of a file with a task: its targets may be a megabyte.
const MOST_BYTES: u64 = 64 << 20;
/// How old an unfinished file must be before it is removed: no download or conversion takes as long.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What an entry of `tasks/` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InTasks {
    /// The directory of a task.
    Task(TaskId),
    /// That of a task that is being removed.
    Removed(TaskId),
    /// An unfinished file of ours.
    Unfinished,
    /// None of ours: it stays.
    Foreign(Foreign),
}

/// Why something is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It is a symbolic link.
    Link,
    /// This program gives nothing such a name, or it is no file or directory as it should be.
    Unknown,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Unknown => "none of ours",
        })
    }
}

impl InTasks {
    /// What an entry of this name and kind is.
    pub(crate) fn of(name: &str, kind: EntryKind) -> Self {
        let task = |name: &str| TaskId::new(name).ok();
        match kind {
            EntryKind::Link => Self::Foreign(Foreign::Link),
            EntryKind::File if name.starts_with(TEMPORARY_PREFIX) => Self::Unfinished,
            EntryKind::Folder => match (task(name), name.strip_suffix(REMOVED).and_then(task)) {
                (Some(task_id), _) => Self::Task(task_id),
                (None, Some(task_id)) => Self::Removed(task_id),
                (None, None) => Self::Foreign(Foreign::Unknown),
            },
            EntryKind::File | EntryKind::Other => Self::Foreign(Foreign::Unknown),
        }
    }
}

/// What an entry of a task's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InTask {
    /// A file that a task has.
    File,
    /// An unfinished file.
    Unfinished,
    /// None of ours: the task stays.
    Foreign(Foreign),
}

impl InTask {
    /// What an entry of this name and kind is.
    pub(crate) fn of(name: &str, kind: EntryKind) -> Self {
        match kind {
            EntryKind::Link => Self::Foreign(Foreign::Link),
            EntryKind::File if [TEMPORARY_PREFIX, ARTIFACT_PREFIX].iter().any(|start| name.starts_with(start)) => {
                Self::Unfinished
            }
            EntryKind::File if is_file_of_a_task(name) => Self::File,
            _ => Self::Foreign(Foreign::Unknown),
        }
    }
}

fn is_file_of_a_task(name: &str) -> bool {
    [TASK_FILE, LOCK_FILE, SEALED_FILE, EXPORT_FILE, INDEX_FILE].contains(&name)
        || Profile::names().iter().any(|profile| profile_file_name(profile) == name)
}

/// Whether an unfinished file, last written then, has no writer any more. One from the future may have one.
pub(crate) fn is_abandoned(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age >= ABANDONED_AFTER)
}

/// What lies in `tasks/`.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The tasks, in the order of their ids.
    pub(crate) tasks: Vec<TaskId>,
    /// Those that are being removed.
    pub(crate) removed: Vec<TaskId>,
    /// What is none of ours, by its name.
    pub(crate) foreign: Vec<(String, Foreign)>,
}

/// What killed processes left.
#[derive(Debug, Default)]
pub(crate) struct Abandoned {
    /// What was removed, by its path in the data directory.
    pub(crate) removed: Vec<String>,
    /// What could not be removed or looked at, by the same path.
    pub(crate) failed: Vec<(String, TaskError)>,
}

impl Abandoned {
    /// Goes on after a failure that concerns this place alone.
    fn go_on(&mut self, place: &str, outcome: Result<(), TaskError>) -> Result<(), TaskError> {
        match outcome {
            Err(error) if !error.concerns_all() => self.failed.push((place.to_owned(), error)),
            outcome => return outcome,
        }
        Ok(())
    }
}

/// A task, and what else lies in its directory.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) task_id: TaskId,
    /// `None` for a directory without a task: it was never accepted, or is just being created.
    pub(crate) task: Result<Option<Task>, TaskError>,
    /// What is none of ours there.
    pub(crate) foreign: Vec<(String, Foreign)>,
}

/// A task that is archived and about to be removed. Nobody changes it meanwhile.
#[derive(Debug)]
pub(crate) struct Removal {
    task: Task,
    lock: TaskLock,
}

impl Removal {
    /// The task as it was archived.
    pub(crate) const fn task(&self) -> &Task {
        &self.task
    }
}

impl TaskStore {
    /// The directory of tasks, which must be one itself: a link to another place is not followed.
    fn folder(&self) -> Result<Folder, TaskError> {
        let name = self.root().file_name().unwrap_or_default();
        self.data_folder()?.enter(name).map_err(TaskError::storage("cannot look through", self.root()))
    }

    fn inventory(&self) -> Result<Inventory, TaskError> {
        let mut inventory = Inventory::default();
        let entries = self.folder()?.entries().map_err(TaskError::storage("cannot list", self.root()))?;
        for entry in entries {
            match InTasks::of(&entry.shown(), entry.kind) {
                InTasks::Task(task_id) => inventory.tasks.push(task_id),
                InTasks::Removed(task_id) => inventory.removed.push(task_id),
                InTasks::Unfinished => {}
                InTasks::Foreign(why) => inventory.foreign.push((entry.shown(), why)),
            }
        }
        Ok(inventory)
    }

    fn inspect(&self, tasks: &Folder, task_id: &TaskId) -> Inspected {
        let entries = tasks.enter(task_id.as_str()).and_then(|folder| folder.entries());
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let task = match error.kind() {
                    io::ErrorKind::NotFound => Ok(None),
                    _ => Err(TaskError::storage("cannot look through", self.directory(task_id))(error)),
                };
                return Inspected { task_id: task_id.clone(), task, foreign: Vec::new() };
            }
        };
        let foreign: Vec<_> = foreign_in(&entries);
        let has_file = entries.iter().any(|entry| entry.name == TASK_FILE && entry.kind == EntryKind::File);
        let task = if has_file { self.read(task_id).map(Some) } else { Ok(None) };
        let task = match task {
            Err(TaskError::NotFound(_)) => Ok(None),
            task => task,
        };
        Inspected { task_id: task_id.clone(), task, foreign }
    }

    /// Locks a task that `judge` lets go, after it was read once more, and archives it.
    fn begin_removal(
        &self,
        task_id: &TaskId,
        judge: impl FnOnce(&Task) -> bool,
        archived_at: Timestamp,
    ) -> Result<Option<Removal>, TaskError> {
        let lock = self.lock(task_id)?;
        let inspected = self.inspect(&self.folder()?, task_id);
        let Some(task) = inspected.task?.filter(|task| inspected.foreign.is_empty() && judge(task)) else {
            return Ok(None);
        };
        self.archive(task_id.as_str(), &json!({ "task": task, "archived_at": archived_at }))?;
        Ok(Some(Removal { task, lock }))
    }

    fn move_away(&self, task_id: &TaskId) -> Result<(), TaskError> {
        let moved = self.folder()?.rename_folder(task_id.as_str(), removed_name(task_id));
        moved.map_err(TaskError::storage("cannot move away", self.directory(task_id)))
    }

    /// The task in a directory that was moved away; `None` when its file is gone already.
    fn moved_task(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError> {
        let read = self.folder()?.enter(removed_name(task_id)).and_then(|folder| folder.read(TASK_FILE, MOST_BYTES));
        match read {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TaskError::storage("cannot read", self.root().join(removed_name(task_id)))(error)),
        }
    }

    /// Removes a directory that was moved away; whether it is gone. It stays if something lies there that is none of ours.
    fn remove_moved(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let name = removed_name(task_id);
        let removed = self.folder().and_then(|tasks| {
            let remove = || {
                let folder = match tasks.enter(&name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                    folder => folder?,
                };
                let mut entries = folder.entries()?;
                if !foreign_in(&entries).is_empty() {
                    return Ok(false);
                }
                // The task's file says what is removed here, so it goes last.
                entries.sort_by_key(|entry| entry.name == TASK_FILE);
                for entry in entries {
                    folder.remove_file(&entry.name)?;
                    fail_point!("housekeeping_file_removed");
                }
                tasks.remove_folder(&name)?;
                Ok(true)
            };
            remove().map_err(TaskError::storage("cannot remove", self.root().join(&name)))
        })?;
        Ok(removed)
    }

    /// Removes unfinished files that have no writer any more, and directories of tasks that were never accepted; returns
    /// their names. In a dry run it only returns them.
    fn remove_abandoned(&self, tasks: &[TaskId], now: SystemTime, dry_run: bool) -> Result<Abandoned, TaskError> {
        let mut found = Abandoned::default();
        let folder = self.folder()?;
        let outcome = remove_unfinished(&folder, "tasks", now, dry_run, &mut found);
        found.go_on("tasks", outcome)?;
        let data = self.data_folder()?;
        let outcome = remove_unfinished(&data, "", now, dry_run, &mut found);
        found.go_on(".", outcome)?;
        let outcome = match data.enter(ARCHIVE) {
            Ok(archive) => remove_unfinished(&archive, ARCHIVE, now, dry_run, &mut found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(TaskError::storage("cannot look through", data.path().join(ARCHIVE))(error)),
        };
        found.go_on(ARCHIVE, outcome)?;
        for task_id in tasks {
            let place = format!("tasks/{task_id}");
            let outcome = self.remove_abandoned_of(task_id, (&folder, &place), now, dry_run, &mut found);
            found.go_on(&place, outcome)?;
        }
        Ok(found)
    }

    fn remove_abandoned_of(
        &self,
        task_id: &TaskId,
        (folder, place): (&Folder, &str),
        now: SystemTime,
        dry_run: bool,
        found: &mut Abandoned,
    ) -> Result<(), TaskError> {
        let own = match folder.enter(task_id.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            own => own.map_err(TaskError::storage("cannot look through", self.directory(task_id)))?,
        };
        // Asked first: what is removed below touches the directory.
        let touched = own.modified().map_err(TaskError::storage("cannot look at", own.path()))?;
        remove_unfinished(&own, place, now, dry_run, found)?;
        let was_never_accepted = is_abandoned(touched, now) && !self.has_file(task_id);
        if was_never_accepted && if dry_run { is_empty_but_ours(&own)? } else { self.remove_empty(task_id)? } {
            found.removed.push(place.to_owned());
        }
        Ok(())
    }
}

/// Removes the unfinished files of a directory that have no writer any more, and adds their names.
fn remove_unfinished(
    folder: &Folder,
    place: &str,
    now: SystemTime,
    dry_run: bool,
    found: &mut Abandoned,
) -> Result<(), TaskError> {
    for entry in folder.entries().map_err(TaskError::storage("cannot list", folder.path()))? {
        let is_unfinished = InTask::of(&entry.shown(), entry.kind) == InTask::Unfinished;
        if !is_unfinished || !is_abandoned(entry.modified, now) {
            continue;
        }
        let name = Path::new(place).join(entry.shown()).display().to_string();
        let remove = || folder.remove_file(&entry.name);
        match if dry_run { Ok(true) } else { remove() } {
            Ok(true) => found.removed.push(name),
            Ok(false) => {}
            Err(error) => {
                let path = folder.path().join(&entry.name);
                found.go_on(&name, Err(TaskError::storage("cannot remove", path)(error)))?;
            }
        }
    }
    Ok(())
}

fn is_empty_but_ours(folder: &Folder) -> Result<bool, TaskError> {
    let entries = folder.entries().map_err(TaskError::storage("cannot list", folder.path()))?;
    Ok(entries.iter().all(|entry| entry.name == LOCK_FILE || entry.name == SEALED_FILE))
}

fn removed_name(task_id: &TaskId) -> String {
    format!("{task_id}{REMOVED}")
}

fn foreign_in(entries: &[FolderEntry]) -> Vec<(String, Foreign)> {
    let foreign = entries.iter().filter_map(|entry| match InTask::of(&entry.shown(), entry.kind) {
        InTask::Foreign(why) => Some((entry.shown(), why)),
        _ => None,
    });
    foreign.collect()
}

impl TaskManager {
    /// What lies in `tasks/`.
    pub(crate) async fn inventory(&self) -> Result<Inventory, TaskError> {
        self.store.blocking(TaskStore::inventory).await
    }

    /// Reads these tasks, and looks what else lies in their directories.
    pub(crate) async fn inspect(&self, ids: Vec<TaskId>) -> Result<Vec<Inspected>, TaskError> {
        let inspect = move |store: &TaskStore| {
            let tasks = store.folder()?;
            Ok(ids.iter().map(|task_id| store.inspect(&tasks, task_id)).collect())
        };
        self.store.blocking(inspect).await
    }

    /// Locks and archives a task that is to be removed, if `judge` still lets it go; `None` if not.
    pub(crate) async fn begin_removal(
        &self,
        task_id: &TaskId,
        judge: impl FnOnce(&Task) -> bool + Send + 'static,
        archived_at: Timestamp,
    ) -> Result<Option<Removal>, TaskError> {
        let task_id = task_id.clone();
        let removal = self.store.blocking(move |store| store.begin_removal(&task_id, judge, archived_at)).await?;
        fail_point!("housekeeping_archived");
        Ok(removal)
    }

    /// Removes a task for good. Whoever waits for its lock finds that it is not there any more.
    pub(crate) async fn finish_removal(&self, removal: Removal) -> Result<(), TaskError> {
        let manager = self.clone();
        self.to_its_end(async move {
            let Removal { task, lock } = removal;
            let task_id = task.task_id.clone();
            let moved = manager.store.blocking(move |store| {
                let _lock = lock;
                store.move_away(&task_id)
            });
            moved.await?;
            fail_point!("housekeeping_moved");
            manager.note_removed(&task).await;
            fail_point!("housekeeping_recorded");
            manager.store.blocking(move |store| store.remove_moved(&task.task_id)).await?;
            Ok(())
        })
        .await
    }

    /// Goes on with a removal that was cut short; whether the task is gone now.
    pub(crate) async fn resume_removal(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let moved = task_id.clone();
        if let Some(task) = self.store.blocking(move |store| store.moved_task(&moved)).await? {
            self.note_removed(&task).await;
        }
        let task_id = task_id.clone();
        self.store.blocking(move |store| store.remove_moved(&task_id)).await
    }

    async fn note_removed(&self, task: &Task) {
        if let Some(catalogue) = &self.catalogue {
            // Larger than what anybody has written, so that nothing that comes late brings it back.
            let revision = task.revision.saturating_add(1);
            catalogue.note(CatalogueRecord::gone(task.task_id.clone(), revision)).await;
        }
    }

    /// Removes what killed processes left in the data directory and nobody has touched for a day; returns the names, and those that
    /// could not be removed. In a dry run it only returns them. The age is taken from the file system's own times.
    ///
    /// # Errors
    /// When nothing can be removed at all.
    pub(crate) async fn remove_abandoned(&self, tasks: Vec<TaskId>, dry_run: bool) -> Result<Abandoned, TaskError> {
        self.store.blocking(move |store| store.remove_abandoned(&tasks, SystemTime::now(), dry_run)).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::{
        durable,
        ids::{PoolName, TraceId},
        task::{ScanPayload, ScanType},
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn age(path: &Path) {
        File::open(path).unwrap().set_modified(SystemTime::now() - 2 * DAY).unwrap();
    }

    #[test]
    fn only_what_this_program_writes_is_ours() {
        use EntryKind::{File, Folder, Link, Other};
        let id = TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap();
        let (link, unknown) = (InTasks::Foreign(Foreign::Link), InTasks::Foreign(Foreign::Unknown));
        for (name, kind, expected) in [
            (id.as_str(), Folder, InTasks::Task(id.clone())),
            ("ne_ness_20251201_143022_a1b2c3d4.removed", Folder, InTasks::Removed(id.clone())),
            (id.as_str(), Link, link.clone()),
            (id.as_str(), File, unknown.clone()),
            (id.as_str(), Other, unknown.clone()),
            ("ne_ness_20251201_143022_a1b2c3d4.removed", Link, link.clone()),
            ("ne_ness_20251201_143022_a1b2c3d4.bak", Folder, unknown.clone()),
            ("notes", Folder, unknown.clone()),
            ("lost+found", Folder, unknown.clone()),
            (".removed", Folder, unknown.clone()),
            (".tmp-x", File, InTasks::Unfinished),
            (".tmp-x", Link, link),
            (".tmp-x", Folder, unknown),
        ] {
            assert_eq!(InTasks::of(name, kind), expected, "{name} {kind:?}");
        }
        let foreign = [InTask::Foreign(Foreign::Link), InTask::Foreign(Foreign::Unknown)];
        for (name, kind, expected) in [
            ("task.json", File, InTask::File),
            ("task.lock", File, InTask::File),
            ("credential.sealed", File, InTask::File),
            ("scan_native.nessus", File, InTask::File),
            ("scan_native.idx", File, InTask::File),
            ("scan_schema_brief.jsonl", File, InTask::File),
            ("scan_schema_other.jsonl", File, foreign[1]),
            (".tmp-a", File, InTask::Unfinished),
            (".artifact-a", File, InTask::Unfinished),
            ("task.json", Link, foreign[0]),
            ("scan_native.nessus", Link, foreign[0]),
            ("scan_native.nessus", Folder, foreign[1]),
            ("report.pdf", File, foreign[1]),
            ("task.json.bak", File, foreign[1]),
            ("task.json", Other, foreign[1]),
        ] {
            assert_eq!(InTask::of(name, kind), expected, "{name} {kind:?}");
        }
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        let hour = Duration::from_secs(3600);
        for (written, abandoned) in [(now - day, true), (now - 23 * hour, false), (now, false), (now + 99 * day, false)]
        {
            assert_eq!(is_abandoned(written, now), abandoned);
        }
    }

    #[test]
    fn what_killed_processes_left_is_removed_when_nobody_has_touched_it_for_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let store = TaskStore::open(directory.path()).unwrap();
        let id = |second: i64| TaskId::generate("nessus", "nessus", Timestamp::from_millis(second * 1000));
        let (alive, abandoned, foreign, young) = (id(1), id(2), id(3), id(4));
        let payload = ScanPayload::new("office", "192.0.2.1");
        let pool = PoolName::new("nessus").unwrap();
        let now = Timestamp::from_millis(1000);
        let trace_id = TraceId::generate();
        let task = Task::new(alive.clone(), trace_id, ScanType::Untrusted, "nessus", pool, payload, now);
        let lock = store.begin(&alive).unwrap();
        store.create(&task, Some(b"sealed"), lock).unwrap();
        store.archive("letter", &serde_json::json!({})).unwrap();
        for task_id in [&abandoned, &foreign, &young] {
            durable::create_directory(&store.directory(task_id)).unwrap();
            drop(store.lock(task_id).unwrap());
        }
        let spent = store.path(&abandoned, SEALED_FILE);
        durable::replace(&spent, b"sealed").unwrap();
        let old = [
            store.path(&alive, ".tmp-old"),
            store.path(&alive, ".artifact-old"),
            store.path(&abandoned, ".tmp-old"),
            store.root().join(".tmp-old"),
            directory.path().join("archive/.tmp-old"),
        ];
        let kept = [
            store.path(&alive, ".tmp-new"),
            store.path(&alive, EXPORT_FILE),
            store.path(&alive, SEALED_FILE),
            store.path(&foreign, "notes"),
            store.path(&young, LOCK_FILE),
        ];
        for path in old.iter().chain(&kept[..4]) {
            File::create(path).unwrap();
        }
        for path in old.iter().chain(&kept[1..4]) {
            age(path);
        }
        for task_id in [&abandoned, &foreign] {
            age(&store.directory(task_id));
        }

        let all = store.inventory().unwrap().tasks;
        let remove = |dry_run| store.remove_abandoned(&all, SystemTime::now(), dry_run).unwrap().removed;
        assert_eq!(remove(true).len(), old.len(), "the directory has an unfinished file still");
        assert!(old.iter().all(|path| path.exists()), "{old:?}");
        let removed = remove(false);
        assert_eq!(removed.len(), old.len() + 1, "{removed:?}");
        assert!(removed.contains(&format!("tasks/{abandoned}")) && removed.contains(&"archive/.tmp-old".to_owned()));
        assert!(old.iter().all(|path| !path.exists()), "{old:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
        assert!(!store.directory(&abandoned).exists());
        assert_eq!(store.read(&alive).unwrap().task_id, alive);
        assert!(remove(false).is_empty());
    }
}
