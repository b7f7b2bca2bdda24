//! The tasks that this process knows to wait for a person.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::ids::TaskId;

/// The tasks that are known to wait. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingForApproval(Arc<Mutex<BTreeSet<TaskId>>>);

impl WaitingForApproval {
    fn tasks(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are known now.
    pub(super) fn all(&self) -> Vec<TaskId> {
        self.tasks().iter().cloned().collect()
    }

    /// One that does not wait any more.
    pub(super) fn remove(&self, task_id: &TaskId) {
        self.tasks().remove(task_id);
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.tasks().len()
    }

    /// One more that waits; whether it is new.
    pub(super) fn insert(&self, task_id: &TaskId) -> bool {
        self.tasks().insert(task_id.clone())
    }
}
