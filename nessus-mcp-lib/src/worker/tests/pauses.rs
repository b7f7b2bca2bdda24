//! Scans that somebody pauses and resumes.

use super::*;
use crate::{
    error::Classified as _,
    ids::ScanId,
    queue::EntryState,
    scanner::{ScanState, ScannerInterface as _},
    service::ServiceError,
    task::{Pause, PauseState, PausedBy},
};

impl Fixture {
    /// Waits until a pause stands so; returns it.
    async fn paused(&self, task_id: &TaskId, by: PausedBy, state: PauseState) -> Pause {
        for _ in 0..20_000 {
            let pause = self.service.status(task_id).await.unwrap().pause;
            if let Some(pause) = pause.filter(|pause| (pause.by, pause.state) == (by, state)) {
                return pause;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{task_id} is not {state:?}: {:?}", self.service.status(task_id).await);
    }

    /// Waits until nothing holds a task that runs.
    async fn goes_on(&self, task_id: &TaskId) {
        for _ in 0..20_000 {
            let view = self.service.status(task_id).await.unwrap();
            if view.status == TaskStatus::Running && view.pause.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{task_id} does not go on: {:?}", self.service.status(task_id).await);
    }

    async fn scan(&self, task_id: &TaskId) -> ScanId {
        self.task(task_id).await.nessus_scan_id.unwrap()
    }

    async fn state(&self, scan: &ScanId) -> ScanState {
        self.scanner.status(scan).await.unwrap().state
    }

    async fn entry(&self, task_id: &TaskId) -> Option<EntryState> {
        self.service.queue().state_of(&pool(), task_id).await.unwrap()
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// A scan may take less than [`LONG`], and stay less than that in any state.
fn limits() -> WorkerSettings {
    let limit = LONG / 4;
    WorkerSettings::default().with_scan_timeout(limit).with_stall_timeout(limit).with_paused_timeout(limit)
}

/// Much longer than a scan may take, may be without progress, or be paused by somebody else.
#[tokio::test(start_paused = true)]
async fn a_paused_scan_goes_on_where_it_was_and_the_pause_is_no_time_of_it() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    f.service.pause(&task_id, Some("change freeze")).await.unwrap();
    let pause = f.paused(&task_id, PausedBy::Request, PauseState::Paused).await;
    assert_eq!(pause.reason.as_deref(), Some("change freeze"));
    let again = f.service.pause(&task_id, Some("other")).await.unwrap();
    assert!(again.message.contains("was requested before"), "{}", again.message);
    let before = f.service.status(&task_id).await.unwrap();
    assert_eq!((before.status, before.scan_state.as_deref()), (TaskStatus::Running, Some("paused")));
    let slots = f.service.queue().slots_in_use(&pool(), &InstanceId::new("one").unwrap()).await.unwrap();
    assert_eq!(slots, std::slice::from_ref(&task_id), "Nessus counts it among the scans it runs");

    tokio::time::sleep(LONG).await;
    let after = f.service.status(&task_id).await.unwrap();
    assert_eq!((after.status, after.progress, after.pause.unwrap()), (TaskStatus::Running, before.progress, pause));
    assert_eq!(f.scanner.calls(MockOperation::Pause), 1);
    f.service.resume(&task_id).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.pause), (TaskStatus::Completed, None));
    let took = ended.execution_time.unwrap();
    assert!((55.0..120.0).contains(&took), "{took} s without the pause");
    assert_eq!((f.scanner.creates(), f.scanner.launches(), f.scanner.calls(MockOperation::Resume)), (1, 1, 1));
    for refused in [f.service.pause(&task_id, None).await, f.service.resume(&task_id).await] {
        assert!(
            matches!(refused, Err(ServiceError::AlreadyEnded { status: TaskStatus::Completed, .. })),
            "{refused:?}"
        );
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_worker_pauses_and_resumes() {
    let f = fixture_with(1, LONG / 5);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    let scan = f.scan(&task_id).await;
    worker.worker.abort();
    f.service.pause(&task_id, None).await.unwrap();
    let wished = f.service.status(&task_id).await.unwrap().pause.unwrap();
    assert_eq!((wished.by, wished.state), (PausedBy::Request, PauseState::Pausing));
    assert_eq!(f.state(&scan).await, ScanState::Running);
    let worker = f.start_with(limits());
    f.paused(&task_id, PausedBy::Request, PauseState::Paused).await;
    worker.worker.abort();
    f.service.resume(&task_id).await.unwrap();
    assert_eq!(f.state(&scan).await, ScanState::Paused);
    let worker = f.start_with(limits());
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_held_back_without_a_slot_and_without_holding_up_others() {
    let f = fixture(1);
    let held = f.submit().await;
    let message = f.service.pause(&held, Some("not yet")).await.unwrap().message;
    assert!(message.contains("does not begin until the task is resumed"), "{message}");
    let other = f.submit().await;
    let worker = f.start_with(limits());
    assert_eq!(f.ended(&other).await.status, TaskStatus::Completed);
    let claims = f.service.metrics().render().unwrap();
    let view = f.service.status(&held).await.unwrap();
    assert_eq!((view.status, f.entry(&held).await), (TaskStatus::Queued, Some(EntryState::Delayed)), "{claims}");
    let waiting_for = view.waiting_for.unwrap();
    assert!(waiting_for.contains("it is paused since") && waiting_for.contains("not yet"), "{waiting_for}");
    assert_eq!(view.pause.unwrap().state, PauseState::Paused);
    tokio::time::sleep(LONG).await;
    assert_eq!((f.scanner.creates(), f.task(&held).await.fence), (1, None), "nothing is written while it waits");
    let resumed = Instant::now();
    f.service.resume(&held).await.unwrap();
    let view = f.ended(&held).await;
    assert_eq!((view.status, view.waiting_for), (TaskStatus::Completed, None));
    assert!(resumed.elapsed() < Duration::from_secs(150), "it is looked at soon");
    assert_eq!(f.scanner.launches(), 2);
    worker.stop().await;
}

/// The time of a task that has started counts only while it may go on.
#[tokio::test(start_paused = true)]
async fn a_task_between_two_tries_is_held_too() {
    let f = fixture(1);
    for _ in 0..3 {
        f.scanner.fail_next(MockOperation::Create, unreachable(RequestSent::No));
    }
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_call(MockOperation::Create).await;
    f.service.pause(&task_id, None).await.unwrap();
    f.paused(&task_id, PausedBy::Request, PauseState::Paused).await;
    tokio::time::sleep(LONG).await;
    assert_eq!((f.task(&task_id).await.status, f.scanner.creates()), (TaskStatus::Running, 0));
    f.service.resume(&task_id).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, f.scanner.creates()), (TaskStatus::Completed, 1));
    assert!(ended.execution_time.unwrap() < 300.0, "{ended:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_was_created_is_not_launched_while_it_is_held() {
    let f = fixture(1);
    let task_id = f.submit().await;
    for _ in 0..3 {
        f.scanner.fail_next(MockOperation::Launch, unreachable(RequestSent::No));
    }
    let worker = f.start_with(limits());
    f.wait_for_call(MockOperation::Launch).await;
    f.service.pause(&task_id, None).await.unwrap();
    while f.entry(&task_id).await != Some(EntryState::Delayed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 0));
    let slots = f.service.queue().slots_in_use(&pool(), &InstanceId::new("one").unwrap()).await.unwrap();
    assert!(slots.is_empty(), "nothing runs");
    tokio::time::sleep(LONG).await;
    assert_eq!(f.scanner.launches(), 0);
    f.service.resume(&task_id).await.unwrap();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_scan_is_cancelled_and_keeps_what_it_found() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    f.service.pause(&task_id, None).await.unwrap();
    f.paused(&task_id, PausedBy::Request, PauseState::Paused).await;
    f.service.cancel(&task_id, None).await.unwrap();
    let refused = f.service.pause(&task_id, None).await.unwrap_err();
    assert_eq!(refused.code(), "not_pausable", "{refused}");
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.results_available, ended.pause), (TaskStatus::Cancelled, true, None));
    assert_eq!((f.scanner.running(), f.scanner.calls(MockOperation::Resume)), (0, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_pauses_on_the_scanner_is_told_and_left_alone() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    let scan = f.scan(&task_id).await;
    f.scanner.pause(&scan).await.unwrap();
    f.paused(&task_id, PausedBy::Scanner, PauseState::Paused).await;
    let refused = f.service.resume(&task_id).await.unwrap_err();
    assert_eq!(refused.code(), "not_resumable", "{refused}");
    assert!(refused.to_string().contains("on its scanner"), "{refused}");
    f.service.pause(&task_id, None).await.unwrap();
    let message = f.service.resume(&task_id).await.unwrap().message;
    assert!(message.contains("does not go on yet"), "{message}");
    tokio::time::sleep(LONG / 6).await;
    assert_eq!((f.state(&scan).await, f.scanner.calls(MockOperation::Resume)), (ScanState::Paused, 0));
    f.scanner.resume(&scan).await.unwrap();
    let ended = f.ended(&task_id).await;
    assert_eq!(ended.status, TaskStatus::Completed);
    assert!(ended.execution_time.unwrap() < 300.0, "{ended:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_ends_before_it_can_be_paused_is_complete() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    for _ in 0..500 {
        f.scanner.fail_next(MockOperation::Pause, unreachable(RequestSent::No));
    }
    f.service.pause(&task_id, None).await.unwrap();
    f.paused(&task_id, PausedBy::Request, PauseState::Pausing).await;
    f.wait_for_call(MockOperation::Pause).await;
    let failing = loop {
        match f.service.status(&task_id).await.unwrap().last_error {
            Some(failing) => break failing,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!((failing.step.as_str(), failing.code.as_str()), ("watch", "scanner_unreachable"));
    let ended = f.ended(&task_id).await;
    assert_eq!((ended.status, ended.pause), (TaskStatus::Completed, None));
    worker.stop().await;
}

/// Also what is resumed before its pause has come.
#[tokio::test(start_paused = true)]
async fn who_changes_their_mind_again_and_again_has_the_last_word() {
    let f = fixture(1);
    let task_id = f.submit().await;
    let worker = f.start_with(limits());
    f.wait_for_progress(&task_id).await;
    for millis in [0, 10, 700, 2500, 5000] {
        f.service.pause(&task_id, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        f.service.resume(&task_id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    f.service.pause(&task_id, None).await.unwrap();
    f.paused(&task_id, PausedBy::Request, PauseState::Paused).await;
    f.service.resume(&task_id).await.unwrap();
    f.goes_on(&task_id).await;
    assert!(f.service.resume(&task_id).await.unwrap().message.contains("no pause was requested"));
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches()), (1, 1));
    worker.stop().await;
}
