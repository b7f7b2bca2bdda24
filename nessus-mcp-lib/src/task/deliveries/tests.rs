use std::{path::Path, sync::Arc};

use super::*;
use crate::{
    housekeeping::QueueIndex,
    ids::{TaskId, TraceId},
    policy::{Approval, ApprovalRequest, Policy},
    queue::{Lease, Settlement, sqlite::SqliteQueue},
    task::{Charges, ScanPayload, ScanType, TaskManager, Writer},
    time::{Clock, ManualClock},
};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

struct Fixture {
    _directory: tempfile::TempDir,
    clock: ManualClock,
    queue: Arc<dyn Queue>,
    tasks: TaskManager,
    index: QueueIndex,
}

fn policy(webhooks: &str) -> Scope {
    let text = format!("mode: \"off\"\nwebhooks:\n{webhooks}");
    Scope::new(Policy::parse(&text, Path::new("policy.yaml"), &|_| None).unwrap())
}

const ALL: &str = "  - {name: all, url: \"https://a.example\", secret_env: KEY}\n";

async fn fixture(scope: Scope) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let opened = SqliteQueue::open_with_clock(&directory.path().join("queue.db"), Arc::clone(&shared)).unwrap();
    let queue: Arc<dyn Queue> = Arc::new(opened);
    let tasks = TaskManager::open_with_clock(directory.path(), Arc::clone(&shared)).unwrap().with_webhooks(scope);
    let index = QueueIndex::new(tasks, Arc::clone(&queue), shared);
    index.ensure().await.unwrap();
    Fixture { _directory: directory, clock, queue, tasks: index.tasks().clone(), index }
}

impl Fixture {
    fn new_task(&self) -> Task {
        let (id, pool) = (TaskId::generate("mock", "lab", self.clock.now()), PoolName::new("lab").unwrap());
        let payload = ScanPayload::new("office", "192.0.2.1");
        let mut task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, self.clock.now());
        task.submitted_by = Some("ci".to_owned());
        task
    }

    async fn create(&self) -> TaskId {
        let task = self.new_task();
        self.tasks.create(task.clone()).await.unwrap();
        task.task_id
    }

    async fn becomes(&self, id: &TaskId, status: TaskStatus) -> Task {
        self.tasks.update(id, Writer::Api, move |task| task.status = status).await.unwrap()
    }

    async fn state(&self, id: &TaskId) -> Option<EntryState> {
        self.queue.state_of(&PoolName::deliveries(), id).await.unwrap()
    }

    async fn claim(&self) -> Option<Lease> {
        let worker = crate::ids::WorkerId::generate();
        Some(self.queue.claim(&PoolName::deliveries(), &worker, HOUR, &[]).await.unwrap()?.lease)
    }
}

fn told(task: &Task) -> Vec<(Option<&str>, &str, u32)> {
    task.deliveries.iter().map(|one| (one.webhook.as_deref(), one.event.as_str(), one.attempt)).collect()
}

#[tokio::test]
async fn each_end_is_written_down_with_itself_and_enqueued() {
    let f = fixture(policy(ALL)).await;
    for (status, event) in [
        (TaskStatus::Completed, "completed"),
        (TaskStatus::Failed, "failed"),
        (TaskStatus::Timeout, "timeout"),
        (TaskStatus::Cancelled, "cancelled"),
    ] {
        let id = f.create().await;
        let running = f.becomes(&id, TaskStatus::Running).await;
        assert_eq!((told(&running), f.state(&id).await), (Vec::new(), None));
        assert_eq!(told(&f.becomes(&id, status).await), [(Some("all"), event, 1)]);
        assert_eq!(f.state(&id).await, Some(EntryState::Ready), "{event}");
    }
}

#[tokio::test]
async fn a_webhook_is_told_what_it_wants_of_whom_it_may_hear() {
    let hooks = "  - {name: ends, url: \"https://a.example\", secret_env: K, events: [failed], clients: [ci]}\n  \
                 - {name: others, url: \"https://a.example\", secret_env: K, clients: [other]}\n  \
                 - {name: pool, url: \"https://a.example\", secret_env: K, pools: [elsewhere]}\n";
    let f = fixture(policy(hooks)).await;
    let (failed, cancelled) = (f.create().await, f.create().await);
    assert_eq!(told(&f.becomes(&failed, TaskStatus::Failed).await), [(Some("ends"), "failed", 1)]);
    assert_eq!(told(&f.becomes(&cancelled, TaskStatus::Cancelled).await), []);
    assert_eq!(f.state(&cancelled).await, None);
}

#[tokio::test]
async fn a_task_that_waits_for_a_person_is_told_of_when_it_is_made() {
    let f = fixture(policy(ALL)).await;
    let mut task = f.new_task();
    let at = f.clock.now();
    let request = |asked_at| ApprovalRequest {
        asked: "00".to_owned(),
        rules: std::collections::BTreeMap::new(),
        asked_at,
        expires_at: at.plus(HOUR),
        asked_anew: None,
    };
    task.approval = Some(Approval::new(request(at)));
    let id = task.task_id.clone();
    f.tasks.create(task).await.unwrap();
    assert_eq!(f.state(&id).await, Some(EntryState::Ready));
    // The same question is one event, and another one is another.
    let same = f.tasks.update(&id, Writer::Api, |task| task.progress = Some(1)).await.unwrap();
    assert_eq!(told(&same), [(Some("all"), "approval_wanted", 1)]);
    let again = request(at.plus(HOUR));
    let anew = f.tasks.update(&id, Writer::Api, move |task| task.approval = Some(Approval::new(again))).await.unwrap();
    assert_eq!(told(&anew), [(Some("all"), "approval_wanted", 1), (Some("all"), "approval_wanted", 1)]);
    assert_ne!(anew.deliveries[0].id(&id), anew.deliveries[1].id(&id));
}

/// One that is put off because a webhook is down must not keep what is new waiting for an hour.
#[tokio::test]
async fn what_is_new_is_looked_at_now() {
    let f = fixture(policy(ALL)).await;
    let id = f.create().await;
    f.becomes(&id, TaskStatus::Failed).await;
    let lease = f.claim().await.unwrap();
    f.queue.settle(&lease, Settlement::Nack { delay: HOUR, started: false }).await.unwrap();
    assert_eq!(f.state(&id).await, Some(EntryState::Delayed));
    f.tasks.retry(&id, Charges::default(), None).await.unwrap();
    let task = f.becomes(&id, TaskStatus::Cancelled).await;
    assert_eq!(told(&task), [(Some("all"), "failed", 1), (Some("all"), "cancelled", 2)]);
    assert_eq!(f.state(&id).await, Some(EntryState::Ready));
}

/// Nobody else knows: neither after a crash between file and queue, nor after the loss of the queue.
#[tokio::test]
async fn what_the_queue_has_forgotten_is_enqueued_again() {
    let f = fixture(policy(ALL)).await;
    let id = f.create().await;
    f.becomes(&id, TaskStatus::Failed).await;
    f.clock.advance(HOUR);
    let lease = f.claim().await.unwrap();
    f.queue.settle(&lease, Settlement::Ack).await.unwrap();
    assert_eq!(f.state(&id).await, None);
    assert_eq!(f.index.audit().await.unwrap().1, 1, "whoever only looks sees it");
    assert_eq!(f.index.reconcile().await.unwrap(), 1);
    assert_eq!(f.state(&id).await, Some(EntryState::Ready));
    assert_eq!(f.index.reconcile().await.unwrap(), 0, "it is known");
    let lease = f.claim().await.unwrap();
    f.tasks.update(&id, Writer::Api, |task| task.deliveries[0].delivered_at = Some(task.created_at)).await.unwrap();
    f.queue.settle(&lease, Settlement::Ack).await.unwrap();
    assert_eq!(f.index.reconcile().await.unwrap(), 0, "it is delivered");
    assert_eq!(f.index.audit().await.unwrap().1, 0);
}

#[tokio::test]
async fn whoever_knows_no_webhooks_leaves_it_to_a_worker_whom_to_tell() {
    let f = fixture(Scope::default().without_webhooks()).await;
    let (one, none) = (f.create().await, f.create().await);
    assert_eq!(told(&f.becomes(&one, TaskStatus::Cancelled).await), [(None, "cancelled", 1)]);
    f.becomes(&none, TaskStatus::Cancelled).await;
    assert_eq!(f.state(&one).await, Some(EntryState::Ready));
    let scope = policy(ALL);
    let directed = f.tasks.update(&one, Writer::Api, move |task| task.direct_deliveries(&scope)).await.unwrap();
    assert_eq!(told(&directed), [(Some("all"), "cancelled", 1)]);
    let nobody = f.tasks.update(&none, Writer::Api, |task| task.direct_deliveries(&Scope::default())).await.unwrap();
    assert!(!nobody.has_deliveries() && nobody.deliveries.is_empty());
}

#[tokio::test]
async fn without_webhooks_nothing_is_written_or_enqueued() {
    let f = fixture(Scope::default()).await;
    let id = f.create().await;
    assert_eq!(told(&f.becomes(&id, TaskStatus::Cancelled).await), []);
    assert_eq!(f.state(&id).await, None);
}

/// What the file says of a later version is no reason not to read it.
#[test]
fn an_event_of_another_version_is_read() {
    let text =
        r#"{"webhook": "a", "event": "renamed", "attempt": 1, "at": "2026-01-01T00:00:00.000Z", "colour": "red"}"#;
    let read: Delivery = serde_json::from_str(text).unwrap();
    assert!(read.is_pending() && read.event == "renamed");
}
