//! The files of tasks, and what lies beside them: the only code that writes under `tasks/`, `archive/` and to `queue.json`.
//!
//! ```text
//! tasks/{task_id}/task.json  scan_native.nessus  scan_native.idx  scan_schema_{profile}.jsonl  task.lock
//!                 credential.sealed     the login that came with the request, until the task ends
//! ```

use std::{
    cmp::Ordering,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde_json::Value;
use tracing::warn;

use super::{
    error::TaskError,
    lock::TaskLock,
    model::{ScanType, TASK_SCHEMA_VERSION, Task},
    queue_file::{QUEUE_FILE, QueueFile},
    state::TaskStatus,
};
use crate::{
    blocking,
    durable::{self, DurableFile, Folder},
    error::{chain, excerpt},
    ids::TaskId,
    known::{Known, Stamp},
};

/// The scanner's export, as it came.
pub const EXPORT_FILE: &str = "scan_native.nessus";

/// The index of the export, which can be made again from it at any time.
pub const INDEX_FILE: &str = "scan_native.idx";

/// The login that came with the request, sealed; gone when the task has ended.
pub(super) const SEALED_FILE: &str = "credential.sealed";

/// The name of the export converted to JSON-NL under a profile.
pub(crate) fn profile_file_name(profile: &str) -> String {
    format!("scan_schema_{profile}.jsonl")
}

/// The temporary names of artifacts begin with it.
pub(super) const ARTIFACT_PREFIX: &str = ".artifact-";

/// The most bytes of task files whose tasks are kept in memory.
const KNOWN_BYTES: usize = 2 << 20;

pub(super) const TASK_FILE: &str = "task.json";
pub(super) const LOCK_FILE: &str = "task.lock";
/// The directory of what is left of what was removed, beside the tasks.
pub(super) const ARCHIVE: &str = "archive";
const QUEUE_LOCK: &str = "queue.lock";

/// The directory `tasks/`.
#[derive(Debug, Clone)]
pub(super) struct TaskStore {
    root: PathBuf,
    /// The tasks that were looked at last; each weighs what its file does.
    known: Arc<Known<TaskId, Task>>,
}

impl TaskStore {
    /// The directory as it is; nothing is made or written.
    pub(super) fn to_read(data_dir: &Path) -> Self {
        Self { root: data_dir.join("tasks"), known: Arc::new(Known::new(KNOWN_BYTES)) }
    }

    /// Creates the directory and checks that it can be written to, so that a bad one is noticed at the start.
    pub(super) fn open(data_dir: &Path) -> Result<Self, TaskError> {
        let root = data_dir.join("tasks");
        durable::create_directory(&root).map_err(TaskError::storage("cannot create", &root))?;
        DurableFile::create(&root.join("probe")).map_err(TaskError::storage("cannot write to", &root))?;
        Ok(Self::to_read(data_dir))
    }

    /// Runs `work` on a thread that may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, TaskError> + Send + 'static,
    ) -> Result<T, TaskError> {
        let store = self.clone();
        let result = blocking::run(move || work(&store)).await;
        result.map_err(TaskError::storage("cannot reach", self.root()))?
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

    /// Takes the lock of a task that is to be created; whatever a killed process left of an earlier try is taken over.
    pub(super) fn begin(&self, task_id: &TaskId) -> Result<TaskLock, TaskError> {
        let directory = self.directory(task_id);
        durable::create_directory(&directory).map_err(TaskError::storage("cannot create", &directory))?;
        let lock = self.lock(task_id).inspect_err(|_| {
            // Empty, where the disk has no room for the lock; one in which something lies stays.
            let _ = fs::remove_dir(&directory);
        })?;
        if self.path(task_id, TASK_FILE).exists() {
            return Err(TaskError::AlreadyExists(task_id.clone()));
        }
        Ok(lock)
    }

    /// Writes a new task, after its sealed login if it has one. Where the disk refuses one of them, nothing of it is left behind.
    pub(super) fn create(&self, task: &Task, sealed: Option<&[u8]>, lock: TaskLock) -> Result<(), TaskError> {
        let created = self.write_new(task, sealed);
        drop(lock);
        if created.is_err()
            && let Err(error) = self.remove_empty(&task.task_id)
        {
            warn!(task_id = %task.task_id, error = chain(&error), "the directory of a task that could not be written is still there");
        }
        created
    }

    fn write_new(&self, task: &Task, sealed: Option<&[u8]>) -> Result<(), TaskError> {
        if let Some(sealed) = sealed {
            let path = self.path(&task.task_id, SEALED_FILE);
            durable::replace(&path, sealed).map_err(TaskError::storage("cannot write", &path))?;
            crate::fail_points::fail_point!("submit_login_sealed");
        }
        self.write(task)
    }

    /// The sealed login of a task, if there is one.
    pub(super) fn sealed_login(&self, task_id: &TaskId) -> Result<Option<Vec<u8>>, TaskError> {
        let path = self.path(task_id, SEALED_FILE);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.root.is_dir() => Ok(None),
            read => read.map(Some).map_err(TaskError::storage("cannot read", &path)),
        }
    }

    /// Whether a task was written.
    pub(super) fn has_file(&self, task_id: &TaskId) -> bool {
        self.path(task_id, TASK_FILE).exists()
    }

    /// Whether the sealed login of a task is still there although it has ended.
    pub(super) fn has_login_left(&self, task: &Task) -> bool {
        task.status.is_terminal() && task.has_sealed_login() && self.path(&task.task_id, SEALED_FILE).exists()
    }

    /// Removes the sealed login of a task that has ended; whether it is gone.
    pub(super) fn remove_login(&self, task: &Task) -> bool {
        let removed = self.remove(&task.task_id, SEALED_FILE);
        match &removed {
            Ok(()) => warn!(task_id = %task.task_id, "the sealed login of a task that had ended was removed"),
            Err(error) => {
                warn!(task_id = %task.task_id, error = chain(error), "the login of a task that has ended is still there");
            }
        }
        removed.is_ok()
    }

    /// Takes the task's lock.
    pub(super) fn lock(&self, task_id: &TaskId) -> Result<TaskLock, TaskError> {
        self.lock_until(task_id, TaskLock::deadline())
    }

    /// As [`lock`](Self::lock), but waits no longer than until `deadline`.
    pub(super) fn lock_until(&self, task_id: &TaskId, deadline: Instant) -> Result<TaskLock, TaskError> {
        let path = self.path(task_id, LOCK_FILE);
        TaskLock::acquire_until(&path, deadline).map_err(|error| self.missing_or(task_id, error, "cannot lock", &path))
    }

    /// There is no such task, if its file is missing. Where the whole directory of tasks is missing, such as that of a disk
    /// that is not mounted, nothing is known of it.
    fn missing_or(&self, task_id: &TaskId, error: io::Error, action: &'static str, path: &Path) -> TaskError {
        if error.kind() == io::ErrorKind::NotFound && self.root.is_dir() {
            TaskError::NotFound(task_id.clone())
        } else {
            TaskError::storage(action, path)(error)
        }
    }

    /// Reads a task. Readers need no lock: the file is replaced as a whole.
    pub(super) fn read(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        self.read_stamped(task_id).map(|(task, ..)| task)
    }

    /// As [`read`](Self::read), without reading a file again that is as it was then.
    pub(super) fn look(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let stamp = fs::metadata(self.path(task_id, TASK_FILE)).ok().as_ref().and_then(Stamp::of);
        if let Some(known) = stamp.and_then(|stamp| self.known.get(task_id, &[stamp])) {
            return Ok(known);
        }
        let (task, stamp, size) = self.read_stamped(task_id)?;
        if let Some(stamp) = stamp {
            self.known.keep(task_id.clone(), [stamp], size, &task);
        }
        Ok(task)
    }

    /// A task, the stamp of the file that it was read from, and how large that is.
    fn read_stamped(&self, task_id: &TaskId) -> Result<(Task, Option<Stamp>, usize), TaskError> {
        let path = self.path(task_id, TASK_FILE);
        let read = File::open(&path).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((bytes, Stamp::of(&file.metadata()?)))
        });
        let (bytes, stamp) = read.map_err(|error| self.missing_or(task_id, error, "cannot read", &path))?;
        let task: Task = match serde_json::from_slice(&bytes) {
            Ok(task) => task,
            Err(error) => {
                return Err(match newer_words(&bytes) {
                    Some(message) => TaskError::Newer { path, message },
                    None => TaskError::Damaged { path, message: error.to_string() },
                });
            }
        };
        if task.schema_version > TASK_SCHEMA_VERSION {
            return Err(TaskError::Newer { path, message: newer_schema(task.schema_version.into()) });
        }
        if task.task_id != *task_id {
            let message = format!("it holds the task `{}`", task.task_id);
            return Err(TaskError::Damaged { path, message });
        }
        Ok((task, stamp, bytes.len()))
    }

    /// Replaces the task's file, and removes the sealed login of a task that ends. The caller holds the lock.
    pub(super) fn write(&self, task: &Task) -> Result<(), TaskError> {
        let path = self.path(&task.task_id, TASK_FILE);
        let mut json = serde_json::to_vec_pretty(task)
            .map_err(|error| TaskError::Damaged { path: path.clone(), message: error.to_string() })?;
        json.push(b'\n');
        let written = DurableFile::create(&path).and_then(|mut file| {
            file.write_all(&json)?;
            if task.status.is_terminal() && task.has_sealed_login() {
                // What the disk may refuse is done before. Whoever sees that the task has ended sees no login any more.
                file.sync()?;
                if let Err(error) = self.remove(&task.task_id, SEALED_FILE) {
                    warn!(task_id = %task.task_id, error = chain(&error), "the login of a task that ends is still there");
                }
                crate::fail_points::fail_point!("worker_login_removed");
            }
            file.commit()
        });
        written.map_err(TaskError::storage("cannot write", &path))
    }

    /// Removes a file of a task; fine when it is not there.
    pub(super) fn remove(&self, task_id: &TaskId, file: &str) -> Result<(), TaskError> {
        let path = self.path(task_id, file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(TaskError::storage("cannot remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn archive_directory(&self) -> PathBuf {
        self.root.with_file_name(ARCHIVE)
    }

    /// The data directory, to look through.
    pub(super) fn data_folder(&self) -> Result<Folder, TaskError> {
        Folder::open(self.data_dir()).map_err(TaskError::storage("cannot look through", self.data_dir()))
    }

    /// Reads a file that lies beside the tasks; `None` when there is none.
    pub(super) fn data_file(&self, name: &str) -> Result<Option<Vec<u8>>, TaskError> {
        let path = self.root.with_file_name(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(TaskError::storage("cannot read", &path)),
        }
    }

    /// Replaces a file that lies beside the tasks.
    pub(super) fn write_data_file(&self, name: &str, content: &[u8]) -> Result<(), TaskError> {
        let path = self.root.with_file_name(name);
        durable::replace(&path, content).map_err(TaskError::storage("cannot write", &path))
    }

    /// Writes a document to `archive/`, beside the tasks.
    pub(super) fn archive(&self, name: &str, document: &Value) -> Result<(), TaskError> {
        let directory = self.archive_directory();
        durable::create_directory(&directory).map_err(TaskError::storage("cannot create", &directory))?;
        let path = directory.join(format!("{name}.json"));
        durable::replace(&path, format!("{document:#}\n").as_bytes()).map_err(TaskError::storage("cannot write", &path))
    }

    /// Removes the directory of a task that has no file; whether it was empty but for its lock and its login.
    pub(super) fn remove_empty(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let directory = self.directory(task_id);
        let lock = match self.lock(task_id) {
            Err(TaskError::NotFound(_)) => return Ok(false),
            lock => lock?,
        };
        if self.path(task_id, TASK_FILE).exists() {
            return Ok(false);
        }
        // The request it came with was never accepted.
        self.remove(task_id, SEALED_FILE)?;
        self.remove(task_id, LOCK_FILE)?;
        drop(lock);
        // It stays where something else lies in it: that is not ours to throw away.
        Ok(fs::remove_dir(&directory).is_ok())
    }

    /// Reads what the directory remembers of its queue.
    pub(super) fn queue_file(&self) -> Result<QueueFile, TaskError> {
        QueueFile::read(self.data_dir())
    }

    /// Changes it under its lock; returns it as it then is.
    pub(super) fn update_queue_file(&self, change: impl FnOnce(&mut QueueFile)) -> Result<QueueFile, TaskError> {
        let (path, lock) = (self.root.with_file_name(QUEUE_FILE), self.root.with_file_name(QUEUE_LOCK));
        let _lock =
            TaskLock::acquire_until(&lock, TaskLock::deadline()).map_err(TaskError::storage("cannot lock", lock))?;
        let before = self.queue_file()?;
        let mut file = before.clone();
        change(&mut file);
        if file != before {
            let text = serde_json::to_string_pretty(&file)
                .map_err(|error| TaskError::Damaged { path: path.clone(), message: error.to_string() })?;
            durable::replace(&path, format!("{text}\n").as_bytes())
                .map_err(TaskError::storage("cannot write", &path))?;
        }
        Ok(file)
    }

    fn data_dir(&self) -> &Path {
        self.root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The ids of all tasks, newest first by the time in their names.
    pub(super) fn list(&self) -> Result<Vec<TaskId>, TaskError> {
        let mut ids = self.ids()?;
        ids.sort_by(newest_first);
        Ok(ids)
    }

    /// The ids of all tasks.
    pub(super) fn ids(&self) -> Result<Vec<TaskId>, TaskError> {
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
}

/// The order of lists: newest first by the time in the names, and of one second by name.
pub(super) fn newest_first(a: &TaskId, b: &TaskId) -> Ordering {
    time_part(b).cmp(time_part(a)).then_with(|| a.as_str().cmp(b.as_str()))
}

/// What a task that cannot be read holds that only a newer version knows.
fn newer_words(bytes: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let schema = document["schema_version"].as_u64().filter(|version| *version > TASK_SCHEMA_VERSION.into());
    let unknown = |name: &str, value: &Value, is_known: fn(&str) -> bool| {
        let word = value.as_str().filter(|word| !is_known(word))?;
        Some(format!("it has the unknown {name} `{}`", excerpt(word)))
    };
    let is_status = |word: &str| word.parse::<TaskStatus>().is_ok();
    let steps = document["history"].as_array().into_iter().flatten().flat_map(|step| [&step["from"], &step["to"]]);
    schema
        .map(newer_schema)
        .or_else(|| unknown("scan type", &document["scan_type"], |word| word.parse::<ScanType>().is_ok()))
        .or_else(|| [&document["status"]].into_iter().chain(steps).find_map(|word| unknown("status", word, is_status)))
}

fn newer_schema(version: u64) -> String {
    format!("it has the schema version {version}, and this one knows versions up to {TASK_SCHEMA_VERSION}")
}

/// `YYYYMMDD_HHMMSS_xxxxxxxx` of a task id.
fn time_part(id: &TaskId) -> &str {
    let text = id.as_str();
    &text[text.len().saturating_sub(24)..]
}
