//! Workers that are lost with a task, one after the other: the task waits, its scan goes on, and nothing is dead-lettered too soon.

use super::*;
use crate::{
    ids::WorkerId,
    queue::{LOSSES_ALLOWED, Settlement, pause_after_losses},
};

const MINUTE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(10);

impl Fixture {
    /// Lets so many workers claim the task and vanish.
    async fn lose_workers(&self, count: u32) {
        let dying = WorkerId::new("dying").unwrap();
        let mut lost = 0;
        for _ in 0..1000 {
            let claim = self.service.queue().claim_started(&pool(), &dying, LEASE).await.unwrap();
            tokio::time::sleep(LEASE).await;
            lost += u32::from(claim.is_some());
            if lost == count {
                // The next claim notices the last one. It may get the task, which it hands back: that counts no loss.
                let noticed = self.service.queue().claim_started(&pool(), &dying, LEASE).await.unwrap();
                if let Some(claim) = noticed {
                    let release = Settlement::Release { delay: Duration::ZERO, started: true };
                    self.service.queue().settle(&claim.lease, release).await.unwrap();
                }
                return;
            }
        }
        panic!("only {lost} workers were lost");
    }

    /// A task whose scan runs, and that so many workers did not survive.
    async fn suspect(&self, lost: u32) -> TaskId {
        let task_id = self.submit().await;
        let worker = self.start();
        self.wait_until_seen(&task_id).await;
        worker.stop().await;
        self.lose_workers(lost).await;
        task_id
    }

    /// Waits until the scanner has said something of the task's scan.
    async fn wait_until_seen(&self, task_id: &TaskId) {
        for _ in 0..20_000 {
            if self.service.status(task_id).await.unwrap().scan_state.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the scan does not run");
    }

    async fn metric(&self, line: &str) -> bool {
        self.service.render_metrics().await.unwrap().lines().any(|one| one == line)
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_fails_no_task_and_stops_no_scan() {
    let f = fixture_with(1, 20 * MINUTE);
    let task_id = f.suspect(LOSSES_ALLOWED + 5).await;
    let view = f.service.status(&task_id).await.unwrap();
    let said = view.waiting_for.unwrap();
    assert!(said.starts_with("25 workers in a row were lost with it"), "{said}");
    assert!(f.metric("nessus_pool_suspect_tasks{pool=\"lab\"} 1").await);
    assert_eq!((view.status, f.scanner.running()), (TaskStatus::Running, 1));

    let worker = f.start();
    assert_eq!(f.ended(&task_id).await.status, TaskStatus::Completed);
    assert_eq!((f.scanner.creates(), f.scanner.launches(), f.scanner.calls(MockOperation::Stop)), (1, 1, 0));
    assert_eq!(f.dead_codes().await, Vec::<String>::new());
    assert!(f.metric("nessus_pool_suspect_tasks{pool=\"lab\"} 0").await);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_suspect_whose_time_is_over_fails_and_a_retry_goes_on_with_its_scan() {
    let f = fixture_with(1, 20 * MINUTE);
    let task_id = f.suspect(LOSSES_ALLOWED + 1).await;
    let worker = f.start_with(WorkerSettings::default().with_scan_timeout(MINUTE));
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("poison_task")));
    assert_eq!(f.dead_codes().await, ["poison_task"]);
    let scan = view.nessus_scan_id.unwrap();
    assert_eq!(view.scanner_instance.unwrap().as_str(), "one");
    assert!(view.error_message.unwrap().contains(&format!("its scan {scan} on `one` was not stopped")));
    assert_eq!((f.scanner.running(), f.scanner.calls(MockOperation::Stop)), (1, 0));
    worker.stop().await;

    f.service.retry(&task_id).await.unwrap();
    let worker = f.start();
    let view = f.ended(&task_id).await;
    assert_eq!((view.status, view.attempt, view.nessus_scan_id), (TaskStatus::Completed, 2, Some(scan)));
    assert_eq!((f.scanner.creates(), f.scanner.launches(), f.scanner.calls(MockOperation::Stop)), (1, 1, 0));
    worker.stop().await;
}

/// Neither a worker that has written something new before it died, nor one that lived on for a while.
#[tokio::test(start_paused = true)]
async fn a_worker_that_got_somewhere_is_no_loss() {
    for lives in [Duration::from_secs(1), Duration::from_secs(30)] {
        let f = fixture_with(1, 20 * MINUTE);
        let task_id = f.submit().await;
        f.lose_workers_of_new(LOSSES_ALLOWED).await;
        let worker = f.start();
        f.wait_until_seen(&task_id).await;
        tokio::time::sleep(lives).await;
        worker.worker.abort();
        tokio::time::sleep(2 * MINUTE).await;
        let claim = f.service.queue().claim_started(&pool(), &WorkerId::generate(), LEASE).await.unwrap();
        assert_eq!(claim.expect("it is ready at once").losses, 0, "{lives:?}");
    }
}

impl Fixture {
    /// The same of a task that no worker has held yet.
    async fn lose_workers_of_new(&self, count: u32) {
        let dying = WorkerId::new("dying").unwrap();
        self.service.queue().claim(&pool(), &dying, LEASE, &[]).await.unwrap().expect("the task");
        tokio::time::sleep(LEASE).await;
        self.lose_workers(count - 1).await;
    }
}

#[test]
fn pauses_grow_up_to_a_quarter_of_an_hour() {
    let pauses = (LOSSES_ALLOWED..).map(|losses| pause_after_losses(losses).map(|pause| pause.as_secs()));
    let first: Vec<_> = pauses.take(13).map(Option::unwrap_or_default).collect();
    assert_eq!(first, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    assert_eq!(pause_after_losses(u32::MAX), Some(Duration::from_secs(900)));
}
