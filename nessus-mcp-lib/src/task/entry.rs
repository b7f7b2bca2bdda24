//! What lists need of a task, so that its file need not be read: its entry in the catalogue.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{model::Task, state::TaskStatus};
use crate::{
    ids::{InstanceId, PoolName, TaskId},
    queue::CatalogueRecord,
    time::Timestamp,
};

/// Targets of more bytes are left out of entries; they may be a megabyte.
const LONG_TARGETS: usize = 1024;

/// What the catalogue says of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskEntry {
    /// What stands in its file.
    Task(TaskFacts),
    /// Why its file cannot be read.
    Unreadable(Arc<str>),
}

/// What stands in a task's file, as far as lists need it. Texts that many tasks have are kept once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskFacts {
    pub(crate) status: TaskStatus,
    pub(crate) pool: Arc<PoolName>,
    /// The scanner on which its next step is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<Arc<InstanceId>>,
    pub(crate) name: Arc<str>,
    /// `None` for a long text, which stands in the file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) targets: Option<Arc<str>>,
    pub(crate) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) took_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) submitted_by: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) team: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<Arc<str>>,
}

impl TaskFacts {
    pub(crate) fn of(task: &Task) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let took = task.execution_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self {
            status: task.status,
            pool: Arc::new(task.scanner_pool.clone()),
            instance: task.next_instance().cloned().map(Arc::new),
            name: task.payload.name.as_str().into(),
            targets: Some(task.payload.targets.as_str().into()),
            created_at: task.created_at,
            completed_at: task.completed_at,
            took_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            submitted_by: text(&task.submitted_by),
            team: text(&task.team),
            error_code: text(&task.error_code),
        }
    }
}

impl TaskEntry {
    /// The entry of a task: of bounded size, so that many can be kept.
    pub(super) fn of(task: &Task) -> Self {
        let mut facts = TaskFacts::of(task);
        facts.targets = facts.targets.filter(|targets| targets.len() <= LONG_TARGETS);
        Self::Task(facts)
    }

    /// The entry in a record; `None` for a text of another version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn text(&self) -> String {
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// The record of a task. It has to be looked after until it has ended, and as long as a login of it is left or a webhook is to be told of it.
    pub(super) fn record(task: &Task, login_is_left: bool) -> CatalogueRecord {
        let unfinished = !task.status.is_terminal() || login_is_left || task.has_deliveries();
        let entry = Self::of(task).text();
        CatalogueRecord::new(task.task_id.clone(), task.revision, unfinished, entry)
    }

    /// The record of a task whose file cannot be read. It may not have ended.
    pub(super) fn unreadable(task_id: &TaskId, revision: u64, reason: &str) -> CatalogueRecord {
        CatalogueRecord::new(task_id.clone(), revision, true, Self::Unreadable(reason.into()).text())
    }
}

/// Tells what records say apart, whatever their revision.
pub(super) fn digest(record: &CatalogueRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    (record.unfinished, &record.entry).hash(&mut hasher);
    hasher.finish()
}

/// The texts that entries share: those of which there are few.
#[derive(Debug, Default)]
pub(super) struct SharedTexts {
    pools: HashSet<Arc<PoolName>>,
    instances: HashSet<Arc<InstanceId>>,
    texts: HashSet<Arc<str>>,
}

impl SharedTexts {
    /// The same entry, with the texts of those before it.
    pub(super) fn share(&mut self, mut entry: TaskEntry) -> TaskEntry {
        if let TaskEntry::Task(facts) = &mut entry {
            once(&mut self.pools, &mut facts.pool);
            facts.instance.iter_mut().for_each(|instance| once(&mut self.instances, instance));
            let texts = [&mut facts.submitted_by, &mut facts.team, &mut facts.error_code].into_iter().flatten();
            texts.for_each(|text| once(&mut self.texts, text));
        }
        entry
    }
}

fn once<T: Eq + Hash + ?Sized>(known: &mut HashSet<Arc<T>>, text: &mut Arc<T>) {
    if let Some(before) = known.get(&**text) {
        *text = Arc::clone(before);
    } else {
        known.insert(Arc::clone(text));
    }
}
