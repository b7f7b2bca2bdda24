//! What a task that has ended gives back of the hosts of its day.

use super::{outcome::StepError, shared::Shared};
use crate::{housekeeping, ids::TaskId, task::TaskError};

/// Gives back what a task is charged, if it has ended without launching anything.
pub(super) async fn give_back(shared: &Shared, task_id: &TaskId) -> Result<(), StepError> {
    let task = match shared.tasks.get(task_id).await {
        Err(error @ TaskError::Storage { .. }) => return Err(error.into()),
        // What is lost or damaged says nothing.
        read => read.ok(),
    };
    if let Some(task) = task.filter(|task| task.charge_to_give_back().is_some()) {
        housekeeping::give_back(shared.queue.as_ref(), &task).await?;
        crate::fail_points::fail_point!("worker_hosts_given_back");
    }
    Ok(())
}
