//! Removing in a directory: what housekeeping lets go, and what killed processes have left. Nothing follows a symbolic link.
//!
//! What nobody has touched for a day may belong to a process that stood still for so long. It loses nothing: an unfinished file that was removed
//! cannot be given its name, so its writer begins again; and who waited for the lock of a task that was never accepted finds that the lock's file is
//! gone, and takes another ([`TaskLock`](super::lock::TaskLock)).

use std::{io, path::Path, time::SystemTime};

use super::{
    entries::{Abandoned, Contents, InTask, InTasks, Inventory, MOST_BYTES, foreign_in, is_abandoned},
    files::Files,
    names::{ARCHIVE, LOCK_FILE, SEALED_FILE, TASK_FILE, removed_name},
};
use crate::{
    durable::{EntryKind, Folder},
    fail_points::fail_point,
    ids::TaskId,
    task::{error::TaskError, model::Task},
};

impl Files {
    /// The data directory, to look through.
    fn data_folder(&self) -> Result<Folder, TaskError> {
        Folder::open(self.data_dir()).map_err(TaskError::storage("cannot look through", self.data_dir()))
    }

    /// The directory of tasks, which must be one itself: a link to another place is not followed.
    fn folder(&self) -> Result<Folder, TaskError> {
        let name = self.root().file_name().unwrap_or_default();
        self.data_folder()?.enter(name).map_err(TaskError::storage("cannot look through", self.root()))
    }

    pub(super) fn list_all(&self) -> Result<Inventory, TaskError> {
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

    pub(super) fn contents_of(&self, task_id: &TaskId) -> Result<Option<Contents>, TaskError> {
        let entries = match self.folder()?.enter(task_id.as_str()).and_then(|folder| folder.entries()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(TaskError::storage("cannot look through", self.directory(task_id)))?,
        };
        let has_file = entries.iter().any(|entry| entry.name == TASK_FILE && entry.kind == EntryKind::File);
        Ok(Some(Contents { has_file, foreign: foreign_in(&entries) }))
    }

    pub(super) fn rename_away(&self, task_id: &TaskId) -> Result<(), TaskError> {
        let moved = self.folder()?.rename_folder(task_id.as_str(), removed_name(task_id));
        moved.map_err(TaskError::storage("cannot move away", self.directory(task_id)))
    }

    /// The task in a directory that was moved away; `None` when its file is gone already.
    pub(super) fn moved(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError> {
        let read = self.folder()?.enter(removed_name(task_id)).and_then(|folder| folder.read(TASK_FILE, MOST_BYTES));
        match read {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TaskError::storage("cannot read", self.root().join(removed_name(task_id)))(error)),
        }
    }

    /// Removes a directory that was moved away; whether it is gone. It stays if something lies there that is none of ours.
    pub(super) fn remove_renamed(&self, task_id: &TaskId) -> Result<bool, TaskError> {
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
    pub(super) fn remove_old(&self, tasks: &[TaskId], now: SystemTime, dry_run: bool) -> Result<Abandoned, TaskError> {
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
        let was_never_accepted = is_abandoned(touched, now) && !self.path(task_id, TASK_FILE).exists();
        if was_never_accepted && if dry_run { is_empty_but_ours(&own)? } else { self.remove_never_accepted(task_id)? } {
            found.removed.push(place.to_owned());
        }
        Ok(())
    }

    /// The archive; `None` when nothing was archived yet.
    pub(super) fn archive_folder(&self) -> Result<Option<Folder>, TaskError> {
        let data = self.data_folder()?;
        match data.enter(ARCHIVE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            folder => folder.map(Some).map_err(TaskError::storage("cannot look through", data.path().join(ARCHIVE))),
        }
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

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;
    use crate::task::store::{names::EXPORT_FILE, task_store::TaskStore};
    use crate::{
        durable,
        ids::{PoolName, TraceId},
        task::{ScanPayload, ScanType},
        time::Timestamp,
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn age(path: &Path) {
        File::open(path).unwrap().set_modified(SystemTime::now() - 2 * DAY).unwrap();
    }

    #[test]
    fn what_killed_processes_left_is_removed_when_nobody_has_touched_it_for_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let store = TaskStore::open(directory.path()).unwrap();
        let files = Files::to_read(directory.path());
        let id = |second: i64| TaskId::generate("nessus", "nessus", Timestamp::from_millis(second * 1000));
        let (alive, abandoned, foreign, young) = (id(1), id(2), id(3), id(4));
        let payload = ScanPayload::new("office", "192.0.2.1");
        let pool = PoolName::new("nessus").unwrap();
        let now = Timestamp::from_millis(1000);
        let trace_id = TraceId::generate();
        let task = Task::new(alive.clone(), trace_id, ScanType::Untrusted, "nessus", pool, payload, now);
        let hold = store.begin(&alive).unwrap();
        store.create(&task, Some(b"sealed"), hold).unwrap();
        store.archive("letter", &serde_json::json!({})).unwrap();
        for task_id in [&abandoned, &foreign, &young] {
            durable::create_directory(&files.directory(task_id)).unwrap();
            drop(store.hold(task_id).unwrap());
        }
        let spent = files.path(&abandoned, SEALED_FILE);
        durable::replace(&spent, b"sealed").unwrap();
        let old = [
            files.path(&alive, ".tmp-old"),
            files.path(&alive, ".artifact-old"),
            files.path(&abandoned, ".tmp-old"),
            store.root().join(".tmp-old"),
            directory.path().join("archive/.tmp-old"),
        ];
        let kept = [
            files.path(&alive, ".tmp-new"),
            files.path(&alive, EXPORT_FILE),
            files.path(&alive, SEALED_FILE),
            files.path(&foreign, "notes"),
            files.path(&young, LOCK_FILE),
        ];
        for path in old.iter().chain(&kept[..4]) {
            File::create(path).unwrap();
        }
        for path in old.iter().chain(&kept[1..4]) {
            age(path);
        }
        for task_id in [&abandoned, &foreign] {
            age(&files.directory(task_id));
        }

        let all = store.inventory().unwrap().tasks;
        let remove = |dry_run| store.remove_abandoned(&all, dry_run).unwrap().removed;
        assert_eq!(remove(true).len(), old.len(), "the directory has an unfinished file still");
        assert!(old.iter().all(|path| path.exists()), "{old:?}");
        let removed = remove(false);
        assert_eq!(removed.len(), old.len() + 1, "{removed:?}");
        assert!(removed.contains(&format!("tasks/{abandoned}")) && removed.contains(&"archive/.tmp-old".to_owned()));
        assert!(old.iter().all(|path| !path.exists()), "{old:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
        assert!(!files.directory(&abandoned).exists());
        assert_eq!(store.read(&alive).unwrap().task_id, alive);
        assert!(remove(false).is_empty());
    }
}
