//! Removing in a bucket: what housekeeping lets go, and what killed processes have left.
//!
//! Who collects what a mark stands for does so beside others who may be writing. Each mark is older than a day, and an upload may be published
//! for half a day only ([`LONGEST_UPLOAD`](super::storage::LONGEST_UPLOAD)). Who publishes asks for that after reading the task, and writes only where
//! it is still as it was read:
//!
//! - *Parts that no task names.* The task is written anew first, and then they are removed. So who wanted to name them is refused, reads again, and is
//!   too late.
//! - *A mark of parts that a task names.* It is removed first, and then the task is written anew. So who wants to name others instead, and has just
//!   marked these, is refused and marks them once more. Where he was faster, the mark is put back.
//!
//! What remains needs two deaths or a suspension at the very moment: the collector dies between the two steps of the second kind, and the other process
//! before it has removed the parts; or a process that stood still for a day in the midst of an upload wakes up, and dies before it has removed the few
//! parts that were on their way. These parts have no mark. Nobody reads them, and they are removed with their task.

use std::{io, time::SystemTime};

use super::{
    bucket::{Got, Listed, Written},
    document::parse,
    entries::{Abandoned, Foreign, InTask, InTasks, Inventory, is_abandoned},
    names::{REMOVED, TASK_FILE, TASKS, key, removed_name, result_files},
    objects::{OF_NO_CLAIM, Objects, UPLOADS},
    storage::{Hold, Seen, Storage as _, Tag},
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
        let mark_key = format!("{UPLOADS}/{task_id}/{mark}");
        let failed = |action| TaskError::storage(action, self.shown(&mark_key));
        let there = match self.task_file(task_id, None).map_err(failed("cannot read the task of"))? {
            Got::Content(content, tag) => {
                let task = parse(task_id, || self.shown(&key(task_id, TASK_FILE)), &content)?;
                Some((Hold::Seen(Seen { tag: Some(tag), content: Some(content) }), task))
            }
            Got::Missing | Got::Unchanged => None,
        };
        let named = |name: &str| there.as_ref().and_then(|(_, task)| task.files.get(name)).map(|file| &*file.upload);
        let unneeded = of_mark(mark).filter(|(name, upload)| named(name) != Some(upload));
        if dry_run {
            return Ok(unneeded.is_some());
        }
        // Whoever has read the task before writes it no more, but decides again.
        let is_as_read = || match &there {
            Some((hold, task)) => {
                let again = Task { revision: task.revision.saturating_add(1), ..task.clone() };
                match self.write(hold, &again) {
                    Err(TaskError::Contended(_)) => Ok(false),
                    written => written.map(|()| true),
                }
            }
            None => Ok(true),
        };
        if let Some((name, upload)) = unneeded {
            if !is_as_read()? {
                return Ok(false);
            }
            fail_point!("bucket_collection_begun");
            self.remove_upload(task_id, name, upload).map_err(failed("cannot remove"))?;
        } else {
            self.bucket.remove(&mark_key).map_err(failed("cannot remove"))?;
            if !is_as_read()? {
                self.bucket.put(&mark_key, b"").map_err(failed("cannot write"))?;
            }
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
        if first.etag.is_none() {
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tempfile::TempDir;

    use super::*;
    use crate::{
        ids::{PoolName, TraceId},
        task::{
            ScanPayload, ScanType,
            store::{
                names::EXPORT_FILE,
                storage::{LONGEST_UPLOAD, Prepared},
                task_store::TaskStore,
            },
        },
    };

    /// A bucket in memory with a task; runs on a thread that may block.
    fn with_task() -> (TempDir, Arc<Objects>, TaskId) {
        let directory = tempfile::tempdir().unwrap();
        let objects = Arc::new(Objects::in_memory(directory.path()));
        let now = Timestamp::from_millis(0);
        let task_id = TaskId::generate("nessus", "nessus", now);
        let (pool, payload) = (PoolName::new("nessus").unwrap(), ScanPayload::new("office", "192.0.2.1"));
        let task = Task::new(task_id.clone(), TraceId::generate(), ScanType::Untrusted, "nessus", pool, payload, now);
        let hold = objects.begin(&task_id).unwrap();
        objects.create(&hold, &task, None).unwrap();
        (directory, objects, task_id)
    }

    fn prepared(objects: &Objects, task_id: &TaskId) -> Prepared {
        objects.prepare(task_id, EXPORT_FILE, objects.begin_file(task_id, EXPORT_FILE).unwrap()).unwrap()
    }

    fn marks(objects: &Objects) -> Vec<String> {
        objects.bucket.list_all(UPLOADS).unwrap().into_iter().map(|(mark, _)| mark).collect()
    }

    /// Names the parts in the task, as it was read under the hold.
    fn name(objects: &Objects, (hold, mut task): (Hold, Task), parts: Prepared) -> Result<(), TaskError> {
        let Prepared::Parts(file, _) = parts else { panic!("{parts:?}") };
        task.files.insert(EXPORT_FILE.to_owned(), file);
        task.revision += 1;
        objects.write(&hold, &task)
    }

    fn read(objects: &Objects, task_id: &TaskId) -> (Hold, Task) {
        (objects.hold(task_id, std::time::Instant::now()).unwrap(), objects.look(task_id).unwrap())
    }

    #[test]
    fn parts_that_are_collected_are_named_by_nobody_who_has_read_the_task_before() {
        let (_directory, objects, task_id) = with_task();
        let parts = prepared(&objects, &task_id);
        let before = read(&objects, &task_id);
        let [mark] = &*marks(&objects) else { panic!("no mark") };
        assert!(objects.remove_marked(&task_id, mark.split_once('/').unwrap().1, false).unwrap());
        assert!(matches!(name(&objects, before, parts), Err(TaskError::Contended(_))));
        assert_eq!(marks(&objects), Vec::<String>::new());
    }

    #[test]
    fn whoever_marks_parts_again_while_their_mark_is_removed_marks_them_once_more() {
        let (_directory, objects, task_id) = with_task();
        name(&objects, read(&objects, &task_id), prepared(&objects, &task_id)).unwrap();
        let file = objects.look(&task_id).unwrap().files[EXPORT_FILE].clone();
        let mark = format!("{EXPORT_FILE}.{}", file.upload);
        objects.bucket.put(&format!("{UPLOADS}/{task_id}/{mark}"), b"").unwrap();
        let before = read(&objects, &task_id);
        assert!(!objects.remove_marked(&task_id, &mark, false).unwrap());
        assert_eq!(marks(&objects), Vec::<String>::new());
        let other = prepared(&objects, &task_id);
        assert!(matches!(name(&objects, before, other), Err(TaskError::Contended(_))));
        assert!(marks(&objects).iter().any(|there| there.ends_with(&mark)), "the parts are still marked");
        assert_eq!(objects.look(&task_id).unwrap().files[EXPORT_FILE], file);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_published_for_half_a_day() {
        for (later, is_late) in [(LONGEST_UPLOAD / 2, false), (LONGEST_UPLOAD, true)] {
            let (_directory, objects, task_id) = tokio::task::spawn_blocking(with_task).await.unwrap();
            let store = TaskStore::of(objects);
            let task = task_id.clone();
            let prepare = move |store: &TaskStore| {
                let file = store.begin_file(&task, EXPORT_FILE)?;
                store.prepare(&task, EXPORT_FILE, file)
            };
            let parts = store.blocking(prepare).await.unwrap();
            tokio::time::advance(later + Duration::from_secs(1)).await;
            let publish = move |store: &TaskStore| store.publish(&task_id, EXPORT_FILE, parts, |_| Ok(()));
            let published = store.blocking(publish).await;
            assert_eq!(published.is_err(), is_late, "{later:?} {published:?}");
        }
    }
}
