//! `task.json` as bytes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    error::excerpt,
    ids::TaskId,
    task::{
        error::TaskError,
        model::{ScanType, TASK_SCHEMA_VERSION, Task},
        state::TaskStatus,
    },
};

/// Where the login of a task is that came with its request, sealed, where `task.json` has it: in a bucket, in base64, until the task ends.
pub(super) const SEALED_LOGIN: &str = "sealed_login";

/// The task that a file holds, which is kept there; without its sealed login.
pub(super) fn parse(task_id: &TaskId, path: impl FnOnce() -> PathBuf, bytes: &[u8]) -> Result<Task, TaskError> {
    let mut task: Task = match serde_json::from_slice(bytes) {
        Ok(task) => task,
        Err(error) => {
            return Err(match newer_words(bytes) {
                Some(message) => TaskError::Newer { path: path(), message },
                None => TaskError::Damaged { path: path(), message: error.to_string() },
            });
        }
    };
    task.extra.remove(SEALED_LOGIN);
    if task.schema_version > TASK_SCHEMA_VERSION {
        return Err(TaskError::Newer { path: path(), message: newer_schema(task.schema_version.into()) });
    }
    if task.task_id != *task_id {
        let message = format!("it holds the task `{}`", task.task_id);
        return Err(TaskError::Damaged { path: path(), message });
    }
    Ok(task)
}

/// A task as its file is written.
pub(super) fn bytes_of(task: &Task, path: &Path) -> Result<Vec<u8>, TaskError> {
    let mut json = serde_json::to_vec_pretty(task)
        .map_err(|error| TaskError::Damaged { path: path.to_owned(), message: error.to_string() })?;
    json.push(b'\n');
    Ok(json)
}

/// The same, with a sealed login.
#[cfg(feature = "objects")]
pub(super) fn bytes_with(task: &Task, sealed: Option<String>, path: &Path) -> Result<Vec<u8>, TaskError> {
    let Some(sealed) = sealed else { return bytes_of(task, path) };
    let mut task = task.clone();
    task.extra.insert(SEALED_LOGIN.to_owned(), sealed.into());
    bytes_of(&task, path)
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
