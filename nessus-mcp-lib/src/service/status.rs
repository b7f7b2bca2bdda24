//! Where a task stands.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    ScanService,
    attempts::{self, MAX_ATTEMPTS},
    error::ServiceError,
    phase::Phase,
    shorten,
    task_view::TaskView,
    troubleshooting::{self, Place},
    watch::EVERY,
};
use crate::{
    ids::TaskId,
    queue::EntryState,
    targets,
    task::{LastError, Pause, Task, TaskStatus},
    time::Timestamp,
};

impl ScanService {
    /// Where a task stands.
    ///
    /// # Errors
    /// [`ServiceError::Task`] with the code `task_not_found` when there is none.
    pub async fn status(&self, task_id: &TaskId) -> Result<TaskView, ServiceError> {
        let (task, has_export) = self.task_with_export(task_id).await?;
        let task = self.concluded(task).await?;
        let results_available = task.status.is_terminal() && has_export;
        // The file is the truth; a queue that does not answer only cannot tell the place.
        let (pool, pinned) = (&task.scanner_pool, task.pinned_instance_id.as_ref());
        let outlook = match task.status {
            TaskStatus::Queued => Some(self.outlook(pool, Some(task_id), pinned).await),
            _ => None,
        };
        let queue_position = outlook.iter().flatten().find_map(|outlook| outlook.position);
        let estimated_wait_seconds = match &outlook {
            Some(Ok(outlook)) => match (outlook.position, outlook.state) {
                (Some(position), _) => self.estimated_wait(pool, pinned, outlook, position).await,
                // One without a place has been in a worker's hands and is among the next, if the queue knows it.
                (None, Some(EntryState::Delayed | EntryState::Leased)) => {
                    self.estimated_wait(pool, pinned, outlook, 1).await
                }
                _ => None,
            },
            _ => None,
        };
        // How long others take says nothing about a task that is held.
        let is_held = task.pause_request.is_some()
            || self.closed_window(&task).is_some()
            || self.approval_request(&task).is_some();
        let estimated_wait_seconds = estimated_wait_seconds.filter(|_| !is_held);
        let nobody = if matches!(outlook, Some(Err(_))) { None } else { self.nobody_for(&task).await };
        let has_no_worker = nobody.is_some();
        let waiting_for = self.waiting_for(&task, outlook.as_ref(), nobody).await;
        // Nor about one that nothing can be begun with.
        let estimated_wait_seconds = estimated_wait_seconds.filter(|_| waiting_for.is_none());
        let phase = Phase::of(&task, waiting_for.is_some());
        let is_held = waiting_for.is_some() && !(task.status == TaskStatus::Running && task.nessus_scan_id.is_some());
        let place = Place { queue_position, estimated_wait_seconds, is_held, has_no_worker };
        let troubleshooting = troubleshooting::of(&task, &place, self.clock.now());
        let outside_of_window = self.outside_of_window(&task);
        let view = self.view(task, queue_position, results_available);
        Ok(TaskView { phase, estimated_wait_seconds, waiting_for, outside_of_window, troubleshooting, ..view })
    }

    /// Where a task stands, as soon as that is something else than at the call, or after `wait`. A change of `next_poll_seconds`
    /// and `estimated_wait_seconds`, which change by themselves, is none. A task that has ended is answered at once.
    ///
    /// # Errors
    /// Those of [`ScanService::status`].
    pub async fn status_change(&self, task_id: &TaskId, wait: Duration) -> Result<TaskView, ServiceError> {
        let deadline = Instant::now() + wait;
        let first = self.status(task_id).await?;
        let watched = self.watched.enter(task_id);
        let mut latest = first.clone();
        while !latest.status.is_terminal() && is_same(&first, &latest) {
            let next = Instant::now() + EVERY;
            sleep_until(next.min(deadline)).await;
            if Instant::now() >= deadline {
                return self.status(task_id).await;
            }
            latest = watched.latest(async || self.status(task_id).await).await?;
        }
        Ok(latest)
    }

    /// Reads a task id as the API layer gets it.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] when it has not the form of one.
    pub fn parse_task_id(text: &str) -> Result<TaskId, ServiceError> {
        TaskId::new(text.trim()).map_err(|error| {
            let hint = "use the `task_id` that a submit returned; the list of tasks shows those there are".to_owned();
            ServiceError::invalid("task_id", format!("is refused: {error}"), hint)
        })
    }

    fn view(&self, task: Task, queue_position: Option<u64>, results_available: bool) -> TaskView {
        let is_running = task.status == TaskStatus::Running;
        let observation = task.observation.clone().filter(|_| is_running);
        let observation = observation.map(|seen| (shorten::text(&seen.state), seen.unchanged_since));
        let (scan_state, scan_unchanged_since) = observation.unzip();
        let hosts = task.observation.as_ref().map(|seen| (seen.hosts, seen.hosts_done)).unwrap_or_default();
        TaskView {
            phase: None,
            troubleshooting: Vec::new(),
            hosts_known: hosts.0,
            hosts_done: hosts.1,
            max_attempts: MAX_ATTEMPTS,
            ended_attempts: attempts::ended(&task),
            scan_state,
            scan_unchanged_since,
            results_available,
            checked_targets: checked_targets(&task),
            scope_warning: shorten::scope_warning(&task),
            pause: task
                .shown_pause()
                .map(|pause| Pause { reason: pause.reason.as_deref().map(shorten::text), ..pause }),
            next_poll_seconds: next_poll(&task, self.clock.now()),
            task_id: task.task_id,
            trace_id: task.trace_id,
            submitted_by: task.submitted_by,
            status: task.status,
            progress: task.progress,
            queue_position,
            estimated_wait_seconds: None,
            waiting_for: None,
            outside_of_window: None,
            last_error: task.last_error.map(|last| LastError {
                message: shorten::text(&last.message),
                hint: None,
                ..last
            }),
            cancel_requested_at: task.cancel_requested_at,
            scan_type: task.scan_type,
            template: task.payload.template,
            policy: task.payload.policy_name.or(task.payload.policy).as_deref().map(shorten::text),
            name: shorten::text(&task.payload.name),
            targets: targets::shortened(&task.payload.targets),
            scanner_type: task.scanner_type,
            scanner_pool: task.scanner_pool,
            scanner_instance: task.scanner_instance_id,
            nessus_scan_id: task.nessus_scan_id,
            created_at: task.created_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
            execution_time: task.execution_time,
            attempt: task.attempt,
            error_code: task.error_code,
            error_message: task.error_message.as_deref().map(shorten::text),
            authentication_status: task.authentication_status,
            validation_stats: task.validation_stats,
            validation_warnings: shorten::list(&task.validation_warnings),
        }
    }
}

fn checked_targets(task: &Task) -> Option<String> {
    let (targets, addresses) = task.checked_targets().ok().filter(|(_, addresses)| !addresses.is_empty())?;
    targets.for_scanner_with(&addresses).ok().map(|text| targets::shortened(&text))
}

/// A tenth of the task's age, at least 2 and at most 60 seconds: quick scans are noticed quickly, long ones cost little.
fn next_poll(task: &Task, now: Timestamp) -> Option<u64> {
    (!task.status.is_terminal()).then(|| (now.since(task.created_at).as_secs() / 10).clamp(2, 60))
}

fn is_same(first: &TaskView, latest: &TaskView) -> bool {
    let lasting = |view: &TaskView| TaskView { next_poll_seconds: None, estimated_wait_seconds: None, ..view.clone() };
    lasting(first) == lasting(latest)
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::{super::tests::*, *};

    /// All hear of the end, and nothing is kept of those who have waited.
    #[tokio::test]
    async fn all_who_wait_are_answered_when_the_task_changes() {
        let f = fixture().await;
        let task_id = f.service.submit(request()).await.unwrap().task_id;
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (service, task_id) = (f.service.clone(), task_id.clone());
            waiting.spawn(async move { service.status_change(&task_id, Duration::from_secs(600)).await.unwrap() });
        }
        while f.service.watched.callers(&task_id) < 50 {
            tokio::task::yield_now().await;
        }
        f.service.cancel(&task_id, None).await.unwrap();
        let answers = waiting.join_all().await;
        assert!(answers.iter().all(|view| view.status == TaskStatus::Cancelled), "{answers:?}");
        assert!(f.service.watched.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_and_who_need_not_wait_does_not() {
        let f = fixture().await;
        let task_id = f.service.submit(request()).await.unwrap().task_id;
        {
            let mut waiting = pin!(f.service.status_change(&task_id, Duration::from_secs(600)));
            while f.service.watched.is_empty() {
                let polled = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
                assert!(polled.is_pending());
                tokio::task::yield_now().await;
            }
        }
        assert!(f.service.watched.is_empty());
        assert_eq!(f.service.status_change(&task_id, Duration::ZERO).await.unwrap().status, TaskStatus::Queued);
        f.service.cancel(&task_id, None).await.unwrap();
        let ended = f.service.status_change(&task_id, Duration::from_secs(600)).await.unwrap();
        assert_eq!(ended.status, TaskStatus::Cancelled);
    }
}
