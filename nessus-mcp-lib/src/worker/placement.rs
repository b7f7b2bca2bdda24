//! Finding a scanner for a task, and a slot on it.

use std::time::Duration;

use tracing::{info, warn};

use super::{
    lifecycle::basis_of,
    outcome::{StepError, StopReason},
    shared::Shared,
};
use crate::{
    circuit_breaker::{CircuitOpen, CircuitState},
    error::chain,
    ids::InstanceId,
    queue::{Claim, SlotOutcome},
    scanner::{OFFER_KEPT, Offering, ScannerInstance, ScannerPool},
    task::{Task, TaskStatus},
    time::Clock as _,
};

/// How long a task waits for a scanner that was disabled or is not configured, and for the end of a pause.
const DISABLED_PAUSE: Duration = Duration::from_secs(30);
/// How long scanners are waited for that are asked what they offer.
const OFFER_PATIENCE: Duration = Duration::from_secs(10);
/// The shortest and the longest pause of a task whose scanner's circuit is open.
pub(super) const OPEN_CIRCUIT_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Whether a slot was found for a task.
pub(super) enum Placement {
    On(ScannerInstance),
    Wait(Duration),
}

impl Shared {
    /// Gives the task a slot on a scanner: the one it is bound to, or on which a scan of an earlier attempt may run, else
    /// the best of its pool.
    ///
    /// A pause, an open circuit or a lack of slots holds back new scans only. A scan that exists is watched and stopped all
    /// the same.
    pub(super) async fn place(&self, task: &Task, claim: &Claim) -> Result<Placement, StepError> {
        let pool = &task.scanner_pool;
        let bound = match task.next_instance() {
            Some(id) => match self.scanners.bound_instance(pool, id) {
                Some(bound) => Some(bound),
                None => return self.without_scanner(task, id),
            },
            None => None,
        };
        match (&bound, self.over(task)) {
            // Its scan, if there is one, shall be stopped: that needs no slot.
            (Some(bound), Some(_)) => return Ok(Placement::On(bound.clone())),
            (None, Some((reason, _))) => return Err(self.end_without_scan(task, &reason)),
            (Some(bound), None) if task.nessus_scan_id.is_some() => {
                // It runs, whoever took its slot meanwhile.
                if !task.scan_is_over() {
                    self.acquire_slot(task, bound, u32::MAX).await?;
                }
                return Ok(Placement::On(bound.clone()));
            }
            (_, None) => {}
        }
        // One that may be on a scanner is looked for there first, and taken away.
        if !task.may_have_a_scan()
            && let Some(refused) = self.refused(task)
        {
            return Err(refused);
        }
        if !task.has_scan()
            && let Some(hold) = self.held_back(task)
        {
            return Err(StepError::Held(hold));
        }
        if self.is_paused_for(task, claim).await? {
            info!("the task waits until its pool is resumed");
            return Ok(Placement::Wait(DISABLED_PAUSE));
        }
        let candidates = match bound {
            Some(bound) => {
                let id = &bound.instance_id;
                if !bound.enabled {
                    warn!(instance = %id, "the task waits for a scanner that is disabled");
                    return Ok(Placement::Wait(DISABLED_PAUSE));
                }
                if let Err(open) = self.circuits.check(pool, id) {
                    info!(reason = %open, "the task waits for its scanner");
                    return Ok(Placement::Wait(open_circuit_pause(&open)));
                }
                vec![bound]
            }
            None => match self.scanners.pool(pool) {
                Some(scanners) => {
                    let free = self.free_instances(&scanners).await?.into_iter().cloned().collect();
                    offering(task, &scanners, free).await?
                }
                None => Vec::new(),
            },
        };
        for instance in candidates {
            if self.acquire_slot(task, &instance, instance.max_concurrent_scans).await? {
                self.selection.used(pool, &instance.instance_id);
                self.pacing.slot_found(&(pool.clone(), task.scanner_instance_id.clone()));
                return Ok(Placement::On(instance));
            }
        }
        Ok(Placement::Wait(self.no_slot_pause(task)))
    }

    /// The end of a task that has no scan, with what is known of why it has none.
    fn end_without_scan(&self, task: &Task, reason: &StopReason) -> StepError {
        let pool = &task.scanner_pool;
        let Some(scanners) = self.scanners.pool(pool) else { return reason.error() };
        // One that may be tried again has failed all the same.
        let failing = scanners.enabled().filter_map(|scanner| {
            let breaker = self.circuits.breaker(pool, &scanner.instance_id);
            let view = breaker.view();
            let is_failing = view.state != CircuitState::Closed;
            is_failing.then(|| format!("the circuit of `{}` is {}: {}", breaker.name(), view.state, view.reason))
        });
        let failing: Vec<_> = failing.collect();
        if failing.is_empty() { reason.error() } else { reason.error_with(&failing.join("; ")) }
    }

    /// Whether the task gets one of so many slots of a scanner, or holds one.
    async fn acquire_slot(&self, task: &Task, instance: &ScannerInstance, slots: u32) -> Result<bool, StepError> {
        let Self { queue, settings, .. } = self;
        let taken =
            queue.acquire_slot(&task.scanner_pool, &instance.instance_id, &task.task_id, slots, settings.lease).await?;
        Ok(taken == SlotOutcome::Acquired)
    }

    /// Whether a pause of its pool keeps the task from beginning its scan. The queue hands out from a paused pool only what
    /// may have started.
    async fn is_paused_for(&self, task: &Task, claim: &Claim) -> Result<bool, StepError> {
        let may_have_started = task.status == TaskStatus::Running || claim.deliveries > 1 || claim.losses > 0;
        Ok(may_have_started && self.queue.stats(&task.scanner_pool).await?.paused.is_some())
    }

    /// What becomes of a task that is bound to a scanner this process has never known: the file may have lost it by
    /// mistake, and nobody else can stop its scan. So the task waits until the scanner is configured again, its time is
    /// over or somebody cancels it.
    fn without_scanner(&self, task: &Task, id: &InstanceId) -> Result<Placement, StepError> {
        let scan = task.nessus_scan_id.as_ref().or(task.open_scans.first().map(|open| &open.scan_id));
        let warning = match scan {
            Some(scan) => format!("the scanner `{id}` is not configured any more; its scan {scan} may still run there"),
            None => format!("the scanner `{id}` is not configured any more"),
        };
        if task.cancel_requested_at.is_some() {
            return Err(StepError::failed("unknown_instance", warning));
        }
        if self.has_passed(self.counts_from(task), self.settings.scan_timeout) {
            return Err(StepError::failed("unknown_instance", warning));
        }
        warn!(instance = %id, "{warning}: the task waits until it is");
        Ok(Placement::Wait(DISABLED_PAUSE))
    }

    /// The longer a task waits for its scanner, the less often it asks.
    fn no_slot_pause(&self, task: &Task) -> Duration {
        let age = self.clock.now().since(task.created_at);
        (age / 20).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }
}

/// Those of the free scanners that can make the scan of a task.
///
/// # Errors
/// Why none of the pool can, the busy ones included. While it is not known of one, the task waits.
async fn offering(
    task: &Task,
    scanners: &ScannerPool,
    mut free: Vec<ScannerInstance>,
) -> Result<Vec<ScannerInstance>, StepError> {
    let basis = basis_of(task);
    if free.is_empty() || basis.is_default() {
        return Ok(free);
    }
    let offering = Offering::of(scanners.offers(None, OFFER_KEPT, OFFER_PATIENCE).await, &basis);
    for (instance, failure) in &offering.unasked {
        info!(%instance, error = chain(failure), "it is not known whether a scanner can make the scan");
    }
    if let (true, true, Some(refused)) = (offering.able.is_empty(), offering.unasked.is_empty(), offering.refused) {
        return Err(refused.into());
    }
    free.retain(|instance| offering.able.iter().any(|(able, _)| *able == instance.instance_id));
    Ok(free)
}

/// How long a task waits for a scanner whose circuit is open: until it may be called again, but not so long that an operator
/// who closes the circuit sees nothing happen.
pub(super) fn open_circuit_pause(open: &CircuitOpen) -> Duration {
    open.retry_after.unwrap_or(OPEN_CIRCUIT_PAUSE.1).clamp(OPEN_CIRCUIT_PAUSE.0, OPEN_CIRCUIT_PAUSE.1)
}
