//! What is said when no worker serves a pool or has a scanner, and who sees what of the workers.

use super::*;
use crate::{
    circuit_breaker::{CircuitCommand, CircuitState},
    ids::{FencingToken, ScanId},
    policy::Policy,
    queue::CircuitReport,
    service::UnservedPool,
    task::{LastError, Observation, Step, Task, Writer},
};

async fn withdraw(f: &Fixture) {
    f.service.queue().withdraw_worker(&WorkerId::new("w").unwrap()).await.unwrap();
    // What is known is kept for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

fn pinned() -> SubmitRequest {
    SubmitRequest { instance: Some("one".to_owned()), ..request() }
}

#[tokio::test]
async fn a_pool_without_a_worker_says_so_at_once() {
    let f = fixture().await;
    let served = f.service.submit(request()).await.unwrap();
    assert_eq!((served.waiting_for, served.estimated_wait_seconds), (None, Some(0)));
    withdraw(&f).await;
    let expected = "no worker serves the pool `lab`";
    let submitted = f.service.submit(request()).await.unwrap();
    assert_eq!((submitted.waiting_for.as_deref(), submitted.estimated_wait_seconds), (Some(expected), None));
    let view = f.service.status(&submitted.task_id).await.unwrap();
    assert_eq!((view.waiting_for.as_deref(), view.estimated_wait_seconds), (Some(expected), None));
    let dry = f.service.dry_run(request()).await.unwrap();
    assert_eq!((dry.waiting_for.as_deref(), dry.estimated_wait_seconds), (Some(expected), None));
    let queues = f.service.queue_status(None).await.unwrap();
    assert_eq!(queues.pools[0].no_worker.as_deref(), Some(expected));
    let workers = f.service.workers().await.unwrap();
    let unserved = UnservedPool { scanner_pool: pool(), waiting: 2, last_heard_at: None };
    assert_eq!((workers.workers, workers.unserved_pools), (vec![], vec![unserved]));

    f.announce(&["one"], true).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let view = f.service.status(&submitted.task_id).await.unwrap();
    assert_eq!(view.waiting_for.as_deref(), Some("no worker serves the pool `lab`: the last one stops"));
}

#[tokio::test]
async fn a_scanner_that_no_worker_has_is_said() {
    let f = fixture().await;
    f.announce(&["off"], false).await;
    let submitted = f.service.submit(pinned()).await.unwrap();
    let expected = "no worker that serves the pool `lab` has the scanner `one` configured";
    assert_eq!((submitted.waiting_for.as_deref(), submitted.estimated_wait_seconds), (Some(expected), None));
    assert_eq!(f.service.submit(request()).await.unwrap().waiting_for, None);
    // A worker of an older version may have it.
    let circuit = CircuitReport::new(pool(), InstanceId::new("one").unwrap(), CircuitState::Closed, "");
    let kept = Duration::from_secs(3600);
    f.service.queue().publish_circuit_states("process:5f", std::slice::from_ref(&circuit), kept).await.unwrap();
    assert_eq!(f.service.status(&submitted.task_id).await.unwrap().waiting_for, None);
}

/// A free slot of a scanner that is not called is none.
#[tokio::test]
async fn without_a_scanner_that_is_called_nothing_is_estimated() {
    let f = fixture().await;
    f.service.command_circuit("lab", "one", CircuitCommand::Isolate, "maintenance").await.unwrap();
    let submitted = f.service.submit(request()).await.unwrap();
    let view = f.service.status(&submitted.task_id).await.unwrap();
    let dry = f.service.dry_run(request()).await.unwrap();
    for said in [submitted.waiting_for, view.waiting_for, dry.waiting_for] {
        assert!(
            said.as_ref().is_some_and(|said| said.contains("circuit of the scanner `one` is isolated")),
            "{said:?}"
        );
    }
    let pool = f.service.pool_status(None).await.unwrap();
    let estimates = [
        submitted.estimated_wait_seconds,
        view.estimated_wait_seconds,
        dry.estimated_wait_seconds,
        pool.estimated_wait_seconds,
    ];
    assert_eq!(estimates, [None; 4]);
}

/// What a person has decided comes first.
#[tokio::test]
async fn a_task_that_is_held_says_so_before_it_misses_a_worker() {
    let f = fixture().await;
    let task_id = f.service.submit(request()).await.unwrap().task_id;
    f.service.pause(&task_id, Some("not yet")).await.unwrap();
    withdraw(&f).await;
    let said = f.service.status(&task_id).await.unwrap().waiting_for.unwrap();
    assert!(said.starts_with("it is paused since"), "{said}");
    assert!(said.ends_with("no worker serves the pool `lab`"), "{said}");
}

/// A worker of this process is there, whatever the queue has heard of it; so may others be while the queue has lost its data.
#[tokio::test]
async fn nobody_is_missed_who_could_not_announce_itself() {
    let f = fixture().await;
    withdraw(&f).await;
    let task_id = f.service.submit(request()).await.unwrap().task_id;
    let said = async || f.service.status(&task_id).await.unwrap().waiting_for;
    assert!(said().await.is_some());
    f.service.serve_here(vec![pool()]);
    assert_eq!(said().await, None);
    f.service.serve_here(Vec::new());
    assert!(said().await.is_some());
    f.service.expect_worker();
    assert_eq!(said().await, None);
}

/// Workers of an older version say nothing. One that renews a lease is there; and a process that shows circuits may be one.
#[tokio::test]
async fn beside_an_older_version_nothing_is_said() {
    let f = fixture().await;
    withdraw(&f).await;
    let (first, second) = (f.service.submit(request()).await.unwrap(), f.service.submit(request()).await.unwrap());
    assert!(second.waiting_for.is_some());
    let lease = Duration::from_secs(3600);
    let older = WorkerId::new("older").unwrap();
    let claim = f.service.queue().claim(&pool(), &older, lease, &[]).await.unwrap().unwrap();
    assert_eq!(claim.lease.task_id, first.task_id);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(f.service.status(&second.task_id).await.unwrap().waiting_for, None);
    let view = f.service.workers().await.unwrap();
    assert_eq!((view.alive(), view.unserved_pools), (1, vec![]));
    let [worker] = &view.workers[..] else { panic!("{:?}", view.workers) };
    assert_eq!((&worker.worker, worker.version.as_ref(), &worker.holds), (&older, None, &vec![first.task_id]));
    assert_eq!(f.service.list_pools().await.unwrap().pools[0].workers, None, "nobody can tell how many");

    f.service.queue().settle(&claim.lease, crate::queue::Settlement::Ack).await.unwrap();
    let circuit = CircuitReport::new(pool(), InstanceId::new("one").unwrap(), CircuitState::Closed, "");
    for (process, expected) in [("process:5f", false), ("host:17:5f", true)] {
        f.service.queue().publish_circuit_states(process, std::slice::from_ref(&circuit), lease).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let said = f.service.status(&second.task_id).await.unwrap().waiting_for;
        assert_eq!(said.is_some(), expected, "{process}: {said:?}");
        f.service.queue().publish_circuit_states(process, &[], Duration::ZERO).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_sees_no_tasks_of_others_in_a_workers_hands() {
    let f = fixture().await;
    let theirs = f.service.submit(request()).await.unwrap().task_id;
    let mut record = f.service.queue().workers().await.unwrap().remove(0).record;
    record.holds = vec![theirs.clone()];
    f.service.queue().announce_worker(&record, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(f.service.workers().await.unwrap().workers[0].holds, [theirs]);
    let client = |at: u32, name: &str, pool: &str| {
        format!("  - {{name: {name}, role: scan, token_sha256: {at:064x}, pools: [{pool}]}}\n")
    };
    let text = format!("visibility: own\nclients:\n{}{}", client(1, "client", "lab"), client(2, "elsewhere", "dmz"));
    f.service.scope().replace(Policy::parse(&text, Path::new("policy.yaml"), &|_| None).unwrap());
    let seen = rights::acting_for(&f.service, "client").workers().await.unwrap();
    assert_eq!((seen.workers[0].holds.len(), seen.workers[0].holding), (0, 1));
    let seen = rights::acting_for(&f.service, "elsewhere").workers().await.unwrap();
    assert_eq!((seen.workers, seen.unserved_pools), (vec![], vec![]));
    // Nor is it told that nobody serves a pool that is not there for it.
    withdraw(&f).await;
    for (name, unserved) in [("client", Some(serde_json::json!(["lab"]))), ("elsewhere", None)] {
        let health = rights::acting_for(&f.service, name).health().await;
        assert_eq!(health.checks["workers"].details.get("unserved_pools"), unserved.as_ref(), "{name}");
    }
}

/// What is said of a scan that runs, and of which nothing new is heard.
#[tokio::test]
async fn a_scan_that_stands_still_says_since_when() {
    let f = fixture().await;
    let task_id = f.service.submit(request()).await.unwrap().task_id;
    let ago = |minutes: u64| f.service.clock().now().minus(Duration::from_secs(60 * minutes));
    let said = async |unchanged_since, failure: Option<LastError>| {
        let change = move |task: &mut Task| {
            task.status = TaskStatus::Running;
            if task.nessus_scan_id.is_none() {
                task.open_scan(&InstanceId::new("one").unwrap(), &ScanId::new("7"));
            }
            task.observation = Some(Observation::new("running", Some(40), unchanged_since));
            task.last_error = failure;
        };
        f.service.tasks().update(&task_id, Writer::Worker(FencingToken(1)), change).await.unwrap();
        let view = f.service.status(&task_id).await.unwrap();
        let codes: Vec<_> = view.troubleshooting.into_iter().map(|one| one.code).collect();
        (view.waiting_for, codes)
    };
    assert_eq!(said(ago(29), None).await, (None, vec![]));
    let long_ago = ago(31);
    let expected = format!("its scan has not changed on the scanner since {long_ago}");
    assert_eq!(said(long_ago, None).await, (Some(expected), vec!["no_progress".to_owned()]));
    let failure = LastError::new(Step::Watch, "scanner_certificate", "the certificate has expired", ago(3));
    let expected = format!(
        "the scanner cannot be asked for its scan since {}, which may go on there: the certificate has expired",
        failure.since
    );
    assert_eq!(said(ago(2), Some(failure)).await, (Some(expected), vec!["scanner_certificate".to_owned()]));
}
