//! Looks at the tasks' files while they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nessus_mcp_lib::{ids::TaskId, task::Task};

use super::stage::Common;

/// The tasks as they were when they were first seen to have ended.
#[derive(Debug)]
pub(super) struct Watch {
    common: Arc<Common>,
    open: BTreeSet<TaskId>,
    ended: BTreeMap<TaskId, Task>,
}

impl Watch {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self { common, open: BTreeSet::new(), ended: BTreeMap::new() }
    }

    /// Looks at every task that has not ended yet; returns how many have since the last time.
    pub(super) fn look(&mut self) -> usize {
        let before = self.ended.len();
        self.open.clear();
        for name in self.common.deployment.task_directories() {
            let Ok(id) = TaskId::new(&name) else { continue };
            if self.ended.contains_key(&id) {
                continue;
            }
            // A directory without a file is a submit that has not got so far.
            match self.read(&id) {
                Some(task) if task.status.is_terminal() => drop(self.ended.insert(id, task)),
                Some(_) => {
                    self.open.insert(id);
                }
                None => {}
            }
        }
        self.ended.len() - before
    }

    /// Whether every task there is has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.open.is_empty() && !self.ended.is_empty()
    }

    /// What stands in a task's file now.
    pub(super) fn read(&self, id: &TaskId) -> Option<Task> {
        serde_json::from_slice(&self.common.deployment.file(&format!("tasks/{id}/task.json"))?).ok()
    }

    /// Whether a login is kept for a task.
    pub(super) fn keeps_login(&self, id: &TaskId) -> bool {
        self.common.deployment.keeps_login(id)
    }

    /// The ids of all tasks that have a file.
    pub(super) fn all(&self) -> Vec<TaskId> {
        self.open.iter().chain(self.ended.keys()).cloned().collect()
    }

    /// The task as it was when it was first seen to have ended.
    pub(super) fn first_end(&self, id: &TaskId) -> Option<&Task> {
        self.ended.get(id)
    }
}
