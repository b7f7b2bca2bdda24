//! What a worker tells of itself, and what is said when nobody does.

use super::*;
use crate::service::{WorkerState, WorkersView};

impl Fixture {
    async fn workers(&self) -> WorkersView {
        self.service.workers().await.unwrap()
    }

    async fn waiting_for(&self, task_id: &TaskId) -> Option<String> {
        self.service.status(task_id).await.unwrap().waiting_for
    }
}

impl Running {
    /// As a killed process: it says nothing.
    async fn kill(self) {
        self.worker.abort();
        assert!(self.worker.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_of_itself_until_it_ends() {
    let f = fixture(1);
    let before = f.service.clock().now();
    let (running, _waits) = (f.submit().await, f.submit().await);
    let worker = f.start();
    f.wait_for_launch().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let view = f.workers().await;
    let [told] = &view.workers[..] else { panic!("{view:?}") };
    assert_eq!((told.state, view.alive(), told.heard_seconds_ago < Some(6)), (WorkerState::Alive, 1, true), "{told:?}");
    assert_eq!((told.pid, told.version.as_deref()), (Some(std::process::id()), Some(env!("CARGO_PKG_VERSION"))));
    assert!(told.host.as_ref().is_some_and(|host| !host.is_empty()), "{told:?}");
    assert!(told.user.as_ref().is_some_and(|user| !user.is_empty()), "{told:?}");
    assert!(told.started_at.is_some_and(|at| at >= before && at <= before.plus(Duration::from_secs(1))), "{told:?}");
    assert_eq!((told.pools.len(), &told.pools[0].pool, told.pools[0].capacity), (1, &pool(), 1));
    assert_eq!((&told.holds, told.holding), (&vec![running.clone()], 1));
    assert_eq!(view.unserved_pools, []);

    // What it serves follows the configuration.
    let other = ScannerInstance::new(InstanceId::new("two").unwrap(), 3, f.scanner.clone());
    let dmz = PoolName::new("dmz").unwrap();
    f.service.scanners().replace(vec![ScannerPool::new(dmz.clone(), "mock", vec![other])]).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let view = f.workers().await;
    let served = &view.workers[0].pools;
    assert_eq!((served.len(), &served[0].pool, served[0].capacity), (1, &dmz, 3));
    assert_eq!((&view.unserved_pools[0].scanner_pool, view.unserved_pools[0].waiting), (&pool(), 2));
    assert_eq!(f.waiting_for(&running).await, None, "it is in its hands, whatever is configured");

    worker.stop().await;
    assert_eq!(f.workers().await.workers, []);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_died_is_missed_until_another_comes() {
    let f = fixture(1);
    let (running, waits) = (f.submit().await, f.submit().await);
    let worker = f.start();
    f.wait_for_launch().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(f.waiting_for(&waits).await, None);
    worker.kill().await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    let view = f.workers().await;
    assert_eq!(
        (view.workers[0].state, view.alive(), &view.workers[0].holds),
        (WorkerState::Lost, 0, &vec![running.clone()])
    );
    let last_heard_at = view.unserved_pools[0].last_heard_at.unwrap();
    let expected = format!("no worker serves the pool `lab`: the last one was heard of at {last_heard_at}");
    let status = f.service.status(&waits).await.unwrap();
    assert_eq!((status.waiting_for.as_ref(), status.estimated_wait_seconds), (Some(&expected), None));
    assert_eq!(status.troubleshooting[0].code, "no_worker");
    assert_eq!(f.waiting_for(&running).await.as_ref(), Some(&expected), "nobody watches its scan");
    // What is said does not change by itself: whoever waits for a change is not woken.
    let later = tokio::time::Instant::now() + Duration::from_secs(20);
    f.service.status_change(&waits, Duration::from_secs(20)).await.unwrap();
    assert!(tokio::time::Instant::now() >= later);
    let pool = f.service.pool_status(None).await.unwrap();
    assert_eq!(
        (pool.pool.workers, pool.queue.no_worker.as_ref(), pool.estimated_wait_seconds),
        (Some(0), Some(&expected), None)
    );

    let worker = f.start();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((f.waiting_for(&waits).await, f.workers().await.unserved_pools), (None, vec![]));
    assert_eq!(f.service.list_pools().await.unwrap().pools[0].workers, Some(1));
    for task in [&running, &waits] {
        assert_eq!(f.ended(task).await.status, TaskStatus::Completed);
    }
    worker.stop().await;
}

/// What keeps its worker from hearing anything of a scan is said, and that it has not changed for long.
#[tokio::test(start_paused = true)]
async fn a_scan_that_stands_still_says_why() {
    let f = fixture_with(1, Duration::from_secs(600));
    let task_id = f.submit().await;
    let worker = f.start();
    f.wait_for_launch().await;
    f.wait_for_progress(&task_id).await;
    assert_eq!(f.waiting_for(&task_id).await, None);
    for _ in 0..400 {
        f.scanner.fail_next(MockOperation::Status, ScannerError::AuthenticationRefused("wrong password".to_owned()));
    }
    f.wait_until_told(&task_id, "wrong password").await;
    let view = f.service.status(&task_id).await.unwrap();
    let (said, last) = (view.waiting_for.unwrap(), view.last_error.unwrap());
    assert!(said.starts_with(&format!("the scanner cannot be asked for its scan since {}", last.since)), "{said}");
    assert_eq!(view.troubleshooting.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(), [last.code.as_str()]);
    f.scanner.forget_faults();
    worker.stop().await;
}

impl Fixture {
    async fn wait_until_told(&self, task_id: &TaskId, what: &str) {
        for _ in 0..2000 {
            if self.waiting_for(task_id).await.is_some_and(|said| said.contains(what)) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it does not say `{what}`: {:?}", self.waiting_for(task_id).await);
    }
}
