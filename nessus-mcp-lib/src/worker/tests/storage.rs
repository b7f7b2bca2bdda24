//! A disk or a machine that fails for a while: it says nothing about a scan, which goes on and keeps its slot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{error::Classified as _, queue::EntryState, task::TaskQuery};

const MINUTE: Duration = Duration::from_secs(60);

/// A directory that cannot be read, because something else stands in its place.
struct Hidden {
    place: PathBuf,
    aside: PathBuf,
}

impl Hidden {
    fn new(place: PathBuf) -> Self {
        let hidden = Self { aside: place.with_extension("aside"), place };
        rename(&hidden.place, &hidden.aside);
        fs::File::create_new(&hidden.place).unwrap();
        hidden
    }

    fn show(self) {
        fs::remove_file(&self.place).unwrap();
        rename(&self.aside, &self.place);
    }
}

#[expect(clippy::disallowed_methods, reason = "the disk of a test needs no sync")]
fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

impl Fixture {
    /// Makes every file of a task unreadable.
    fn hide(&self, task_id: &TaskId) -> Hidden {
        Hidden::new(self.directory.path().join("tasks").join(task_id.as_str()))
    }

    async fn slots(&self) -> Vec<TaskId> {
        self.service.queue().slots_in_use(&pool(), &InstanceId::new("one").unwrap()).await.unwrap()
    }

    /// A task whose scan runs under the hands of a worker that knows it.
    async fn in_mid_scan(&self) -> (TaskId, Running) {
        let task_id = self.submit().await;
        let worker = self.start();
        for _ in 0..20_000 {
            if self.service.status(&task_id).await.unwrap().scan_state.is_some() {
                return (task_id, worker);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the scan does not run");
    }

    async fn completes_on_its_one_scan(&self, task_id: &TaskId) {
        let view = self.ended(task_id).await;
        assert_eq!(view.status, TaskStatus::Completed, "{:?}", view.error_message);
        assert_eq!((self.scanner.creates(), self.scanner.launches()), (1, 1));
        assert_eq!(self.scanner.calls(MockOperation::Stop), 0);
        assert_eq!(self.dead_codes().await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_on_while_its_task_cannot_be_read() {
    let f = fixture(1);
    let (task_id, worker) = f.in_mid_scan().await;
    let hidden = f.hide(&task_id);
    // Far longer than all tries of a task that fails.
    for _ in 0..60 {
        tokio::time::sleep(MINUTE).await;
        assert_eq!(f.slots().await, std::slice::from_ref(&task_id), "its slot is not given to another scan");
    }
    hidden.show();
    f.completes_on_its_one_scan(&task_id).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_on_while_the_disk_of_all_tasks_is_missing() {
    let f = fixture_with(1, 10 * MINUTE);
    let (task_id, worker) = f.in_mid_scan().await;
    let tasks = f.directory.path().join("tasks");
    let hidden = Hidden::new(tasks.clone());
    tokio::time::sleep(MINUTE).await;
    fs::remove_file(&tasks).unwrap();
    tokio::time::sleep(60 * MINUTE).await;
    fs::File::create_new(&tasks).unwrap();
    hidden.show();
    f.completes_on_its_one_scan(&task_id).await;
    worker.stop().await;
}

/// The step has failed for good, as far as the scanner says; but whether the task has a scan cannot be read.
#[tokio::test(start_paused = true)]
async fn a_failure_that_cannot_be_judged_stops_no_scan() {
    let f = fixture_with(1, 10 * MINUTE);
    let (task_id, worker) = f.in_mid_scan().await;
    let asked = f.scanner.calls(MockOperation::Status);
    f.scanner.fail_next(MockOperation::Status, ScannerError::Rejected("no".to_owned()));
    let hidden = f.hide(&task_id);
    f.wait_until(|| f.scanner.calls(MockOperation::Status) > asked, "the scanner was not asked").await;
    tokio::time::sleep(5 * MINUTE).await;
    hidden.show();
    f.completes_on_its_one_scan(&task_id).await;
    worker.stop().await;
}

/// It fails in the middle of a scan's creation, and each time: no try is used up.
#[tokio::test(start_paused = true)]
async fn a_machine_without_descriptors_blames_no_scanner_and_uses_up_no_try() {
    let f = fixture(1);
    for _ in 0..100 {
        f.scanner
            .fail_next(MockOperation::FindByMarker, ScannerError::OutOfResources("too many open files".to_owned()));
    }
    let task_id = f.submit().await;
    let worker = f.start();
    f.completes_on_its_one_scan(&task_id).await;
    assert_eq!(f.scanner.calls(MockOperation::FindByMarker), 101);
    let circuit = f.service.circuits().breaker(&pool(), &InstanceId::new("one").unwrap()).view();
    assert_eq!((circuit.failures, circuit.opens), (0, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_outlasts_a_disk_that_fails_for_hours() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let hidden = f.hide(&task_id);
    let worker = f.start();
    tokio::time::sleep(60 * MINUTE).await;
    assert_ne!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), Some(EntryState::Dead));
    hidden.show();
    f.completes_on_its_one_scan(&task_id).await;
    worker.stop().await;
}

/// Somebody ends the task while its scan runs, right before its file cannot be read: its scan is stopped all the same.
#[tokio::test(start_paused = true)]
async fn the_scan_of_a_task_that_was_ended_is_stopped_once_its_file_can_be_read() {
    let f = fixture_with(1, 600 * MINUTE);
    let (task_id, worker) = f.in_mid_scan().await;
    let cancel = |task: &mut Task| task.status = TaskStatus::Cancelled;
    f.service.tasks().update(&task_id, Writer::Api, cancel).await.unwrap();
    let hidden = f.hide(&task_id);
    tokio::time::sleep(5 * MINUTE).await;
    hidden.show();
    f.ended(&task_id).await;
    assert_eq!((f.scanner.running(), f.scanner.calls(MockOperation::Stop)), (0, 1));
    worker.stop().await;
}

/// A task that a newer version has changed, in the hands of an older worker: a rolling upgrade. It waits for a newer one.
#[tokio::test(start_paused = true)]
async fn what_a_newer_version_wrote_waits_and_is_never_dead_lettered() {
    for (member, value, said) in [
        ("status", serde_json::json!("awaiting_approval"), "the unknown status `awaiting_approval`"),
        ("scan_type", serde_json::json!("cloud"), "the unknown scan type `cloud`"),
        ("schema_version", serde_json::json!(2), "the schema version 2"),
        (
            "history",
            serde_json::json!([{"at": "2025-12-01T14:30:22.000Z", "from": "paused", "to": "queued", "attempt": 1}]),
            "the unknown status `paused`",
        ),
    ] {
        let f = fixture(1);
        let task_id = f.submit().await;
        let path = f.service.tasks().artifact_path(&task_id, "task.json");
        let older = fs::read(&path).unwrap();
        let mut newer: serde_json::Value = serde_json::from_slice(&older).unwrap();
        newer[member] = value;
        crate::durable::replace(&path, newer.to_string().as_bytes()).unwrap();
        let error = f.service.tasks().get(&task_id).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("task_newer", true), "{error}");
        let list = f.service.tasks().list(TaskQuery::default()).await.unwrap();
        assert!(list.unreadable[0].1.contains("by a newer version") && list.unreadable[0].1.contains(said), "{list:?}");

        let worker = f.start();
        tokio::time::sleep(60 * MINUTE).await;
        assert_ne!(f.service.queue().state_of(&pool(), &task_id).await.unwrap(), Some(EntryState::Dead), "{member}");
        assert_eq!(fs::read(&path).unwrap(), newer.to_string().as_bytes(), "it was left as it was");
        // Whoever knows the word has brought it forward.
        crate::durable::replace(&path, &older).unwrap();
        f.completes_on_its_one_scan(&task_id).await;
        worker.stop().await;
    }
}

/// A directory that is missing for so long that the task is dead-lettered, and comes back.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_back_has_no_dead_letter() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let hidden = f.hide(&task_id);
    fs::remove_file(&hidden.place).unwrap();
    let worker = f.start();
    for _ in 0..120 {
        tokio::time::sleep(MINUTE).await;
        if !f.dead_codes().await.is_empty() {
            break;
        }
    }
    assert_eq!(f.dead_codes().await, ["task_not_found"]);
    fs::File::create_new(&hidden.place).unwrap();
    hidden.show();
    f.completes_on_its_one_scan(&task_id).await;
    worker.stop().await;
}
