//! Which tasks wait for a person, as this process sees it: for the metrics, and to end what nobody has agreed to in time.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{ScanService, error::ServiceError};
use crate::{
    error::{Classified as _, chain},
    policy::ApprovalState,
    task::{Task, TaskError, TaskQuery},
};

/// How often it is looked what has become of those that wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked for those that were submitted to other processes: that reads every unfinished task.
const SEARCH_EVERY: Duration = Duration::from_secs(60);

impl ScanService {
    /// Follows the tasks that wait for a person: counts them and what was decided, and ends those that nobody has agreed to in time.
    /// Never returns. Without it a worker ends them, or whoever asks for their status.
    pub async fn watch_approvals(&self) {
        let mut searched: Option<Instant> = None;
        loop {
            let has_approvals = self.scope.policy().has_approvals();
            let looked = async {
                if has_approvals && searched.is_none_or(|at| at.elapsed() >= SEARCH_EVERY) {
                    searched = Some(Instant::now());
                    for task in self.tasks.list(TaskQuery::default().unfinished()).await?.tasks {
                        if self.approval_request(&task).is_some() && self.waiting.insert(&task) {
                            info!(task_id = %task.task_id, "a scan waits for a person to agree");
                        }
                    }
                }
                self.follow_waiting().await
            };
            if let Err(error) = looked.await {
                warn!(error = chain(&error), hint = error.hint(), "it is not known which scans wait for a person");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Looks what has become of those that wait.
    pub(super) async fn follow_waiting(&self) -> Result<(), ServiceError> {
        for task_id in self.waiting.all() {
            let task = match self.tasks.get(&task_id).await {
                Ok(task) => Some(self.concluded(task).await?),
                Err(TaskError::NotFound(_) | TaskError::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            if task.as_ref().is_some_and(|task| self.approval_request(task).is_some()) {
                continue;
            }
            self.waiting.remove(&task_id);
            let outcome = task.as_ref().map_or("released", |task| self.outcome(task));
            self.metrics.approval_decided(outcome);
            info!(%task_id, outcome, "a scan does not wait for a person any more");
            self.note_approval(&task_id, outcome).await;
        }
        Ok(())
    }

    /// What was decided about a task that has waited; `released` if it does not wait for another reason.
    fn outcome(&self, task: &Task) -> &'static str {
        let ended = |code: &str| task.error_code.as_deref() == Some(code);
        match self.approval_of(task) {
            _ if ended(ApprovalState::DENIED) => "denied",
            _ if ended(ApprovalState::EXPIRED) => "expired",
            ApprovalState::Denied(_) => "denied",
            ApprovalState::Expired(_) => "expired",
            ApprovalState::Approved(_) => "approved",
            _ => "released",
        }
    }
}
