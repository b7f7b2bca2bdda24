//! What is removed when, and what never: each rule of `docs/housekeeping.md` is a function here that looks at nothing but its
//! arguments.

use std::{fmt, time::Duration};

use super::reconcile::key_of;
use crate::{
    config::HousekeepingSettings,
    ids::{InstanceId, ScanId},
    queue::LeaseInfo,
    scanner::{ScanState, ScanStatus},
    task::{Task, TaskStatus},
    time::Timestamp,
};

/// No task is older. A time before it was written by a clock that was wrong.
const FIRST_TASK: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// Why something is kept that might have been removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kept {
    /// The task has not ended.
    Unfinished,
    /// Its time is not over.
    Young,
    /// The pool keeps such tasks for ever.
    ForEver,
    /// It is dated before this program existed.
    WrongClock,
    /// A scan of it may run.
    ScanMayRun,
    /// Its idempotency key stands for it.
    KeyStands,
    /// It counts against a limit of today.
    CountsToday,
    /// Webhooks are still to be told of it.
    Undelivered,
}

impl Kept {
    /// The word in reports.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Young => "young",
            Self::ForEver => "kept_for_ever",
            Self::WrongClock => "dated_by_a_wrong_clock",
            Self::ScanMayRun => "scan_may_run",
            Self::KeyStands => "idempotency_key_stands",
            Self::CountsToday => "counts_against_a_limit",
            Self::Undelivered => "webhooks_not_told",
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When somebody last had to do with a task that has ended.
pub(super) fn last_use(task: &Task) -> Timestamp {
    let times = [task.completed_at, task.last_accessed_at, task.history.last().map(|step| step.at)];
    times.into_iter().flatten().fold(task.created_at, Timestamp::max)
}

/// How long a task is kept that stands so; `None` for ever.
fn time_of(task: &Task, settings: &HousekeepingSettings) -> Option<Duration> {
    match task.status {
        TaskStatus::Completed => settings.completed.in_pool(&task.scanner_pool),
        _ => settings.failed.in_pool(&task.scanner_pool),
    }
}

/// Whether a task goes, whatever its scans do, and if not, why. What lies in the future is young.
pub(super) fn task_is_due(task: &Task, settings: &HousekeepingSettings, now: Timestamp) -> Result<(), Kept> {
    if !task.status.is_terminal() {
        return Err(Kept::Unfinished);
    }
    let time = time_of(task, settings).ok_or(Kept::ForEver)?;
    let last_use = last_use(task);
    if last_use < FIRST_TASK {
        return Err(Kept::WrongClock);
    }
    if now.since(last_use) < time {
        return Err(Kept::Young);
    }
    if key_of(task, now).is_some() {
        return Err(Kept::KeyStands);
    }
    // A queue that has lost its data is charged again with what the files say of yesterday and today.
    let yesterday = now.minus(Duration::from_secs(24 * 3600)).utc_day();
    let of_clients = task.standing_client_charges().filter_map(|charged| charged.day.as_ref());
    if task.standing_charges().map(|charged| &charged.day).chain(of_clients).any(|day| *day >= yesterday) {
        return Err(Kept::CountsToday);
    }
    if task.has_deliveries() { Err(Kept::Undelivered) } else { Ok(()) }
}

/// The scans of a task that has ended of which its file does not know that they have.
pub(super) fn scans_that_may_run(task: &Task) -> Vec<(InstanceId, ScanId)> {
    let open = task.open_scans.iter().map(|open| (open.instance_id.clone(), open.scan_id.clone()));
    let last = task.scanner_instance_id.clone().zip(task.nessus_scan_id.clone());
    let mut scans: Vec<_> = open.collect();
    // An older version did not write down which scans may run.
    scans.extend(last.filter(|last| !task.scan_is_over() && !scans.contains(last)));
    scans
}

/// Whether a scan runs or may run that its scanner says this of; `None` when it does not have it any more.
pub(super) fn may_run(status: Option<&ScanStatus>) -> bool {
    // One that was never launched does not run.
    status.is_some_and(|status| !status.state.is_terminal() && status.state != ScanState::Created)
}

/// Why a scan stays on its scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ScanKept {
    /// Its task has not ended, may be tried again, or the time of the scan is not over.
    Young,
    /// No scan of it is written down, or it was deleted.
    None,
    /// It is not known to have ended.
    MayRun,
    /// Its results are not here, or not as they were when they were checked.
    ExportNotSafe,
    /// Somebody has started it again: what it has now is not what is here.
    AnotherRun,
    /// The scan under this id is not the one of the task.
    NotOurs,
}

impl ScanKept {
    /// The word in reports.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Young => "young",
            Self::None => "no_scan",
            Self::MayRun => "scan_may_run",
            Self::ExportNotSafe => "export_not_safe",
            Self::AnotherRun => "started_again",
            Self::NotOurs => "not_ours",
        }
    }
}

/// A scan of a task that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueScan {
    pub(super) instance: InstanceId,
    pub(super) scan: ScanId,
    /// The run of it whose results the task has, where that is known.
    pub(super) run: Option<String>,
    /// Whether the results of the task are its.
    pub(super) is_last: bool,
}

/// The scans of a task that may go, before their scanner and the export were looked at; or why none does. Of a task that is in the archive the
/// time has passed, so that nobody reads its results any more, and all go. Any other must have ended so that it cannot be tried again, because a
/// retry goes on with its scan; and only the last goes, of which the results are here.
pub(super) fn scans_that_are_due(
    task: &Task,
    is_archived: bool,
    settings: &HousekeepingSettings,
    now: Timestamp,
) -> Result<Vec<DueScan>, ScanKept> {
    let age = settings.scans.as_ref().and_then(|ages| ages.in_pool(&task.scanner_pool)).ok_or(ScanKept::Young)?;
    let last = task.scanner_instance_id.clone().zip(task.nessus_scan_id.clone());
    let last = last.filter(|_| task.scan_deleted_at.is_none()).map(|(instance, scan)| DueScan {
        instance,
        scan,
        run: task.scan_uuid.clone(),
        is_last: true,
    });
    let former = task.former_scans.iter().filter(|_| is_archived).map(|former| DueScan {
        instance: former.instance_id.clone(),
        scan: former.scan_id.clone(),
        run: None,
        is_last: false,
    });
    let scans: Vec<_> = last.into_iter().chain(former).collect();
    if scans.is_empty() {
        return Err(ScanKept::None);
    }
    let ended = task.completed_at.unwrap_or(task.created_at);
    let is_open = !task.status.is_terminal() || (task.status.allows_retry() && !is_archived);
    if is_open || ended < FIRST_TASK || now.since(ended) < age {
        return Err(ScanKept::Young);
    }
    if scans_that_may_run(task).is_empty() || is_archived { Ok(scans) } else { Err(ScanKept::MayRun) }
}

/// What is known of a scan that is due, when its scanner was asked.
#[derive(Debug)]
pub(super) struct SeenScan<'a> {
    /// What the scanner says.
    pub(super) status: &'a ScanStatus,
    /// Whether its name says that it is of the task; `None` when that was not asked.
    pub(super) has_marker: Option<bool>,
    /// Whether its results are here as they were when they were checked, or nobody needs them any more.
    pub(super) is_spare: bool,
}

/// Whether a scan that is due is deleted.
pub(super) fn scan_goes(due: &DueScan, seen: &SeenScan<'_>) -> Result<(), ScanKept> {
    if may_run(Some(seen.status)) {
        return Err(ScanKept::MayRun);
    }
    // The name says whose scan it is, and the run whether it is that of which the results are here.
    if seen.has_marker == Some(false) {
        return Err(ScanKept::NotOurs);
    }
    match (&due.run, &seen.status.run_uuid) {
        (Some(ours), Some(theirs)) if ours != theirs => return Err(ScanKept::AnotherRun),
        (Some(_), Some(_)) => {}
        _ if seen.has_marker == Some(true) => {}
        _ => return Err(ScanKept::NotOurs),
    }
    if seen.is_spare { Ok(()) } else { Err(ScanKept::ExportNotSafe) }
}

/// Whether a record of the archive goes.
pub(super) fn archived_is_due(archived_at: Timestamp, settings: &HousekeepingSettings, now: Timestamp) -> bool {
    archived_at >= FIRST_TASK && settings.archive.is_some_and(|time| now.since(archived_at) >= time)
}

/// Since when a running task has no worker, if that is longer ago than it may be. `lease` is the one that the queue knows.
pub(super) fn is_stale(
    task: &Task,
    lease: Option<&LeaseInfo>,
    settings: &HousekeepingSettings,
    now: Timestamp,
) -> Option<Timestamp> {
    let limit = settings.stale.filter(|_| task.status == TaskStatus::Running)?;
    let seen = task.observation.as_ref().map(|seen| seen.unchanged_since);
    let failed = task.last_error.as_ref().map(|last| last.at.max(last.next_try_at));
    let since = match lease {
        Some(lease) => lease.expires_at,
        None => [seen, failed, task.started_at].into_iter().flatten().fold(last_use(task), Timestamp::max),
    };
    (now.since(since) >= limit).then_some(since)
}

/// What the next run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It is too early.
    NotYet,
    /// It only says what it would remove, for this reason.
    Rehearsal(Rehearsal),
    /// It removes.
    Removal,
}

/// Why a run removes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehearsal {
    /// There was none by these rules.
    First,
    /// The one before was much longer ago than it should, or is still to come: the clock may be wrong.
    Clock,
}

impl Rehearsal {
    /// What is said of it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::First => "it is the first by these rules",
            Self::Clock => {
                "the run before it was much longer ago than it should be, or is still to come: the clock may be wrong"
            }
        }
    }
}

/// The shortest time between a rehearsal because of the clock and the removal after it.
const AFTER_CLOCK: Duration = Duration::from_secs(3600);

/// When the run after one that ended `now` is due.
pub(super) fn next_after(rehearsal: Option<Rehearsal>, interval: Duration, now: Timestamp) -> Timestamp {
    now.plus(if rehearsal == Some(Rehearsal::Clock) { interval.min(AFTER_CLOCK) } else { interval })
}

/// How often it is looked whether a run is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The time after the first of several failures in a row; it doubles with each.
const AFTER_FAILURE: Duration = Duration::from_secs(600);
/// The longest time after a failure.
const LONGEST_AFTER_FAILURE: Duration = Duration::from_secs(3600);

/// How long to wait before it is looked again whether a run is due, after so many failures in a row.
pub(super) fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => LOOK_EVERY,
        Some(before) => AFTER_FAILURE.saturating_mul(1 << before.min(10)).min(LONGEST_AFTER_FAILURE),
    }
}

/// What the next run is, where the one before `(ended, next)` was by the same rules. Two clocks that disagree decide nothing: who asks sees to that.
pub(super) fn due(before: Option<(Timestamp, Timestamp)>, interval: Duration, now: Timestamp) -> Due {
    let Some((ended, next)) = before else { return Due::Rehearsal(Rehearsal::First) };
    let is_late = now.since(next) >= 2 * interval;
    let is_before = ended.since(now) > Duration::from_secs(300);
    if is_late || is_before {
        Due::Rehearsal(Rehearsal::Clock)
    } else if now < next {
        Due::NotYet
    } else {
        Due::Removal
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
