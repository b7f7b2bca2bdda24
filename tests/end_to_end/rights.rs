//! Clients with rights of their own: over two servers, and while their scans wait for a worker.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    client::{Endpoint, NessusMcpClient},
    durable,
    ids::TaskId,
    policy::{TokenHash, new_token},
    secret::Secret,
    service::SubmitRequest,
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    deployment::{BY_POLICY, Deployment, Server},
    processes::{Process, until},
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use tokio::{sync::Barrier, task::JoinSet};

/// A site whose client `lab` has a token; whoever is on this machine may do everything.
struct Guarded {
    site: Site,
    token: Secret,
}

impl Guarded {
    async fn start(queue: Option<&str>, keys: &str) -> Self {
        let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
        let deployment = Deployment::new(&sim.scanners_yaml()).on_queue(queue);
        let token = new_token();
        durable::replace(&deployment.path("policy.yaml"), with_keys(&token, keys).as_bytes()).unwrap();
        let server = deployment.server(binaries::server()).args(BY_POLICY);
        Self { site: Site::start_as(sim, deployment, server).await, token }
    }

    async fn client(&self, server: &Server) -> NessusMcpClient {
        NessusMcpClient::connect(Endpoint::new(server.mcp()).with_token(self.token.clone())).await.unwrap()
    }

    async fn submit(&self, targets: &str) -> Result<TaskId, String> {
        let client = self.client(&self.site.server).await;
        let submitted = client.submit_scan(&SubmitRequest::untrusted("of a client", targets)).await;
        submitted.map(|submission| submission.task_id).map_err(|error| error.to_string())
    }

    fn set_policy(&self, policy: &str) {
        durable::replace(&self.site.deployment.path("policy.yaml"), policy.as_bytes()).unwrap();
    }
}

/// A policy whose client `lab` has these keys.
fn with_keys(token: &Secret, keys: &str) -> String {
    let hash = TokenHash::of(token.expose());
    format!("local: admin\nclients:\n  - {{name: lab, role: scan, token_sha256: {hash}{keys}}}\n")
}

/// Twelve requests at two servers at the same instant, of which the client may have five that have not ended.
async fn two_servers_never_pass_a_limit_together(queue: Option<&str>, lose: impl Fn(&Site)) {
    let guarded = Guarded::start(queue, ", max_scans_at_once: 5, max_scans_per_day: 7").await;
    let site = &guarded.site;
    let second = site.deployment.serve(&site.deployment.server(binaries::server()).args(BY_POLICY));
    let start = Arc::new(Barrier::new(12));
    let mut clients = JoinSet::new();
    for number in 0..12 {
        let client = guarded.client(if number % 2 == 0 { &site.server } else { &second }).await;
        let start = Arc::clone(&start);
        clients.spawn(async move {
            start.wait().await;
            let arguments = SubmitRequest::untrusted("wanted at once", format!("192.0.2.{number}"));
            client.submit_scan(&arguments).await.map(|submission| submission.task_id)
        });
    }
    let answers = clients.join_all().await;
    let accepted: BTreeSet<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).cloned().collect();
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(refused.to_string().contains("client_limit"), "{refused}");
    }
    assert_eq!(accepted.len(), 5, "{answers:?}");

    // Also when the queue has forgotten what was charged. Others are not counted.
    lose(site);
    let refused = guarded.submit("192.0.2.50").await.unwrap_err();
    assert!(refused.contains("`lab` has 5 scans that have not ended, and may have 5 at once"), "{refused}");
    let of_all = site.submit("of nobody", "192.0.2.51").await;

    // What has ended makes room, and what of a day was launched stays used.
    let worker = site.start_worker(&BY_POLICY);
    for task in accepted.iter().chain([&of_all]) {
        site.completed(task, &[&worker]).await;
    }
    site.queue_is_empty(&[&worker]).await;
    for targets in ["192.0.2.52", "192.0.2.53"] {
        let task = guarded.submit(targets).await.unwrap();
        site.completed(&task, &[&worker]).await;
    }
    let refused = guarded.submit("192.0.2.54").await.unwrap_err();
    assert!(refused.contains("`lab` has submitted 7 scans on"), "{refused}");
    site.each_scan_ran_once(8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_servers_on_one_redis_never_pass_a_limit_of_a_client() {
    let redis = RedisServer::start();
    two_servers_never_pass_a_limit_together(Some(&redis.url()), |_| _ = redis.ask(&["FLUSHALL"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_servers_on_one_queue_file_never_pass_a_limit_of_a_client() {
    let remove = |site: &Site| {
        for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let _ = fs::remove_file(site.deployment.data().join(file));
        }
    };
    two_servers_never_pass_a_limit_together(None, remove).await;
}

async fn hang_up(process: &Process, text: &str) {
    let count = || process.log().matches(text).count();
    let before = count();
    process.hang_up();
    until(&format!("the process says `{text}`"), &[process], async || (count() > before).then_some(())).await;
}

/// What was accepted waits until a worker starts, which reads the policy as it is then.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn rights_that_are_narrowed_while_a_scan_waits_keep_it_from_the_scanner() {
    let guarded = Guarded::start(None, "").await;
    let site = &guarded.site;
    let (outside, inside) =
        (guarded.submit("192.0.2.1-192.0.2.9").await.unwrap(), guarded.submit("192.0.2.1").await.unwrap());
    guarded.set_policy(&with_keys(&guarded.token, ", targets: [192.0.2.0/29]"));
    let worker = site.start_worker(&BY_POLICY);
    let view = site.ended(&outside, &[&worker]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")), "{view:?}");
    assert!(view.error_message.unwrap().contains("`targets` of `lab`"));
    site.completed(&inside, &[&worker]).await;
    assert_eq!((site.sim.stats().total_creates, site.sim.stats().total_launches), (1, 1));

    // The server goes by the policy as it read it. A file with a mistake changes nothing.
    assert!(guarded.submit("192.0.2.9").await.is_ok());
    hang_up(&site.server.process, "scope policy read").await;
    guarded.set_policy(&with_keys(&guarded.token, ", target: [0.0.0.0/0]"));
    hang_up(&site.server.process, "did you mean `targets`?").await;
    let refused = guarded.submit("192.0.2.9").await.unwrap_err();
    assert!(refused.contains("out_of_scope") && refused.contains("`targets` of `lab`"), "{refused}");
}

/// Its token has leaked: what was asked for with it does not begin, and what runs goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_removed_client_has_asked_for_does_not_begin() {
    let guarded = Guarded::start(None, "").await;
    let site = &guarded.site;
    let of_client = guarded.submit("192.0.2.1").await.unwrap();
    let of_all = site.submit("of nobody", "192.0.2.2").await;
    guarded.set_policy("local: admin\n");
    let worker = site.start_worker(&BY_POLICY);
    let view = site.ended(&of_client, &[&worker]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("client_revoked")), "{view:?}");
    site.completed(&of_all, &[&worker]).await;
    assert_eq!((site.sim.stats().total_creates, site.sim.stats().total_launches), (1, 1));
}
