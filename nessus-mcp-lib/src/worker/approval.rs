//! What a worker makes of the rules of `approvals`: it begins no scan that a person must agree to and has not.

use tracing::warn;

use super::{outcome::StepError, shared::Shared};
use crate::{
    policy::{Approval, ApprovalState},
    queue::Lease,
    service::approval_of,
    task::{Task, TaskError, TaskStatus, Writer},
    time::Clock as _,
};

impl Shared {
    /// How it stands with the approval of a task, by the policy in force and by what the file of the task proves.
    pub(super) fn approval(&self, task: &Task) -> ApprovalState {
        approval_of(&self.scope.policy(), task, self.clock.now())
    }

    /// The end of a task that a person has refused, or that nobody has agreed to in time.
    pub(super) fn refused(&self, task: &Task) -> Option<StepError> {
        let (code, message) = self.approval(task).end()?;
        Some(StepError::Scan { status: TaskStatus::Cancelled, code, message })
    }

    /// Writes down what a person is asked, unless it stands there already. It is decided again under the lock of the task:
    /// somebody may have agreed meanwhile.
    pub(super) async fn ask(&self, lease: &Lease) -> Result<(), TaskError> {
        let is_asked = |task: &Task, state: &ApprovalState| match state {
            ApprovalState::Waiting(request) => task.approval.as_ref().is_some_and(|known| known.request == *request),
            _ => true,
        };
        let task = self.tasks.get(&lease.task_id).await?;
        if is_asked(&task, &self.approval(&task)) {
            return Ok(());
        }
        let (policy, now) = (self.scope.policy(), self.clock.now());
        let update = self.tasks.update(&lease.task_id, Writer::Worker(lease.fence), move |task| {
            let state = approval_of(&policy, task, now);
            if !is_asked(task, &state)
                && let ApprovalState::Waiting(request) = state
            {
                task.approval = Some(Approval::new(request));
            }
        });
        let task = update.await?;
        let why = task.approval.as_ref().and_then(|approval| approval.request.asked_anew.as_deref());
        warn!(why, "a person must agree before the scan begins");
        crate::fail_points::fail_point!("worker_approval_asked");
        Ok(())
    }
}
