//! Scans that wait until a person agrees: who asks for what, and what is decided.
//!
//! A task that must be agreed to is enqueued like any other, and no worker begins its scan: each asks the policy and the file
//! of the task, and puts it off. So a queue that is lost, and a process that dies between any two steps, leave it waiting. A
//! decision is written to the file first; then the task is brought to the front, which the reconciler does once more.

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{ScanService, error::ServiceError, shorten};
use crate::{
    error::{Classified as _, ErrorKind, chain, excerpt},
    housekeeping,
    ids::{PoolName, TaskId},
    policy::{Approval, ApprovalError, ApprovalRequest, ApprovalState, AskedLogin, Policy, Verdict, named},
    scanner::DEFAULT_TEMPLATE,
    secret::Secret,
    task::{ScanType, Task, TaskQuery, TaskStatus, Writer},
    time::Timestamp,
};

/// The most characters of a reason.
const MAX_REASON: usize = 500;

/// What a person is to agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalView {
    /// The task.
    pub task_id: TaskId,
    /// Its attempt: each needs an approval of its own.
    pub attempt: u32,
    /// The name of the scan.
    pub name: String,
    /// Who asked for it: whoever submitted it, and whoever tried it again. Empty where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<String>,
    /// Their team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// untrusted, trusted or privileged.
    pub scan_type: ScanType,
    /// All targets, normalised.
    pub targets: String,
    /// How many hosts they are, with the addresses that are known of names.
    pub target_hosts: String,
    /// The pool.
    pub scanner_pool: PoolName,
    /// The template of the scanner; absent for a policy of the scanner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The policy of the scanner, by all that it is known as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// What it logs in with, in words; absent for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// Since when.
    pub asked_at: Timestamp,
    /// Until when a person may agree.
    pub expires_at: Timestamp,
    /// Why it is asked once more, if it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_anew: Option<String>,
    /// The digest of all that was asked for.
    pub digest: String,
}

impl ApprovalView {
    fn new(task: Task, request: ApprovalRequest) -> Self {
        let asked = task.asked(DEFAULT_TEMPLATE);
        let credential = task.payload.credential.as_ref();
        let user = credential.and_then(|login| login.username.as_deref()).map(|user| format!(" as `{user}`"));
        let escalation = credential.and_then(|login| login.escalation_method.as_deref());
        let more = escalation.map(|method| format!(", with {method}")).unwrap_or_default();
        let login = match &asked.login {
            AskedLogin::None => None,
            AskedLogin::Stored(id) => Some(format!("`{id}`{}{more}", user.unwrap_or_default())),
            AskedLogin::Inline => Some(format!("given with the request{}{more}", user.unwrap_or_default())),
            AskedLogin::OfPolicy => Some("whatever its policy has".to_owned()),
        };
        Self {
            login,
            target_hosts: asked.hosts().map_or_else(|| "unknown".to_owned(), |hosts| hosts.to_string()),
            template: asked.template,
            policy: asked.policy,
            task_id: task.task_id,
            attempt: task.attempt,
            name: task.payload.name,
            asked_by: asked.asked_by,
            team: task.team,
            scan_type: task.scan_type,
            targets: task.payload.targets,
            scanner_pool: task.scanner_pool,
            rules: request.rules.into_keys().collect(),
            asked_at: request.asked_at,
            expires_at: request.expires_at,
            asked_anew: request.asked_anew,
            digest: request.asked,
        }
    }
}

/// The tasks that a process knows to wait for a person: the answer of [`ScanService::known_approvals`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownApprovals {
    /// What the first of them wait for, in the order of the tasks' ids.
    pub waiting: Vec<ApprovalView>,
    /// Whether there are more.
    pub has_more: bool,
    /// Tasks among those looked at whose file cannot be read, so that nobody can say what they wait for.
    pub unreadable: usize,
}

/// What a person says to a scan that waits for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApprovalAnswer {
    /// Whether they agree.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// The beginning of the digest that they have looked at: what was changed since is refused.
    pub digest: Option<String>,
}

impl ApprovalAnswer {
    /// This verdict, without a reason.
    pub const fn new(verdict: Verdict) -> Self {
        Self { verdict, reason: None, digest: None }
    }
}

impl ScanService {
    /// How it stands with the approval of a task.
    pub(super) fn approval_of(&self, task: &Task) -> ApprovalState {
        approval_of(&self.scope.policy(), task, self.clock.now())
    }

    /// What a person must agree to before a scan of this task begins. One that may run is not held any more.
    pub(super) fn approval_request(&self, task: &Task) -> Option<ApprovalRequest> {
        match self.approval_of(task) {
            ApprovalState::Waiting(request) if !task.status.is_terminal() && !task.has_launched() => Some(request),
            _ => None,
        }
    }

    /// The tasks that wait for a person, those first that were asked for first.
    ///
    /// # Errors
    /// [`ServiceError::Task`] when the tasks cannot be read.
    pub async fn approvals(&self) -> Result<Vec<ApprovalView>, ServiceError> {
        let unfinished = self.tasks_matching(TaskQuery::default().unfinished()).await?;
        let waiting = unfinished.tasks.into_iter().filter_map(|task| {
            let request = self.approval_request(&task)?;
            Some(ApprovalView::new(task, request))
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by(|one, other| (one.asked_at, &one.task_id).cmp(&(other.asked_at, &other.task_id)));
        Ok(waiting)
    }

    /// The first `most` of the tasks that this process knows to wait for a person, and that the caller may see. Reads no other task: those
    /// of other processes are known within a minute, while [`watch_approvals`](Self::watch_approvals) runs. A file that cannot be
    /// read is counted and passed over; where not all tasks may be seen, nobody knows whose it is.
    ///
    /// # Errors
    /// [`ServiceError::Task`] when no task can be read.
    pub async fn known_approvals(&self, most: usize) -> Result<KnownApprovals, ServiceError> {
        let mut known = KnownApprovals::default();
        for task_id in self.waiting.seen_by(&self.sight()) {
            let task = match self.task(&task_id).await {
                Ok(task) => task,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) if error.concerns_all() => return Err(error.into()),
                Err(_unreadable) => {
                    known.unreadable += 1;
                    continue;
                }
            };
            let Some(request) = self.approval_request(&task) else { continue };
            if known.waiting.len() == most {
                known.has_more = true;
                break;
            }
            known.waiting.push(ApprovalView::new(task, request));
        }
        Ok(known)
    }

    /// What a person must agree to before the scan of a task begins.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyEnded`], [`ServiceError::Approval`] when there is nothing to decide.
    pub async fn approval(&self, task_id: &TaskId) -> Result<ApprovalView, ServiceError> {
        let task = self.task(task_id).await?;
        if task.status.is_terminal() {
            return Err(ServiceError::AlreadyEnded { task_id: task.task_id, status: task.status });
        }
        match self.approval_request(&task) {
            Some(request) => Ok(ApprovalView::new(task, request)),
            None => Err(nothing_to_decide(self.approval_of(&task)).into()),
        }
    }

    /// Decides about a task that waits for a person, in the name of whoever has the token: one that is agreed to goes on at
    /// once, one that is not ends.
    ///
    /// # Errors
    /// [`ServiceError::Approval`] when the token is that of nobody who may decide about this scan, or nothing is to be
    /// decided; [`ServiceError::AlreadyEnded`]. Nothing was changed then.
    pub async fn decide(
        &self,
        task_id: &TaskId,
        token: &Secret,
        answer: ApprovalAnswer,
    ) -> Result<TaskStatus, ServiceError> {
        if answer.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON) {
            return Err(ServiceError::invalid("reason", format!("must have at most {MAX_REASON} characters"), None));
        }
        let reason = answer.reason.map(|reason| excerpt(reason.trim()).to_string()).filter(|text| !text.is_empty());
        let (policy, now, token) = (self.scope.policy(), self.clock.now(), token.clone());
        let before = self.task(task_id).await?;
        let (verdict, looked_at) = (answer.verdict, answer.digest.unwrap_or_default().to_ascii_lowercase());
        let decide = move |task: &Task| -> Result<Approval, ServiceError> {
            if task.status.is_terminal() {
                return Err(ServiceError::AlreadyEnded { task_id: task.task_id.clone(), status: task.status });
            }
            let asked = task.asked(DEFAULT_TEMPLATE);
            if !asked.digest.starts_with(&looked_at) {
                return Err(ApprovalError::Changed { found: asked.digest }.into());
            }
            let written = (&asked, task.approval.as_ref());
            Ok(policy.decide(&token, (verdict, reason.clone()), written, now)?)
        };
        let approval = decide(&before)?;
        let by = approval.decision.as_ref().map(|decision| decision.by.clone()).unwrap_or_default();
        let (again, wanted) = (decide.clone(), approval.decision.clone());
        let update = self.tasks.update(task_id, Writer::Api, move |task| {
            // Somebody may have changed or decided it since it was read.
            if let Some(same) = again(task).ok().filter(|decided| decided.decision == wanted) {
                task.approval = Some(same);
            }
        });
        let task = update.await?;
        if task.approval.as_ref().is_none_or(|written| written.decision != approval.decision) {
            decide(&task)?;
            return Err(ApprovalError::Changed { found: task.asked(DEFAULT_TEMPLATE).digest }.into());
        }
        crate::fail_points::fail_point!("approval_decided");
        info!(%task_id, by, verdict = verdict.as_str(), "a person has decided about the scan");
        if verdict == Verdict::Denied {
            let task = self.concluded(task).await?;
            if task.status.is_terminal() {
                return Ok(task.status);
            }
        }
        let task = self.task(task_id).await?;
        if let Err(error) = self.let_look(&task).await {
            self.index.notice_failure();
            warn!(%task_id, error = chain(&error), "the task is looked at later, when its turn in the queue has come");
        }
        Ok(task.status)
    }

    /// Lets a worker look at a task at once that it has put off.
    async fn let_look(&self, task: &Task) -> Result<(), ServiceError> {
        if !task.may_have_a_scan() {
            return self.hand_out_now(task).await;
        }
        if housekeeping::take_if_put_off(self.queue.as_ref(), task).await? {
            self.enqueue_again(task).await?;
        }
        Ok(())
    }

    /// The task, which is ended if a person has refused it, or nobody has agreed in time. Where a scan of it may be on a
    /// scanner, a worker ends it.
    pub(super) async fn concluded(&self, task: Task) -> Result<Task, ServiceError> {
        let is_over = |task: &Task| !task.status.is_terminal() && !task.may_have_a_scan();
        if !is_over(&task) || self.approval_of(&task).end().is_none() {
            return Ok(task);
        }
        let service = self.clone();
        let update = self.tasks.update(&task.task_id, Writer::Api, move |task| {
            if let Some((code, message)) = service.approval_of(task).end().filter(|_| is_over(task)) {
                task.status = TaskStatus::Cancelled;
                task.error_code = Some(code.to_owned());
                task.error_message = Some(message);
            }
        });
        let task = update.await?;
        if task.status == TaskStatus::Cancelled {
            info!(task_id = %task.task_id, code = task.error_code, "a task ends to which no person has agreed");
            self.metrics.task_reached(task.scan_type.as_str(), task.status.as_str());
            self.leave_queue(&task).await;
        }
        Ok(task)
    }

    /// Writes down what a person must agree to before the next attempt of a task.
    pub(super) async fn asked_for(&self, task: Task) -> Result<Task, ServiceError> {
        let Some(request) = self.approval_request(&task).filter(|_| !task.has_scan()) else { return Ok(task) };
        let attempt = task.attempt;
        let update = self.tasks.update(&task.task_id, Writer::Api, move |task| {
            if task.attempt == attempt {
                task.approval.get_or_insert_with(|| Approval::new(request));
            }
        });
        let task = update.await?;
        self.note_waiting(&task);
        Ok(task)
    }

    /// Says once that a task waits for a person.
    pub(super) fn note_waiting(&self, task: &Task) {
        if self.waiting.insert(task) {
            let rules = task.approval.as_ref().map(|approval| named(approval.request.rules.keys()));
            warn!(task_id = %task.task_id, by = task.submitted_by, rules, "a scan waits for a person to agree");
        }
    }

    /// What is said of a task that waits for a person.
    pub(super) fn waits_for_approval(&self, task: &Task) -> Option<String> {
        Some(shorten::text(&what_is_asked(&self.approval_request(task)?)))
    }
}

/// How it stands with the approval of a task, by a policy and by what the file of the task proves.
pub(crate) fn approval_of(policy: &Policy, task: &Task, now: Timestamp) -> ApprovalState {
    if !policy.may_hold(task.approval.as_ref()) {
        return ApprovalState::NotNeeded;
    }
    policy.approval(&task.asked(DEFAULT_TEMPLATE), task.approval.as_ref(), now)
}

/// What is said of a task that waits for a person, and what can be done.
fn what_is_asked(request: &ApprovalRequest) -> String {
    let ApprovalRequest { rules, asked_at, expires_at, asked_anew, .. } = request;
    let anew = asked_anew.as_ref().map(|why| format!("; it is asked once more, because {why}")).unwrap_or_default();
    format!(
        "approval ({}): since {asked_at} it waits for a person to agree, until {expires_at}, then it ends{anew}; tell \
         whoever wants the scan: only a person can decide that",
        named(rules.keys())
    )
}

/// The same in a list.
pub(super) fn asked_in_short(request: &ApprovalRequest) -> String {
    shorten::text(&format!("approval ({}), until {}", named(request.rules.keys()), request.expires_at))
}

/// Why there is nothing to decide.
fn nothing_to_decide(state: ApprovalState) -> ApprovalError {
    match state {
        ApprovalState::Approved(decision) | ApprovalState::Denied(decision) => {
            ApprovalError::Decided { by: decision.by, verdict: decision.verdict.as_str() }
        }
        ApprovalState::Expired(message) => ApprovalError::Expired { message },
        _ => ApprovalError::NotNeeded,
    }
}
