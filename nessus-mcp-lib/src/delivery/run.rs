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
    webhook::{DeliveryError, Message, Next, Sender},
};
use crate::{
    error::chain,
    fail_points::fail_point,
    housekeeping::{QueueIndex, ReconcileError},
    ids::{PoolName, TraceId, WorkerId},
    policy::Scope,
    queue::{Claim, Lease, Queue, Settlement},
    service::ScanService,
    task::{Delivery, Task, TaskError, TaskManager, Writer, letter_of_deliveries},
    telemetry::Metrics,
    time::{Clock, Timestamp, with_jitter},
};

/// How many tasks are looked after at once.
const AT_ONCE: usize = 8;
/// After this time no further delivery of a claimed task is begun.
const MOST_TIME: Duration = Duration::from_secs(60);
/// How long the loop sleeps at most before it looks at the queue again.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// The same where the policy has no webhooks: an operator's command may have left something to be looked at.
const NO_WEBHOOKS_WAIT: Duration = Duration::from_secs(60);
/// How long it waits after queue or disk have failed.
const FAILURE_WAIT: Duration = Duration::from_secs(10);
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
            let claimed = self.inner.claim().await;
            while let Some(ended) = runs.try_join_next() {
                report_panic(ended);
            }
            match claimed {
                Ok(Some(claim)) => {
                    if runs.len() >= AT_ONCE
                        && let Some(ended) = runs.join_next().await
                    {
                        report_panic(ended);
                    }
                    let (task_id, trace_id) = (claim.lease.task_id.clone(), claim.body.trace_id());
                    let span = info_span!("delivery", %task_id, trace_id = trace_id.as_ref().map(TraceId::as_str));
                    let inner = Arc::clone(&self.inner);
                    runs.spawn(async move { inner.deliver(claim).await }.instrument(span));
                }
                Ok(None) => self.inner.wait().await,
                Err(message) => {
                    debug!(error = message, "nothing can be delivered for now");
                    pause(&stop, FAILURE_WAIT).await;
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
    /// Takes a task with something to tell, from a queue that is whole.
    async fn claim(&self) -> Result<Option<Claim>, String> {
        match self.index.look_lately().await {
            Ok(Some(_)) => {}
            Err(ReconcileError::Queue(error)) => return Err(chain(&error)),
            Ok(None) | Err(_) => return Ok(None),
        }
        let claimed = self.queue.claim(&PoolName::deliveries(), &self.worker, self.lease, &[]).await;
        claimed.map_err(|error| chain(&error))
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
        let settlement = match told {
            Ok(settlement) => settlement,
            // A task that was removed has nothing to tell.
            Err(TaskError::NotFound(_)) => Settlement::Ack,
            Err(error) => {
                warn!(error = chain(&error), "what webhooks are to be told is not known for now");
                Settlement::Nack { delay: with_jitter(FAILURE_WAIT), started: false }
            }
        };
        fail_point!("delivery_recorded");
        let is_over = matches!(settlement, Settlement::Ack | Settlement::DeadLetter(_));
        if let Err(error) = self.queue.settle(lease, settlement).await {
            return warn!(error = chain(&error), "the claim could not be settled; its lease will run out");
        }
        // What has happened since the file was read could not be enqueued while the task was claimed.
        if is_over && let Ok(task) = self.tasks.get(&lease.task_id).await {
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

    async fn tell(&self, claim: &Claim) -> Result<Settlement, TaskError> {
        let task_id = &claim.lease.task_id;
        let mut task = self.tasks.get(task_id).await?;
        if task.deliveries.iter().any(|delivery| delivery.is_pending() && delivery.webhook.is_none()) {
            let scope = self.scope.clone();
            task = self.tasks.update(task_id, Writer::Api, move |task| task.direct_deliveries(&scope)).await?;
        }
        let begun = Instant::now();
        let due: Vec<_> = task.deliveries.iter().filter(|delivery| self.is_due(delivery)).cloned().collect();
        let mut next: Option<Duration> = None;
        for delivery in due {
            if begun.elapsed() >= MOST_TIME {
                next = Some(Duration::ZERO);
                break;
            }
            match self.look(&task, &delivery).await {
                Looked::Tried(outcome) => {
                    fail_point!("delivery_sent");
                    task = self.record(&task, delivery, outcome).await?;
                }
                Looked::Rests(left) => next = Some(next.map_or(left, |next| next.min(left))),
                Looked::Stopped => return Ok(Settlement::Release { delay: Duration::ZERO, started: false }),
            }
        }
        let now = self.clock.now();
        let left = |at: Option<Timestamp>| at.map_or(Duration::ZERO, |at| at.since(now));
        let waiting = task.deliveries.iter().filter(|delivery| delivery.is_pending());
        // What is due now and was not tried rests.
        let waits = waiting.map(|delivery| left(delivery.next_try_at)).filter(|left| next.is_none() || !left.is_zero());
        if let Some(delay) = waits.chain(next).min() {
            return Ok(Settlement::Nack { delay, started: false });
        }
        Ok(letter_of_deliveries(&task).map_or(Settlement::Ack, |letter| Settlement::DeadLetter(letter.reason)))
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
        let lasted = now.since(delivery.first_tried_at.unwrap_or(delivery.at));
        // The last try is made whatever the others say: nothing is given up untried.
        if lasted < GIVE_UP_AFTER
            && let Err(left) = self.gates.enter(name, now, FIRST_PAUSE)
        {
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

    /// Writes down what came of a try.
    async fn record(
        &self,
        task: &Task,
        tried: Delivery,
        outcome: Result<(), DeliveryError>,
    ) -> Result<Task, TaskError> {
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
        let change = move |task: &mut Task| {
            if let Some(known) = task.deliveries.iter_mut().find(|known| known.is(&after) && known.is_pending()) {
                *known = after;
            }
        };
        self.tasks.update(&task.task_id, Writer::Api, change).await
    }
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
