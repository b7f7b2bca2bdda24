//! Tasks as objects in a bucket. There is no lock: `task.json` is replaced only where the version stands that was read.
//!
//! ```text
//! tasks/{task_id}/task.json                names the files of results with their parts; has the sealed login until the task ends
//! tasks/{task_id}/{name}.{upload}/{part}   a mebibyte of a file of results
//! tasks/{task_id}.removed                  the task is being removed
//! uploads/{task_id}/{name}.{upload}        these parts may be named by no task: written before them, removed when it is sure
//! archive/{task_id}.json   queue.json
//! ```
//!
//! What is written before it is named, or named no longer before it is removed, has a mark in `uploads/` meanwhile: so whatever is killed,
//! its rest is found without looking through all objects.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::{
    bucket::{Bucket, Got, Written},
    document::{bytes_of, bytes_with, parse},
    entries::{Abandoned, Contents, Inventory},
    failure::stale,
    names::{ARCHIVE, ARTIFACT_PREFIX, TASK_FILE, TASKS, key, removed_name},
    storage::{Change, Hold, LONGEST_UPLOAD, Prepared, ROUNDS, Seen, Storage, Tag, pause},
};
use crate::{
    config::BucketUrl,
    durable::{self, DurableFile, EntryKind},
    error::chain,
    fail_points::fail_point,
    hex,
    ids::TaskId,
    known::Known,
    parts::{PART_BYTES, PartCache, PartFigures, PartFile},
    task::{error::TaskError, failure::hint, model::Task, place::ResultPlace, records::StoredFile, state::TaskStatus},
    time::BootInstant,
};

/// Where files are written before they are uploaded, and parts are kept that were read, in the directory of the cache.
const WORK: &str = "unfinished";
const PARTS: &str = "parts";
/// The most bytes of task files whose tasks are kept in memory.
const KNOWN_BYTES: usize = 2 << 20;
/// How often an object is read again that is older than what was read before.
const STALE_READS: u32 = 10;
/// Where the marks are of what no task may name.
pub(super) const UPLOADS: &str = "uploads";
/// What an upload is called that no worker makes, before the dash. A worker's has its fencing token there.
pub(super) const OF_NO_CLAIM: &str = "api";
/// What a task's file begins with that is being removed. Nobody reads it as a task.
const TOMBSTONE: &[u8] = b"{\"removed_task\":";

/// Tasks in a bucket.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) bucket: Bucket,
    /// Where files are written before they are uploaded.
    work: PathBuf,
    cache: PartCache,
    /// The tasks that were read last, whatever they are by now: the store says whether a version is still the one that is known.
    known: Known<TaskId, (Tag, Task), 0>,
}

/// What a task was, whatever else its document says.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    files: BTreeMap<String, StoredFile>,
    status: TaskStatus,
    #[serde(default)]
    sealed_login: Option<String>,
}

#[derive(Deserialize)]
struct Tombstone {
    removed_task: Task,
}

impl Objects {
    /// The bucket as it is; nothing is asked of it. Files of this machine are made in `local` when they are needed: what is read of the bucket
    /// at most so many bytes of.
    pub(super) fn new(url: &BucketUrl, (local, most_bytes): (&Path, u64)) -> io::Result<Self> {
        let cache = PartCache::new(&local.join(PARTS), most_bytes);
        Ok(Self { bucket: Bucket::new(url)?, work: local.join(WORK), cache, known: Known::new(KNOWN_BYTES) })
    }

    /// A bucket in memory.
    #[cfg(test)]
    pub(super) fn in_memory(local: &Path) -> Self {
        let cache = PartCache::new(&local.join(PARTS), 1 << 20);
        Self { bucket: Bucket::in_memory(), work: local.join(WORK), cache, known: Known::new(KNOWN_BYTES) }
    }

    /// Removes what killed processes have left where files are written before they are uploaded.
    fn clean_work(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.work)? {
            let entry = entry?;
            let is_ours = entry.file_name().to_string_lossy().starts_with(ARTIFACT_PREFIX);
            let is_old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|modified| super::entries::is_abandoned(modified, SystemTime::now()));
            if is_ours && is_old {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The content of a task's file, unless it is the version that is known. One that is being removed counts as missing.
    pub(super) fn task_file(&self, task_id: &TaskId, known: Option<&Tag>) -> io::Result<Got> {
        Ok(match self.bucket.get(&key(task_id, TASK_FILE), known)? {
            Got::Content(content, _) if content.starts_with(TOMBSTONE) => Got::Missing,
            got => got,
        })
    }

    /// A task as it stands. A store may show an older version than it has shown before: that is asked for again.
    fn newest(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let path = || self.shown(&key(task_id, TASK_FILE));
        let known = self.known.get(task_id, &[]);
        for round in 0..STALE_READS {
            let got = self.task_file(task_id, known.as_ref().map(|(tag, _)| tag));
            let (content, tag) = match got.map_err(TaskError::storage("cannot read", path()))? {
                Got::Missing => {
                    self.known.forget(task_id);
                    return Err(TaskError::NotFound(task_id.clone()));
                }
                Got::Unchanged => {
                    return known.map(|(_, task)| task).ok_or_else(|| TaskError::NotFound(task_id.clone()));
                }
                Got::Content(content, tag) => (content, tag),
            };
            let task = parse(task_id, path, &content)?;
            if known.as_ref().is_none_or(|(_, known)| known.revision <= task.revision) {
                let read = (tag, task);
                self.known.keep(task_id.clone(), [], content.len(), &read);
                return Ok(read.1);
            }
            thread::sleep(Duration::from_millis(20) * (round + 1));
        }
        Err(TaskError::storage("cannot read", path())(stale()))
    }

    /// Where the parts of a file are.
    fn parts_key(task_id: &TaskId, name: &str, upload: &str) -> String {
        key(task_id, &format!("{name}.{upload}"))
    }

    fn mark(task_id: &TaskId, name: &str, upload: &str) -> String {
        format!("{UPLOADS}/{task_id}/{name}.{upload}")
    }

    /// Uploads a file in parts, which no task names yet.
    fn upload(&self, task_id: &TaskId, (name, upload): (&str, &str), file: &DurableFile) -> io::Result<Prepared> {
        let begun = BootInstant::now();
        let parts_key = Self::parts_key(task_id, name, upload);
        self.bucket.put(&Self::mark(task_id, name, upload), b"")?;
        fail_point!("bucket_upload_marked");
        let mut input = file.try_clone()?;
        input.rewind()?;
        let (mut whole, mut size, mut parts) = (Sha256::new(), 0, Vec::new());
        self.bucket.put_all(|| {
            if begun.elapsed() > LONGEST_UPLOAD {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut content = Vec::with_capacity(PART_BYTES);
            (&mut input).take(PART_BYTES as u64).read_to_end(&mut content)?;
            if content.is_empty() {
                return Ok(None);
            }
            whole.update(&content);
            size += content.len() as u64;
            let key = part_key(&parts_key, parts.len());
            parts.push(hex::encode(&Sha256::digest(&content)));
            Ok(Some((key, content)))
        })?;
        let sha256 = hex::encode(&whole.finalize());
        fail_point!("bucket_parts_uploaded");
        Ok(Prepared::Parts(StoredFile { size, sha256, upload: upload.to_owned(), parts }, begun))
    }

    /// Removes the parts of a file that no task names; how many there were. Their mark stays, because whoever uploads them may go on.
    pub(super) fn remove_parts(&self, task_id: &TaskId, name: &str, upload: &str) -> io::Result<usize> {
        self.bucket.remove_below(&Self::parts_key(task_id, name, upload))
    }

    /// Removes the parts of a file that no task names any more and nobody uploads, and then their mark.
    pub(super) fn remove_upload(&self, task_id: &TaskId, name: &str, upload: &str) -> io::Result<()> {
        self.remove_parts(task_id, name, upload)?;
        fail_point!("bucket_parts_removed");
        self.bucket.remove(&Self::mark(task_id, name, upload))
    }
}

/// The name of a new upload. It begins with the claim under which it is published.
fn upload_name(task: &Task) -> String {
    let claim = task.fence.filter(|_| !task.status.is_terminal());
    let claim = claim.map_or_else(|| OF_NO_CLAIM.to_owned(), |fence| fence.to_string());
    format!("{claim}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

fn part_key(parts: &str, number: usize) -> String {
    format!("{parts}/{}", part_name(number))
}

fn part_name(number: usize) -> String {
    format!("{number:06}")
}

/// What was seen of a task by who writes it. A lock is of another place.
fn seen(hold: &Hold) -> io::Result<&Seen> {
    match hold {
        Hold::Seen(seen) => Ok(seen),
        Hold::Lock { .. } => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl Storage for Objects {
    fn shown(&self, key: &str) -> PathBuf {
        PathBuf::from(self.bucket.shown(key))
    }

    fn is_there(&self) -> bool {
        true
    }

    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        match self.bucket.get(key, None)? {
            Got::Content(content, _) => Ok(Some(content).filter(|content| !content.starts_with(TOMBSTONE))),
            Got::Missing | Got::Unchanged => Ok(None),
        }
    }

    fn has(&self, key: &str) -> io::Result<bool> {
        self.bucket.has(key)
    }

    fn put(&self, key: &str, content: &[u8]) -> io::Result<()> {
        self.bucket.put(key, content)
    }

    fn remove(&self, key: &str) -> io::Result<bool> {
        self.bucket.remove(key).map(|()| true)
    }

    fn change(&self, key: &str, change: &mut Change<'_>) -> Result<(), TaskError> {
        let path = self.shown(key);
        for round in 0..ROUNDS {
            let read = self.bucket.get(key, None).map_err(TaskError::storage("cannot read", &path))?;
            let (content, tag) = match read {
                Got::Content(content, tag) => (Some(content), Some(tag)),
                Got::Missing | Got::Unchanged => (None, None),
            };
            let Some(content) = change(content)? else { return Ok(()) };
            let written = self.bucket.put_if(key, tag.as_ref(), &content);
            if written.map_err(TaskError::storage("cannot write", &path))? == Written::Done {
                return Ok(());
            }
            pause(round);
        }
        Err(TaskError::storage("cannot write", path)(io::ErrorKind::ResourceBusy.into()))
    }

    fn ids(&self) -> Result<Vec<TaskId>, TaskError> {
        Ok(self.inventory()?.tasks)
    }

    fn look(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        self.newest(task_id)
    }

    fn begin(&self, task_id: &TaskId) -> Result<Hold, TaskError> {
        let path = key(task_id, TASK_FILE);
        if self.bucket.has(&path).map_err(TaskError::storage("cannot read", self.shown(&path)))? {
            return Err(TaskError::AlreadyExists(task_id.clone()));
        }
        Ok(Hold::Seen(Seen::default()))
    }

    fn locks(&self) -> bool {
        false
    }

    fn hold(&self, task_id: &TaskId, _deadline: Instant) -> io::Result<Hold> {
        match self.task_file(task_id, None)? {
            Got::Content(content, tag) => Ok(Hold::Seen(Seen { tag: Some(tag), content: Some(content) })),
            Got::Missing | Got::Unchanged => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, hold: &Hold, task: &Task, sealed: Option<&[u8]>) -> Result<(), TaskError> {
        let file = key(&task.task_id, TASK_FILE);
        let path = self.shown(&file);
        let json = bytes_with(task, sealed.map(|sealed| STANDARD.encode(sealed)), &path)?;
        let refused = |error| TaskError::storage("cannot write", &path)(error);
        match self.bucket.put_if(&file, seen(hold).map_err(refused)?.tag.as_ref(), &json).map_err(refused)? {
            Written::Done => Ok(()),
            Written::Refused => Err(TaskError::AlreadyExists(task.task_id.clone())),
        }
    }

    fn sealed_login(&self, task_id: &TaskId) -> io::Result<Option<Vec<u8>>> {
        let Got::Content(content, _) = self.task_file(task_id, None)? else { return Ok(None) };
        let sealed = serde_json::from_slice::<Document>(&content)?.sealed_login;
        // What is no base64 was altered: it does not open either.
        Ok(sealed.map(|sealed| STANDARD.decode(&sealed).unwrap_or_else(|_| sealed.into_bytes())))
    }

    /// It is in the document of a task that has not ended, and nowhere else.
    fn has_login_left(&self, _task_id: &TaskId) -> bool {
        false
    }

    fn write(&self, hold: &Hold, task: &Task) -> Result<(), TaskError> {
        let (task_id, file) = (&task.task_id, key(&task.task_id, TASK_FILE));
        let path = self.shown(&file);
        let refused = |error| TaskError::storage("cannot write", &path)(error);
        let seen = seen(hold).map_err(refused)?;
        let before = seen.content.as_deref().map(serde_json::from_slice::<Document>).transpose();
        let before = before.map_err(io::Error::from).map_err(refused)?;
        let ends = task.status.is_terminal() && before.as_ref().is_some_and(|before| !before.status.is_terminal());
        let (before, sealed) = before.map(|before| (before.files, before.sealed_login)).unwrap_or_default();
        let is_new = |name: &str, file: &StoredFile| before.get(name).is_none_or(|was| was.upload != file.upload);
        let is_kept = |name: &str, file: &StoredFile| task.files.get(name).is_some_and(|now| now.upload == file.upload);
        let dropped: Vec<_> = before.iter().filter(|(name, file)| !is_kept(name, file)).collect();
        for (name, file) in &dropped {
            self.bucket.put(&Self::mark(task_id, name, &file.upload), b"").map_err(refused)?;
            fail_point!("bucket_file_marked");
        }
        // Its login ends with the task, in one step.
        let json = bytes_with(task, sealed.filter(|_| !task.status.is_terminal()), &path)?;
        if self.bucket.put_if(&file, seen.tag.as_ref(), &json).map_err(refused)? == Written::Refused {
            return Err(TaskError::Contended(task_id.clone()));
        }
        // What is not done from here on, housekeeping does.
        let mut left = Vec::new();
        for (name, file) in dropped {
            fail_point!("bucket_file_dropped");
            left.extend(self.remove_upload(task_id, name, &file.upload).err());
        }
        for (name, file) in task.files.iter().filter(|(name, file)| is_new(name, file)) {
            fail_point!("bucket_file_named");
            left.extend(self.bucket.remove(&Self::mark(task_id, name, &file.upload)).err());
        }
        if ends {
            // No worker publishes anything any more.
            left.extend(self.remove_uploads(task, |_| true).err());
        }
        if let Some(error) = left.first() {
            warn!(%task_id, error = chain(error), hint = hint(error), "objects that are not needed any more are still there");
        }
        Ok(())
    }

    /// There is nothing of it but its file, of which it may not be known whether it was written after all.
    fn remove_empty(&self, _task_id: &TaskId) -> Result<bool, TaskError> {
        Ok(false)
    }

    fn begin_file(&self, _task_id: &TaskId, name: &str) -> io::Result<DurableFile> {
        if !self.work.is_dir() {
            durable::create_directory(&self.work)?;
        }
        if let Err(error) = self.clean_work() {
            warn!(directory = %self.work.display(), error = chain(&error), "what killed processes have left is still there");
        }
        DurableFile::create_with_prefix(&self.work.join(name), ARTIFACT_PREFIX)
    }

    fn prepare(&self, task_id: &TaskId, name: &str, file: DurableFile) -> Result<Prepared, TaskError> {
        let upload = upload_name(&self.newest(task_id)?);
        let uploaded = self.upload(task_id, (name, &upload), &file);
        if uploaded.is_err() {
            // It is tried again under another name. What a store that fails keeps of this one, its mark tells.
            let _ = self.remove_upload(task_id, name, &upload);
        }
        uploaded.map_err(TaskError::storage("cannot write", self.shown(&key(task_id, name))))
    }

    fn discard(&self, task_id: &TaskId, name: &str, file: &StoredFile) -> io::Result<()> {
        self.remove_upload(task_id, name, &file.upload)
    }

    fn drop_results(&self, task: &mut Task) -> Result<(), TaskError> {
        task.files.clear();
        Ok(())
    }

    fn remove_leftovers(&self, task: &Task) -> Result<usize, TaskError> {
        let ours = task.fence.map_or(0, |fence| fence.0);
        let removed = self.remove_uploads(task, |claim| claim < ours);
        removed.map_err(TaskError::storage("cannot clean", self.shown(&format!("{UPLOADS}/{}", task.task_id))))
    }

    fn has_results(&self, task: &Task, name: &str) -> bool {
        task.files.contains_key(name)
    }

    fn place(&self, task: &Task, name: &str) -> ResultPlace {
        let shown = self.bucket.shown(&key(&task.task_id, name));
        let Some(file) = task.files.get(name) else { return ResultPlace::Absent(shown) };
        let (bucket, parts_key) = (self.bucket.clone(), Self::parts_key(&task.task_id, name, &file.upload));
        let fetch = move |number| match bucket.get(&part_key(&parts_key, number), None)? {
            Got::Content(content, _) => Ok(content),
            Got::Missing | Got::Unchanged => Err(io::ErrorKind::NotFound.into()),
        };
        let parts: Option<Vec<[u8; 32]>> = file.parts.iter().map(|part| hex::decode(part)).collect();
        let opened = hex::decode(&file.sha256).zip(parts).and_then(|(sha256, parts)| {
            let file = PartFile::new(self.cache.clone(), parts, file.size, Arc::new(fetch)).ok()?;
            Some(ResultPlace::Parts { name: shown.clone(), sha256, file: Arc::new(file) })
        });
        opened.unwrap_or(ResultPlace::Absent(shown))
    }

    fn is_whole(&self, task: &Task, name: &str) -> io::Result<Option<bool>> {
        let Some(file) = task.files.get(name) else { return Ok(Some(false)) };
        let parts_key = Self::parts_key(&task.task_id, name, &file.upload);
        let sizes = self.bucket.sizes(&parts_key)?;
        let mut missing = file.size;
        for number in 0..file.parts.len() {
            let size = missing.min(PART_BYTES as u64);
            if sizes.get(&part_name(number)) != Some(&size) {
                return Ok(Some(false));
            }
            missing -= size;
        }
        Ok(Some(missing == 0))
    }

    fn figures(&self) -> Option<PartFigures> {
        Some(self.cache.figures())
    }

    fn inventory(&self) -> Result<Inventory, TaskError> {
        self.list_tasks()
    }

    fn contents(&self, _task_id: &TaskId) -> Result<Option<Contents>, TaskError> {
        // What else lies there is looked at before it is removed: a list for each task would take too long.
        Ok(Some(Contents { has_file: true, foreign: Vec::new() }))
    }

    fn has_foreign(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.foreign_there(task_id)
    }

    fn move_away(&self, hold: &Hold, task: &Task) -> Result<(), TaskError> {
        let file = key(&task.task_id, TASK_FILE);
        let path = self.shown(&file);
        let refused = |error| TaskError::storage("cannot move away", &path)(error);
        let seen = seen(hold).map_err(refused)?;
        let mut content = TOMBSTONE.to_vec();
        content.extend(bytes_of(task, &path)?);
        content.push(b'}');
        let mark = format!("{TASKS}/{}", removed_name(&task.task_id));
        self.bucket.put(&mark, b"").map_err(refused)?;
        fail_point!("bucket_removal_marked");
        if self.bucket.put_if(&file, seen.tag.as_ref(), &content).map_err(refused)? == Written::Refused {
            self.bucket.remove(&mark).map_err(refused)?;
            return Err(TaskError::Contended(task.task_id.clone()));
        }
        self.known.forget(&task.task_id);
        Ok(())
    }

    fn moved_task(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError> {
        let file = key(task_id, TASK_FILE);
        match self.bucket.get(&file, None).map_err(TaskError::storage("cannot read", self.shown(&file)))? {
            Got::Content(content, _) => {
                Ok(serde_json::from_slice::<Tombstone>(&content).ok().map(|tombstone| tombstone.removed_task))
            }
            Got::Missing | Got::Unchanged => Ok(None),
        }
    }

    fn remove_moved(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.remove_task(task_id)
    }

    fn remove_abandoned(&self, _tasks: &[TaskId], dry_run: bool) -> Result<Abandoned, TaskError> {
        self.remove_old_uploads(dry_run)
    }

    fn archive_entries(&self) -> Result<Vec<(String, EntryKind)>, TaskError> {
        let listed = self.bucket.list(ARCHIVE).map_err(TaskError::storage("cannot list", self.shown(ARCHIVE)))?;
        Ok(listed.objects.into_iter().map(|(name, _)| (name, EntryKind::File)).collect())
    }

    fn archived(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError> {
        let key = format!("{ARCHIVE}/{name}");
        self.get(&key).map_err(TaskError::storage("cannot read", self.shown(&key)))
    }

    fn remove_archived(&self, name: &str) -> Result<bool, TaskError> {
        let key = format!("{ARCHIVE}/{name}");
        let is_there = self.bucket.has(&key).map_err(TaskError::storage("cannot look at", self.shown(&key)))?;
        self.bucket.remove(&key).map_err(TaskError::storage("cannot remove", self.shown(&key)))?;
        Ok(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataUrl;

    #[test]
    fn files_of_this_machine_are_made_when_they_are_needed_and_what_the_killed_have_left_goes_then() {
        let directory = tempfile::tempdir().unwrap();
        let local = directory.path().join("cache");
        let DataUrl::Bucket(bucket) = "s3://scans".parse().unwrap() else { panic!() };
        let objects = Objects::new(&bucket, (&local, 1 << 30)).unwrap();
        assert!(!local.exists());
        let task_id = TaskId::new("ne_ness_20260101_000000_00000001").unwrap();
        let begin = || objects.begin_file(&task_id, "scan_native.nessus").unwrap();
        let aged = |name: &str, hours: u64| {
            let path = local.join(WORK).join(name);
            durable::replace(&path, b"").unwrap();
            let modified = SystemTime::now() - Duration::from_secs(hours * 3600);
            fs::File::open(&path).unwrap().set_modified(modified).unwrap();
            path
        };
        let written = begin();
        let (left, recent, foreign) = (aged(".artifact-left", 25), aged(".artifact-recent", 23), aged("README", 25));
        drop(begin());
        assert!(!left.exists());
        assert!(written.temporary_path().exists() && recent.exists() && foreign.exists());
    }
}
