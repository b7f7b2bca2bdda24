//! A client that may have one scan at once, and processes that die on the way: what was accepted counts once, and what has ended makes
//! room.

use nessus_mcp_lib::{
    client::Endpoint,
    durable,
    policy::{TokenHash, new_token},
    secret::Secret,
    service::{IdempotencyKey, SubmitRequest},
};
use nessus_mcp_tests::deployment::BY_POLICY;
use serde_json::json;

use super::*;

fn limited(sim: &SimulatedNessus, queue: Option<&str>, token: &Secret) -> Deployment {
    let deployment = Deployment::new(&sim.scanners_yaml());
    let hash = TokenHash::of(token.expose());
    let policy = format!(
        "local: admin\nclients: [{{name: lab, role: scan, token_sha256: {hash}, max_scans_at_once: 1, max_scans_per_day: 2}}]"
    );
    durable::replace(&deployment.path("policy.yaml"), policy.as_bytes()).unwrap();
    deployment.on_queue(queue)
}

async fn connect(server: &Server, token: &Secret) -> Result<NessusMcpClient, String> {
    NessusMcpClient::connect(Endpoint::new(server.mcp()).with_token(token.clone()))
        .await
        .map_err(|error| error.to_string())
}

async fn submit_to(server: &Server, token: &Secret, key: &str) -> Result<TaskId, String> {
    let mut arguments = SubmitRequest::untrusted("limited", "192.0.2.1");
    arguments.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
    let submitted = connect(server, token).await?.submit_scan(&arguments).await;
    submitted.map(|submission| submission.task_id).map_err(|error| error.to_string())
}

/// Between any two steps of a submit, on both queues.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_submit_that_is_cut_short_counts_once_for_its_client() {
    Box::pin(dies_in_a_submit(&STEPS_OF_A_SUBMIT)).await;
}

pub(crate) async fn dies_in_a_submit(points: &[&str]) {
    let redis = RedisServer::start();
    for queue in queues(&redis) {
        for point in points {
            if queue.is_some() {
                redis.ask(&["FLUSHALL"]);
            }
            let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
            let token = new_token();
            let deployment = limited(&sim, queue.as_deref(), &token);
            let doomed = deployment.server(binaries::server()).args(BY_POLICY).env(VARIABLE, point);
            let mut doomed = deployment.serve(&doomed);
            assert!(submit_to(&doomed, &token, "k").await.is_err());
            died_at(&mut doomed.process, point);

            let servers = [(); 2].map(|()| deployment.serve(&deployment.server(binaries::server()).args(BY_POLICY)));
            let (one, other) = tokio::join!(submit_to(&servers[0], &token, "k"), submit_to(&servers[1], &token, "k"));
            let task = one.unwrap();
            assert_eq!(task, other.unwrap(), "{point}");
            let refused = submit_to(&servers[1], &token, "another").await.unwrap_err();
            assert!(refused.contains("client_limit") && refused.contains("has 1 scan that"), "{point}: {refused}");
            assert_eq!(deployment.task_directories(), [task.to_string()], "{point}");

            // It has launched nothing, so it counts nothing when it is cancelled.
            let client = connect(&servers[0], &token).await.unwrap();
            client.call("cancel_scan", &json!({ "task_id": task })).await.unwrap();
            for key in ["second", "third"] {
                let next = submit_to(&servers[1], &token, key).await.unwrap();
                client.call("cancel_scan", &json!({ "task_id": next })).await.unwrap();
            }
        }
    }
}

/// The worker dies before or after it has given back what its task counts; the next one sees to it.
pub(crate) async fn dies_giving_back(point: &'static str) {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let token = new_token();
    let deployment = limited(&sim, None, &token);
    let server = deployment.server(binaries::server()).args(BY_POLICY);
    let site = Site::start_as(sim, deployment, server).await;
    let task = submit_to(&site.server, &token, "first").await.unwrap();
    let mut first = doomed_worker(&site, point, &BY_POLICY);
    died_at(&mut first, point);
    let last = site.start_worker(&[SHORT_LEASE, BY_POLICY].concat());
    site.completed(&task, &[&first, &last]).await;
    site.queue_is_empty(&[&last]).await;
    let second = submit_to(&site.server, &token, "second").await.unwrap();
    site.completed(&second, &[&last]).await;
    let refused = submit_to(&site.server, &token, "third").await.unwrap_err();
    assert!(refused.contains("has submitted 2 scans"), "{point}: {refused}");
    site.each_scan_ran_once(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_worker_that_dies_with_a_scan_of_a_client_leaves_no_room_taken() {
    for point in ["worker_before_acknowledge", "worker_hosts_given_back", "worker_launched"] {
        dies_giving_back(point).await;
    }
}
