//! A day's limit over two servers, and names that move while their scan waits.

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    client::NessusMcpClient,
    durable,
    service::{IdempotencyKey, SubmitRequest},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    deployment::{BY_POLICY, Deployment, Server},
    hosts::{charged, used_today},
    processes::Program,
    redis::RedisServer,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use tokio::{sync::Barrier, task::JoinSet};

/// A site with a second server, both by this policy.
async fn two_servers(queue: Option<&str>, policy: &str) -> (Site, Server) {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml()).on_queue(queue);
    durable::replace(&deployment.path("policy.yaml"), policy.as_bytes()).unwrap();
    let server = || deployment.server(binaries::server()).args(BY_POLICY);
    let (first, second) = (server(), deployment.serve(&server()));
    (Site::start_as(sim, deployment, first).await, second)
}

/// Twelve requests under six keys, each at both servers at the same instant, of which the day has room for four.
async fn two_servers_never_pass_the_limit_together(queue: Option<&str>, lose: impl Fn(&Site)) {
    let (site, second) = two_servers(queue, "max_hosts_per_day: 19\n").await;
    let start = Arc::new(Barrier::new(12));
    let mut clients = JoinSet::new();
    for number in 0..12 {
        let mcp = if number % 2 == 0 { site.server.mcp() } else { second.mcp() };
        let start = Arc::clone(&start);
        clients.spawn(async move {
            let client = NessusMcpClient::connect(&mcp).await.unwrap();
            let mut arguments = SubmitRequest::untrusted("wanted at once", format!("192.0.2.{}/30", number / 2 * 4));
            arguments.idempotency_key = Some(IdempotencyKey::new(format!("key-{}", number / 2)).unwrap());
            start.wait().await;
            client.submit_scan(&arguments).await.map(|submission| submission.task_id)
        });
    }
    let answers = clients.join_all().await;
    let accepted: BTreeSet<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(refused.to_string().contains("daily_host_limit"), "{refused}");
    }
    assert_eq!(accepted.len(), 4, "{answers:?}");
    assert_eq!((used_today(&second).await, charged(&site.deployment)), (16, 16));

    // Also when the queue has forgotten what was charged, and whichever of the two is asked first.
    lose(&site);
    for server in [&second, &site.server] {
        let client = NessusMcpClient::connect(&server.mcp()).await.unwrap();
        let refused = client.submit_scan(&SubmitRequest::untrusted("more", "10.0.0.0/30")).await.unwrap_err();
        assert!(
            refused.to_string().contains("of the 19 that") && refused.to_string().contains("16 are used"),
            "{refused}"
        );
    }
    assert_eq!((used_today(&second).await, used_today(&site.server).await), (16, 16));

    // What ran counts for the whole day.
    let worker = site.start_worker(&[]);
    for task in accepted {
        site.completed(task, &[&worker]).await;
    }
    assert_eq!((used_today(&second).await, charged(&site.deployment)), (16, 16));
    site.each_scan_ran_once(4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_servers_on_one_redis_never_pass_the_limit_of_a_day() {
    let redis = RedisServer::start();
    two_servers_never_pass_the_limit_together(Some(&redis.url()), |_| _ = redis.ask(&["FLUSHALL"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_servers_on_one_queue_file_never_pass_the_limit_of_a_day() {
    let remove = |site: &Site| {
        for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let _ = fs::remove_file(site.deployment.data().join(file));
        }
    };
    two_servers_never_pass_the_limit_together(None, remove).await;
}

/// Starts what follows with a `/etc/hosts` of its own, in place of the machine's.
const WITH_HOSTS: [&str; 5] = ["-Urm", "--", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""];

fn with_hosts(deployment: &Deployment, hosts: &Path, binary: &Path, more: &[&str]) -> Program {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (hosts, binary) = (path(hosts), path(binary));
    let command = [WITH_HOSTS.as_slice(), &[&hosts, &binary], more].concat();
    deployment.program(Path::new("unshare"), &command).args(BY_POLICY)
}

/// Changes what names stand for, in the very file that the processes have before them.
#[expect(clippy::disallowed_methods, reason = "another file in its place would not be seen")]
fn set_hosts(hosts: &Path, address: &str) {
    fs::write(hosts, format!("127.0.0.1 localhost\n{address} db.corp.example\n")).unwrap();
}

/// Names are looked up as on any machine, and their addresses change while the scan waits for a worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_name_that_moves_out_of_scope_while_its_scan_waits_is_not_scanned() {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let deployment = Deployment::new(&sim.scanners_yaml());
    durable::replace(&deployment.path("policy.yaml"), b"allow: [192.0.2.0/24]\nmax_hosts_per_day: 1\n").unwrap();
    let hosts = deployment.path("hosts");
    set_hosts(&hosts, "192.0.2.7");
    let probe =
        Command::new("unshare").args(WITH_HOSTS).arg(&hosts).args(["getent", "hosts", "db.corp.example"]).output();
    if !probe.is_ok_and(|probe| String::from_utf8_lossy(&probe.stdout).starts_with("192.0.2.7")) {
        eprintln!("skipped: this machine does not let a process have an /etc/hosts of its own (unshare -Urm)");
        return;
    }
    let server = with_hosts(&deployment, &hosts, binaries::server(), &["serve"]).args(["--mcp-bind", "127.0.0.1:0"]);
    let site = Site::start_as(sim, deployment, server).await;
    let worker = || with_hosts(&site.deployment, &hosts, binaries::worker(), &["--poll-interval-seconds", "50ms"]);

    let moved = site.submit("moved", "db.corp.example").await;
    assert_eq!(site.view(&moved).await.checked_targets.as_deref(), Some("db.corp.example[192.0.2.7]"));
    assert_eq!(used_today(&site.server).await, 1);
    set_hosts(&hosts, "203.0.113.9");
    let mut running = site.deployment.start(&worker());
    let view = site.ended(&moved, &[&running]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("out_of_scope")));
    let message = view.error_message.unwrap();
    assert!(message.contains("the name `db.corp.example` stands for 203.0.113.9"), "{message}");
    site.queue_is_empty(&[&running]).await;
    let stats = site.sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches), (0, 0), "{stats:?}");
    assert_eq!(used_today(&site.server).await, 0, "nothing was launched");
    assert!(running.log().contains("\"code\":\"out_of_scope\""), "{}", running.tail());
    assert_eq!(running.terminate(), Some(0), "{}", running.tail());

    // One that moves inside the scope is scanned at its new address.
    set_hosts(&hosts, "192.0.2.7");
    let inside = site.submit("inside", "db.corp.example").await;
    set_hosts(&hosts, "192.0.2.9");
    let running = site.deployment.start(&worker());
    let view = site.completed(&inside, &[&running]).await;
    assert_eq!(view.checked_targets.as_deref(), Some("db.corp.example[192.0.2.9]"));
    assert_eq!((used_today(&site.server).await, site.sim.stats().total_launches), (1, 1));
}
