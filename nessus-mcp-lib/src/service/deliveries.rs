//! What webhooks were not told: tried again on request.

use tracing::info;

use super::{ScanService, error::ServiceError};
use crate::{
    ids::{PoolName, TaskId},
    queue::EntryState,
};

impl ScanService {
    /// Lets what webhooks could not be told of a task be tried again, from the start; returns how much that is. What an earlier call
    /// has begun and did not bring into the queue counts as well.
    ///
    /// # Errors
    /// [`ServiceError::NotRetryable`] when nothing of it was given up or lost, and those of a disk or queue that fails.
    pub async fn retry_deliveries(&self, task_id: &TaskId) -> Result<usize, ServiceError> {
        self.task(task_id).await?;
        let (task, mut revived) = self.tasks.revive_deliveries(task_id).await?;
        let pool = PoolName::deliveries();
        if revived == 0 && !self.is_in_queue(&pool, task_id).await? {
            revived = task.deliveries.iter().filter(|delivery| delivery.is_pending()).count();
        }
        if revived == 0 {
            let reason = "no webhook was given up that was to be told of it".to_owned();
            return Err(ServiceError::NotRetryable { task_id: task.task_id, reason });
        }
        // Its dead letter goes as it is enqueued.
        self.queue.retry_dead(&pool, &task.delivery_entry()?).await?;
        self.tasks.announce(&task).await;
        info!(%task_id, revived, "webhooks are told once more");
        Ok(revived)
    }

    /// Whether a task waits in a queue, or is claimed from it.
    async fn is_in_queue(&self, pool: &PoolName, task_id: &TaskId) -> Result<bool, ServiceError> {
        let state = self.queue.state_of(pool, task_id).await?;
        Ok(state.is_some_and(|state| state != EntryState::Dead))
    }
}
