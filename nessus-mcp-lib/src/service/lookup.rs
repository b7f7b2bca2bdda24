//! The one place where the tasks that callers ask for are looked up.
//!
//! Everything that a caller learns of a task, by its id, in a list or as a completion, comes from here.

use super::ScanService;
use crate::{
    ids::TaskId,
    task::{Task, TaskError, TaskList, TaskQuery},
};

impl ScanService {
    /// The task that a caller names.
    ///
    /// # Errors
    /// [`TaskError::NotFound`] when there is none.
    pub(super) async fn task(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        self.tasks.get(task_id).await
    }

    /// The tasks that match, newest first.
    pub(super) async fn tasks_matching(&self, query: TaskQuery) -> Result<TaskList, TaskError> {
        self.tasks.list(query).await
    }
}
