//! Scans that wait for a window of the policy, and scans that are paused when it ends.
//!
//! The tests begin on Monday 2025-12-01 at 14:30:22 UTC.

use std::path::Path;

use super::*;
use crate::{
    error::Classified as _,
    policy::Policy,
    queue::EntryState,
    task::{PauseState, PausedBy},
};

fn policy(text: &str) -> Policy {
    Policy::parse(text, Path::new("policy.yaml"), &|_| None).unwrap()
}

/// Open from 15:00 to 15:10 each day.
fn afternoon(mode: &str, rest: &str) -> Policy {
    let window = "{days: [mon-sun], from: \"15:00\", to: \"15:10\"}";
    policy(&format!("mode: {mode}\nwindows: [{{allowed: [{window}], time_zone: UTC{rest}}}]"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Fixture {
    async fn waits(&self, task_id: &TaskId) -> String {
        for _ in 0..1000 {
            if self.service.queue().state_of(&pool(), task_id).await.unwrap() == Some(EntryState::Delayed) {
                return self.service.status(task_id).await.unwrap().waiting_for.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{task_id} is not put off");
    }

    async fn shows(&self, task_id: &TaskId, is_so: impl Fn(&TaskView) -> bool) -> TaskView {
        for _ in 0..100_000 {
            let view = self.service.status(task_id).await.unwrap();
            if is_so(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("never: {:?}", self.service.status(task_id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_waits_for_its_window_without_a_slot_and_begins_when_it_opens() {
    let f = fixture_in(Scope::new(afternoon("enforce", ", targets: [192.0.2.0/24]")));
    let held = f.submit().await;
    let free = f.service.submit(SubmitRequest::untrusted("free", "198.51.100.1")).await.unwrap().task_id;
    let worker = f.start();
    let waiting_for = f.waits(&held).await;
    assert!(waiting_for.starts_with("window: the window mon-sun 15:00-15:10 (UTC) is not open"), "{waiting_for}");
    assert!(waiting_for.contains("from 2025-12-01T15:00:00.000Z on"), "{waiting_for}");
    let view = f.service.status(&held).await.unwrap();
    assert_eq!((view.status, view.estimated_wait_seconds), (TaskStatus::Queued, None));
    assert_eq!(f.ended(&free).await.status, TaskStatus::Completed, "it holds up nobody");
    let refused = f.service.resume(&held).await.unwrap_err();
    assert_eq!(refused.code(), "not_resumable", "{refused}");
    assert_eq!(f.task(&held).await.fence, None, "nothing is written while it waits");
    let ended = f.ended(&held).await;
    assert_eq!((ended.status, ended.waiting_for), (TaskStatus::Completed, None));
    let began = ended.started_at.unwrap();
    assert!(began >= at("2025-12-01T15:00:00Z") && began < at("2025-12-01T15:00:10Z"), "{began}");
    assert_eq!(f.scanner.launches(), 2);
    worker.stop().await;
}

/// Nobody tells the workers of a task that an operator lets go: they look again by themselves.
#[tokio::test(start_paused = true)]
async fn a_policy_that_changes_is_noticed_by_those_who_wait() {
    let f = fixture_in(Scope::new(policy("windows: [{blackout: [{days: [mon-sat]}], time_zone: UTC}]")));
    let task_id = f.submit().await;
    let worker = f.start();
    assert!(f.waits(&task_id).await.contains("the blackout window mon-sat (UTC) lasts"));
    f.service.scope().replace(policy("windows: [{blackout: [{days: [sun]}], time_zone: UTC}]"));
    assert_eq!(f.service.status(&task_id).await.unwrap().waiting_for, None);
    let ended = f.ended(&task_id).await;
    assert!(ended.started_at.unwrap().since(ended.created_at) < Duration::from_secs(800), "{ended:?}");
    worker.stop().await;
}

/// A worker has created it and died, and by now the window is closed.
#[tokio::test(start_paused = true)]
async fn a_scan_that_was_created_is_launched_in_the_next_window() {
    let f = fixture_in(Scope::new(policy("windows: [{blackout: [{days: [sun]}], time_zone: UTC}]")));
    let task_id = f.submit().await;
    for _ in 0..2 {
        f.scanner.fail_next(MockOperation::Launch, unreachable(RequestSent::No));
    }
    let worker = f.start();
    f.wait_for_call(MockOperation::Launch).await;
    f.service.scope().replace(afternoon("enforce", ""));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let view = f.service.status(&task_id).await.unwrap();
    assert_eq!((f.scanner.creates(), f.scanner.launches(), view.status), (1, 0, TaskStatus::Running));
    let pause = view.pause.unwrap();
    assert_eq!((pause.by, pause.until), (PausedBy::Window, Some(at("2025-12-01T15:00:00Z"))));
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, f.scanner.creates(), f.scanner.launches()), (TaskStatus::Completed, 1, 1));
    assert!(
        ended.completed_at.unwrap() > at("2025-12-01T15:00:00Z") && ended.execution_time.unwrap() < 200.0,
        "{ended:?}"
    );
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_on_when_its_window_ends() {
    let scope = Scope::new(afternoon("enforce", ""));
    let f = fixture_made(1, Duration::from_secs(1200), |parts| parts.with_scope(scope));
    let task_id = f.submit().await;
    let worker = f.start();
    let view = f.shows(&task_id, |view| view.outside_of_window.is_some()).await;
    let outside = view.outside_of_window.unwrap();
    assert!(outside.contains("is not open") && outside.contains("the scan that runs goes on"), "{outside}");
    assert_eq!((view.pause, view.scan_state.as_deref()), (None, Some("running")));
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!(f.scanner.calls(MockOperation::Pause), 0);
    worker.stop().await;
}

/// Twenty minutes of scanning in windows of ten: the nights between are no time of it.
#[tokio::test(start_paused = true)]
async fn a_scan_is_paused_when_its_window_ends_and_goes_on_in_the_next() {
    let scope = Scope::new(afternoon("enforce", ", at_end: pause"));
    let f = fixture_made(1, Duration::from_secs(900), |parts| parts.with_scope(scope));
    let task_id = f.submit().await;
    let limits = || {
        let limit = Duration::from_secs(3600);
        WorkerSettings::default().with_scan_timeout(limit).with_stall_timeout(limit).with_paused_timeout(limit)
    };
    let worker = f.start_with(limits());
    let view =
        f.shows(&task_id, |view| view.pause.as_ref().is_some_and(|pause| pause.state == PauseState::Paused)).await;
    let pause = view.pause.unwrap();
    assert_eq!((pause.by, pause.until), (PausedBy::Window, Some(at("2025-12-02T15:00:00Z"))));
    assert!(pause.since >= at("2025-12-01T15:10:00Z") && pause.since < at("2025-12-01T15:10:10Z"), "{pause:?}");
    assert!(view.outside_of_window.unwrap().contains("it is paused until then"));
    // Its worker is killed, and the next one comes late.
    worker.worker.abort();
    tokio::time::sleep(Duration::from_secs(23 * 3600 + 45 * 60)).await;
    let worker = f.start_with(limits());
    let ended = f.ended(&task_id).await;
    assert!(ended.status == TaskStatus::Completed && ended.pause.is_none(), "{ended:?}");
    assert!(ended.completed_at.unwrap() > at("2025-12-02T15:00:00Z"), "{ended:?}");
    let took = ended.execution_time.unwrap();
    assert!((900.0..1000.0).contains(&took), "{took}");
    let calls = [MockOperation::Pause, MockOperation::Resume].map(|operation| f.scanner.calls(operation));
    assert_eq!((f.scanner.launches(), calls), (1, [1, 1]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_scans_and_says_what_it_would_have_done() {
    let f = fixture_in(Scope::new(afternoon("dry_run", ", at_end: pause")));
    let task_id = f.submit().await;
    let worker = f.start();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, f.scanner.calls(MockOperation::Pause)), (TaskStatus::Completed, 0));
    assert!(ended.scope_warning.unwrap().contains("the window mon-sun 15:00-15:10 (UTC) is not open"));
    worker.stop().await;
    let f = fixture_in(Scope::new(afternoon("off", "")));
    let task_id = f.submit().await;
    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.scope_warning, None);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_no_window_will_ever_let_begin_is_refused() {
    let rules = "windows:\n  - {allowed: [{days: [mon]}], time_zone: UTC, pools: [lab]}\n  - {blackout: [{days: [mon]}], \
                 time_zone: UTC, targets: [192.0.2.0/24]}";
    let f = fixture_in(Scope::new(policy(rules)));
    let refused = f.service.submit(SubmitRequest::untrusted("test", "192.0.2.1")).await.unwrap_err();
    assert_eq!(refused.code(), "no_window");
    assert!(refused.to_string().contains("the blackout window mon (UTC) lasts"), "{refused}");
    assert!(f.service.tasks().list(crate::task::TaskQuery::default()).await.unwrap().tasks.is_empty());
    f.service.submit(SubmitRequest::untrusted("test", "198.51.100.1")).await.unwrap();
    f.service.scope().replace(policy(&format!("mode: dry_run\n{rules}")));
    let accepted = f.service.submit(SubmitRequest::untrusted("test", "192.0.2.1")).await.unwrap();
    assert!(accepted.scope_warning.unwrap().contains("no time was found"));
}
