//! Submitting and asking, on a real SQLite queue, without a worker.

mod dry_run;
mod hosts;
mod limits;
mod logins;
mod policies;
mod repeats;
mod rights;
mod workers;

use std::sync::Arc;

use rstest::rstest;

use super::*;
use crate::{
    error::{Classified, ErrorKind},
    ids::{InstanceId, PoolName, TaskId, WorkerId},
    queue::{IdempotencyEntry, IdempotencyOutcome, QueueStats, ServedPool, WorkerRecord},
    results::Profile,
    scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool},
    task::{TaskQuery, TaskStatus},
};

pub(super) struct Fixture {
    directory: tempfile::TempDir,
    pub(super) service: ScanService,
}

pub(super) async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let instance = |name: &str, enabled: bool| {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let mut instance = ScannerInstance::new(InstanceId::new(name).unwrap(), 2, scanner);
        instance.enabled = enabled;
        instance
    };
    let pool = ScannerPool::new(pool(), "mock", vec![instance("one", true), instance("off", false)]);
    let scanners = ScannerRegistry::new(vec![pool]).unwrap();
    let service = ScanService::open_with_scanners(&Settings::new(directory.path(), "unused"), scanners).await.unwrap();
    let f = Fixture { directory, service };
    f.announce(&["one", "off"], false).await;
    f
}

impl Fixture {
    /// A worker tells that it serves the pool with these scanners.
    async fn announce(&self, scanners: &[&str], stopping: bool) {
        let mut record = WorkerRecord::new(WorkerId::new("w").unwrap(), self.service.clock().now());
        let scanners = scanners.iter().map(|name| InstanceId::new(*name).unwrap()).collect();
        (record.pools, record.stopping) = (vec![ServedPool::new(pool(), scanners, 2)], stopping);
        self.service.queue().announce_worker(&record, Duration::from_secs(3600)).await.unwrap();
    }
}

fn pool() -> PoolName {
    PoolName::new("lab").unwrap()
}

pub(super) fn request() -> SubmitRequest {
    SubmitRequest::untrusted("office", "192.0.2.0/30, db.example")
}

fn keyed(key: &str) -> SubmitRequest {
    let mut request = request();
    request.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
    request
}

#[tokio::test]
async fn a_submit_is_on_the_disk_and_in_the_queue() {
    let f = fixture().await;
    let submission = f.service.submit(request()).await.unwrap();
    assert_eq!((submission.status, submission.queue_position), (TaskStatus::Queued, Some(1)));
    assert_eq!((submission.target_hosts, submission.targets.as_str()), (5, "192.0.2.0/30,db.example"));
    let task = f.service.tasks().get(&submission.task_id).await.unwrap();
    assert_eq!(task.payload.schema_profile.as_deref(), Some("brief"));
    assert_eq!(f.service.queue().stats(&pool()).await.unwrap(), QueueStats::new(1, 0, 0, 0));
    let queues = f.service.queue_status(None).await.unwrap();
    assert_eq!(queues.pools[0].next, [submission.task_id.as_str()]);
}

#[rstest]
#[case("targets", |r: &mut SubmitRequest| r.targets.clear(), "invalid_targets")]
#[case("IPv6 network", |r: &mut SubmitRequest| r.targets = "2001:db8::/64".to_owned(), "invalid_targets")]
#[case("range", |r: &mut SubmitRequest| r.targets = "10.0.0.999".to_owned(), "invalid_targets")]
#[case("every address", |r: &mut SubmitRequest| r.targets = "0.0.0.0/0".to_owned(), "out_of_scope")]
#[case("every IPv6 address", |r: &mut SubmitRequest| r.targets = "::/0".to_owned(), "out_of_scope")]
#[case("metadata", |r: &mut SubmitRequest| r.targets = "10.0.0.1,::ffff:169.254.169.254".to_owned(), "out_of_scope")]
#[case("link-local", |r: &mut SubmitRequest| r.targets = "fe80::/10".to_owned(), "out_of_scope")]
#[case("multicast", |r: &mut SubmitRequest| r.targets = "ff02::1".to_owned(), "out_of_scope")]
#[case("broadcast", |r: &mut SubmitRequest| r.targets = "255.255.255.255".to_owned(), "out_of_scope")]
#[case("65,537 hosts", |r: &mut SubmitRequest| r.targets = "10.0.0.0/16,192.0.2.1".to_owned(), "out_of_scope")]
#[case("no name", |r: &mut SubmitRequest| r.name = "  ".to_owned(), "invalid_argument")]
#[case("long name", |r: &mut SubmitRequest| r.name = "x".repeat(256), "invalid_argument")]
#[case("escape in name", |r: &mut SubmitRequest| r.name = "a\u{1b}[2J".to_owned(), "invalid_argument")]
#[case("pool", |r: &mut SubmitRequest| r.pool = Some("dmz".to_owned()), "unknown_pool")]
#[case("instance", |r: &mut SubmitRequest| r.instance = Some("two".to_owned()), "unknown_instance")]
#[case("disabled", |r: &mut SubmitRequest| r.instance = Some("off".to_owned()), "unknown_instance")]
#[case("template", |r: &mut SubmitRequest| r.template = Some("../x".to_owned()), "invalid_argument")]
#[tokio::test]
async fn a_wrong_request_is_refused_and_leaves_nothing(
    #[case] what: &str,
    #[case] spoil: fn(&mut SubmitRequest),
    #[case] code: &str,
) {
    let f = fixture().await;
    let mut request = keyed("k");
    spoil(&mut request);
    let error = f.service.submit(request).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (code, ErrorKind::InvalidInput), "{what}: {error}");
    assert_eq!(std::fs::read_dir(f.directory.path().join("tasks")).unwrap().count(), 0);
    assert_eq!(f.service.queue().stats(&pool()).await.unwrap(), QueueStats::default());
    assert!(!f.service.submit(keyed("k")).await.unwrap().idempotent, "the key is still free");
}

#[tokio::test]
async fn a_name_of_255_characters_is_taken() {
    let f = fixture().await;
    assert!(f.service.submit(SubmitRequest::untrusted("ü".repeat(255), "192.0.2.1")).await.is_ok());
}

#[tokio::test]
async fn twenty_submits_under_one_key_are_one_task() {
    let f = fixture().await;
    let mut submits = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = f.service.clone();
        submits.spawn(async move { service.submit(keyed("same")).await.unwrap() });
    }
    let answers = submits.join_all().await;
    assert!(answers.iter().all(|answer| answer.task_id == answers[0].task_id));
    assert_eq!(answers.iter().filter(|answer| !answer.idempotent).count(), 1);
    assert_eq!(f.service.list_tasks(TaskQuery::default()).await.unwrap().total, 1);
    assert_eq!(f.service.queue().stats(&pool()).await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_key_means_one_request() {
    let f = fixture().await;
    let first = f.service.submit(keyed("key")).await.unwrap();
    let mut spelled_otherwise = keyed("key");
    spelled_otherwise.targets = "db.example,  192.0.2.0-192.0.2.3".to_owned();
    spelled_otherwise.trace_id = Some(crate::ids::TraceId::generate());
    let again = f.service.submit(spelled_otherwise).await;
    assert_eq!(again.map(|answer| answer.task_id).ok(), Some(first.task_id.clone()), "the same targets in other words");
    let mut other = keyed("key");
    other.name = "another".to_owned();
    let error = f.service.submit(other).await.unwrap_err();
    assert_eq!(error.code(), "idempotency_conflict");
    assert!(error.to_string().contains(first.task_id.as_str()));
}

/// What a caller leaves out and what it spells out are the same request when they mean the same.
#[tokio::test]
async fn spelling_out_the_defaults_is_no_conflict() {
    let f = fixture().await;
    let mut spelled = keyed("key");
    spelled.pool = Some("lab".to_owned());
    spelled.schema_profile = Some(Profile::Brief);
    spelled.template = Some("basic".to_owned());
    spelled.description = " ".to_owned();
    let first = f.service.submit(keyed("key")).await.unwrap();
    let again = f.service.submit(spelled).await.unwrap();
    assert_eq!((again.idempotent, &again.task_id), (true, &first.task_id));
    let mut other = keyed("key");
    other.template = Some("discovery".to_owned());
    assert_eq!(f.service.submit(other).await.unwrap_err().code(), "idempotency_conflict");
}

/// The hashes are those that version 0.1 has claimed keys with.
#[rstest]
#[case::no_template("e32379d49f4639071d3015eb11568f2e1537f1284ab56118aa34275abd33d2aa")]
#[case::spelled_out("0f92b6208fef374fe7f689a14e5d5a08c1385d3fd442e10f1ad180ec1049de40")]
#[tokio::test]
async fn keys_that_an_older_version_has_claimed_are_known(
    #[case] hash: &str,
    #[values(None, Some("basic"))] template: Option<&str>,
) {
    let f = fixture().await;
    let task_id = TaskId::new("mo_lab_20251201_143022_a1b2c3d4").unwrap();
    let entry = IdempotencyEntry::new(task_id.clone(), hash, f.service.clock.now());
    let claimed = f.service.queue().claim_idempotency_key("key", &entry, std::time::Duration::from_secs(60)).await;
    assert_eq!(claimed.unwrap(), IdempotencyOutcome::Claimed);
    let mut request = keyed("key");
    request.template = template.map(str::to_owned);
    let again = f.service.submit(request).await.unwrap();
    assert_eq!((again.idempotent, again.task_id), (true, task_id));
}

/// Nobody has to ask again for what has ended.
#[tokio::test]
async fn a_repeated_submit_says_when_to_ask_only_of_a_task_that_goes_on() {
    let f = fixture().await;
    let first = f.service.submit(keyed("key")).await.unwrap();
    let again = f.service.submit(keyed("key")).await.unwrap();
    assert!(first.next_poll_seconds.is_some() && again.next_poll_seconds.is_some());
    f.service.cancel(&first.task_id, None).await.unwrap();
    let ended = f.service.submit(keyed("key")).await.unwrap();
    assert_eq!((ended.status, ended.next_poll_seconds), (TaskStatus::Cancelled, None));
}

#[tokio::test]
async fn results_are_refused_until_the_scan_has_ended() {
    let f = fixture().await;
    let task_id = f.service.submit(request()).await.unwrap().task_id;
    let results = |task_id: &TaskId, page: i64| {
        let mut request = ResultsRequest::new(task_id.clone());
        request.page = Some(page);
        f.service.results(request)
    };
    assert_eq!(results(&task_id, 1).await.unwrap_err().code(), "results_not_ready");
    assert_eq!(results(&task_id, -1).await.unwrap_err().code(), "invalid_page", "a wrong question first");
    let cancel = |task: &mut crate::task::Task| task.status = TaskStatus::Cancelled;
    f.service.tasks().update(&task_id, crate::task::Writer::Api, cancel).await.unwrap();
    assert_eq!(results(&task_id, 1).await.unwrap_err().code(), "no_results");
    let unknown = TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap();
    assert_eq!(results(&unknown, 1).await.unwrap_err().code(), "task_not_found");
    assert_eq!(f.service.status(&unknown).await.unwrap_err().code(), "task_not_found");
}

const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));

/// A task that was stopped and has kept this export.
async fn task_with(f: &Fixture, export: &[u8]) -> TaskId {
    let task_id = f.service.submit(request()).await.unwrap().task_id;
    let path = f.service.tasks().artifact_path(&task_id, crate::task::EXPORT_FILE);
    tokio::fs::write(path, export).await.unwrap();
    let cancel = |task: &mut crate::task::Task| task.status = TaskStatus::Cancelled;
    f.service.tasks().update(&task_id, crate::task::Writer::Api, cancel).await.unwrap();
    task_id
}

#[tokio::test]
async fn all_who_read_results_share_the_memory_and_are_busy_without() {
    let mut f = fixture().await;
    let (task_id, other) = (task_with(&f, OFFICE).await, task_with(&f, OFFICE).await);
    f.service.memory = f.service.memory.clone().with_patience(std::time::Duration::from_millis(1));
    let service = &f.service;
    let request = || ResultsRequest::new(task_id.clone());
    let everything = || ResultsRequest { page: Some(0), ..request() };
    let all = service.memory.enter(u64::MAX).await.unwrap();
    let codes = [
        service.results(request()).await.unwrap_err().code(),
        service.results(everything()).await.unwrap_err().code(),
        service.prepare_results(everything()).await.map(drop).unwrap_err().code(),
        service.summary(&task_id, 0).await.map(drop).unwrap_err().code(),
        service.compare(&task_id, &other, 0).await.map(drop).unwrap_err().code(),
    ];
    assert_eq!(codes, ["busy"; 5]);
    drop(all);
    service.summary(&task_id, 0).await.unwrap();
    service.compare(&task_id, &other, 0).await.unwrap();
    let text = service.results(everything()).await.unwrap();
    assert!(text.contains(r#""type":"vulnerability""#));
    let all = service.memory.enter(u64::MAX).await;
    assert!(all.is_ok(), "nothing is held when the work is over");
}

#[tokio::test]
async fn prepared_results_refuse_before_the_first_byte_and_are_written_whole() {
    let f = fixture().await;
    let task_id = task_with(&f, OFFICE).await;
    let everything = || ResultsRequest::everything(task_id.clone());
    let unknown = ResultsRequest { extra_fields: vec!["no_such_field".to_owned()], ..everything() };
    assert_eq!(f.service.prepare_results(unknown).await.unwrap_err().code(), "unknown_field");
    let broken = task_with(&f, &OFFICE[..OFFICE.len() / 2]).await;
    assert!(f.service.prepare_results(ResultsRequest::everything(broken)).await.is_err());
    let text = f.service.results(everything()).await.unwrap();
    let mut written = Vec::new();
    let mut prepared = f.service.prepare_results(everything()).await.unwrap();
    assert!(prepared.summary().is_none());
    prepared.write(&mut written).await.unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), text);
    assert!(prepared.summary().is_some_and(|summary| summary.written > 0));
    assert!(prepared.next().await.is_none());
    drop(f.service.prepare_results(everything()).await.unwrap());
    drop(f.service.memory.enter(u64::MAX).await.unwrap());
}

/// An export of several chunks, whose reader goes away in their midst.
#[tokio::test]
async fn prepared_results_stop_when_nobody_reads() {
    let f = fixture().await;
    let export = String::from_utf8(OFFICE.to_vec()).unwrap();
    let (head, rest) = export.split_at(export.find("<ReportHost ").unwrap());
    let (hosts, foot) = rest.split_at(rest.rfind("</ReportHost>").unwrap() + "</ReportHost>".len());
    let task_id = task_with(&f, format!("{head}{}{foot}", hosts.repeat(400)).as_bytes()).await;
    let request =
        || ResultsRequest { schema_profile: Some(Profile::Full), ..ResultsRequest::everything(task_id.clone()) };
    let mut prepared = f.service.prepare_results(request()).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(chunk) = prepared.next().await {
        sizes.push(chunk.unwrap().len());
    }
    assert!(sizes.len() > 4 && sizes.iter().all(|size| *size < 2 * 64 * 1024), "{sizes:?}");
    let mut left = f.service.prepare_results(request()).await.unwrap();
    left.next().await.unwrap().unwrap();
    drop(left);
    // Whoever reads while the file changes is told that this is not all.
    let mut cut = f.service.prepare_results(request()).await.unwrap();
    tokio::fs::write(f.service.tasks().artifact_path(&task_id, crate::task::EXPORT_FILE), "cut").await.unwrap();
    assert!(cut.write(&mut Vec::new()).await.is_err() && cut.summary().is_none());
    drop(f.service.memory.enter(u64::MAX).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn an_index_that_cannot_be_is_not_made_again() {
    use std::os::unix::fs::MetadataExt as _;
    let f = fixture().await;
    let text = String::from_utf8(OFFICE.to_vec()).unwrap();
    let wide: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (export, made) in [(OFFICE, "is used"), (&wide, "says that there is none")] {
        let task_id = task_with(&f, export).await;
        let path = f.service.tasks().artifact_path(&task_id, crate::task::INDEX_FILE);
        let mut pages = Vec::new();
        let mut indexes = Vec::new();
        for _ in 0..2 {
            pages.push(f.service.results(ResultsRequest::new(task_id.clone())).await.unwrap());
            indexes.push(std::fs::metadata(&path).unwrap().ino());
        }
        assert_eq!(pages[0], pages[1]);
        assert_eq!(indexes[0], indexes[1], "what was made {made}");
    }
}

#[tokio::test]
async fn what_there_is_can_be_seen() {
    let f = fixture().await;
    let scanners = f.service.list_scanners(None).await.unwrap();
    assert_eq!((scanners.total, scanners.enabled), (2, 1));
    assert_eq!(scanners.scanners[1].available_slots, 0, "a disabled scanner has none");
    assert_eq!(f.service.list_pools().await.unwrap().pools[0].capacity, 2);
    assert_eq!(f.service.list_scanners(Some("dmz")).await.unwrap_err().code(), "unknown_pool");
    let metrics = f.service.render_metrics().await.unwrap();
    assert!(metrics.contains("nessus_pool_total_capacity 2"), "{metrics}");
    assert!(f.service.ready().await);
    assert!(f.service.health().await.checks.contains_key("queue"));
}

/// The queue is emptied and rebuilt after a submit has claimed its key and before its task is written; the key is another
/// task's by then. The caller hears of that task, and nothing runs twice.
#[cfg(feature = "testing")]
#[tokio::test]
async fn a_key_that_is_lost_in_a_submit_is_still_one_task() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::queue::{Binding, EnqueueOutcome, IdempotencyEntry, IdempotencyOutcome, MockQueue, Outlook};

    let real = fixture().await;
    let other = real.service.submit(keyed("k")).await.unwrap().task_id;
    let task = real.service.tasks().get(&other).await.unwrap();
    let key = task.idempotency.clone().unwrap();
    let standing = real.service.queue().binding().await.unwrap().unwrap();

    let (mut queue, looks, claims) = (MockQueue::new(), AtomicU32::new(0), AtomicU32::new(0));
    let rebuilt = Binding::new(standing.directory.clone());
    queue.expect_binding().returning(move || {
        let is_before = looks.fetch_add(1, Ordering::Relaxed) < 2;
        Ok(Some(if is_before { standing.clone() } else { rebuilt.clone() }))
    });
    let entry = IdempotencyEntry::new(other.clone(), key.request_hash, key.claimed_at);
    queue.expect_idempotency_entry().returning(|_| Ok(None));
    queue.expect_claim_idempotency_key().returning(move |_, _, _| {
        let is_first = claims.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(if is_first { IdempotencyOutcome::Claimed } else { IdempotencyOutcome::Existing(entry.clone()) })
    });
    queue.expect_state_of().returning(|_, _| Ok(None));
    let enqueued = other.clone();
    queue
        .expect_enqueue()
        .withf(move |_, body| *body.task_id() == enqueued)
        .times(1)
        .returning(|_, _| Ok(EnqueueOutcome::Added));
    let workers = real.service.queue().workers().await.unwrap();
    queue.expect_workers().returning(move || Ok(workers.clone()));
    queue.expect_outlook().returning(|_, _, _| Ok(Outlook::default()));
    let parts = ServiceParts::new(
        real.directory.path(),
        real.service.tasks().clone(),
        Arc::new(queue),
        real.service.scanners().clone(),
    );
    let service = ScanService::new(parts).unwrap();
    let answer = service.submit(keyed("k")).await.unwrap();
    assert_eq!((answer.task_id, answer.idempotent), (other, true));
    let list = service.list_tasks(TaskQuery::default()).await.unwrap();
    let states: Vec<_> = list.tasks.iter().map(|task| task.status).collect();
    assert_eq!(states.iter().filter(|status| **status == TaskStatus::Cancelled).count(), 1, "{states:?}");
    assert_eq!(list.total, 2);
}
