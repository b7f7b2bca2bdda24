//! Tasks in a data directory. Each is changed under its kernel lock, and files are replaced as a whole.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use tracing::warn;

use super::{
    document::{bytes_of, parse},
    entries::{Abandoned, Contents, Inventory, MOST_BYTES},
    lock::TaskLock,
    names::{ARTIFACT_PREFIX, LOCK_FILE, SEALED_FILE, TASK_FILE, TASKS, key, result_files},
    storage::{Change, Hold, Prepared, Storage},
};
use crate::{
    durable::{self, DurableFile, EntryKind},
    error::chain,
    fail_points::fail_point,
    ids::TaskId,
    known::{Known, Stamp},
    task::{error::TaskError, model::Task, place::ResultPlace},
};

#[cfg(feature = "objects")]
use crate::task::records::StoredFile;

/// The most bytes of task files whose tasks are kept in memory.
const KNOWN_BYTES: usize = 2 << 20;

/// A data directory.
#[derive(Debug)]
pub(super) struct Files {
    data_dir: PathBuf,
    /// Its directory of tasks.
    root: PathBuf,
    /// The tasks that were looked at last; each weighs what its file does.
    known: Arc<Known<TaskId, Task>>,
}

impl Files {
    /// The directory as it is; nothing is made or written.
    pub(super) fn to_read(data_dir: &Path) -> Self {
        let data_dir = if data_dir.as_os_str().is_empty() { Path::new(".") } else { data_dir };
        Self { data_dir: data_dir.to_owned(), root: data_dir.join(TASKS), known: Arc::new(Known::new(KNOWN_BYTES)) }
    }

    /// Creates the directory and checks that it can be written to, so that a bad one is noticed at the start.
    pub(super) fn open(data_dir: &Path) -> Result<Self, TaskError> {
        let files = Self::to_read(data_dir);
        durable::create_directory(&files.root).map_err(TaskError::storage("cannot create", &files.root))?;
        DurableFile::create(&files.root.join("probe")).map_err(TaskError::storage("cannot write to", &files.root))?;
        Ok(files)
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn directory(&self, task_id: &TaskId) -> PathBuf {
        self.root.join(task_id.as_str())
    }

    pub(super) fn path(&self, task_id: &TaskId, file: &str) -> PathBuf {
        self.directory(task_id).join(file)
    }

    fn locked(&self, task_id: &TaskId, deadline: Instant) -> io::Result<TaskLock> {
        TaskLock::acquire_until(&self.path(task_id, LOCK_FILE), deadline)
    }

    fn remove_file(&self, task_id: &TaskId, file: &str) -> Result<(), TaskError> {
        let path = self.path(task_id, file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(TaskError::storage("cannot remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the directory of a task that has no file; whether it was empty but for its lock and its login.
    pub(super) fn remove_never_accepted(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let directory = self.directory(task_id);
        let lock = match self.locked(task_id, TaskLock::deadline()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_there() => return Ok(false),
            lock => lock.map_err(TaskError::storage("cannot lock", self.path(task_id, LOCK_FILE)))?,
        };
        if self.path(task_id, TASK_FILE).exists() {
            return Ok(false);
        }
        // The request it came with was never accepted.
        self.remove_file(task_id, SEALED_FILE)?;
        self.remove_file(task_id, LOCK_FILE)?;
        drop(lock);
        // It stays where something else lies in it: that is not ours to throw away.
        Ok(fs::remove_dir(&directory).is_ok())
    }
}

impl Storage for Files {
    fn shown(&self, key: &str) -> PathBuf {
        self.data_dir.join(key)
    }

    fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.shown(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn has(&self, key: &str) -> io::Result<bool> {
        self.shown(key).try_exists()
    }

    fn put(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let path = self.shown(key);
        if let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) {
            durable::create_directory(directory)?;
        }
        durable::replace(&path, content)
    }

    fn remove(&self, key: &str) -> io::Result<bool> {
        match fs::remove_file(self.shown(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    fn change(&self, key: &str, change: &mut Change<'_>) -> Result<(), TaskError> {
        let path = self.shown(key);
        let lock = path.with_extension("lock");
        let _lock =
            TaskLock::acquire_until(&lock, TaskLock::deadline()).map_err(TaskError::storage("cannot lock", lock))?;
        let before = self.get(key).map_err(TaskError::storage("cannot read", &path))?;
        match change(before)? {
            Some(content) => self.put(key, &content).map_err(TaskError::storage("cannot write", path)),
            None => Ok(()),
        }
    }

    fn ids(&self) -> Result<Vec<TaskId>, TaskError> {
        let entries = fs::read_dir(&self.root).map_err(TaskError::storage("cannot list", &self.root))?;
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(TaskError::storage("cannot list", &self.root))?;
            // Names of another form are not ours, nor is what a link leads to.
            let is_directory = entry.file_type().map_err(TaskError::storage("cannot list", &self.root))?.is_dir();
            ids.extend(entry.file_name().to_str().filter(|_| is_directory).and_then(|name| TaskId::new(name).ok()));
        }
        Ok(ids)
    }

    fn look(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let path = self.path(task_id, TASK_FILE);
        let stamp = fs::metadata(&path).ok().as_ref().and_then(Stamp::of);
        if let Some(known) = stamp.and_then(|stamp| self.known.get(task_id, &[stamp])) {
            return Ok(known);
        }
        let read = File::open(&path).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((bytes, Stamp::of(&file.metadata()?)))
        });
        let (bytes, stamp) = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_there() => {
                return Err(TaskError::NotFound(task_id.clone()));
            }
            read => read.map_err(TaskError::storage("cannot read", &path))?,
        };
        let task = parse(task_id, || path, &bytes)?;
        if let Some(stamp) = stamp {
            self.known.keep(task_id.clone(), [stamp], bytes.len(), &task);
        }
        Ok(task)
    }

    /// Whatever a killed process left of an earlier try is taken over.
    fn begin(&self, task_id: &TaskId) -> Result<Hold, TaskError> {
        let directory = self.directory(task_id);
        durable::create_directory(&directory).map_err(TaskError::storage("cannot create", &directory))?;
        let lock = self.locked(task_id, TaskLock::deadline());
        let lock =
            lock.map_err(TaskError::storage("cannot lock", self.path(task_id, LOCK_FILE))).inspect_err(|_| {
                // Empty, where the disk has no room for the lock; one in which something lies stays.
                let _ = fs::remove_dir(&directory);
            })?;
        if self.path(task_id, TASK_FILE).exists() {
            return Err(TaskError::AlreadyExists(task_id.clone()));
        }
        Ok(Hold::Lock { _lock: lock })
    }

    fn locks(&self) -> bool {
        true
    }

    fn hold(&self, task_id: &TaskId, deadline: Instant) -> io::Result<Hold> {
        self.locked(task_id, deadline).map(|lock| Hold::Lock { _lock: lock })
    }

    fn create(&self, hold: &Hold, task: &Task, sealed: Option<&[u8]>) -> Result<(), TaskError> {
        if let Some(sealed) = sealed {
            let path = self.path(&task.task_id, SEALED_FILE);
            durable::replace(&path, sealed).map_err(TaskError::storage("cannot write", path))?;
            fail_point!("submit_login_sealed");
        }
        self.write(hold, task)
    }

    fn sealed_login(&self, task_id: &TaskId) -> io::Result<Option<Vec<u8>>> {
        self.get(&key(task_id, SEALED_FILE))
    }

    fn has_login_left(&self, task_id: &TaskId) -> bool {
        self.has(&key(task_id, SEALED_FILE)).unwrap_or(true)
    }

    fn write(&self, _hold: &Hold, task: &Task) -> Result<(), TaskError> {
        let path = self.path(&task.task_id, TASK_FILE);
        let json = bytes_of(task, &path)?;
        let written = DurableFile::create(&path).and_then(|mut file| {
            file.write_all(&json)?;
            if task.status.is_terminal() && task.has_sealed_login() {
                // What the disk may refuse is done before. Whoever sees that the task has ended sees no login any more.
                file.sync()?;
                if let Err(error) = self.remove_file(&task.task_id, SEALED_FILE) {
                    warn!(task_id = %task.task_id, error = chain(&error), "the login of a task that ends is still there");
                }
                fail_point!("worker_login_removed");
            }
            file.commit()
        });
        written.map_err(TaskError::storage("cannot write", &path))
    }

    fn remove_empty(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.remove_never_accepted(task_id)
    }

    fn begin_file(&self, task_id: &TaskId, name: &str) -> io::Result<DurableFile> {
        DurableFile::create_with_prefix(&self.path(task_id, name), ARTIFACT_PREFIX)
    }

    fn prepare(&self, task_id: &TaskId, name: &str, file: DurableFile) -> Result<Prepared, TaskError> {
        file.sync().map_err(TaskError::storage("cannot write", self.path(task_id, name)))?;
        Ok(Prepared::File(file))
    }

    #[cfg(feature = "objects")]
    fn discard(&self, _task_id: &TaskId, _name: &str, _file: &StoredFile) -> io::Result<()> {
        Ok(())
    }

    fn drop_results(&self, task: &mut Task) -> Result<(), TaskError> {
        result_files().try_for_each(|file| self.remove_file(&task.task_id, &file))
    }

    fn remove_leftovers(&self, task: &Task) -> Result<usize, TaskError> {
        let directory = self.directory(&task.task_id);
        durable::remove_leftovers(&directory, ARTIFACT_PREFIX).map_err(TaskError::storage("cannot clean", directory))
    }

    fn has_results(&self, task: &Task, name: &str) -> bool {
        self.path(&task.task_id, name).is_file()
    }

    fn place(&self, task: &Task, name: &str) -> ResultPlace {
        ResultPlace::File(self.path(&task.task_id, name))
    }

    fn inventory(&self) -> Result<Inventory, TaskError> {
        self.list_all()
    }

    fn contents(&self, task_id: &TaskId) -> Result<Option<Contents>, TaskError> {
        self.contents_of(task_id)
    }

    fn has_foreign(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        Ok(self.contents_of(task_id)?.is_some_and(|contents| !contents.foreign.is_empty()))
    }

    fn move_away(&self, _hold: &Hold, task: &Task) -> Result<(), TaskError> {
        self.rename_away(&task.task_id)
    }

    fn moved_task(&self, task_id: &TaskId) -> Result<Option<Task>, TaskError> {
        self.moved(task_id)
    }

    fn remove_moved(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        self.remove_renamed(task_id)
    }

    fn remove_abandoned(&self, tasks: &[TaskId], dry_run: bool) -> Result<Abandoned, TaskError> {
        self.remove_old(tasks, SystemTime::now(), dry_run)
    }

    fn archive_entries(&self) -> Result<Vec<(String, EntryKind)>, TaskError> {
        let Some(folder) = self.archive_folder()? else { return Ok(Vec::new()) };
        let entries = folder.entries().map_err(TaskError::storage("cannot list", folder.path()))?;
        Ok(entries.into_iter().map(|entry| (entry.shown(), entry.kind)).collect())
    }

    fn archived(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError> {
        let Some(folder) = self.archive_folder()? else { return Ok(None) };
        match folder.read(name, MOST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(TaskError::storage("cannot read", folder.path().join(name))),
        }
    }

    fn remove_archived(&self, name: &str) -> Result<bool, TaskError> {
        let Some(folder) = self.archive_folder()? else { return Ok(false) };
        folder.remove_file(name).map_err(TaskError::storage("cannot remove", folder.path().join(name)))
    }
}
