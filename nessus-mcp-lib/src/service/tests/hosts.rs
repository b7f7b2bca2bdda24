//! Hosts that count against a day.

use std::time::Duration;

use super::*;
use crate::{
    policy::{Policy, Scope, TableResolver},
    queue::{Charge, sqlite::SqliteQueue},
    task::Task,
    time::ManualClock,
};

/// A quarter of an hour before midnight.
const EVENING: &str = "2026-11-20T23:45:00Z";

/// A deployment whose clock stands still.
struct Days {
    directory: tempfile::TempDir,
    clock: ManualClock,
    tasks: TaskManager,
}

impl Days {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(EVENING.parse().unwrap());
        let tasks = TaskManager::open_with_clock(directory.path(), Arc::new(clock.clone())).unwrap();
        Self { directory, clock, tasks }
    }

    /// One more process, with this policy.
    fn process(&self, policy: &str) -> ScanService {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let pool = ScannerPool::new(pool(), "mock", vec![ScannerInstance::new("one".parse().unwrap(), 2, scanner)]);
        let path = self.directory.path().join("queue.db");
        let queue = SqliteQueue::open_with_clock(&path, Arc::new(self.clock.clone())).unwrap();
        let names = TableResolver::default();
        names.set("two.example", ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
        let policy = Policy::parse(policy, Path::new("policy.yaml"), &|_| None).unwrap();
        let scanners = ScannerRegistry::new(vec![pool]).unwrap();
        let parts = ServiceParts::new(self.directory.path(), self.tasks.clone(), Arc::new(queue), scanners);
        let parts = parts.with_scope(Scope::new(policy).with_resolver(Arc::new(names)));
        ScanService::new(parts.with_clock(Arc::new(self.clock.clone()))).unwrap()
    }

    /// The hosts of the tasks that count against a day, by their files.
    async fn by_the_files(&self, day: &str) -> u64 {
        let tasks = self.tasks.list(TaskQuery::default()).await.unwrap().tasks;
        let charged = tasks.iter().flat_map(Task::standing_charges).filter(|charged| charged.day == day);
        charged.map(|charged| charged.hosts).sum()
    }
}

async fn used(service: &ScanService, day: &str) -> u64 {
    service.queue().charged(Charge::ALL, Some(day)).await.unwrap()
}

fn of(targets: &str) -> SubmitRequest {
    SubmitRequest::untrusted("office", targets)
}

fn of_key(targets: &str, key: &str) -> SubmitRequest {
    SubmitRequest { idempotency_key: Some(IdempotencyKey::new(key).unwrap()), ..of(targets) }
}

#[tokio::test]
async fn a_day_has_room_for_as_many_hosts_as_the_policy_says() {
    let days = Days::new();
    let services = [days.process("max_hosts_per_day: 10"), days.process("max_hosts_per_day: 10")];
    let first = services[0].submit(of_key("192.0.2.0/29", "k")).await.unwrap();
    assert_eq!(services[1].submit(of_key("192.0.2.0/29", "k")).await.unwrap().task_id, first.task_id);
    assert_eq!(used(&services[1], "2026-11-20").await, 8, "a repeat is charged once");

    let refused = services[1].submit(of("10.0.0.1-10.0.0.3")).await.unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("daily_host_limit", ErrorKind::Conflict));
    assert_eq!(
        refused.to_string(),
        "the targets are 3 hosts, and of the 10 that 2026-11-20 (UTC) may have, 8 are used (`max_hosts_per_day`)"
    );
    assert!(refused.hint().unwrap().contains("at 2026-11-21T00:00:00.000Z"), "{refused:?}");
    assert_eq!(services[0].list_tasks(TaskQuery::default()).await.unwrap().total, 1, "nothing is left of it");
    let large = services[1].submit(of("10.0.0.0/28")).await.unwrap_err();
    assert!(large.hint().unwrap().starts_with("no day has room"), "{large:?}");
    let metrics = services[1].render_metrics().await.unwrap();
    assert!(metrics.contains("nessus_scope_refusals_total{code=\"daily_host_limit\"} 2"), "{metrics}");

    services[1].submit(of("two.example")).await.unwrap();
    assert_eq!(used(&services[0], "2026-11-20").await, 10, "each address of a name counts");
    let health = serde_json::to_value(services[0].health().await).unwrap();
    assert_eq!(
        health["checks"]["scope"]["hosts_today"],
        serde_json::json!({"day": "2026-11-20", "used": 10, "limit": 10, "next_day": "2026-11-21T00:00:00.000Z"})
    );

    days.clock.advance(Duration::from_secs(15 * 60));
    services[1].submit(of("10.0.0.1-10.0.0.3")).await.unwrap();
    assert_eq!((used(&services[0], "2026-11-20").await, used(&services[0], "2026-11-21").await), (10, 3));
}

/// What was cancelled before it began is free again, once, and an accepted scan is none the worse for a stricter policy.
#[tokio::test]
async fn a_scan_that_is_cancelled_while_it_waits_gives_its_hosts_back() {
    let days = Days::new();
    let service = days.process("max_hosts_per_day: 10");
    let task_id = service.submit(of("192.0.2.0/29")).await.unwrap().task_id;
    let other = service.submit(of("192.0.2.1")).await.unwrap().task_id;
    let strict = days.process("max_hosts_per_day: 1");
    assert_eq!(strict.status(&other).await.unwrap().status, TaskStatus::Queued);
    for _ in 0..2 {
        service.cancel(&task_id, None).await.unwrap();
        assert_eq!((used(&service, "2026-11-20").await, days.by_the_files("2026-11-20").await), (1, 1));
    }
}

#[tokio::test]
async fn a_dry_run_charges_and_says_what_it_would_refuse() {
    let days = Days::new();
    let service = days.process("mode: dry_run\nmax_hosts_per_day: 10");
    assert_eq!(service.submit(of("192.0.2.0/29")).await.unwrap().scope_warning, None);
    let over = service.submit(of("10.0.0.1-10.0.0.3")).await.unwrap();
    let warning = over.scope_warning.unwrap();
    assert!(warning.contains("8 are used (`max_hosts_per_day`)"), "{warning}");
    assert_eq!(service.status(&over.task_id).await.unwrap().scope_warning, Some(warning));
    assert_eq!(used(&service, "2026-11-20").await, 11);
    let off = days.process("mode: off\nmax_hosts_per_day: 10");
    off.submit(of("10.0.0.0/28")).await.unwrap();
    assert_eq!(used(&service, "2026-11-20").await, 11, "a policy that is off charges nothing");
}

/// Another scan takes the room between the check and the enqueue: the task that was written ends, nobody was told of it, and
/// its key is free.
#[tokio::test]
async fn a_day_that_fills_up_during_a_submit_refuses_it() {
    let days = Days::new();
    let service = days.process("max_hosts_per_day: 10");
    let prepared = service.prepare(of_key("192.0.2.0/29", "k")).await.unwrap();
    let task_id = prepared.task.task_id.clone();
    let taken = service.submit(of("10.0.0.0/29")).await.unwrap().task_id;
    let refused = service.store(prepared).await.unwrap_err();
    assert_eq!(refused.code(), "daily_host_limit");
    let task = days.tasks.get(&task_id).await.unwrap();
    assert_eq!((task.status, task.error_code.as_deref()), (TaskStatus::Cancelled, Some("daily_host_limit")));
    assert!(task.error_message.unwrap().contains("8 are used"));
    assert_eq!((used(&service, "2026-11-20").await, days.by_the_files("2026-11-20").await), (8, 8));

    // A process that dies before it frees the key leaves that to whoever asks next.
    let key = IdempotencyEntry::new(task_id.clone(), "hash", days.clock.now());
    service.queue().restore_idempotency_key("k", &key, Duration::from_secs(60)).await.unwrap();
    assert_eq!(service.submit(of_key("192.0.2.0/29", "k")).await.unwrap_err().code(), "daily_host_limit");
    assert_eq!(service.queue().idempotency_entry("k").await.unwrap(), None);
    service.cancel(&taken, None).await.unwrap();
    let accepted = service.submit(of_key("192.0.2.0/30", "k")).await.unwrap();
    assert!(accepted.task_id != task_id && !accepted.idempotent);
    assert_eq!((used(&service, "2026-11-20").await, days.by_the_files("2026-11-20").await), (4, 4));
}

/// A process died between the task and its enqueue: the next one charges it, or ends it when there is no room by then.
#[tokio::test]
async fn a_task_that_was_not_enqueued_is_charged_by_whoever_enqueues_it() {
    for (others, is_charged) in [("10.0.0.1", true), ("10.0.0.0/29", false)] {
        let days = Days::new();
        let service = days.process("max_hosts_per_day: 10");
        let prepared = service.prepare(of("192.0.2.0/29")).await.unwrap();
        let task_id = prepared.task.task_id.clone();
        days.tasks.create(prepared.task).await.unwrap();
        service.submit(of(others)).await.unwrap();
        days.clock.advance(Duration::from_secs(60));
        let watching = service.clone();
        let watch = tokio::spawn(async move { watching.watch_queue().await });
        let status = loop {
            let state = service.queue().state_of(&pool(), &task_id).await.unwrap();
            let status = days.tasks.get(&task_id).await.unwrap().status;
            if state.is_some() || status.is_terminal() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        watch.abort();
        assert_eq!(status == TaskStatus::Queued, is_charged, "{others}: {status}");
        assert_eq!(used(&service, "2026-11-20").await, days.by_the_files("2026-11-20").await);
        assert!(used(&service, "2026-11-20").await <= 10);
    }
}

/// What the queue has lost is charged again before anything new is: with the process that goes on, and with a new one.
#[tokio::test]
async fn a_lost_queue_does_not_make_a_day_longer() {
    for goes_on in [true, false] {
        let days = Days::new();
        let service = days.process("max_hosts_per_day: 10");
        service.submit(of("192.0.2.0/29")).await.unwrap();
        let cancelled = service.submit(of("192.0.2.1-192.0.2.2")).await.unwrap().task_id;
        service.cancel(&cancelled, None).await.unwrap();
        for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let _ = std::fs::remove_file(days.directory.path().join(file));
        }
        let service = if goes_on { service } else { days.process("max_hosts_per_day: 10") };
        let refused = service.submit(of("10.0.0.1-10.0.0.3")).await.unwrap_err();
        assert!(refused.to_string().contains("8 are used"), "{refused}");
        service.submit(of("10.0.0.1-10.0.0.2")).await.unwrap();
        assert_eq!((used(&service, "2026-11-20").await, days.by_the_files("2026-11-20").await), (10, 10));
    }
}
