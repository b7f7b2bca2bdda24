//! A day that has room for one scan, and processes that die on the way: what was accepted is charged once, and what ends without
//! a launch is given back once.

use nessus_mcp_lib::durable;
use nessus_mcp_lib::service::{IdempotencyKey, SubmitRequest};
use nessus_mcp_tests::{
    deployment::BY_POLICY,
    hosts::{charged, used_today},
};

use super::*;

/// Room for the scan of these tests, and for one host more.
const POLICY: &str = "max_hosts_per_day: 5\n";
const TARGETS: &str = "192.0.2.0/30";

/// A deployment whose servers go by a policy.
fn limited(sim: &SimulatedNessus, queue: Option<&str>) -> Deployment {
    let deployment = Deployment::new(&sim.scanners_yaml());
    durable::replace(&deployment.path("policy.yaml"), POLICY.as_bytes()).unwrap();
    deployment.on_queue(queue)
}

async fn simulator() -> SimulatedNessus {
    SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await
}

async fn submit_to(server: &Server, key: &str) -> Result<TaskId, String> {
    let client = NessusMcpClient::connect(&server.mcp()).await.map_err(|error| error.to_string())?;
    let mut arguments = SubmitRequest::untrusted("limited", TARGETS);
    arguments.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
    let submitted = client.submit_scan(&arguments).await;
    submitted.map(|submission| submission.task_id).map_err(|error| error.to_string())
}

/// Between any two steps of a submit, on both queues: the same request under its key is one task and one charge, and another
/// has no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_submit_that_is_cut_short_charges_its_hosts_once() {
    Box::pin(dies_in_a_submit(&STEPS_OF_A_SUBMIT)).await;
}

pub(crate) async fn dies_in_a_submit(points: &[&str]) {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        for point in points {
            if queue.is_some() {
                redis.ask(&["FLUSHALL"]);
            }
            let sim = simulator().await;
            let deployment = limited(&sim, queue.as_deref());
            let doomed = deployment.server(binaries::server()).args(BY_POLICY).env(VARIABLE, point);
            let mut doomed = deployment.serve(&doomed);
            assert!(submit_to(&doomed, "k").await.is_err());
            died_at(&mut doomed.process, point);

            let servers = [(); 2].map(|()| deployment.serve(&deployment.server(binaries::server()).args(BY_POLICY)));
            let (one, other) = tokio::join!(submit_to(&servers[0], "k"), submit_to(&servers[1], "k"));
            assert_eq!(one.as_ref().unwrap(), other.as_ref().unwrap(), "{point}");
            let refused = submit_to(&servers[1], "another").await.unwrap_err();
            assert!(refused.contains("daily_host_limit") && refused.contains("4 are used"), "{point}: {refused}");
            assert_eq!(deployment.task_directories(), [one.unwrap().to_string()], "{point}");
            assert_eq!((used_today(&servers[0]).await, charged(&deployment)), (4, 4), "{point}");
        }
    }
}

/// The day fills up between the check and the charge, and the server dies before it has freed the key of the request that it
/// refuses.
pub(crate) async fn dies_refusing(point: &'static str) {
    let sim = simulator().await;
    let deployment = limited(&sim, None);
    let doomed = deployment.server(binaries::server()).args(BY_POLICY);
    let doomed = doomed.env(FREEZE_VARIABLE, "submit_key_claimed").env(VARIABLE, point);
    let mut doomed = deployment.serve(&doomed);
    let mcp = doomed.mcp();
    let late = tokio::spawn(async move {
        let client = NessusMcpClient::connect(&mcp).await.map_err(|error| error.to_string())?;
        let mut arguments = SubmitRequest::untrusted("limited", TARGETS);
        arguments.idempotency_key = Some(IdempotencyKey::new("late").unwrap());
        client.submit_scan(&arguments).await.map(drop).map_err(|error| error.to_string())
    });
    until("the server stands still", &[], async || {
        doomed.process.log().contains("the process stands still at a fail point").then_some(())
    })
    .await;
    let server = deployment.serve(&deployment.server(binaries::server()).args(BY_POLICY));
    let first = submit_to(&server, "first").await.unwrap();
    doomed.process.thaw();
    assert!(late.await.unwrap().is_err());
    died_at(&mut doomed.process, point);

    // Whoever asks again is told, and when there is room the key is free.
    assert!(submit_to(&server, "late").await.unwrap_err().contains("daily_host_limit"));
    assert_eq!((used_today(&server).await, charged(&deployment)), (4, 4));
    let client = NessusMcpClient::connect(&server.mcp()).await.unwrap();
    client.call("cancel_scan", &serde_json::json!({ "task_id": first })).await.unwrap();
    let accepted = submit_to(&server, "late").await.unwrap();
    assert_eq!((used_today(&server).await, charged(&deployment)), (4, 4));
    let states: BTreeSet<_> = deployment
        .task_directories()
        .into_iter()
        .map(|id| TaskId::new(id).unwrap())
        .map(|id| (id == accepted, deployment.task(&id).status.as_str()))
        .collect();
    assert_eq!(states, BTreeSet::from([(false, "cancelled"), (true, "queued")]));
}

/// A task that the scope of its worker refuses has launched nothing. The worker dies before or after it has given the hosts
/// back; the next one sees to it.
pub(crate) async fn dies_giving_back(point: &'static str) {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        let sim = simulator().await;
        let deployment = limited(&sim, queue.as_deref());
        durable::replace(&deployment.path("strict.yaml"), b"deny: [192.0.2.1]\n").unwrap();
        let server = deployment.server(binaries::server()).args(BY_POLICY);
        let site = Site::start_as(sim, deployment, server).await;
        let task = submit_to(&site.server, "k").await.unwrap();
        assert_eq!(used_today(&site.server).await, 4);
        let strict = ["--policy-config", "strict.yaml"];
        let mut first = doomed_worker(&site, point, &strict);
        died_at(&mut first, point);
        let last = site.start_worker(&[SHORT_LEASE, strict].concat());
        let view = site.ended(&task, &[&first, &last]).await;
        assert_eq!(view.error_code.as_deref(), Some("out_of_scope"), "{view:?}");
        site.queue_is_empty(&[&last]).await;
        assert_eq!((used_today(&site.server).await, charged(&site.deployment)), (0, 0), "{point}");
        assert_eq!(site.sim.stats().total_launches, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_worker_that_dies_before_it_gives_hosts_back_leaves_that_to_the_next() {
    dies_giving_back("worker_before_acknowledge").await;
}

/// From the note that it launches on, a worker that dies leaves a scan that counts: the next one launches it or finds it
/// launched.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_launched_counts_whoever_dies() {
    for point in ["worker_launch_noted", "worker_launched", "worker_after_final_state"] {
        dies_launching(point).await;
    }
}

pub(crate) async fn dies_launching(point: &'static str) {
    let sim = simulator().await;
    let deployment = limited(&sim, None);
    let server = deployment.server(binaries::server()).args(BY_POLICY);
    let site = Site::start_as(sim, deployment, server).await;
    let task = submit_to(&site.server, "k").await.unwrap();
    let mut first = doomed_worker(&site, point, &[]);
    died_at(&mut first, point);
    let last = site.start_worker(&SHORT_LEASE);
    site.completed(&task, &[&first, &last]).await;
    site.queue_is_empty(&[&last]).await;
    assert_eq!((used_today(&site.server).await, charged(&site.deployment)), (4, 4), "{point}");
    site.each_scan_ran_once(1);
}

/// The server dies after it has given the hosts of a cancelled scan back, with the task still in the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cancel_that_is_cut_short_gives_hosts_back_once() {
    dies_cancelling().await;
}

pub(crate) async fn dies_cancelling() {
    const POINT: &str = "cancel_hosts_given_back";
    let sim = simulator().await;
    let deployment = limited(&sim, None);
    let server = deployment.server(binaries::server()).args(BY_POLICY).env(VARIABLE, POINT);
    let mut site = Site::start_as(sim, deployment, server).await;
    let task = submit_to(&site.server, "k").await.unwrap();
    assert!(site.client().call("cancel_scan", &serde_json::json!({ "task_id": task })).await.is_err());
    died_at(&mut site.server.process, POINT);
    let server = site.deployment.serve(&site.deployment.server(binaries::server()).args(BY_POLICY));
    assert_eq!(used_today(&server).await, 0);
    let other = submit_to(&server, "other").await.unwrap();
    let worker = site.start_worker(&SHORT_LEASE);
    site.restart_server().await;
    site.completed(&other, &[&worker]).await;
    site.queue_is_empty(&[&worker]).await;
    assert_eq!((used_today(&server).await, charged(&site.deployment)), (4, 4));
    assert_eq!(site.deployment.task(&task).status, TaskStatus::Cancelled);
    site.each_scan_ran_once(1);
}
