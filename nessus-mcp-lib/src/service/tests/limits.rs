//! How much a client may have: scans at once, and scans and hosts of a day.

use std::time::Duration;

use super::{
    rights::{acting_for, policy_of},
    *,
};
use crate::{
    housekeeping::scope_of,
    policy::{Limit, Scope},
    queue::{Charge, sqlite::SqliteQueue},
    task::{Task, Writer},
    time::ManualClock,
};

const DAY: &str = "2026-11-20";

/// A deployment whose clock stands still, a quarter of an hour before midnight.
struct Limited {
    directory: tempfile::TempDir,
    clock: ManualClock,
    tasks: TaskManager,
}

impl Limited {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(format!("{DAY}T23:45:00Z").parse().unwrap());
        let tasks = TaskManager::open_with_clock(directory.path(), Arc::new(clock.clone())).unwrap();
        Self { directory, clock, tasks }
    }

    /// One more process, whose clients `lab` and `other` have these limits.
    fn process(&self, keys: &str) -> ScanService {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let pool = ScannerPool::new(pool(), "mock", vec![ScannerInstance::new("one".parse().unwrap(), 2, scanner)]);
        let path = self.directory.path().join("queue.db");
        let queue = SqliteQueue::open_with_clock(&path, Arc::new(self.clock.clone())).unwrap();
        let scanners = ScannerRegistry::new(vec![pool]).unwrap();
        let parts = ServiceParts::new(self.directory.path(), self.tasks.clone(), Arc::new(queue), scanners);
        let scope = Scope::new(policy_of(&[("lab", keys), ("other", keys)]));
        ScanService::new(parts.with_scope(scope).with_clock(Arc::new(self.clock.clone()))).unwrap()
    }

    /// Loses everything that the queue knew.
    fn lose_queue(&self) {
        for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let _ = std::fs::remove_file(self.directory.path().join(file));
        }
    }
}

/// What is charged to `lab`: scans at once, scans of the day and hosts of the day.
async fn charged(service: &ScanService) -> [u64; 3] {
    let mut all = [0; 3];
    for (charged, limit) in all.iter_mut().zip(Limit::ALL) {
        let day = limit.is_daily().then_some(DAY);
        *charged = service.queue().charged(&scope_of(limit, "lab"), day).await.unwrap();
    }
    all
}

fn hosts(count: u32) -> SubmitRequest {
    SubmitRequest::untrusted("office", format!("192.0.2.1-192.0.2.{count}"))
}

const ALL: &str = ", max_scans_at_once: 2, max_scans_per_day: 3, max_hosts_per_day: 10";

#[tokio::test]
async fn a_client_has_no_more_than_its_limits() {
    let limited = Limited::new();
    let (first, second) = (limited.process(ALL), limited.process(ALL));
    let (lab, again) = (acting_for(&first, "lab"), acting_for(&second, "lab"));
    let submitted = lab.submit(hosts(4)).await.unwrap().task_id;
    again.submit(hosts(4)).await.unwrap();
    assert_eq!(charged(&first).await, [2, 2, 8]);

    let refused = lab.submit(hosts(1)).await.unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("client_limit", ErrorKind::Conflict));
    assert_eq!(
        refused.to_string(),
        "`lab` has 2 scans that have not ended, and may have 2 at once (`max_scans_at_once`)"
    );
    assert!(refused.hint().unwrap().starts_with("try again when one of them has ended"), "{refused:?}");
    assert_eq!(lab.dry_run(hosts(1)).await.unwrap_err().code(), "client_limit");
    assert_eq!(first.list_tasks(TaskQuery::default()).await.unwrap().total, 2, "nothing is left of it");
    // Others have limits of their own, and whoever has none is not counted.
    acting_for(&first, "other").submit(hosts(4)).await.unwrap();
    first.submit(hosts(20)).await.unwrap();

    // Cancelled before its launch, it counts nothing.
    for _ in 0..2 {
        lab.cancel(&submitted, None).await.unwrap();
        assert_eq!(charged(&first).await, [1, 1, 4]);
    }
    let refused = lab.submit(hosts(7)).await.unwrap_err();
    assert!(refused.to_string().contains("7 hosts, and of the 10 that `lab` may scan on 2026-11-20"), "{refused}");
    assert!(refused.hint().unwrap().contains("try again at 2026-11-21T00:00:00.000Z"), "{refused:?}");
    let third = lab.submit(hosts(1)).await.unwrap().task_id;
    first.tasks().update(&third, Writer::Api, |task| task.status = TaskStatus::Failed).await.unwrap();
    assert_eq!(charged(&first).await, [2, 2, 5], "nobody has given it back yet");
    // Whoever ended it did not know: then the next submit finds out. What was of the day stays counted.
    let fourth = lab.submit(hosts(1)).await.unwrap().task_id;
    assert_eq!(charged(&first).await, [2, 3, 6]);
    lab.cancel(&fourth, None).await.unwrap();

    limited.clock.advance(Duration::from_secs(15 * 60));
    lab.submit(hosts(7)).await.unwrap();
    let metrics = first.render_metrics().await.unwrap();
    assert!(metrics.contains("nessus_scope_refusals_total{code=\"client_limit\"}"), "{metrics}");
}

/// The same request under its key is one scan.
#[tokio::test]
async fn a_repeat_counts_once() {
    let limited = Limited::new();
    let lab = acting_for(&limited.process(", max_scans_at_once: 1, max_scans_per_day: 1"), "lab");
    let keyed = || SubmitRequest { idempotency_key: Some(IdempotencyKey::new("k").unwrap()), ..hosts(1) };
    let first = lab.submit(keyed()).await.unwrap().task_id;
    assert_eq!(lab.submit(keyed()).await.unwrap().task_id, first);
    assert_eq!(lab.submit(hosts(1)).await.unwrap_err().code(), "client_limit");
}

/// Two processes, 12 submits at once: no limit is passed, and what is refused leaves nothing that counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn submits_at_once_pass_no_limit() {
    for (keys, accepted) in
        [(", max_scans_at_once: 5", 5), (", max_scans_per_day: 5", 5), (", max_hosts_per_day: 11", 3)]
    {
        let limited = Limited::new();
        let services = [limited.process(keys), limited.process(keys), limited.process(keys)];
        services[0].index().ensure().await.unwrap();
        let mut submits = tokio::task::JoinSet::new();
        for number in 0..12 {
            let lab = acting_for(&services[number % 3], "lab");
            submits.spawn(async move { lab.submit(hosts(3)).await });
        }
        let outcomes = submits.join_all().await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(refused.iter().all(|error| error.code() == "client_limit"), "{refused:?}");
        assert_eq!(outcomes.len() - refused.len(), accepted, "{keys}");
        let waiting = limited.tasks.list(TaskQuery::default().unfinished()).await.unwrap().total;
        assert_eq!(waiting, accepted, "{keys}");
        assert_eq!(services[0].queue().stats(&pool()).await.unwrap().ready, accepted as u64);
    }
}

/// Between the check and the enqueue another scan takes the room.
#[tokio::test]
async fn a_limit_that_fills_up_during_a_submit_refuses_it() {
    let limited = Limited::new();
    let service = limited.process(", max_scans_at_once: 1");
    let lab = acting_for(&service, "lab");
    let prepared = lab.prepare(hosts(1)).await.unwrap();
    let task_id = prepared.task.task_id.clone();
    lab.submit(hosts(1)).await.unwrap();
    assert_eq!(lab.store(prepared).await.unwrap_err().code(), "client_limit");
    let task = limited.tasks.get(&task_id).await.unwrap();
    assert_eq!((task.status, task.error_code.as_deref()), (TaskStatus::Cancelled, Some("client_limit")));
    assert_eq!(charged(&service).await, [1, 0, 0]);
}

/// A process died between `task.json` and the queue: the reconciler charges the task, once.
#[tokio::test]
async fn a_task_that_was_not_enqueued_is_charged_by_whoever_enqueues_it() {
    let limited = Limited::new();
    let service = limited.process(ALL);
    let lab = acting_for(&service, "lab");
    let prepared = lab.prepare(hosts(4)).await.unwrap();
    let task_id = prepared.task.task_id.clone();
    limited.tasks.create(prepared.task).await.unwrap();
    limited.clock.advance(Duration::from_secs(60));
    let watching = service.clone();
    let watch = tokio::spawn(async move { watching.watch_queue().await });
    while service.queue().state_of(&pool(), &task_id).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    watch.abort();
    assert_eq!(charged(&service).await, [1, 1, 4]);
}

/// What the queue has lost is charged again before anything new is; what has ended is not.
#[tokio::test]
async fn a_lost_queue_gives_no_room() {
    let limited = Limited::new();
    let service = limited.process(ALL);
    let lab = acting_for(&service, "lab");
    lab.submit(hosts(4)).await.unwrap();
    let cancelled = lab.submit(hosts(4)).await.unwrap().task_id;
    lab.cancel(&cancelled, None).await.unwrap();
    let ended = lab.submit(hosts(2)).await.unwrap().task_id;
    let end = |task: &mut Task| {
        task.note_launch(true);
        task.status = TaskStatus::Failed;
    };
    service.tasks().update(&ended, Writer::Api, end).await.unwrap();
    limited.lose_queue();
    let service = limited.process(ALL);
    let refused = acting_for(&service, "lab").submit(hosts(5)).await.unwrap_err();
    assert!(refused.to_string().contains("6 are used"), "{refused}");
    assert_eq!(charged(&service).await, [1, 2, 6]);
    acting_for(&service, "lab").submit(hosts(4)).await.unwrap();
    assert_eq!(charged(&service).await, [2, 3, 10]);
}

/// A retry is a scan of whoever retries. One that goes on with a scan that was launched is only one more at once.
#[tokio::test]
async fn a_retry_counts_for_whoever_retries() {
    for (launched, by_day) in [(false, [1, 1, 4]), (true, [1, 0, 0])] {
        let limited = Limited::new();
        let service = limited.process(ALL);
        let task_id = acting_for(&service, "other").submit(hosts(4)).await.unwrap().task_id;
        let end = move |task: &mut Task| {
            task.status = TaskStatus::Running;
            task.note_launch(launched);
            task.scanner_instance_id = Some("one".parse().unwrap());
            task.nessus_scan_id = launched.then(|| crate::ids::ScanId::new("7"));
        };
        service.tasks().update(&task_id, Writer::Api, end).await.unwrap();
        let fail = |task: &mut Task| {
            // Its workers were lost, which says nothing against its scan.
            task.error_code = Some("poison_task".to_owned());
            task.status = TaskStatus::Failed;
        };
        service.tasks().update(&task_id, Writer::Api, fail).await.unwrap();
        let lab = acting_for(&service, "lab");
        lab.retry(&task_id).await.unwrap();
        assert_eq!(charged(&service).await, by_day, "{launched}");
        let of_other = service.queue().charged_ids(&scope_of(Limit::ScansAtOnce, "other"), None).await.unwrap();
        assert_eq!(of_other, Vec::<String>::new());
        let ids = service.queue().charged_ids(&scope_of(Limit::ScansAtOnce, "lab"), None).await.unwrap();
        assert_eq!(ids, [format!("{task_id}.2")]);
        // Full: the next retry is refused, and the task stays as it was.
        let full = Charge::new(scope_of(Limit::ScansAtOnce, "lab"), "x", 1);
        service.queue().restore_charge(&full).await.unwrap();
        service.tasks().update(&task_id, Writer::Api, |task| task.status = TaskStatus::Running).await.unwrap();
        assert_eq!(lab.submit(hosts(1)).await.unwrap_err().code(), "client_limit");
        lab.cancel(&task_id, None).await.unwrap();
    }
}
