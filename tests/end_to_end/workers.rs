//! Who works here, and what is said when nobody does.

use std::time::Duration;

use nessus_mcp_lib::service::{WorkerState, WorkersView};
use nessus_mcp_tests::{binaries, processes::until, redis::RedisServer, sim::SimConfig, site::Site};

/// What a dead worker held is free soon.
const LEASE: [&str; 2] = ["--lease-seconds", "10"];

fn workers(site: &Site) -> WorkersView {
    let shown = site.deployment.program(binaries::admin(), &["workers", "--json"]).run();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    serde_json::from_str(&shown.stdout).unwrap()
}

/// The worker is killed without a word: its pool is unserved until another one comes, which goes on with its scan.
#[tokio::test]
async fn a_killed_worker_is_missed() {
    let redis = RedisServer::start();
    let mut site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_secs(10))).await;
    let nobody = "no worker serves the pool `nessus`";
    let early = site.submit("early", "192.0.2.1").await;
    let view = site.view(&early).await;
    assert_eq!((view.waiting_for.as_deref(), view.estimated_wait_seconds), (Some(nobody), None));
    assert_eq!(workers(&site).unserved_pools[0].waiting, 1);

    let other = site.submit("other", "192.0.2.2").await;
    let mut held = [early.clone(), other.clone()];
    held.sort_unstable();
    let mut first = site.start_worker(&LEASE);
    site.running(2, &[&first]).await;
    until("the worker tells what it holds", &[&first], async || {
        workers(&site).workers.first().is_some_and(|told| told.holds == held).then_some(())
    })
    .await;
    let told = workers(&site).workers.remove(0);
    assert_eq!((told.state, told.pid), (WorkerState::Alive, Some(first.id())));
    assert_eq!(told.pools[0].pool.as_str(), "nessus");
    let log = first.log();
    assert!(log.contains(told.worker.as_str()), "{} is not in {log}", told.worker);
    let waits = site.submit("waits", "192.0.2.3").await;
    assert_eq!(site.view(&waits).await.waiting_for, None);

    first.kill();
    let said = until("the worker is missed", &[&site.server.process], async || {
        site.view(&waits).await.waiting_for.filter(|said| said.starts_with(nobody))
    })
    .await;
    assert!(said.contains("the last one was heard of at 20"), "{said}");
    assert_eq!(site.view(&waits).await.estimated_wait_seconds, None);
    assert_eq!(site.client().list_pools().await.unwrap().pools[0].workers, Some(0));
    let queues = site.client().get_queue_status(None).await.unwrap();
    assert_eq!(queues.pools[0].no_worker.as_ref(), Some(&said));
    let view = workers(&site);
    assert_eq!((view.workers[0].state, &view.workers[0].holds), (WorkerState::Lost, &held.to_vec()));
    let table = site.deployment.program(binaries::admin(), &["workers"]).run();
    assert!(table.code == Some(0) && table.stdout.contains("lost"), "{table:?}");
    assert!(table.stdout.contains(&format!("{nobody}: 3 tasks wait there; the last one was heard of at")), "{table:?}");
    site.server.process.wait_for_log("no worker serves this pool: its tasks wait");

    let mut second = site.start_worker(&LEASE);
    until("a worker serves the pool", &[&second], async || {
        let served = site.view(&waits).await.waiting_for.is_none_or(|said| !said.contains("no worker"));
        (served && workers(&site).unserved_pools.is_empty()).then_some(())
    })
    .await;
    site.server.process.wait_for_log("a worker serves this pool again");
    for task in [&early, &other, &waits] {
        site.completed(task, &[&second]).await;
    }
    site.each_scan_ran_once(3);
    assert_eq!(second.terminate(), Some(0));
    let left: Vec<_> = workers(&site).workers.into_iter().map(|worker| worker.state).collect();
    assert_eq!(left, [WorkerState::Lost], "one that ends in order is gone, the other one is missed for a day");
}
