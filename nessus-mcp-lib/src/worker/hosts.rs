//! What a task that has ended gives back of what it counts against limits.

use super::{outcome::StepError, shared::Shared};
use crate::{
    housekeeping,
    ids::TaskId,
    task::{Task, TaskError},
};

/// Gives back what a task does not count any more, if it has ended.
pub(super) async fn give_back(shared: &Shared, task_id: &TaskId) -> Result<(), StepError> {
    let task = match shared.tasks.get(task_id).await {
        Err(error @ TaskError::Storage { .. }) => return Err(error.into()),
        // What is lost or damaged says nothing.
        read => read.ok(),
    };
    if let Some(task) = task.filter(Task::has_charges_to_give_back) {
        housekeeping::give_back(shared.queue.as_ref(), &task).await?;
        crate::fail_points::fail_point!("worker_hosts_given_back");
    }
    Ok(())
}
