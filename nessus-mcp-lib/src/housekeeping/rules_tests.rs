//! Each rule as a table of its cases, and what holds for all tasks whatever they are.

use proptest::prelude::*;

use super::{Due, Kept, Rehearsal, ScanKept, SeenScan, due, *};
use crate::{
    config::{HousekeepingSettings, Retention},
    ids::{FencingToken, InstanceId, PoolName, ScanId, TaskId, TraceId, WorkerId},
    queue::{Lease, LeaseInfo},
    scanner::{ScanState, ScanStatus},
    task::{ChargedHosts, HistoryEntry, Observation, ScanPayload, ScanType, Task, TaskKey, TaskStatus},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn ago(time: Duration) -> Timestamp {
    now().minus(time)
}

fn pool(name: &str) -> PoolName {
    PoolName::new(name).unwrap()
}

fn settings() -> HousekeepingSettings {
    let completed = Retention::of(Some(7 * DAY)).with_pool(pool("lab"), Some(DAY)).with_pool(pool("pci"), None);
    HousekeepingSettings::default().with_retention(completed, Retention::of(Some(30 * DAY)))
}

/// A task that ended so long ago, without a scan.
fn ended(status: TaskStatus, age: Duration) -> Task {
    let created_at = ago(age + HOUR);
    let (trace_id, payload) = (TraceId::generate(), ScanPayload::new("office", "192.0.2.1"));
    let id = TaskId::generate("nessus", "nessus", created_at);
    let mut task = Task::new(id, trace_id, ScanType::Untrusted, "nessus", pool("nessus"), payload, created_at);
    task.status = status;
    task.completed_at = status.is_terminal().then(|| ago(age));
    task.revision = 1;
    task
}

/// The same, with a scan that is over.
fn with_scan(mut task: Task) -> Task {
    task.scanner_instance_id = Some(InstanceId::new("scanner1").unwrap());
    task.nessus_scan_id = Some(ScanId::from(17));
    task.scan_uuid = Some("run-1".to_owned());
    task.observation = Some(Observation::new("completed", Some(100), ago(HOUR)));
    task
}

fn due_scan(run: Option<&str>) -> DueScan {
    let instance = InstanceId::new("scanner1").unwrap();
    DueScan { instance, scan: ScanId::from(17), run: run.map(str::to_owned), is_last: true }
}

fn changed(mut task: Task, change: impl FnOnce(&mut Task)) -> Task {
    change(&mut task);
    task
}

#[test]
fn a_task_goes_when_its_time_is_over_and_nothing_needs_it() {
    use TaskStatus::{Cancelled, Completed, Failed, Queued, Running, Timeout};
    let future = now().plus(400 * DAY);
    let wrong = Timestamp::from_millis(1000);
    let step = |at| HistoryEntry { at, from: Running, to: Completed, attempt: 1, error_code: None };
    let key = |age| TaskKey::new("key", "hash", ago(age));
    let told = |at: Option<Timestamp>| {
        let delivery = serde_json::json!({ "webhook": "ops", "event": "completed", "attempt": 1, "at": now(), "delivered_at": at });
        serde_json::from_value(delivery).unwrap()
    };
    let charged = |age| {
        let mut charged = ChargedHosts::new(ago(age).utc_day(), 1);
        charged.launched = true;
        charged
    };
    let week = || ended(Completed, 7 * DAY);
    let cases = vec![
        ("completed a week ago", week(), Ok(())),
        ("a moment less", ended(Completed, 6 * DAY), Err(Kept::Young)),
        ("failed a week ago", ended(Failed, 7 * DAY), Err(Kept::Young)),
        ("failed a month ago", ended(Failed, 30 * DAY), Ok(())),
        ("timed out a month ago", ended(Timeout, 30 * DAY), Ok(())),
        ("cancelled a month ago", ended(Cancelled, 30 * DAY), Ok(())),
        ("cancelled a week ago", ended(Cancelled, 8 * DAY), Err(Kept::Young)),
        ("queued for ever", ended(Queued, 4000 * DAY), Err(Kept::Unfinished)),
        ("running for ever", ended(Running, 4000 * DAY), Err(Kept::Unfinished)),
        ("read yesterday", changed(week(), |task| task.last_accessed_at = Some(ago(DAY))), Err(Kept::Young)),
        ("read before it ended", changed(week(), |task| task.last_accessed_at = Some(ago(90 * DAY))), Ok(())),
        ("ended in the future", changed(week(), |task| task.completed_at = Some(future)), Err(Kept::Young)),
        ("read in the future", changed(week(), |task| task.last_accessed_at = Some(future)), Err(Kept::Young)),
        ("created in the future", changed(week(), |task| task.created_at = future), Err(Kept::Young)),
        ("ended by its history", changed(week(), |task| task.history = vec![step(ago(DAY))]), Err(Kept::Young)),
        ("without an end", changed(week(), |task| task.completed_at = None), Ok(())),
        (
            "dated by a wrong clock",
            changed(week(), |task| (task.created_at, task.completed_at) = (wrong, Some(wrong))),
            Err(Kept::WrongClock),
        ),
        ("in a pool of its own time", changed(ended(Completed, DAY), |task| task.scanner_pool = pool("lab")), Ok(())),
        ("the same, failed", changed(ended(Failed, DAY), |task| task.scanner_pool = pool("lab")), Err(Kept::Young)),
        ("in a pool that keeps", changed(week(), |task| task.scanner_pool = pool("pci")), Err(Kept::ForEver)),
        ("its key stands", changed(week(), |task| task.idempotency = Some(key(DAY))), Err(Kept::KeyStands)),
        ("its key is old", changed(week(), |task| task.idempotency = Some(key(3 * DAY))), Ok(())),
        ("counts today", changed(week(), |task| task.charged_hosts = vec![charged(HOUR)]), Err(Kept::CountsToday)),
        ("counts yesterday", changed(week(), |task| task.charged_hosts = vec![charged(DAY)]), Err(Kept::CountsToday)),
        ("not told to a webhook", changed(week(), |task| task.deliveries = vec![told(None)]), Err(Kept::Undelivered)),
        ("told to a webhook", changed(week(), |task| task.deliveries = vec![told(Some(ago(DAY)))]), Ok(())),
        ("counted a week ago", changed(week(), |task| task.charged_hosts = vec![charged(7 * DAY)]), Ok(())),
    ];
    for (case, task, expected) in cases {
        assert_eq!(task_is_due(&task, &settings(), now()), expected, "{case}");
    }
}

#[test]
fn a_scan_may_run_until_its_task_says_that_it_is_over() {
    let over = || with_scan(ended(TaskStatus::Failed, 30 * DAY));
    let (instance, scan) = (InstanceId::new("scanner1").unwrap(), ScanId::from(17));
    let earlier = (InstanceId::new("scanner2").unwrap(), ScanId::from(3));
    assert_eq!(scans_that_may_run(&ended(TaskStatus::Failed, DAY)), []);
    assert_eq!(scans_that_may_run(&over()), []);
    for state in ["running", "stopping", "paused", "unknown"] {
        let seen = Observation::new(state, None, ago(HOUR));
        let task = changed(over(), |task| task.observation = Some(seen));
        assert_eq!(scans_that_may_run(&task), [(instance.clone(), scan.clone())], "{state}");
    }
    let unseen = changed(over(), |task| task.observation = None);
    assert_eq!(scans_that_may_run(&unseen), [(instance.clone(), scan.clone())], "an older version wrote no more");
    let open = changed(over(), |task| {
        task.open_scan(&instance, &scan);
        task.open_scan(&earlier.0, &earlier.1);
        task.nessus_scan_id = Some(scan.clone());
    });
    assert_eq!(scans_that_may_run(&open), [(instance, scan), earlier]);

    for (state, expected) in [
        (ScanState::Created, false),
        (ScanState::Pending, true),
        (ScanState::Running, true),
        (ScanState::Paused, true),
        (ScanState::Stopping, true),
        (ScanState::Completed, false),
        (ScanState::Cancelled, false),
        (ScanState::Aborted, false),
        (ScanState::Unknown, true),
    ] {
        assert_eq!(may_run(Some(&ScanStatus::new(state))), expected, "{state:?}");
    }
    assert!(!may_run(None));
}

#[test]
fn a_scan_is_due_when_nobody_goes_on_with_it() {
    use TaskStatus::{Cancelled, Completed, Failed, Running, Timeout};
    let task = |status| with_scan(ended(status, 7 * DAY));
    for (case, task, is_archived, expected) in vec![
        ("completed", task(Completed), false, Ok(())),
        ("cancelled", task(Cancelled), false, Ok(())),
        ("may be tried again", task(Failed), false, Err(ScanKept::Young)),
        ("may be tried again too", task(Timeout), false, Err(ScanKept::Young)),
        ("removed", task(Failed), true, Ok(())),
        ("running", task(Running), false, Err(ScanKept::Young)),
        ("young", with_scan(ended(Completed, DAY)), false, Err(ScanKept::Young)),
        ("removed and young", with_scan(ended(Completed, DAY)), true, Err(ScanKept::Young)),
        ("without a scan", ended(Completed, 7 * DAY), false, Err(ScanKept::None)),
        ("deleted", changed(task(Completed), |task| task.scan_deleted_at = Some(now())), false, Err(ScanKept::None)),
        (
            "not known to be over",
            changed(task(Cancelled), |task| task.observation = None),
            false,
            Err(ScanKept::MayRun),
        ),
        (
            "ended in the future",
            changed(task(Completed), |task| task.completed_at = Some(now().plus(DAY))),
            false,
            Err(ScanKept::Young),
        ),
    ] {
        let due = scans_that_are_due(&task, is_archived, &settings(), now());
        assert_eq!(due.map(|scans| assert_eq!(scans.len(), 1)), expected, "{case}");
    }
    let never = [settings().with_scans(None), settings().with_scans(Some(Retention::of(None)))];
    for settings in never {
        assert_eq!(scans_that_are_due(&task(Completed), true, &settings, now()), Err(ScanKept::Young));
    }
    // Those of earlier attempts go with the task.
    let former = serde_json::json!([{ "instance_id": "scanner1", "scan_id": 3 }]);
    let retried = changed(task(Completed), |task| task.former_scans = serde_json::from_value(former).unwrap());
    for (is_archived, expected) in [(false, vec![17]), (true, vec![17, 3])] {
        let due = scans_that_are_due(&retried, is_archived, &settings(), now()).unwrap();
        let ids: Vec<_> = due.iter().map(|due| due.scan.clone()).collect();
        assert_eq!(ids, expected.into_iter().map(ScanId::from).collect::<Vec<_>>());
        assert_eq!(due.iter().filter(|due| due.is_last && due.run.is_some()).count(), 1);
    }
}

#[test]
fn a_scan_goes_if_it_is_ours_and_its_results_are_safe() {
    let known = due_scan(Some("run-1"));
    let nameless = due_scan(None);
    let status = |state, run: Option<&str>| {
        let mut status = ScanStatus::new(state);
        status.run_uuid = run.map(str::to_owned);
        status
    };
    let ours = || status(ScanState::Completed, Some("run-1"));
    for (case, due, status, has_marker, is_spare, expected) in [
        ("spare", &known, ours(), None, true, Ok(())),
        ("export lost", &known, ours(), None, false, Err(ScanKept::ExportNotSafe)),
        ("started again", &known, status(ScanState::Completed, Some("run-2")), None, true, Err(ScanKept::AnotherRun)),
        ("runs again", &known, status(ScanState::Running, Some("run-1")), None, true, Err(ScanKept::MayRun)),
        ("by its name", &nameless, ours(), Some(true), true, Ok(())),
        ("another's", &nameless, ours(), Some(false), true, Err(ScanKept::NotOurs)),
        ("another's run", &known, ours(), Some(false), true, Err(ScanKept::NotOurs)),
        ("nothing to tell by", &nameless, ours(), None, true, Err(ScanKept::NotOurs)),
        ("no run", &known, status(ScanState::Created, None), Some(true), true, Ok(())),
        ("no run of another", &known, status(ScanState::Created, None), Some(false), true, Err(ScanKept::NotOurs)),
    ] {
        let seen = SeenScan { status: &status, has_marker, is_spare };
        assert_eq!(scan_goes(due, &seen), expected, "{case}");
    }
}

#[test]
fn a_record_of_the_archive_goes_after_a_year() {
    for (archived_at, goes) in
        [(ago(365 * DAY), true), (ago(364 * DAY), false), (now().plus(DAY), false), (Timestamp::from_millis(0), false)]
    {
        assert_eq!(archived_is_due(archived_at, &settings(), now()), goes, "{archived_at}");
    }
    assert!(!archived_is_due(ago(4000 * DAY), &settings().with_archive(None), now()));
}

#[test]
fn a_running_task_is_stale_when_no_worker_has_held_it_for_long() {
    let running = |age| {
        let mut task = ended(TaskStatus::Running, age);
        task.started_at = Some(ago(age));
        task
    };
    let lease = |expires_at| {
        let lease = Lease::new(pool("nessus"), running(DAY).task_id, WorkerId::new("w").unwrap(), FencingToken(1));
        LeaseInfo::new(lease, expires_at, 1)
    };
    let seen =
        |age| changed(running(9 * DAY), |task| task.observation = Some(Observation::new("running", None, ago(age))));
    for (case, task, lease, expected) in vec![
        ("no lease, no sign", running(2 * DAY), None, Some(ago(2 * DAY))),
        ("young", running(HOUR), None, None),
        ("seen an hour ago", seen(HOUR), None, None),
        ("seen two days ago", seen(2 * DAY), None, Some(ago(2 * DAY))),
        ("held, and nothing new for days", seen(5 * DAY), Some(lease(now().plus(HOUR))), None),
        ("its lease has just ended", seen(5 * DAY), Some(lease(ago(HOUR))), None),
        ("its lease ended long ago", seen(5 * DAY), Some(lease(ago(DAY))), Some(ago(DAY))),
        ("queued", ended(TaskStatus::Queued, 9 * DAY), None, None),
        ("completed", ended(TaskStatus::Completed, 9 * DAY), None, None),
    ] {
        assert_eq!(is_stale(&task, lease.as_ref(), &settings(), now()), expected, "{case}");
    }
    assert_eq!(is_stale(&running(99 * DAY), None, &settings().with_stale(None), now()), None);
}

#[test]
fn a_run_removes_only_after_one_that_said_what_it_would_remove() {
    let times = |ended: Timestamp, next: Timestamp| Some((ended, next));
    for (case, before, expected) in [
        ("the first", None, Due::Rehearsal(Rehearsal::First)),
        ("too early", times(ago(HOUR), now().plus(23 * HOUR)), Due::NotYet),
        ("in time", times(ago(DAY), now()), Due::Removal),
        ("a day late", times(ago(2 * DAY), ago(DAY)), Due::Removal),
        ("much too late", times(ago(3 * DAY), ago(2 * DAY)), Due::Rehearsal(Rehearsal::Clock)),
        ("a clock that jumped", times(ago(900 * DAY), ago(899 * DAY)), Due::Rehearsal(Rehearsal::Clock)),
        ("a clock set back", times(now().plus(DAY), now().plus(2 * DAY)), Due::Rehearsal(Rehearsal::Clock)),
        ("another clock, a little ahead", times(now().plus(HOUR / 60), now().plus(DAY)), Due::NotYet),
    ] {
        assert_eq!(due(before, DAY, now()), expected, "{case}");
    }
    assert_eq!(next_after(None, DAY, now()), now().plus(DAY));
    assert_eq!(next_after(Some(Rehearsal::First), DAY, now()), now().plus(DAY));
    assert_eq!(next_after(Some(Rehearsal::Clock), DAY, now()), now().plus(HOUR));
    assert_eq!(next_after(Some(Rehearsal::Clock), HOUR / 2, now()), now().plus(HOUR / 2));
}

proptest! {
    /// Whatever a task's times are, one that goes has ended, and nothing in it is younger than its time.
    #[test]
    fn nothing_young_goes(
        status in proptest::sample::select(TaskStatus::ALL.to_vec()),
        ages in proptest::array::uniform4(proptest::option::of(-400_i64..4000)),
    ) {
        let mut task = ended(status, DAY);
        let at = |days: i64| Timestamp::from_millis(now().as_millis() - days * 86_400_000);
        let [created, completed, accessed, step] = ages;
        task.created_at = created.map_or(task.created_at, at);
        (task.completed_at, task.last_accessed_at) = (completed.map(at), accessed.map(at));
        task.history = step.map(|days| HistoryEntry {
            at: at(days), from: TaskStatus::Running, to: status, attempt: 1, error_code: None,
        }).into_iter().collect();
        if task_is_due(&task, &settings(), now()).is_ok() {
            prop_assert!(status.is_terminal());
            let days = if status == TaskStatus::Completed { 7 } else { 30 };
            prop_assert!(ages.into_iter().flatten().all(|age| age >= days), "{ages:?}");
        }
    }

    /// A scan that goes has ended, is that of its task, and its results are here or past their time.
    #[test]
    fn no_other_scan_goes(
        state in proptest::sample::select(vec![ScanState::Created, ScanState::Running, ScanState::Completed, ScanState::Unknown]),
        (ours, theirs) in (proptest::option::of(0_u8..2), proptest::option::of(0_u8..2)),
        has_marker in proptest::option::of(any::<bool>()),
        is_spare in any::<bool>(),
    ) {
        let [ours, theirs] = [ours, theirs].map(|run| run.map(|run| run.to_string()));
        let mut status = ScanStatus::new(state);
        status.run_uuid.clone_from(&theirs);
        let seen = SeenScan { status: &status, has_marker, is_spare };
        if scan_goes(&due_scan(ours.as_deref()), &seen).is_ok() {
            prop_assert!(matches!(state, ScanState::Created | ScanState::Completed));
            prop_assert!(has_marker == Some(true) || (ours.is_some() && ours == theirs));
            prop_assert!(has_marker != Some(false) && is_spare);
        }
    }
}

#[test]
fn a_run_that_failed_is_repeated_less_and_less_often() {
    let minutes = [0, 1, 2, 3, 4, 7, u32::MAX].map(|failures| wait_after(failures).as_secs() / 60);
    assert_eq!(minutes, [1, 10, 20, 40, 60, 60, 60]);
}
