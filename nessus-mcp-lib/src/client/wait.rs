//! Waiting for scans, however long they take and whatever happens to the server meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{connection::NessusMcpClient, error::ClientError, tools::MOST_WAIT_SECONDS};
use crate::{
    ids::TaskId,
    service::{IdempotencyKey, SubmitRequest, TaskView},
};

/// The first pause after a call that failed, and after an answer that came at once and said nothing new.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long to wait for a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitOptions {
    /// How long in all; a day when nothing is said.
    pub timeout: Duration,
    /// How long the server may be out of reach at a stretch; five minutes when nothing is said.
    pub outage: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(24 * 3600), outage: Duration::from_secs(300) }
    }
}

impl WaitOptions {
    /// Waits so long in all.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }

    /// Bears a server that is out of reach for so long.
    #[must_use]
    pub fn with_outage(mut self, outage: Duration) -> Self {
        self.outage = outage;
        self
    }
}

/// What came of waiting.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Waited {
    /// The task has ended: completed, failed, cancelled or out of time, as its `status` says.
    Ended(Box<TaskView>),
    /// The time was over first. The task goes on; its `task_id` finds it again, and `waiting_for` says what keeps it, such as a
    /// person who must agree, or a pause.
    Unfinished(Box<TaskView>),
}

impl Waited {
    /// Where the task stands, either way.
    pub fn view(&self) -> &TaskView {
        match self {
            Self::Ended(view) | Self::Unfinished(view) => view,
        }
    }

    /// Where the task stands, if it has ended.
    pub fn ended(self) -> Option<TaskView> {
        match self {
            Self::Ended(view) => Some(*view),
            Self::Unfinished(_) => None,
        }
    }
}

/// How long calls have been failing, and how long to pause.
struct Patience {
    outage: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    fn new(outage: Duration) -> Self {
        Self { outage, since: None, pause: FIRST_PAUSE }
    }

    /// A call was answered.
    fn restored(&mut self) {
        (self.since, self.pause) = (None, FIRST_PAUSE);
    }

    /// A call has failed: pauses, or gives the error back.
    async fn bear(&mut self, error: ClientError, left: Duration) -> Result<(), ClientError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !error.is_passing() || since.elapsed() >= self.outage {
            return Err(error);
        }
        sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

impl NessusMcpClient {
    /// Waits until a task has ended, and calls `progress` with its state at first and after each change.
    ///
    /// The server tells of changes as they come. A scan may wait for a slot, a window, a person who must agree, or be paused:
    /// that is shown by `waiting_for` and `pause`, and waited for like anything else. A server that is restarted, out of reach or
    /// overloaded is asked again for as long as [`WaitOptions::outage`] says.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the code `task_not_found` for a task that is not there, and the last error of a server that is
    /// out of reach for too long. A time that is over is none: see [`Waited::Unfinished`].
    pub async fn wait_for_completion(
        &self,
        task_id: &TaskId,
        options: &WaitOptions,
        mut progress: impl FnMut(&TaskView),
    ) -> Result<Waited, ClientError> {
        let begun = Instant::now();
        let mut patience = Patience::new(options.outage);
        let mut seen: Option<TaskView> = None;
        loop {
            let left = options.timeout.saturating_sub(begun.elapsed());
            if let Some(view) = seen.clone().filter(|_| left.is_zero()) {
                return Ok(Waited::Unfinished(Box::new(view)));
            }
            let wait = if seen.is_none() { 0 } else { left.as_secs().clamp(1, MOST_WAIT_SECONDS) };
            let asked = Instant::now();
            let view = match self.get_status_change(task_id, wait).await {
                Ok(view) => view,
                Err(error) => {
                    patience.bear(error, left).await?;
                    continue;
                }
            };
            let is_news = seen.as_ref().is_none_or(|seen| !is_same(seen, &view));
            if is_news {
                progress(&view);
            }
            if view.status.is_terminal() {
                return Ok(Waited::Ended(Box::new(view)));
            }
            // A server that stops answers at once with what it knows.
            if !is_news && asked.elapsed() < FIRST_PAUSE {
                sleep(FIRST_PAUSE.min(left)).await;
            }
            patience.restored();
            seen = Some(view);
        }
    }

    /// Submits a scan and waits for its end. The request gets an idempotency key if it has none, so that a submit whose answer
    /// was lost is repeated without a second scan.
    ///
    /// # Errors
    /// Those of [`submit_scan`](Self::submit_scan) and [`wait_for_completion`](Self::wait_for_completion).
    pub async fn scan_and_wait(
        &self,
        request: &SubmitRequest,
        options: &WaitOptions,
        progress: impl FnMut(&TaskView),
    ) -> Result<Waited, ClientError> {
        let mut request = request.clone();
        if request.idempotency_key.is_none() {
            let key = IdempotencyKey::new(Uuid::new_v4().to_string());
            request.idempotency_key = Some(key.map_err(|error| ClientError::arguments("scan_and_wait", error))?);
        }
        let begun = Instant::now();
        let mut patience = Patience::new(options.outage);
        let submission = loop {
            match self.submit_scan(&request).await {
                Ok(submission) => break submission,
                Err(error) => patience.bear(error, options.timeout.saturating_sub(begun.elapsed())).await?,
            }
        };
        let left = options.timeout.saturating_sub(begun.elapsed());
        let options = WaitOptions { timeout: left, ..options.clone() };
        self.wait_for_completion(&submission.task_id, &options, progress).await
    }
}

/// Whether two views say the same, but for what changes by itself.
fn is_same(one: &TaskView, other: &TaskView) -> bool {
    let steady = |view: &TaskView| TaskView { next_poll_seconds: None, estimated_wait_seconds: None, ..view.clone() };
    steady(one) == steady(other)
}
