//! What every place of tasks must do, as checks that panic where it does not: a data directory, and an object store of each make.
//!
//! Implement [`StoreHarness`] for the place, then make a test of each check:
//!
//! ```text
//! nessus_mcp_lib::store_conformance_tests!(BucketHarness::start());
//! ```
//!
//! The argument is an expression that makes a future of a harness; it runs once for every check. The macro needs `tokio` with `macros` and
//! `rt-multi-thread` in the calling crate. [`run_all`] does the same inside one test.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    ids::{FencingToken, PoolName, TaskId, TraceId},
    task::{EXPORT_FILE, INDEX_FILE, ScanPayload, ScanType, Task, TaskError, TaskManager, TaskStatus, Writer},
    time::Timestamp,
};

/// How many write at once.
const WRITERS: u32 = 20;

/// A place of tasks under test.
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// The tasks of the place, as another process opens them: empty at first, and the same place each time.
    async fn open(&self) -> TaskManager;
}

/// Makes a `#[tokio::test]` of every check; the argument is an expression for a future of a [`StoreHarness`].
#[macro_export]
macro_rules! store_conformance_tests {
    (@each tests ($harness:expr) $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let harness = $harness.await;
                $crate::testing::store_conformance::$check(&harness).await;
            }
        )*
    };
    (@each calls ($harness:expr) $($check:ident)*) => {
        // Boxed: together they would be a future of many kilobytes.
        $( Box::pin(async { $crate::testing::store_conformance::$check(&$harness.await).await }).await; )*
    };
    (@all $what:ident $harness:tt) => {
        $crate::store_conformance_tests! { @each $what $harness
            a_task_is_created_once
            no_change_is_lost
            what_one_process_writes_another_reads
            an_earlier_claim_cannot_write
            an_ended_task_is_written_by_no_worker
            results_are_seen_whole_or_not_at_all
            an_earlier_claim_cannot_publish
            later_results_replace_earlier_ones
            a_retry_forgets_the_results
            a_sealed_login_is_there_until_the_end
            tasks_are_listed_until_they_are_removed
            what_has_changed_is_not_removed
            no_order_is_lost
            files_beside_the_tasks_are_replaced
            records_of_the_archive_come_and_go
        }
    };
    ($harness:expr) => {
        $crate::store_conformance_tests! { @all tests ($harness) }
    };
}

/// Runs every check, each with a fresh harness: one after the other, so that all may be places of one server.
pub async fn run_all<H, F>(fresh: impl Fn() -> F)
where
    H: StoreHarness,
    F: Future<Output = H>,
{
    crate::store_conformance_tests! { @all calls (fresh()) }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_764_599_422_000)
}

fn new_task() -> Task {
    let pool = PoolName::new("nessus").unwrap();
    let payload = ScanPayload::new("office", "192.0.2.0/24");
    let task_id = TaskId::generate("nessus", "nessus", now());
    Task::new(task_id, TraceId::generate(), ScanType::Untrusted, "nessus", pool, payload, now())
}

async fn created(tasks: &TaskManager) -> TaskId {
    let task = new_task();
    let task_id = task.task_id.clone();
    tasks.create(task).await.unwrap();
    task_id
}

fn worker(fence: u64) -> Writer {
    Writer::Worker(FencingToken(fence))
}

/// Writes results and publishes them.
async fn publish(
    tasks: &TaskManager,
    task_id: &TaskId,
    name: &str,
    content: &[u8],
    writer: Writer,
) -> Result<(), TaskError> {
    let artifact = tasks.begin_artifact(task_id, name).await.unwrap();
    artifact.writer().unwrap().write_all(content).unwrap();
    tasks.publish(artifact, writer).await
}

/// The results that others see.
async fn results(tasks: &TaskManager, task_id: &TaskId, name: &str) -> Option<Vec<u8>> {
    let task = tasks.get(task_id).await.unwrap();
    let place = tasks.place(&task, name);
    let read = move || {
        let mut content = Vec::new();
        place.try_open().ok()?.source.read_to_end(&mut content).unwrap();
        Some(content)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// Bytes that differ everywhere, of some parts and a bit.
fn long() -> Vec<u8> {
    (0..2_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

/// Of many who create a task of one id, one does.
pub async fn a_task_is_created_once(harness: &impl StoreHarness) {
    let (first, second) = (harness.open().await, harness.open().await);
    let task = new_task();
    let mut creators = JoinSet::new();
    for number in 0..WRITERS {
        let (tasks, mut task) = (if number % 2 == 0 { first.clone() } else { second.clone() }, task.clone());
        task.payload.description = number.to_string();
        creators.spawn(async move { (number, tasks.create(task).await) });
    }
    let mut creator = None;
    while let Some(ended) = creators.join_next().await {
        match ended.unwrap() {
            (number, Ok(())) => assert_eq!(creator.replace(number), None, "two have created it"),
            (_, Err(error)) => assert!(matches!(error, TaskError::AlreadyExists(_)), "{error:?}"),
        }
    }
    let read = second.get(&task.task_id).await.unwrap();
    assert_eq!(Some(read.payload.description), creator.map(|number| number.to_string()));
}

/// Changes that are made at once all take place.
pub async fn no_change_is_lost(harness: &impl StoreHarness) {
    let (first, second) = (harness.open().await, harness.open().await);
    let task_id = created(&first).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (tasks, task_id) = (if number % 2 == 0 { first.clone() } else { second.clone() }, task_id.clone());
        writers.spawn(async move {
            let change = move |task: &mut Task| {
                task.extra.insert(format!("writer_{number}"), json!(number));
            };
            tasks.update(&task_id, Writer::Api, change).await.unwrap();
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let task = first.get(&task_id).await.unwrap();
    assert_eq!((task.extra.len() as u64, task.revision), (u64::from(WRITERS), u64::from(WRITERS) + 1));
}

/// A change that was made is what any process reads from then on.
pub async fn what_one_process_writes_another_reads(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    for progress in 1..20 {
        let written = one.update(&task_id, Writer::Api, move |task| task.progress = Some(progress)).await.unwrap();
        assert_eq!(other.get(&task_id).await.unwrap(), written);
    }
    let missing = new_task().task_id;
    assert!(matches!(other.get(&missing).await, Err(TaskError::NotFound(id)) if id == missing));
    let changed = other.update(&missing, Writer::Api, |task| task.progress = Some(1)).await;
    assert!(matches!(changed, Err(TaskError::NotFound(_))), "{changed:?}");
}

/// A worker whose claim is over changes nothing any more.
pub async fn an_earlier_claim_cannot_write(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    one.update(&task_id, worker(7), |task| task.status = TaskStatus::Running).await.unwrap();
    let later = other.update(&task_id, worker(9), |task| task.progress = Some(30)).await.unwrap();
    let refused = one.update(&task_id, worker(7), |task| task.progress = Some(99)).await;
    assert!(matches!(refused, Err(TaskError::StaleFencingToken { .. })), "{refused:?}");
    assert_eq!(one.get(&task_id).await.unwrap(), later);
    // Also where both write at once: whoever comes first, the later claim stands in the end.
    for fence in 10..20 {
        let change = |task: &mut Task| task.progress = task.progress.map(|progress| progress + 1);
        let early = change;
        let (late, early) = tokio::join!(
            other.update(&task_id, worker(2 * fence + 1), change),
            one.update(&task_id, worker(2 * fence), early)
        );
        late.unwrap();
        assert!(early.is_ok() || matches!(early, Err(TaskError::StaleFencingToken { .. })), "{early:?}");
        assert_eq!(one.get(&task_id).await.unwrap().fence, Some(FencingToken(2 * fence + 1)));
    }
}

/// What has ended stays as it is for workers.
pub async fn an_ended_task_is_written_by_no_worker(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    let ended = one.update(&task_id, Writer::Api, |task| task.status = TaskStatus::Cancelled).await.unwrap();
    let refused = other.update(&task_id, worker(9), |task| task.progress = Some(1)).await;
    assert!(matches!(refused, Err(TaskError::Transition(_))), "{refused:?}");
    let refused = publish(&other, &task_id, EXPORT_FILE, b"late", worker(9)).await;
    assert!(matches!(refused, Err(TaskError::Transition(_))), "{refused:?}");
    assert_eq!(other.get(&task_id).await.unwrap(), ended);
    assert_eq!(results(&one, &task_id, EXPORT_FILE).await, None);
}

/// Nobody sees a part of results, and what is thrown away is gone.
pub async fn results_are_seen_whole_or_not_at_all(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    one.update(&task_id, worker(3), |task| task.status = TaskStatus::Running).await.unwrap();
    let content = long();
    let artifact = one.begin_artifact(&task_id, EXPORT_FILE).await.unwrap();
    artifact.writer().unwrap().write_all(&content).unwrap();
    assert_eq!(results(&other, &task_id, EXPORT_FILE).await, None);
    let thrown_away = one.begin_artifact(&task_id, INDEX_FILE).await.unwrap();
    thrown_away.writer().unwrap().write_all(b"half").unwrap();
    drop(thrown_away);
    one.publish(artifact, worker(3)).await.unwrap();
    for tasks in [&one, &other] {
        assert!(results(tasks, &task_id, EXPORT_FILE).await.as_deref() == Some(&content), "it differs");
        assert_eq!(results(tasks, &task_id, INDEX_FILE).await, None);
        let (_, has_export) = tasks.get_with_export(&task_id).await.unwrap();
        assert!(has_export);
    }
    publish(&one, &task_id, INDEX_FILE, b"", worker(3)).await.unwrap();
    assert_eq!(results(&other, &task_id, INDEX_FILE).await.as_deref(), Some(&b""[..]), "one without a byte is one");
}

/// A worker whose claim is over publishes nothing, and what it has begun is removed by the next.
pub async fn an_earlier_claim_cannot_publish(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    one.update(&task_id, worker(3), |task| task.status = TaskStatus::Running).await.unwrap();
    publish(&one, &task_id, EXPORT_FILE, b"first", worker(3)).await.unwrap();
    let artifact = one.begin_artifact(&task_id, EXPORT_FILE).await.unwrap();
    artifact.writer().unwrap().write_all(b"of one whose claim is over").unwrap();
    other.update(&task_id, worker(4), |task| task.progress = Some(1)).await.unwrap();
    let refused = one.publish(artifact, worker(3)).await;
    assert!(matches!(refused, Err(TaskError::StaleFencingToken { .. })), "{refused:?}");
    other.remove_leftovers(&task_id, worker(4)).await.unwrap();
    assert_eq!(results(&other, &task_id, EXPORT_FILE).await.as_deref(), Some(&b"first"[..]));
    let refused = one.remove_leftovers(&task_id, worker(3)).await;
    assert!(matches!(refused, Err(TaskError::StaleFencingToken { .. })), "{refused:?}");
}

/// Results that are published again take the place of the earlier ones, whole.
pub async fn later_results_replace_earlier_ones(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    one.update(&task_id, worker(3), |task| task.status = TaskStatus::Running).await.unwrap();
    publish(&one, &task_id, EXPORT_FILE, &long(), worker(3)).await.unwrap();
    publish(&other, &task_id, EXPORT_FILE, b"short", worker(3)).await.unwrap();
    assert_eq!(results(&one, &task_id, EXPORT_FILE).await.as_deref(), Some(&b"short"[..]));
}

/// What an earlier attempt has found is not taken for the findings of the next.
pub async fn a_retry_forgets_the_results(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    one.update(&task_id, worker(3), |task| task.status = TaskStatus::Running).await.unwrap();
    publish(&one, &task_id, EXPORT_FILE, b"partial", worker(3)).await.unwrap();
    one.update(&task_id, worker(3), |task| task.status = TaskStatus::Timeout).await.unwrap();
    assert!(results(&other, &task_id, EXPORT_FILE).await.is_some());
    let task = other.retry(&task_id, crate::task::Charges::default(), None).await.unwrap();
    assert_eq!((task.status, task.attempt), (TaskStatus::Queued, 2));
    assert_eq!(results(&one, &task_id, EXPORT_FILE).await, None);
    // Of many who let it run again, one does.
    one.update(&task_id, Writer::Api, |task| task.status = TaskStatus::Failed).await.unwrap();
    let retry = |tasks: &TaskManager| {
        let (tasks, task_id) = (tasks.clone(), task_id.clone());
        async move { tasks.retry(&task_id, crate::task::Charges::default(), None).await.is_ok() }
    };
    let (first, second, third) = tokio::join!(retry(&one), retry(&other), retry(&one));
    assert_eq!([first, second, third].into_iter().filter(|done| *done).count(), 1);
    assert_eq!(one.get(&task_id).await.unwrap().attempt, 3);
}

/// A login that came with a request can be read until its task ends.
pub async fn a_sealed_login_is_there_until_the_end(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let mut task = new_task();
    let sealed = json!({ "kind": "ssh", "username": "scan" });
    task.payload.credential = Some(serde_json::from_value(sealed).unwrap());
    let task_id = task.task_id.clone();
    one.create_with(task, Some(b"sealed".to_vec())).await.unwrap();
    assert_eq!(other.sealed_login(&task_id).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    other.update(&task_id, Writer::Api, |task| task.status = TaskStatus::Cancelled).await.unwrap();
    assert_eq!(one.sealed_login(&task_id).await.unwrap(), None);
    let without = created(&one).await;
    assert_eq!(other.sealed_login(&without).await.unwrap(), None);
}

/// Lists have what there is.
pub async fn tasks_are_listed_until_they_are_removed(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    assert_eq!(other.ids().await.unwrap(), []);
    let mut all = HashSet::new();
    for _ in 0..5 {
        all.insert(created(&one).await);
    }
    let listed = |tasks: TaskManager| async move { tasks.ids().await.unwrap().into_iter().collect::<HashSet<_>>() };
    assert_eq!(listed(other.clone()).await, all);
    let gone = all.iter().next().unwrap().clone();
    other.update(&gone, worker(3), |task| task.status = TaskStatus::Running).await.unwrap();
    publish(&other, &gone, EXPORT_FILE, &long(), worker(3)).await.unwrap();
    other.update(&gone, Writer::Api, |task| task.status = TaskStatus::Cancelled).await.unwrap();
    let removal = one.begin_removal(&gone, |_| true, now()).await.unwrap().unwrap();
    one.finish_removal(removal).await.unwrap();
    all.remove(&gone);
    assert_eq!(listed(other.clone()).await, all);
    assert!(matches!(other.get(&gone).await, Err(TaskError::NotFound(_))));
    let late = other.update(&gone, Writer::Api, |task| task.progress = Some(1)).await;
    assert!(matches!(late, Err(TaskError::NotFound(_))), "{late:?}");
    let (archived, at) = other.removed_task(&gone).await.unwrap().unwrap();
    assert_eq!((archived.task_id, at), (gone.clone(), now()));
    let inventory = other.inventory().await.unwrap();
    assert_eq!((inventory.tasks.len(), inventory.removed.len()), (all.len(), 0));
}

/// A task that `judge` does not let go stays.
pub async fn what_has_changed_is_not_removed(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let task_id = created(&one).await;
    let revision = other.get(&task_id).await.unwrap().revision;
    one.update(&task_id, Writer::Api, |task| task.progress = Some(1)).await.unwrap();
    let removal = other.begin_removal(&task_id, move |task| task.revision == revision, now()).await.unwrap();
    assert!(removal.is_none());
    assert_eq!(one.get(&task_id).await.unwrap().progress, Some(1));
}

/// Orders about pools that are given at once are all remembered.
pub async fn no_order_is_lost(harness: &impl StoreHarness) {
    let (first, second) = (harness.open().await, harness.open().await);
    let mut operators = JoinSet::new();
    for number in 0..WRITERS {
        let tasks = Arc::new(if number % 2 == 0 { first.clone() } else { second.clone() });
        operators.spawn(async move {
            let pool = PoolName::new(format!("pool-{number}")).unwrap();
            tasks
                .update_queue_file(move |file| _ = file.paused.insert(pool, "change freeze".to_owned()))
                .await
                .unwrap();
        });
    }
    while let Some(ended) = operators.join_next().await {
        ended.unwrap();
    }
    assert_eq!(second.queue_file().await.unwrap().paused.len(), WRITERS as usize);
}

/// What lies beside the tasks is replaced as a whole.
pub async fn files_beside_the_tasks_are_replaced(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    assert_eq!(other.data_file("check.json").await.unwrap(), None);
    for content in [&b"one"[..], b"another", b""] {
        one.write_data_file("check.json", content.to_vec()).await.unwrap();
        assert_eq!(other.data_file("check.json").await.unwrap().as_deref(), Some(content));
    }
}

/// Records of the archive are written, listed and removed.
pub async fn records_of_the_archive_come_and_go(harness: &impl StoreHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    assert_eq!(other.archived_names().await.unwrap().records, Vec::<String>::new());
    let task = new_task();
    let name = format!("{}.json", task.task_id);
    one.archive_again(task.clone(), now()).await.unwrap();
    assert_eq!(other.archived_names().await.unwrap().records, std::slice::from_ref(&name));
    assert_eq!(other.removed_task(&task.task_id).await.unwrap().map(|(task, _)| task), Some(task));
    assert!(other.remove_archived(name.clone()).await.unwrap());
    assert!(!one.remove_archived(name).await.unwrap());
    assert_eq!(one.archived_names().await.unwrap().records, Vec::<String>::new());
}
