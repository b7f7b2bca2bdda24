//! The loop of a worker that tells webhooks what has happened.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use super::{
    body,
    gate::Gates,
    unwritten::Unwritten,
    webhook::{DeliveryError, Message, Next, Sender},
};
use crate::{
    error::{Classified as _, chain},
    fail_points::fail_point,
    housekeeping::QueueIndex,
    ids::{PoolName, TaskId, TraceId, WorkerId},
    policy::Scope,
    queue::{Claim, Lease, Queue, Settlement},
    service::ScanService,
    task::{Delivery, Task, TaskError, TaskManager, Writer, letter_of_deliveries},
    telemetry::Metrics,
    time::{Clock, with_jitter},
};

/// How many tasks are looked after at once.
const AT_ONCE: usize = 8;
/// After this time no further delivery of a claimed task is begun.
const MOST_TIME: Duration = Duration::from_secs(60);
/// How long the loop sleeps at most before it looks at the queue again.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// The same where the policy has no webhooks: an operator's command may have left something to be looked at.
const NO_WEBHOOKS_WAIT: Duration = Duration::from_secs(60);
/// How long it waits after queue or disk have failed. With the same task, each further pause is twice as long.
const FAILURE_WAIT: Duration = Duration::from_secs(10);
/// How long it waits for a queue that is not bound to the data directory yet, or is rebuilt.
const UNBOUND_WAIT: Duration = Duration::from_secs(1);
/// The first pause after a failure. The next are as long as it has failed, so that each doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// How long a webhook that does not answer is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long one is tried that refuses what it is sent, or that may not be told at its address.
const GIVE_UP_REFUSED_AFTER: Duration = Duration::from_secs(3600);

/// What delivers to the webhooks of a policy.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    worker: WorkerId,
    tasks: TaskManager,
    queue: Arc<dyn Queue>,
    index: QueueIndex,
    scope: Scope,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    sender: Sender,
    gates: Gates,
    unwritten: Unwritten,
    lease: Duration,
    stop: CancellationToken,
}

/// What came of looking at a delivery.
enum Looked {
    /// It was tried.
    Tried(Result<(), DeliveryError>),
    /// Its webhook rests.
    Rests(Duration),
    /// The worker stops.
    Stopped,
}

impl Deliveries {
    /// The deliveries of the tasks of `service`, in the name of a worker and by its clock, until `stop`. A task is claimed for `lease`,
    /// which is renewed.
    pub(crate) fn new(
        service: &ScanService,
        worker: WorkerId,
        clock: Arc<dyn Clock>,
        lease: Duration,
        stop: CancellationToken,
    ) -> Self {
        let scope = service.scope().clone();
        let inner = Inner {
            worker,
            tasks: service.tasks().with_clock(Arc::clone(&clock)),
            queue: Arc::clone(service.queue()),
            index: service.index().clone(),
            sender: Sender::new(Arc::clone(scope.resolver())),
            scope,
            metrics: Arc::clone(service.metrics()),
            clock,
            gates: Gates::default(),
            unwritten: Unwritten::default(),
            lease,
            stop,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Delivers until it is stopped, and hands back what is under way.
    pub(crate) async fn run(self) {
        let stop = self.inner.stop.clone();
        let mut runs = JoinSet::new();
        while !stop.is_cancelled() {
            while let Some(ended) = runs.try_join_next() {
                report_panic(ended);
            }
            // What is claimed is looked after at once: only so is its lease renewed.
            if runs.len() >= AT_ONCE {
                if let Some(ended) = runs.join_next().await {
                    report_panic(ended);
                }
                continue;
            }
            match self.inner.claim().await {
                Ok(Some(claim)) => {
                    let (task_id, trace_id) = (claim.lease.task_id.clone(), claim.body.trace_id());
                    let span = info_span!("delivery", %task_id, trace_id = trace_id.as_ref().map(TraceId::as_str));
                    let inner = Arc::clone(&self.inner);
                    runs.spawn(async move { inner.deliver(claim).await }.instrument(span));
                }
                Ok(None) => self.inner.wait().await,
                Err((message, wait)) => {
                    debug!(error = message, "nothing can be delivered for now");
                    pause(&stop, wait).await;
                }
            }
        }
        while let Some(ended) = runs.join_next().await {
            report_panic(ended);
        }
    }

    /// The same with this patience for webhooks.
    #[cfg(test)]
    pub(super) fn with_wait(mut self, wait: Duration) -> Self {
        Arc::get_mut(&mut self.inner).unwrap().sender.set_wait(wait);
        self
    }

    /// Claims a task and looks at what it has to tell; whether there was one.
    #[cfg(test)]
    pub(super) async fn once(&self) -> bool {
        let Some(claim) = self.inner.claim().await.unwrap() else { return false };
        self.inner.deliver(claim).await;
        true
    }
}

impl Inner {
    /// Takes a task with something to tell, from a queue that is whole. Where that cannot be done, says why and how long to pause: such
    /// a queue may have work all the time, so nobody is to wait for that.
    async fn claim(&self) -> Result<Option<Claim>, (String, Duration)> {
        match self.index.look_lately().await {
            Ok(Some(_)) => {}
            Ok(None) => return Err(("the queue is not bound to the data directory".to_owned(), UNBOUND_WAIT)),
            Err(error) => return Err((chain(&error), FAILURE_WAIT)),
        }
        let claimed = self.queue.claim(&PoolName::deliveries(), &self.worker, self.lease, &[]).await;
        claimed.map_err(|error| (chain(&error), FAILURE_WAIT))
    }

    async fn wait(&self) {
        let has_webhooks = !self.scope.policy().webhooks().is_empty();
        let longest = if has_webhooks { IDLE_WAIT } else { NO_WEBHOOKS_WAIT };
        let pools = [PoolName::deliveries()];
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.queue.wait_for_work(&pools, longest), if has_webhooks => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    /// Tells what is due of a claimed task, and settles the claim.
    async fn deliver(&self, claim: Claim) {
        let lease = &claim.lease;
        let told = tokio::select! {
            told = self.tell(&claim) => told,
            never = self.keep(lease) => never,
        };
        let (settlement, seen) = match told {
            Ok((settlement, task)) => {
                self.unwritten.settled(&lease.task_id);
                (settlement, Some(task))
            }
            // A task that was removed has nothing to tell.
            Err(TaskError::NotFound(_)) => {
                self.unwritten.settled(&lease.task_id);
                (Settlement::Ack, None)
            }
            Err(error) => {
                let delay = with_jitter(pause_of(claim.deliveries));
                if self.unwritten.is_new_trouble(&lease.task_id) {
                    warn!(
                        error = chain(&error),
                        hint = error.hint(),
                        "what webhooks are to be told is not known for now"
                    );
                } else {
                    debug!(error = chain(&error), ?delay, "what webhooks are to be told is still not known");
                }
                (Settlement::Nack { delay, started: false }, None)
            }
        };
        fail_point!("delivery_recorded");
        let is_over = matches!(settlement, Settlement::Ack | Settlement::DeadLetter(_));
        if let Err(error) = self.queue.settle(lease, settlement).await {
            return warn!(error = chain(&error), "the claim could not be settled; its lease will run out");
        }
        // What has happened since the file was read could not be enqueued while the task was claimed.
        if (is_over || seen.is_some())
            && let Ok(task) = self.tasks.get(&lease.task_id).await
            && (is_over || seen.is_some_and(|seen| has_news(&task, &seen)))
        {
            self.tasks.announce(&task).await;
        }
    }

    /// Renews a lease. Never returns: whoever loses it tells something that another tells as well, under the same id.
    async fn keep<T>(&self, lease: &Lease) -> T {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            if let Err(error) = self.queue.renew(std::slice::from_ref(lease), self.lease).await {
                debug!(error = chain(&error), "the lease of a delivery could not be renewed");
            }
        }
    }

    /// Tells what is due; returns what becomes of the claim, and the task as it was seen last.
    async fn tell(&self, claim: &Claim) -> Result<(Settlement, Task), TaskError> {
        let task_id = &claim.lease.task_id;
        let mut task = self.tasks.get(task_id).await?;
        if task.deliveries.iter().any(|delivery| delivery.is_pending() && delivery.webhook.is_none()) {
            let scope = self.scope.clone();
            task = self.tasks.update(task_id, Writer::Api, move |task| task.direct_deliveries(&scope)).await?;
        }
        let begun = Instant::now();
        let due: Vec<_> = task.deliveries.iter().filter(|delivery| self.is_due(delivery)).cloned().collect();
        let mut resting: Vec<(Delivery, Duration)> = Vec::new();
        for delivery in due {
            // What was told is not told again because it could not be written down.
            if let Some(after) = self.unwritten.outcome(&delivery.id(task_id), &delivery) {
                task = self.write(task_id, delivery, after).await?;
                continue;
            }
            if begun.elapsed() >= MOST_TIME {
                break;
            }
            match self.look(&task, &delivery).await {
                Looked::Tried(outcome) => {
                    fail_point!("delivery_sent");
                    let after = self.outcome(&delivery, outcome);
                    task = self.write(task_id, delivery, after).await?;
                }
                Looked::Rests(left) => resting.push((delivery, left)),
                Looked::Stopped => {
                    return Ok((Settlement::Release { delay: Duration::ZERO, started: false }, task));
                }
            }
        }
        let now = self.clock.now();
        // What is due and does not rest is looked at at once: it came meanwhile, or there was no time for it.
        let wait = |delivery: &Delivery| {
            let rests = resting.iter().find(|(resting, _)| resting.is(delivery)).map(|(_, left)| *left);
            rests.unwrap_or_else(|| delivery.next_try_at.map_or(Duration::ZERO, |at| at.since(now)))
        };
        let pending = task.deliveries.iter().filter(|delivery| delivery.is_pending());
        let settlement = if let Some(delay) = pending.map(wait).min() {
            Settlement::Nack { delay, started: false }
        } else {
            letter_of_deliveries(&task).map_or(Settlement::Ack, |letter| Settlement::DeadLetter(letter.reason))
        };
        Ok((settlement, task))
    }

    fn is_due(&self, delivery: &Delivery) -> bool {
        delivery.is_pending() && delivery.next_try_at.is_none_or(|at| at <= self.clock.now())
    }

    /// Tries a delivery, unless its webhook rests.
    async fn look(&self, task: &Task, delivery: &Delivery) -> Looked {
        let (policy, now) = (self.scope.policy(), self.clock.now());
        let name = delivery.webhook.as_deref().unwrap_or_default();
        let Some(webhook) = policy.webhooks().iter().find(|webhook| webhook.name == name) else {
            let message = format!("the policy of this worker has no webhook `{name}`");
            return Looked::Tried(Err(DeliveryError::new(message, Next::Later(None))));
        };
        // The last try is made whatever the others say: nothing is given up untried.
        let is_last = delivery.first_tried_at.is_some_and(|first| now.since(first) >= GIVE_UP_AFTER);
        if !is_last && let Err(left) = self.gates.enter(name, now, FIRST_PAUSE) {
            let lasted = now.since(delivery.first_tried_at.unwrap_or(delivery.at));
            return Looked::Rests(with_jitter(left.max(pause_after(lasted))));
        }
        let id = delivery.id(&task.task_id);
        let body = match body::of(task, delivery, &id) {
            Ok(body) => body,
            Err(error) => return Looked::Tried(Err(DeliveryError::new(error.to_string(), Next::Seldom))),
        };
        let message = Message { event: &delivery.event, id: &id, body, now };
        let sent = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Looked::Stopped,
            sent = self.sender.send(webhook, message) => sent,
        };
        let now = self.clock.now();
        match &sent {
            Ok(sent) => {
                self.gates.succeeded(name, now);
                self.metrics.webhook_told(name, "delivered");
                info!(webhook = name, event = delivery.event, status = sent.status, "the webhook was told");
            }
            Err(failed) => {
                let rest = match failed.next {
                    Next::Later(asked) => FIRST_PAUSE.max(asked.unwrap_or_default()),
                    // What is wrong with one may be right with another.
                    Next::Seldom | Next::Never => Duration::ZERO,
                };
                self.gates.failed(name, &failed.to_string(), now, rest);
                self.metrics.webhook_told(name, "failed");
            }
        }
        Looked::Tried(sent.map(drop))
    }

    /// A delivery after a try.
    fn outcome(&self, tried: &Delivery, outcome: Result<(), DeliveryError>) -> Delivery {
        let now = self.clock.now();
        let first_tried_at = tried.first_tried_at.unwrap_or(now);
        let mut after =
            Delivery { tries: tried.tries.saturating_add(1), first_tried_at: Some(first_tried_at), ..tried.clone() };
        (after.next_try_at, after.last_error) = (None, None);
        match outcome {
            Ok(()) => after.delivered_at = Some(now),
            Err(failed) => {
                let lasted = now.since(first_tried_at);
                let (most, asked) = match failed.next {
                    Next::Later(asked) => (GIVE_UP_AFTER, asked),
                    Next::Seldom => (GIVE_UP_REFUSED_AFTER, None),
                    Next::Never => (Duration::ZERO, None),
                };
                after.last_error = Some(failed.to_string());
                if lasted >= most {
                    let webhook = tried.webhook.as_deref().unwrap_or_default();
                    error!(webhook, event = tried.event, error = %failed, "the webhook could not be told, which is given up");
                    self.metrics.webhook_told(webhook, "given_up");
                    after.given_up_at = Some(now);
                } else {
                    // The last try is made when the time is over.
                    let pause = with_jitter(pause_after(lasted)).min(most.saturating_sub(lasted));
                    after.next_try_at = Some(now.plus(pause.max(asked.unwrap_or_default())));
                }
            }
        }
        after
    }

    /// Writes down what came of a try, and remembers it until that is done.
    async fn write(&self, task_id: &TaskId, tried: Delivery, after: Delivery) -> Result<Task, TaskError> {
        let id = tried.id(task_id);
        self.unwritten.remember(id.clone(), tried, after.clone());
        let change = move |task: &mut Task| {
            if let Some(known) = task.deliveries.iter_mut().find(|known| known.is(&after) && known.is_pending()) {
                *known = after;
            }
        };
        let task = self.tasks.update(task_id, Writer::Api, change).await?;
        self.unwritten.forget(&id);
        Ok(task)
    }
}

/// Whether a task has something to tell that it had not when it was seen.
fn has_news(task: &Task, seen: &Task) -> bool {
    let is_known = |delivery: &Delivery| seen.deliveries.iter().any(|known| known.is(delivery) && known.is_pending());
    task.deliveries.iter().any(|delivery| delivery.is_pending() && !is_known(delivery))
}

/// How long to wait with a task that was claimed so often and could not be looked after: each pause is twice as long.
fn pause_of(claims: u32) -> Duration {
    FAILURE_WAIT.saturating_mul(2_u32.saturating_pow(claims.saturating_sub(1))).min(LONGEST_PAUSE)
}

/// How long to wait with what has failed for so long.
fn pause_after(lasted: Duration) -> Duration {
    lasted.clamp(FIRST_PAUSE, LONGEST_PAUSE)
}

async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(failed) = ended {
        error!(error = %failed, "a delivery panicked; its lease will run out");
    }
}
