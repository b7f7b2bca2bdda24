//! Removing in a bucket: what housekeeping lets go, and what killed processes have left.

use std::{io, time::SystemTime};

use super::{
    bucket::{Got, Listed, Written},
    entries::{Abandoned, Foreign, InTask, InTasks, Inventory, is_abandoned},
    names::{REMOVED, TASK_FILE, TASKS, key, removed_name, result_files},
    objects::{OF_NO_CLAIM, Objects, UPLOADS},
    storage::{Storage as _, Tag},
};
use crate::{
    durable::EntryKind,
    fail_points::fail_point,
    ids::TaskId,
    task::{error::TaskError, failure::PlaceFailure, model::Task},
    time::Timestamp,
};

/// Where a process finds out whether a store can be used.
const PROBES: &str = "probes";

impl Objects {
    pub(super) fn list_tasks(&self) -> Result<Inventory, TaskError> {
        let place = || self.shown(TASKS);
        let listed = self.bucket.list(TASKS).map_err(TaskError::storage("cannot list", place()))?;
        let mut inventory = Inventory::default();
        for (name, _) in &listed.objects {
            match name.strip_suffix(REMOVED).and_then(|name| TaskId::new(name).ok()) {
                Some(task_id) => {
                    // Whoever wrote the mark may have died before the task was moved away.
                    let there = self.bucket.get(&key(&task_id, TASK_FILE), None);
                    let there = there.map_err(TaskError::storage("cannot read", place()))?;
                    let stands = matches!(there, Got::Content(..)) && self.moved_task(&task_id)?.is_none();
                    if !stands {
                        inventory.removed.push(task_id);
                    }
                }
                None => inventory.foreign.push((name.clone(), Foreign::Unknown)),
            }
        }
        for name in listed.folders {
            match InTasks::of(&name, EntryKind::Folder) {
                InTasks::Task(task_id) if inventory.removed.contains(&task_id) => {}
                InTasks::Task(task_id) => inventory.tasks.push(task_id),
                _ => inventory.foreign.push((name, Foreign::Unknown)),
            }
        }
        Ok(inventory)
    }

    pub(super) fn foreign_there(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let folder = format!("{TASKS}/{task_id}");
        let there = self.bucket.list(&folder).map_err(TaskError::storage("cannot list", self.shown(&folder)))?;
        Ok(!is_ours(&there))
    }

    /// Removes all of a task that was moved away; whether it is gone.
    pub(super) fn remove_task(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let folder = format!("{TASKS}/{task_id}");
        let failed = |action| TaskError::storage(action, self.shown(&folder));
        let there = self.bucket.list(&folder).map_err(failed("cannot list"))?;
        if !is_ours(&there) {
            return Ok(false);
        }
        // The task's file says what is removed here, so it goes last.
        for upload in &there.folders {
            self.bucket.remove_below(&format!("{folder}/{upload}")).map_err(failed("cannot remove"))?;
            fail_point!("bucket_file_removed");
        }
        self.bucket.remove(&key(task_id, TASK_FILE)).map_err(failed("cannot remove"))?;
        fail_point!("housekeeping_file_removed");
        self.bucket.remove_below(&format!("{UPLOADS}/{task_id}")).map_err(failed("cannot remove"))?;
        self.bucket.remove(&format!("{TASKS}/{}", removed_name(task_id))).map_err(failed("cannot remove"))?;
        Ok(true)
    }

    /// Removes what workers have uploaded under claims that can publish nothing any more; how many files that was.
    pub(super) fn remove_uploads(&self, task: &Task, is_over: impl Fn(u64) -> bool) -> io::Result<usize> {
        let place = format!("{UPLOADS}/{}", task.task_id);
        let mut removed = 0;
        for (mark, _) in self.bucket.list(&place)?.objects {
            let Some((name, upload)) = of_mark(&mark) else { continue };
            let claim = upload.split_once('-').and_then(|(claim, _)| claim.parse().ok());
            if !claim.is_some_and(&is_over) {
                continue;
            }
            if task.files.get(name).is_some_and(|file| file.upload == upload) {
                self.bucket.remove(&format!("{place}/{mark}"))?;
            } else {
                // Who stands still in the middle of an upload goes on with it when it wakes up: the mark stays until that is over.
                let parts = self.remove_parts(&task.task_id, name, upload)?;
                removed += usize::from(parts > 0);
            }
        }
        Ok(removed)
    }

    /// Removes what has been marked for a day as what no task may name, and no task names; and what is left of looking whether the store can
    /// be used.
    pub(super) fn remove_old_uploads(&self, dry_run: bool) -> Result<Abandoned, TaskError> {
        let failed = |action, key: &str| TaskError::storage(action, self.shown(key));
        let now = self.time().map_err(failed("cannot write", PROBES))?;
        let mut found = Abandoned::default();
        let marks = self.bucket.list_all(UPLOADS).map_err(failed("cannot list", UPLOADS))?;
        for (mark, _) in marks.into_iter().filter(|(_, written)| is_abandoned(*written, now)) {
            let Some((task_id, name)) = mark.split_once('/') else { continue };
            let Ok(task_id) = TaskId::new(task_id) else { continue };
            let outcome = self.remove_marked(&task_id, name, dry_run);
            let place = format!("{UPLOADS}/{mark}");
            match outcome {
                Ok(true) => found.removed.push(place),
                Ok(false) => {}
                Err(error) => found.go_on(&place, Err(error))?,
            }
        }
        let probes = self.bucket.list_all(PROBES).map_err(failed("cannot list", PROBES))?;
        for (probe, _) in probes.into_iter().filter(|(_, written)| is_abandoned(*written, now)) {
            let place = format!("{PROBES}/{probe}");
            if !dry_run {
                self.bucket.remove(&place).map_err(failed("cannot remove", &place))?;
            }
            found.removed.push(place);
        }
        Ok(found)
    }

    /// Removes what a mark stands for, if no task names it, and the mark; whether there was something to remove.
    fn remove_marked(&self, task_id: &TaskId, mark: &str, dry_run: bool) -> Result<bool, TaskError> {
        let task = match self.look(task_id) {
            Err(TaskError::NotFound(_)) => None,
            task => Some(task?),
        };
        let mark_key = format!("{UPLOADS}/{task_id}/{mark}");
        let failed = |action| TaskError::storage(action, self.shown(&mark_key));
        let named = |name: &str| task.as_ref().and_then(|task| task.files.get(name)).map(|file| &*file.upload);
        let unneeded = of_mark(mark).filter(|(name, upload)| named(name) != Some(upload));
        if !dry_run {
            match unneeded {
                Some((name, upload)) => self.remove_upload(task_id, name, upload),
                None => self.bucket.remove(&mark_key),
            }
            .map_err(failed("cannot remove"))?;
        }
        Ok(unneeded.is_some())
    }

    /// The time by the store's own clock.
    fn time(&self) -> io::Result<SystemTime> {
        let key = format!("{PROBES}/{}", uuid::Uuid::new_v4().simple());
        self.bucket.put(&key, b"")?;
        let written = self.bucket.written_at(&key);
        self.bucket.remove(&key)?;
        written?.ok_or_else(|| unfit("an object that was just written is not there"))
    }

    /// Whether a store can be used: what is written is there and can be removed, and conditional writes hold. The time by its clock.
    ///
    /// # Errors
    /// With the first step that is refused, or that a store without conditional writes gets wrong.
    pub(super) fn probe(&self) -> io::Result<Timestamp> {
        let key = format!("{PROBES}/{}", uuid::Uuid::new_v4().simple());
        let outcome = self.probe_with(&key);
        let removed = self.bucket.remove(&key);
        let time = outcome?;
        removed?;
        Ok(time)
    }

    fn probe_with(&self, key: &str) -> io::Result<Timestamp> {
        let tag_of = |content: &[u8]| -> io::Result<Tag> {
            match self.bucket.get(key, None)? {
                Got::Content(there, tag) if there == content => Ok(tag),
                _ => Err(unfit("it does not show what was just written")),
            }
        };
        let write = |seen: Option<&Tag>, content: &[u8]| {
            self.bucket.put_if(key, seen, content).map_err(|error| {
                let is_unsupported = error.kind() == io::ErrorKind::Unsupported;
                if is_unsupported { unfit("it has no conditional writes") } else { error }
            })
        };
        if write(None, b"one")? == Written::Refused {
            return Err(unfit("it takes a new object for one that is there"));
        }
        let first = tag_of(b"one")?;
        if first.e_tag.is_none() {
            return Err(unfit("it tells no version of an object"));
        }
        if first.writes.is_empty() {
            return Err(unfit("it does not keep the metadata of an object"));
        }
        if write(None, b"two")? == Written::Done || write(Some(&first), b"three")? == Written::Refused {
            return Err(unfit("it does not keep to the conditions of a write"));
        }
        tag_of(b"three")?;
        if write(Some(&first), b"four")? == Written::Done {
            return Err(unfit("it writes over a version that nobody has seen"));
        }
        let last = tag_of(b"three")?;
        if !self.bucket.list_all(PROBES)?.iter().any(|(name, _)| key.ends_with(name.as_str())) {
            return Err(unfit("its lists do not show what was just written"));
        }
        let written =
            self.bucket.written_at(key)?.ok_or_else(|| unfit("an object that was just written is not there"))?;
        // A task that was removed must not come back with the write of somebody who has read it before.
        self.bucket.remove(key)?;
        if write(Some(&last), b"five")? == Written::Done {
            return Err(unfit("it brings back an object that was removed"));
        }
        let since = written.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Whether all that lies there of a task is of this program.
fn is_ours(there: &Listed) -> bool {
    let is_file = |name: &String| InTask::of(name, EntryKind::File) == InTask::File;
    let is_upload = |name: &String| result_files().any(|file| name.starts_with(&format!("{file}.")));
    there.objects.iter().all(|(name, _)| is_file(name)) && there.folders.iter().all(is_upload)
}

fn unfit(what: &str) -> io::Error {
    let hint = "use an object store with conditional writes (If-Match, If-None-Match) that shows what was written, or keep the tasks in \
                a directory";
    PlaceFailure::error(io::ErrorKind::Unsupported, format!("the object store cannot be used: {what}"), Some(hint))
}

/// File and upload of a mark.
fn of_mark(mark: &str) -> Option<(&str, &str)> {
    let (name, upload) = mark.rsplit_once('.')?;
    let (claim, _) = upload.split_once('-')?;
    (claim == OF_NO_CLAIM || claim.parse::<u64>().is_ok()).then_some((name, upload))
}
