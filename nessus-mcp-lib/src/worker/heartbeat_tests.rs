//! The heartbeat against a scripted queue, in paused time.

use super::*;
use crate::{
    ids::{FencingToken, PoolName, WorkerId},
    queue::{MockQueue, QueueError},
    time::{Timestamp, suspend},
};

const LENGTH: Duration = Duration::from_secs(60);

fn lease() -> Lease {
    let task = TaskId::generate("nessus", "nessus", Timestamp::from_millis(0));
    Lease::new(PoolName::new("nessus").unwrap(), task, WorkerId::generate(), FencingToken(1))
}

fn unavailable() -> QueueError {
    QueueError::Unavailable { location: "there".to_owned(), problem: "gone".to_owned(), source: None }
}

/// How long after its start the heartbeat says that the claim is lost.
async fn lost_after(queue: MockQueue) -> Duration {
    let start = tokio::time::Instant::now();
    let heartbeat = Heartbeat::start(Arc::new(queue), lease(), LENGTH, BootInstant::now());
    tokio::time::timeout(LENGTH * 100, heartbeat.lost().cancelled()).await.unwrap();
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_another_holds_is_lost_at_the_next_beat() {
    let mut queue = MockQueue::new();
    let mut beats = 0;
    queue.expect_note_progress().times(1).returning(|_| Ok(()));
    queue.expect_renew().returning(move |_, _| {
        beats += 1;
        Ok(vec![if beats < 3 { RenewOutcome::Held } else { RenewOutcome::Lost }])
    });
    assert_eq!(lost_after(queue).await, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_is_trusted_for_most_of_the_lease_only() {
    let mut queue = MockQueue::new();
    queue.expect_renew().returning(|_, _| Err(unavailable()));
    assert!(lost_after(queue).await < LENGTH);
}

/// The second beat is told nothing, and the machine is suspended: the first one is older than tokio's clock says.
#[tokio::test(start_paused = true)]
async fn what_was_confirmed_grows_old_while_the_machine_is_suspended() {
    let mut queue = MockQueue::new();
    let mut beats = 0;
    queue.expect_note_progress().times(1).returning(|_| Ok(()));
    queue.expect_renew().returning(move |_, _| {
        beats += 1;
        if beats == 1 {
            return Ok(vec![RenewOutcome::Held]);
        }
        suspend(LENGTH);
        Err(unavailable())
    });
    assert_eq!(lost_after(queue).await, LENGTH / BEATS * 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_recovers_loses_nothing() {
    let mut queue = MockQueue::new();
    let mut beats = 0;
    queue.expect_note_progress().times(1).returning(|_| Ok(()));
    queue.expect_renew().returning(move |_, _| {
        beats += 1;
        if beats % 2 == 0 { Ok(vec![RenewOutcome::Held]) } else { Err(unavailable()) }
    });
    let heartbeat = Heartbeat::start(Arc::new(queue), lease(), LENGTH, BootInstant::now());
    tokio::time::sleep(LENGTH * 10).await;
    assert!(!heartbeat.lost().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_renewed_with_the_claim() {
    let mut queue = MockQueue::new();
    queue.expect_renew().returning(|_, _| Ok(vec![RenewOutcome::Held]));
    queue.expect_note_progress().times(1).returning(|_| Ok(()));
    queue
        .expect_acquire_slot()
        .times(3)
        .withf(|_, instance, _, capacity, _| instance.as_str() == "one" && *capacity == 2)
        .returning(|_, _, _, _, _| Ok(SlotOutcome::Acquired));
    let heartbeat = Heartbeat::start(Arc::new(queue), lease(), LENGTH, BootInstant::now());
    heartbeat.hold_slot(HeldSlot { instance: InstanceId::new("one").unwrap(), capacity: 2 });
    tokio::time::sleep(LENGTH + Duration::from_secs(1)).await;
}

/// What is released after its end is not taken again by a beat that was under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_not_ended_while_a_beat_is_under_way() {
    let mut queue = MockQueue::new();
    queue.expect_renew().returning(|_, _| Ok(vec![RenewOutcome::Held]));
    queue.expect_note_progress().returning(|_| Ok(()));
    let (started, has_started) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let taken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let slot = Arc::clone(&taken);
    queue.expect_acquire_slot().times(1).returning(move |_, _, _, _, _| {
        started.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        slot.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(SlotOutcome::Acquired)
    });
    let heartbeat = Heartbeat::start(Arc::new(queue), lease(), Duration::from_secs(3), BootInstant::now());
    heartbeat.hold_slot(HeldSlot { instance: InstanceId::new("one").unwrap(), capacity: 2 });
    tokio::task::spawn_blocking(move || has_started.recv()).await.unwrap().unwrap();
    let ending = tokio::spawn(heartbeat.end());
    tokio::task::yield_now().await;
    assert!(!ending.is_finished());
    go_on.send(()).unwrap();
    ending.await.unwrap();
    assert!(taken.load(std::sync::atomic::Ordering::SeqCst));
}
