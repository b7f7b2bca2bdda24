//! What the events of a task tell of it.

use super::*;
use crate::task::{EventKind, TaskEvent};

fn words(task: &Task) -> Vec<&str> {
    task.events.iter().map(|event| event.event.as_str()).collect()
}

fn event<'t>(task: &'t Task, kind: &EventKind) -> &'t TaskEvent {
    task.events.iter().find(|event| event.event == *kind).unwrap_or_else(|| panic!("no {kind:?}: {:#?}", task.events))
}

const WHOLE: [&str; 10] = [
    "submitted",
    "queued",
    "claimed",
    "created",
    "launched",
    "pending",
    "scanning",
    "scan_ended",
    "exported",
    "checked",
];

#[tokio::test(start_paused = true)]
async fn a_scan_that_succeeds_leaves_its_whole_life_and_no_event_for_each_look() {
    // Looked at more than a thousand times.
    let f = fixture_with(2, Duration::from_secs(3000));
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_poll_interval(Duration::from_secs(2)));
    tokio::time::sleep(Duration::from_secs(2500)).await;
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert!(f.scanner.calls(MockOperation::Status) > 1000);
    f.service.results(ResultsRequest::new(task_id.clone())).await.unwrap();
    let task = f.task(&task_id).await;
    assert_eq!(words(&task), [&WHOLE[..], &["completed", "delivered"]].concat());
    let claimed = event(&task, &EventKind::Claimed).by.as_deref().unwrap();
    assert!(claimed.contains(&format!(" pid {} (", std::process::id())), "{claimed}");
    assert_eq!(event(&task, &EventKind::Queued).detail.as_deref(), Some("for the pool lab"));
    assert!(event(&task, &EventKind::Created).detail.as_deref().unwrap().ends_with(" on lab:one"));
    assert!(event(&task, &EventKind::Exported).detail.as_deref().unwrap().contains(" bytes in "));
    let checked = event(&task, &EventKind::Checked).detail.as_deref().unwrap();
    assert!(checked.starts_with("4 hosts, ") && checked.contains("login not_applicable"), "{checked}");
    assert!(task.events.is_sorted_by_key(|event| event.at) && task.events.iter().all(|event| event.attempt == 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_handed_over_names_both_workers() {
    let f = fixture(2);
    let task_id = f.submit().await;
    let first = f.start();
    f.wait_for_progress(&task_id).await;
    first.stop().await;
    let second = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    second.stop().await;
    let task = f.task(&task_id).await;
    let (claimed, left) = (event(&task, &EventKind::Claimed), event(&task, &EventKind::HandedOver));
    let adopted = event(&task, &EventKind::Adopted);
    let events = &task.events;
    assert!(claimed.by == left.by && adopted.by != left.by && adopted.by.is_some(), "{events:#?}");
    let from = format!("from {}, which had handed it over", claimed.by.as_deref().unwrap());
    assert_eq!(adopted.detail.as_deref(), Some(&*from));
    assert_eq!(words(&task).iter().filter(|word| **word == "scanning").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn wishes_and_retries_say_whose_they_are() {
    let f = fixture_with(2, Duration::from_secs(600));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_progress(&task_id).await;
    let operator = f.service.with_actor("ops@desk");
    operator.pause(&task_id, Some("change freeze")).await.unwrap();
    f.wait_until(|| f.scanner.calls(MockOperation::Pause) > 0, "it is not paused").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    operator.resume(&task_id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    f.service.with_actor("night@desk").cancel(&task_id, Some("wrong network")).await.unwrap();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Cancelled);
    let task = f.task(&task_id).await;
    let said = |kind| {
        let event = event(&task, &kind);
        (event.by.as_deref(), event.detail.as_deref())
    };
    assert_eq!(said(EventKind::PauseRequested), (Some("ops@desk"), Some("change freeze")));
    assert_eq!(said(EventKind::Paused), (Some("ops@desk"), Some("change freeze")));
    assert_eq!(said(EventKind::ResumeRequested), (Some("ops@desk"), None));
    assert_eq!(said(EventKind::CancelRequested), (Some("night@desk"), Some("wrong network")));
    assert_eq!(event(&task, &EventKind::Cancelled).code.as_deref(), Some("cancelled"));
    assert!(words(&task).contains(&"resumed"), "{:?}", words(&task));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_stays_away_costs_one_event_and_its_dead_letter_names_it() {
    let f = fixture(2);
    for _ in 0..5_000 {
        f.scanner.fail_next(MockOperation::Create, ScannerError::Unusable("no plugins".to_owned()));
    }
    let task_id = f.submit().await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(Duration::from_secs(600)));
    let view = f.ended(&task_id).await;
    assert!(view.status.is_terminal());
    let task = f.task(&task_id).await;
    let retrying: Vec<_> = task.events.iter().filter(|event| event.event == EventKind::Retrying).collect();
    assert!(retrying.len() == 1 && retrying[0].count > Some(2), "{:#?}", task.events);
    assert!(retrying[0].hint.as_deref().unwrap().contains("user interface") && retrying[0].code.is_some());
    // The file is written before the queue is told.
    let mut letters = Vec::new();
    for _ in 0..1000 {
        letters = f.service.queue().dead_letters(&pool(), 0, 10).await.unwrap();
        if !letters.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let letter = letters.remove(0);
    worker.stop().await;
    assert!(letter.reason.hint.is_some() && letter.reason.hint == task.error_hint, "{letter:?}");
    f.service.with_actor("ops@desk").retry(&task_id).await.unwrap();
    let task = f.task(&task_id).await;
    let last: Vec<_> = task.events.iter().rev().take(2).collect();
    assert_eq!(
        (last[1].event.as_str(), last[1].attempt, last[1].by.as_deref()),
        ("retry_requested", 2, Some("ops@desk"))
    );
    assert_eq!((last[0].event.as_str(), last[0].attempt), ("queued", 2));
}
