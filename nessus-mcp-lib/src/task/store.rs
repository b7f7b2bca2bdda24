//! The files of tasks: the only code that writes under `tasks/`.
//!
//! ```text
//! tasks/{task_id}/task.json  scan_native.nessus  scan_native.idx  scan_schema_{profile}.jsonl  task.lock
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Task, TaskError, lock::TaskLock};
use crate::{
    durable::{self, DurableFile},
    ids::TaskId,
};

/// The scanner's export, as it came.
pub const EXPORT_FILE: &str = "scan_native.nessus";

/// The index of the export, which can be made again from it at any time.
pub const INDEX_FILE: &str = "scan_native.idx";

/// The name of the export converted to JSON-NL under a profile.
pub fn profile_file_name(profile: &str) -> String {
    format!("scan_schema_{profile}.jsonl")
}

const TASK_FILE: &str = "task.json";
const LOCK_FILE: &str = "task.lock";

/// The directory `tasks/`.
#[derive(Debug, Clone)]
pub(super) struct TaskStore {
    root: PathBuf,
}

impl TaskStore {
    /// Creates the directory and checks that it can be written to, so that a bad one is noticed at the start.
    pub(super) fn open(data_dir: &Path) -> Result<Self, TaskError> {
        let root = data_dir.join("tasks");
        durable::create_directory(&root).map_err(TaskError::storage("cannot create", &root))?;
        DurableFile::create(&root.join("probe")).map_err(TaskError::storage("cannot write to", &root))?;
        Ok(Self { root })
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

    /// Writes a new task; whatever a killed process left of an earlier try is taken over.
    pub(super) fn create(&self, task: &Task) -> Result<(), TaskError> {
        let directory = self.directory(&task.task_id);
        durable::create_directory(&directory).map_err(TaskError::storage("cannot create", &directory))?;
        let _lock = self.lock(&task.task_id)?;
        if self.path(&task.task_id, TASK_FILE).exists() {
            return Err(TaskError::AlreadyExists(task.task_id.clone()));
        }
        self.write(task)
    }

    /// Takes the task's lock.
    pub(super) fn lock(&self, task_id: &TaskId) -> Result<TaskLock, TaskError> {
        let path = self.path(task_id, LOCK_FILE);
        TaskLock::acquire(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TaskError::NotFound(task_id.clone()),
            _ => TaskError::storage("cannot lock", path)(error),
        })
    }

    /// Reads a task. Readers need no lock: the file is replaced as a whole.
    pub(super) fn read(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let path = self.path(task_id, TASK_FILE);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TaskError::NotFound(task_id.clone()),
            _ => TaskError::storage("cannot read", &path)(error),
        })?;
        let task: Task = serde_json::from_slice(&bytes)
            .map_err(|error| TaskError::Damaged { path: path.clone(), message: error.to_string() })?;
        if task.task_id != *task_id {
            let message = format!("it holds the task `{}`", task.task_id);
            return Err(TaskError::Damaged { path, message });
        }
        Ok(task)
    }

    /// Replaces the task's file. The caller holds the lock.
    pub(super) fn write(&self, task: &Task) -> Result<(), TaskError> {
        let path = self.path(&task.task_id, TASK_FILE);
        let mut json = serde_json::to_vec_pretty(task)
            .map_err(|error| TaskError::Damaged { path: path.clone(), message: error.to_string() })?;
        json.push(b'\n');
        durable::replace(&path, &json).map_err(TaskError::storage("cannot write", &path))
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

    /// Writes a document to `archive/`, beside the tasks.
    pub(super) fn archive(&self, name: &str, document: &Value) -> Result<(), TaskError> {
        let directory = self.root.with_file_name("archive");
        durable::create_directory(&directory).map_err(TaskError::storage("cannot create", &directory))?;
        let path = directory.join(format!("{name}.json"));
        durable::replace(&path, format!("{document:#}\n").as_bytes()).map_err(TaskError::storage("cannot write", &path))
    }

    /// The ids of all tasks, newest first by the time in their names.
    pub(super) fn list(&self) -> Result<Vec<TaskId>, TaskError> {
        let entries = fs::read_dir(&self.root).map_err(TaskError::storage("cannot list", &self.root))?;
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(TaskError::storage("cannot list", &self.root))?;
            // Names of another form are not ours.
            ids.extend(entry.file_name().to_str().and_then(|name| TaskId::new(name).ok()));
        }
        ids.sort_by(|a, b| time_part(b).cmp(time_part(a)));
        Ok(ids)
    }
}

/// `YYYYMMDD_HHMMSS_xxxxxxxx` of a task id.
fn time_part(id: &TaskId) -> &str {
    let text = id.as_str();
    &text[text.len().saturating_sub(24)..]
}
