//! The tasks whose status callers wait for.
//!
//! Many callers may wait for one scan. The status is read once a second for each task that anybody waits for, whoever comes
//! first, and the others take what was read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{error::ServiceError, task_view::TaskView};
use crate::ids::TaskId;

/// How often the status is read.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// When the status of a task was read last, and what it was; locked by whoever reads it.
type Shared = Arc<tokio::sync::Mutex<Option<(Instant, TaskView)>>>;

/// The tasks that somebody waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchedTasks(Arc<Mutex<HashMap<TaskId, Shared>>>);

impl WatchedTasks {
    /// Counts a caller in, until what is returned is dropped.
    pub(super) fn enter(&self, task_id: &TaskId) -> Watched<'_> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tasks.entry(task_id.clone()).or_default();
        Watched { tasks: self, task_id: task_id.clone(), shared: Arc::clone(shared) }
    }
}

/// A caller that waits for a task.
pub(super) struct Watched<'w> {
    tasks: &'w WatchedTasks,
    task_id: TaskId,
    shared: Shared,
}

impl Watched<'_> {
    /// The status as any caller has read it within [`EVERY`], or else as `read` says.
    pub(super) async fn latest(
        &self,
        read: impl AsyncFnOnce() -> Result<TaskView, ServiceError>,
    ) -> Result<TaskView, ServiceError> {
        let mut shared = self.shared.lock().await;
        match &*shared {
            Some((read_at, view)) if read_at.elapsed() < EVERY => Ok(view.clone()),
            _ => {
                let view = read().await?;
                *shared = Some((Instant::now(), view.clone()));
                Ok(view)
            }
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut tasks = self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The list's and this one.
        if Arc::strong_count(&self.shared) == 2 {
            tasks.remove(&self.task_id);
        }
    }
}

#[cfg(test)]
impl WatchedTasks {
    /// How many callers wait for a task.
    pub(super) fn callers(&self, task_id: &TaskId) -> usize {
        self.0.lock().unwrap().get(task_id).map_or(0, |shared| Arc::strong_count(shared) - 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}
