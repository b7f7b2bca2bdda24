//! What has happened to a task and webhooks want to hear: written down with the change itself, so that neither is there without the
//! other.
//!
//! The queue has one entry for each task with something to deliver, in a queue of its own. It is an index as the other queues are:
//! what it forgets is enqueued again from the file.

use serde_json::json;

use super::{delivery::Delivery, model::Task, state::TaskStatus};
use crate::{
    ids::PoolName,
    policy::{HookEvent, Scope},
    queue::{DeadLetter, DeadReason, EnqueueOutcome, EntryState, Queue, QueueError, RemoveOutcome, TaskBody},
    time::Timestamp,
};

/// The event that a task has ended so.
fn end(status: TaskStatus) -> Option<HookEvent> {
    match status {
        TaskStatus::Completed => Some(HookEvent::Completed),
        TaskStatus::Failed => Some(HookEvent::Failed),
        TaskStatus::Timeout => Some(HookEvent::Timeout),
        TaskStatus::Cancelled => Some(HookEvent::Cancelled),
        TaskStatus::Queued | TaskStatus::Running => None,
    }
}

impl Task {
    /// Whether webhooks are to be told of it.
    pub(crate) fn has_deliveries(&self) -> bool {
        self.deliveries.iter().any(Delivery::is_pending)
    }

    /// Writes down what has happened since `before`, or at all, for the webhooks that want to hear of it; whether there is something.
    pub(super) fn note_events(&mut self, before: Option<&Self>, scope: &Scope) -> bool {
        let steps = self.history.iter().skip(before.map_or(0, |before| before.history.len()));
        let mut events: Vec<_> = steps.filter_map(|step| Some((end(step.to)?, step.attempt, step.at))).collect();
        if let Some(approval) = &self.approval {
            let known = before.and_then(|before| before.approval.as_ref());
            // What was decided is said before what follows from it.
            if known.is_none_or(|known| known.request.asked_at != approval.request.asked_at) {
                events.insert(0, (HookEvent::ApprovalWanted, self.attempt, approval.request.asked_at));
            }
            if let Some(decision) = &approval.decision
                && known.is_none_or(|known| known.decision.as_ref() != Some(decision))
            {
                events.insert(0, (HookEvent::ApprovalDecided, self.attempt, decision.decided_at));
            }
        }
        let noted = self.deliveries.len();
        for (event, attempt, at) in events {
            for webhook in scope.listeners(event, &self.scanner_pool, self.submitted_by.as_deref()) {
                let delivery = Delivery::new(webhook, event, attempt, at);
                if !self.deliveries.iter().any(|known| known.is(&delivery)) {
                    self.deliveries.push(delivery);
                }
            }
        }
        self.deliveries.len() > noted
    }

    /// Decides whom to tell of what was written down by somebody who did not know the webhooks.
    pub(crate) fn direct_deliveries(&mut self, scope: &Scope) {
        let undirected = self.deliveries.extract_if(.., |delivery| delivery.webhook.is_none() && delivery.is_pending());
        for delivery in undirected.collect::<Vec<_>>() {
            let Ok(event) = delivery.event.parse() else { continue };
            for webhook in scope.listeners(event, &self.scanner_pool, self.submitted_by.as_deref()) {
                let directed = Delivery { webhook, ..delivery.clone() };
                if !self.deliveries.iter().any(|known| known.is(&directed)) {
                    self.deliveries.push(directed);
                }
            }
        }
    }

    /// Writes down that an operator has cleared away what was given up.
    pub(crate) fn dismiss_deliveries(&mut self, now: Timestamp) {
        let dead = self.deliveries.iter_mut().filter(|delivery| delivery.is_dead());
        dead.for_each(|delivery| delivery.dismissed_at = Some(now));
    }

    /// Whether an operator may let it be looked after again although it has ended: another attempt, or what webhooks could not be told.
    pub(crate) fn may_be_reopened(&self) -> bool {
        self.status.allows_retry() || self.deliveries.iter().any(|one| one.given_up_at.is_some())
    }

    /// Lets what was given up be tried again, as if it had not been; how much that is.
    pub(crate) fn revive_deliveries(&mut self) -> usize {
        let given_up = self.deliveries.iter_mut().filter(|one| one.given_up_at.is_some() && one.delivered_at.is_none());
        given_up.fold(0, |count, delivery| {
            let Delivery { webhook, event, attempt, at, last_error, .. } = delivery.clone();
            *delivery = Delivery { webhook, event, last_error, ..Delivery::new(None, HookEvent::Failed, attempt, at) };
            count + 1
        })
    }

    /// The entry in the queue of deliveries.
    pub(crate) fn delivery_entry(&self) -> Result<TaskBody, QueueError> {
        let Self { task_id, trace_id, scanner_pool, attempt, payload, .. } = self;
        let entry = json!({ "task_id": task_id, "trace_id": trace_id, "scanner_pool": scanner_pool, "attempt": attempt,
            "name": payload.name });
        TaskBody::parse(entry.to_string()).map_err(|error| QueueError::Internal {
            location: PoolName::DELIVERIES.to_owned(),
            problem: error.to_string(),
            source: None,
        })
    }
}

/// Enqueues a task with something to deliver; whether the queue did not know it. One that is put off stays so.
pub(crate) async fn enqueue_deliveries(queue: &dyn Queue, task: &Task) -> Result<bool, QueueError> {
    Ok(queue.enqueue(&PoolName::deliveries(), &task.delivery_entry()?).await? == EnqueueOutcome::Added)
}

/// As [`enqueue_deliveries`], for one of which something new is to be delivered: it is looked at now, also when it is put off because
/// a webhook does not answer.
pub(super) async fn announce_deliveries(queue: &dyn Queue, task: &Task) -> Result<(), QueueError> {
    let (pool, task_id) = (PoolName::deliveries(), &task.task_id);
    // Whoever dies between the two is followed by the reconciler.
    if !enqueue_deliveries(queue, task).await?
        && queue.state_of(&pool, task_id).await? == Some(EntryState::Delayed)
        && queue.remove(&pool, task_id).await? == RemoveOutcome::Removed
    {
        enqueue_deliveries(queue, task).await?;
    }
    Ok(())
}

/// The dead letter of a task of which something could not be delivered, if it has one: not while more of it is to be delivered.
pub(crate) fn letter_of_deliveries(task: &Task) -> Option<DeadLetter> {
    let dead = task.deliveries.iter().filter(|delivery| delivery.is_dead());
    let last = dead.max_by_key(|delivery| delivery.given_up_at).filter(|_| !task.has_deliveries())?;
    let webhook = last.webhook.as_deref().unwrap_or_default();
    let error = last.last_error.as_deref().unwrap_or_default();
    let message = format!("the webhook `{webhook}` was not told that the scan is `{}`: {error}", last.event);
    let reason = DeadReason::new(message, "webhook_failed", last.attempt);
    let body = task.delivery_entry().ok()?.into_string();
    Some(DeadLetter::new(Some(task.task_id.clone()), body, reason, last.given_up_at?))
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
#[cfg(feature = "webhooks")]
mod tests;
