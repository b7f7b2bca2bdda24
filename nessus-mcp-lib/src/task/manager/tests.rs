use std::{fs, time::Duration};

use super::*;
use crate::{
    ids::{InstanceId, PoolName, ScanId, TraceId},
    task::{Observation, ScanPayload, ScanType, TaskQuery},
    time::{ManualClock, Timestamp},
};

struct Fixture {
    _directory: tempfile::TempDir,
    clock: ManualClock,
    tasks: TaskManager,
    id: TaskId,
}

fn task(id: &TaskId, now: Timestamp) -> Task {
    let payload = ScanPayload::new("office", "192.0.2.1");
    let pool = PoolName::new("nessus").unwrap();
    Task::new(id.clone(), TraceId::generate(), ScanType::Untrusted, "nessus", pool, payload, now)
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(1_764_599_422_000));
    let tasks = TaskManager::open_with_clock(directory.path(), Arc::new(clock.clone())).unwrap();
    let id = TaskId::generate("nessus", "nessus", clock.now());
    tasks.create(task(&id, clock.now())).await.unwrap();
    Fixture { _directory: directory, clock, tasks, id }
}

fn worker(fence: u64) -> Writer {
    Writer::Worker(FencingToken(fence))
}

#[tokio::test]
async fn a_task_is_created_once() {
    let f = fixture().await;
    let mut other = task(&f.id, f.clock.now());
    other.payload.name = "another".to_owned();
    assert!(matches!(f.tasks.create(other).await, Err(TaskError::AlreadyExists(_))));
    assert_eq!(f.tasks.get(&f.id).await.unwrap().payload.name, "office");
}

#[tokio::test]
async fn a_life_is_recorded_with_its_times() {
    let f = fixture().await;
    f.tasks.update(&f.id, worker(1), |task| task.status = TaskStatus::Running).await.unwrap();
    f.clock.advance(Duration::from_millis(1500));
    let done = f.tasks.update(&f.id, worker(1), |task| task.status = TaskStatus::Completed).await.unwrap();
    assert_eq!(done.execution_time, Some(1.5));
    assert_eq!(done.completed_at, Some(f.clock.now()));
    let steps: Vec<_> = done.history.iter().map(|entry| (entry.from, entry.to)).collect();
    assert_eq!(steps, [(TaskStatus::Queued, TaskStatus::Running), (TaskStatus::Running, TaskStatus::Completed)]);
}

#[tokio::test]
async fn a_worker_with_an_older_fence_cannot_write() {
    let f = fixture().await;
    f.tasks.update(&f.id, worker(7), |task| task.status = TaskStatus::Running).await.unwrap();
    let late = f.tasks.update(&f.id, worker(6), |task| task.progress = Some(99)).await;
    assert!(matches!(late, Err(TaskError::StaleFencingToken { current: FencingToken(7), ours: FencingToken(6), .. })));
    let artifact = f.tasks.begin_artifact(&f.id, EXPORT_FILE).await.unwrap();
    assert!(f.tasks.publish(artifact, worker(6)).await.is_err());
    assert!(!f.tasks.artifact_path(&f.id, EXPORT_FILE).exists());
    assert_eq!(f.tasks.get(&f.id).await.unwrap().progress, None);
}

#[tokio::test]
async fn the_next_worker_removes_what_a_killed_one_left() {
    let f = fixture().await;
    let abandoned = f.tasks.begin_artifact(&f.id, EXPORT_FILE).await.unwrap();
    let leftover = abandoned.temporary_path().to_owned();
    f.tasks.update(&f.id, worker(2), |task| task.status = TaskStatus::Running).await.unwrap();
    assert!(f.tasks.remove_leftovers(&f.id, worker(1)).await.is_err(), "not by one whose claim is over");
    assert!(leftover.exists());
    assert_eq!(f.tasks.remove_leftovers(&f.id, worker(2)).await.unwrap(), 1);
    assert!(!leftover.exists());
    assert!(f.tasks.get(&f.id).await.is_ok());
}

#[tokio::test]
async fn a_terminal_task_is_not_touched_by_a_worker() {
    let f = fixture().await;
    f.tasks.update(&f.id, Writer::Api, |task| task.status = TaskStatus::Cancelled).await.unwrap();
    let late = f.tasks.update(&f.id, worker(9), |task| task.progress = Some(50)).await;
    assert!(matches!(late, Err(TaskError::Transition(_))));
}

#[tokio::test]
async fn unknown_fields_survive_a_change() {
    let f = fixture().await;
    let path = f.tasks.artifact_path(&f.id, "task.json");
    let text = fs::read_to_string(&path).unwrap().replacen('{', "{\n  \"from_the_future\": {\"a\": [1]},", 1);
    crate::durable::replace(&path, text.as_bytes()).unwrap();
    f.tasks.update(&f.id, worker(1), |task| task.progress = Some(10)).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(json["from_the_future"]["a"][0], 1);
    assert_eq!(json["progress"], 10);
}

#[tokio::test]
async fn only_an_explicit_retry_revives_a_failed_task() {
    let f = fixture().await;
    let fail = |task: &mut Task| {
        task.status = TaskStatus::Failed;
        task.error_code = Some("scanner_unreachable".to_owned());
    };
    f.tasks.update(&f.id, worker(1), fail).await.unwrap();
    assert!(f.tasks.update(&f.id, Writer::Api, |task| task.status = TaskStatus::Queued).await.is_err());
    let again = f.tasks.retry(&f.id, Charges::default(), None).await.unwrap();
    assert_eq!((again.status, again.attempt, again.error_code), (TaskStatus::Queued, 2, None));
    assert_eq!(again.history[0].error_code.as_deref(), Some("scanner_unreachable"));
    assert!(f.tasks.retry(&f.id, Charges::default(), None).await.is_err());
}

/// What becomes of the scan of an attempt that has ended, by what is known of it.
#[tokio::test]
async fn a_retry_leaves_no_scan_unattended() {
    let (one, scan) = (InstanceId::new("one").unwrap(), ScanId::from(7));
    let seen = |state: &str| Some(Observation::new(state, None, Timestamp::from_millis(0)));
    for (case, known, stopped, closed, observation, goes_on, open) in [
        ("none was made", false, false, false, None, false, 0),
        ("it runs", true, false, false, seen("running"), true, 1),
        ("it may have been launched", true, false, false, None, false, 1),
        ("it was told to stop", true, true, false, seen("running"), false, 1),
        ("it was stopped", true, true, true, seen("cancelled"), false, 0),
        ("it was given up", true, false, true, seen("aborted"), false, 0),
        ("it is complete", true, false, true, seen("completed"), true, 0),
        ("it was to be stopped and is complete", true, true, true, seen("completed"), true, 0),
        ("an older version did not say", true, false, true, seen("running"), false, 1),
    ] {
        let f = fixture().await;
        let (instance, id) = (one.clone(), scan.clone());
        let fail = move |task: &mut Task| {
            task.scanner_instance_id = Some(instance.clone());
            if known {
                task.open_scan(&instance, &id);
            }
            if stopped {
                task.give_up_scan(&instance, &id);
            }
            if closed {
                task.close_scan(&instance, &id);
            }
            task.observation = observation;
            task.status = TaskStatus::Failed;
        };
        f.tasks.update(&f.id, worker(1), fail).await.unwrap();
        let again = f.tasks.retry(&f.id, Charges::default(), None).await.unwrap();
        let kept = (again.scanner_instance_id.is_some(), again.nessus_scan_id.is_some());
        assert_eq!((kept, again.open_scans.len()), ((goes_on, goes_on), open), "{case}");
        assert_eq!(again.next_instance().is_some(), goes_on || open > 0, "{case}");
        assert!(again.open_scans.iter().all(|open| open.attempt == 1), "{case}: {:?}", again.open_scans);
    }
}

#[tokio::test]
async fn a_list_is_newest_first_and_says_what_it_could_not_read() {
    let f = fixture().await;
    f.clock.advance(Duration::from_secs(60));
    let second = TaskId::generate("nessus", "aaaa", f.clock.now());
    f.tasks.create(task(&second, f.clock.now())).await.unwrap();
    f.clock.advance(Duration::from_secs(60));
    let broken = TaskId::generate("nessus", "nessus", f.clock.now());
    f.tasks.create(task(&broken, f.clock.now())).await.unwrap();
    crate::durable::replace(&f.tasks.artifact_path(&broken, "task.json"), b"{\"task_id\": ").unwrap();
    let list = f.tasks.list(TaskQuery::default().with_limit(1)).await.unwrap();
    assert_eq!(list.tasks[0].task_id, second);
    assert_eq!((list.total, list.unreadable.len()), (2, 1));
    assert_eq!(list.unreadable[0].0, broken);
    let none = f.tasks.list(TaskQuery::default().with_status(TaskStatus::Failed)).await.unwrap();
    assert_eq!(none.total, 0);
}

#[tokio::test]
async fn parallel_changes_are_all_kept() {
    let f = fixture().await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (tasks, id) = (f.tasks.clone(), f.id.clone());
        changes.spawn(async move {
            tasks.update(&id, Writer::Api, move |task| task.validation_warnings.push(number.to_string())).await
        });
    }
    while let Some(result) = changes.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(f.tasks.get(&f.id).await.unwrap().validation_warnings.len(), 20);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    crate::durable::replace(&file, b"").unwrap();
    let error = TaskManager::open(&file).unwrap_err();
    assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
}

/// Events are in the file that is written anyway; what an older version of the program writes in between is kept.
#[tokio::test]
async fn events_cost_no_write_and_survive_older_versions() {
    let f = fixture().await;
    let tasks = f.tasks.acting_as("ops@desk");
    let before = tasks.get(&f.id).await.unwrap();
    let words = |task: &Task| task.events.iter().map(|event| event.event.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!((words(&before), before.revision), (vec!["submitted".to_owned(), "queued".to_owned()], 1));
    let same = tasks.update(&f.id, Writer::Api, |_| {}).await.unwrap();
    assert_eq!(same, before, "nothing has changed");
    // An older version knows neither events nor hints.
    let path = f.tasks.artifact_path(&f.id, "task.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    document["status"] = "running".into();
    let step = serde_json::json!({ "at": f.clock.now(), "from": "queued", "to": "running", "attempt": 1 });
    document["history"] = serde_json::json!([step]);
    crate::durable::replace(&path, document.to_string().as_bytes()).unwrap();
    let ended = tasks.update(&f.id, Writer::Api, |task| task.status = TaskStatus::Cancelled).await.unwrap();
    assert_eq!(words(&ended), ["submitted", "queued", "cancelled"]);
    assert_eq!((ended.events[2].by.as_deref(), ended.history.len()), (Some("ops@desk"), 2));
}
