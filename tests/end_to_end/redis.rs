//! The same site on Redis.

use std::time::Duration;

use nessus_mcp_lib::{
    service::{IdempotencyKey, ResultsRequest, SubmitRequest},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    processes::{files_below, holds, until},
    redis::{DURABLE, FORGETFUL, RedisServer},
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::{Value, json};

/// The happy path with two workers on two connections, what `redis-cli` shows on the way, and nothing left at the end.
#[tokio::test]
async fn scans_are_completed_over_redis() {
    let redis = RedisServer::with(&DURABLE);
    let site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_millis(400))).await;
    let mut tasks = Vec::new();
    for number in 1..=4 {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    assert_eq!(redis.ask(&["ZCARD", "nessus:queue:ready"]).number(), 4);
    let next = redis.ask(&["ZRANGE", "nessus:queue:ready", "0", "0"]).texts().remove(0);
    let next: Value = serde_json::from_str(&redis.ask(&["HGET", "nessus:queue:bodies", &next]).text()).unwrap();
    assert_eq!((&next["task_id"], &next["payload"]["name"]), (&json!(tasks[0]), &json!("scan 1")));
    assert_eq!(site.view(&tasks[2]).await.queue_position, Some(3));
    assert!(!site.deployment.data().join("queue.db").exists());

    let workers = [site.start_worker(&[]), site.start_worker(&[])];
    let workers: Vec<_> = workers.iter().collect();
    for task in &tasks {
        site.completed(task, &workers).await;
        site.client().get_results_lines(&ResultsRequest::new(task.clone())).await.unwrap();
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&workers).await;
    assert!((1..=2).contains(&site.sim.stats().max_running), "{:#?}", site.sim.stats());
    // Only what outlives a task is left: the catalogue, the last fencing token and times, perhaps a marker or a slot that nobody
    // needs, and for a while the circuits of the processes and what workers have told.
    for key in redis.ask(&["KEYS", "*"]).texts() {
        let lasts = [":fence", ":wake", ":clock", ":leases:length", "nessus:binding", "catalogue", "catalogue:changes"]
            .iter()
            .any(|end| key.ends_with(end));
        let expires =
            ["nessus:circuit-states", "nessus:workers"].contains(&&*key) && redis.ask(&["PTTL", &key]).number() > 0;
        assert!(lasts || expires, "{key} is left");
    }
}

/// What an older producer pushes is run, as far as its task is known, and what is no task is shown.
#[tokio::test]
async fn what_cannot_be_run_is_in_the_dead_letters() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new()).await;
    redis.ask(&["LPUSH", "nessus:queue", "{broken"]).number();
    let worker = site.start_worker(&[]);
    until("the damaged entry is thrown out", &[&worker], async || {
        (redis.ask(&["ZCARD", "nessus:queue:dead"]).number() == 1).then_some(())
    })
    .await;
    let shown = redis.ask(&["ZRANGE", "nessus:queue:dead", "0", "-1"]).texts();
    let letter: Value = serde_json::from_str(&shown[0]).unwrap();
    assert_eq!((&letter["error"], &letter["raw_data"]), (&json!("corrupted_json"), &json!("{broken")));
    let admin = site.deployment.program(binaries::admin(), &["list-dlq"]).run();
    let row: Vec<_> = admin.stdout.lines().last().unwrap().split_whitespace().skip(1).collect();
    assert_eq!(row[..6], ["(no", "task", "id)", "nessus", "0", "corrupted_json"], "{admin:?}");
}

/// A Redis that may forget is named at the start, in `/health` and by `nessus-admin stats`.
#[tokio::test]
async fn a_redis_that_may_forget_is_warned_of_everywhere() {
    let redis = RedisServer::with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]);
    let mut site = Site::start_on(&redis.url(), SimConfig::new()).await;
    for text in ["maxmemory-policy allkeys-lru", "appendonly yes"] {
        site.server.process.wait_for_log(text);
    }
    let health: Value = reqwest::get(format!("{}/health", site.server.url())).await.unwrap().json().await.unwrap();
    let queue = &health["checks"]["queue"];
    assert_eq!((&queue["status"], queue["warnings"].as_array().unwrap().len()), (&json!("degraded"), 2), "{health}");
    let ready = reqwest::get(format!("{}/health/ready", site.server.url())).await.unwrap();
    assert!(ready.status().is_success(), "it works all the same");
    let stats = |arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).run();
    let text = stats(&["stats"]);
    assert_eq!((text.code, text.stderr.matches("warning: Redis ").count()), (Some(0), 2), "{text:?}");
    let json: Value = serde_json::from_str(&stats(&["stats", "--json"]).stdout).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 2);
}

/// Redis dies: a submit is refused or kept, never lost, and everything that was accepted is completed when it is back.
#[tokio::test]
async fn redis_killed_and_restarted_loses_no_scan() {
    let mut redis = RedisServer::with(&DURABLE);
    let site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_millis(700))).await;
    let worker = site.start_worker(&["--lease-seconds", "5s"]);
    let mut tasks = Vec::new();
    for number in 1..=6 {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    for _ in 0..3 {
        site.running(2, &[&worker]).await;
        redis.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        redis.restart();
    }
    for task in &tasks {
        site.completed(task, &[&worker]).await;
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&[&worker]).await;
}

/// Redis comes back with nothing: the task files are the truth, and every task is enqueued again and completed once.
#[tokio::test]
async fn redis_restarted_empty_loses_no_scan() {
    let mut redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_millis(700))).await;
    let mut first = site.start_worker(&["--lease-seconds", "2s"]);
    let mut tasks = Vec::new();
    for number in 1..=6 {
        tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
    }
    site.running(2, &[&first]).await;
    redis.kill();
    first.kill();
    redis.delete_data();
    redis.restart();
    let second = site.start_worker(&["--lease-seconds", "2s"]);
    for task in &tasks {
        site.completed(task, &[&second]).await;
    }
    site.each_scan_ran_once(tasks.len());
    site.queue_is_empty(&[&second]).await;
}

/// A submit that the queue does not hear of is refused and leaves nothing, with a key and without one; repeated when Redis is
/// back, each is one task.
#[tokio::test]
async fn a_submit_without_redis_is_refused() {
    let mut redis = RedisServer::with(&DURABLE);
    let site = Site::start_on(&redis.url(), SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let submit = async |key: Option<&str>| {
        let mut arguments = SubmitRequest::untrusted("x", "192.0.2.1");
        arguments.idempotency_key = key.map(|key| IdempotencyKey::new(key).unwrap());
        site.client().submit_scan(&arguments).await
    };
    redis.kill();
    for key in [Some("key-1"), None] {
        let refused = submit(key).await.unwrap_err().to_string();
        assert!(refused.contains("queue_unavailable"), "{refused}");
    }
    assert_eq!(site.deployment.task_directories(), [""; 0]);

    redis.restart();
    let worker = site.start_worker(&[]);
    for key in [Some("key-1"), None] {
        let submitted = submit(key).await.unwrap();
        assert!(!submitted.idempotent);
        site.completed(&submitted.task_id, &[&worker]).await;
    }
    assert!(submit(Some("key-1")).await.unwrap().idempotent);
    site.each_scan_ran_once(2);
}

/// Its quote and backslash look different in each kind of text; its beginning is the same in all of them.
const PASSWORD: &str = "correct-horse\"battery\\staple";

/// Neither the scanner's password nor that of Redis stands anywhere in Redis, its files, the logs or the data directory.
#[tokio::test]
async fn planted_secrets_are_not_in_redis() {
    const SECRETS: [&str; 2] = ["correct-horse", "redis-secret"];
    let mut options = FORGETFUL.to_vec();
    options.extend(["--requirepass", "redis-secret", "--loglevel", "debug"]);
    let redis = RedisServer::with(&options);
    let sim = SimulatedNessus::start_with(
        SimConfig::new().scan_duration(Duration::from_millis(300)).login("gateway", PASSWORD),
    )
    .await;
    let deployment = Deployment::new(&sim.scanners_yaml()).with_queue(redis.url());
    let site = Site::start_with(sim, deployment, &["--log-level", "trace"]).await;
    let mut worker = site.start_worker(&["--log-level", "trace"]);
    let mut tasks = Vec::new();
    for number in 1..=2 {
        let arguments = json!({ "name": "planted", "targets": format!("192.0.2.{number}"), "idempotency_key": format!("k{number}") });
        let answer = site.client().call("run_untrusted_scan", arguments.as_object().unwrap()).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        tasks.push(answer["task_id"].as_str().unwrap().parse().unwrap());
    }
    // Once while the scan is in the queue's hands, once when all is over.
    site.running(2, &[&worker]).await;
    let mut places = dump(&redis);
    for task in &tasks {
        assert_eq!(site.completed(task, &[&worker]).await.status, TaskStatus::Completed);
    }
    redis.ask(&["LPUSH", "nessus:queue", "{broken"]);
    until("the damaged entry is thrown out", &[&worker], async || {
        (redis.ask(&["ZCARD", "nessus:queue:dead"]).number() == 1).then_some(())
    })
    .await;
    assert_eq!(worker.terminate(), Some(0), "{}", worker.tail());
    places.extend(dump(&redis));
    assert!(places.iter().any(|(key, _)| key.starts_with("idemp:")) && places.len() > 8, "{places:?}");
    let secrets = [SECRETS.map(str::to_owned).to_vec(), vec![site.sim.api_token()], site.sim.session_tokens()].concat();
    let files = [site.deployment.data(), site.deployment.logs(), redis.files().to_owned()];
    let files = files.iter().flat_map(|directory| files_below(directory));
    places.extend(files.map(|(path, content)| (path.display().to_string(), content)));
    let stats = site.deployment.program(binaries::admin(), &["stats"]).run();
    places.push(("an answer".to_owned(), (stats.stdout + &stats.stderr).into_bytes()));
    for (place, content) in &places {
        for secret in &secrets {
            assert!(!holds(content, secret), "{secret:?} stands in {place}");
        }
    }
}

/// Everything that stands in a server, by key.
fn dump(redis: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let value = |key: &str| {
        let read: &[&str] = match redis.ask(&["TYPE", key]).text().as_str() {
            "list" => &["LRANGE", key, "0", "-1"],
            "zset" => &["ZRANGE", key, "0", "-1"],
            "hash" => &["HGETALL", key],
            _ => &["GET", key],
        };
        redis.ask(read).bytes()
    };
    redis
        .ask(&["KEYS", "*"])
        .texts()
        .into_iter()
        .map(|key| (key.clone(), [key.as_bytes(), &value(&key)].concat()))
        .collect()
}
