//! What is left of removed tasks: `archive/{task_id}.json`, with the task as it last stood and when it was archived. Dead letters that
//! were cleared away are archived beside them.

use serde_json::{Value, json};

use super::{
    error::TaskError,
    manager::TaskManager,
    model::Task,
    store::{Foreign, TaskStore},
};
use crate::{
    durable::{EntryKind, TEMPORARY_PREFIX},
    ids::TaskId,
    time::Timestamp,
};

const SUFFIX: &str = ".json";
/// Before the records of dead letters.
const LETTER_PREFIX: &str = "dead_";

/// What an entry of `archive/` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InArchive {
    /// The record of a task.
    Task(TaskId),
    /// That of a dead letter.
    Letter,
    /// An unfinished file.
    Unfinished,
    /// None of ours: it stays.
    Foreign(Foreign),
}

impl InArchive {
    /// What an entry of this name and kind is.
    pub(crate) fn of(name: &str, kind: EntryKind) -> Self {
        let task_id = name.strip_suffix(SUFFIX).and_then(|name| TaskId::new(name).ok());
        match (kind, task_id) {
            (EntryKind::Link, _) => Self::Foreign(Foreign::Link),
            // Letters are named after their tasks, and would pass for one.
            (EntryKind::File, _) if name.starts_with(LETTER_PREFIX) && name.ends_with(SUFFIX) => Self::Letter,
            (EntryKind::File, Some(task_id)) => Self::Task(task_id),
            (EntryKind::File, None) if name.starts_with(TEMPORARY_PREFIX) => Self::Unfinished,
            _ => Self::Foreign(Foreign::Unknown),
        }
    }
}

/// What lies in `archive/`.
#[derive(Debug, Default)]
pub(crate) struct InTheArchive {
    /// The names of the records.
    pub(crate) records: Vec<String>,
    /// What is none of ours, by its name.
    pub(crate) foreign: Vec<(String, Foreign)>,
}

/// A record of the archive.
#[derive(Debug)]
pub(crate) struct Archived {
    /// Its file.
    pub(crate) name: String,
    /// When it was written; `None` in a file that makes no sense.
    pub(crate) at: Option<Timestamp>,
    /// The task that was removed; `None` for a dead letter.
    pub(crate) task: Option<Task>,
}

impl Archived {
    fn parse(name: &str, bytes: &[u8]) -> Self {
        let mut document: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let at = serde_json::from_value(document["archived_at"].take()).ok();
        let is_of_task = matches!(InArchive::of(name, EntryKind::File), InArchive::Task(_));
        let task = serde_json::from_value(document["task"].take()).ok().filter(|_| is_of_task);
        Self { name: name.to_owned(), at, task }
    }
}

impl TaskManager {
    /// The names of the archive's records, and what lies there that is none of ours.
    pub(crate) async fn archived_names(&self) -> Result<InTheArchive, TaskError> {
        let entries = self.store.blocking(TaskStore::archive_entries).await?;
        let mut found = InTheArchive::default();
        for (name, kind) in entries {
            match InArchive::of(&name, kind) {
                InArchive::Task(_) | InArchive::Letter => found.records.push(name),
                InArchive::Unfinished => {}
                InArchive::Foreign(why) => found.foreign.push((name, why)),
            }
        }
        Ok(found)
    }

    /// Reads these records of the archive; those that cannot be read are none.
    pub(crate) async fn archived(&self, names: Vec<String>) -> Result<Vec<Archived>, TaskError> {
        let read = move |store: &TaskStore| {
            let read = |name: &String| archived(store, name).transpose();
            names.iter().filter_map(read).filter(|read| !matches!(read, Err(error) if !error.is_shortage())).collect()
        };
        self.store.blocking(read).await
    }

    /// The task of this id that was removed, and when; `None` when the archive has none.
    pub(crate) async fn removed_task(&self, task_id: &TaskId) -> Result<Option<(Task, Timestamp)>, TaskError> {
        let name = format!("{task_id}{SUFFIX}");
        let read = self.store.blocking(move |store| archived(store, &name)).await?;
        Ok(read.and_then(|read| Some((read.task?, read.at?))).filter(|(task, _)| task.task_id == *task_id))
    }

    /// Writes the record of a removed task again, as old as it was.
    pub(crate) async fn archive_again(&self, task: Task, archived_at: Timestamp) -> Result<(), TaskError> {
        let name = task.task_id.to_string();
        self.archive(&name, json!({ "task": task, "archived_at": archived_at })).await
    }

    /// Removes a record of the archive; whether it was there.
    pub(crate) async fn remove_archived(&self, name: String) -> Result<bool, TaskError> {
        self.store.blocking(move |store| store.remove_archived(&name)).await
    }
}

fn archived(store: &TaskStore, name: &str) -> Result<Option<Archived>, TaskError> {
    Ok(store.archived(name)?.map(|bytes| Archived::parse(name, &bytes)))
}
