//! What webhooks were not told: tried again on request.

use tracing::info;

use super::{ScanService, error::ServiceError};
use crate::{
    ids::{PoolName, TaskId},
    task::Writer,
};

impl ScanService {
    /// Lets what webhooks could not be told of a task be tried again, from the start; returns how much that is.
    ///
    /// # Errors
    /// [`ServiceError::NotRetryable`] when nothing of it was given up, and those of a disk or queue that fails.
    pub async fn retry_deliveries(&self, task_id: &TaskId) -> Result<usize, ServiceError> {
        self.task(task_id).await?;
        let (tell, told) = std::sync::mpsc::channel();
        let update = self.tasks.update(task_id, Writer::Api, move |task| _ = tell.send(task.revive_deliveries()));
        let task = update.await?;
        let revived = told.try_recv().unwrap_or_default();
        if revived == 0 {
            let reason = "no webhook was given up that was to be told of it".to_owned();
            return Err(ServiceError::NotRetryable { task_id: task.task_id, reason });
        }
        // Its dead letter goes as it is enqueued.
        self.queue.retry_dead(&PoolName::deliveries(), &task.delivery_entry()?).await?;
        self.tasks.announce(&task).await;
        info!(%task_id, revived, "webhooks are told once more");
        Ok(revived)
    }
}
