//! What operators see: metrics and health of server and worker, also while the queue is away.

#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "metrics are written as floating-point numbers, and these are small counts"
)]

use std::{collections::BTreeMap, time::Duration};

use nessus_mcp_tests::{
    processes::{Process, until},
    redis::RedisServer,
    sim::SimConfig,
    site::Site,
};
use serde_json::Value;

/// A worker with an address for operators, and that address.
fn worker_with_metrics(site: &Site, arguments: &[&str]) -> (Process, String) {
    let mut worker = site.start_worker(&[&["--metrics-bind", "127.0.0.1:0"], arguments].concat());
    let served = "metrics and health are served";
    worker.wait_for_log(served);
    let log = worker.log();
    let line: Value = serde_json::from_str(log.lines().find(|line| line.contains(served)).unwrap()).unwrap();
    let url = format!("http://{}", line["address"].as_str().unwrap());
    (worker, url)
}

async fn get(url: &str) -> (u16, String) {
    // Far longer than it may take: who waits in vain shall be told so by the test.
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn health(url: &str) -> (u16, Value) {
    let (status, text) = get(&format!("{url}/health")).await;
    (status, serde_json::from_str(&text).unwrap())
}

/// The series of a scrape, by name and labels.
async fn scrape(url: &str) -> BTreeMap<String, f64> {
    let (status, text) = get(&format!("{url}/metrics")).await;
    assert_eq!(status, 200, "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Each metric that a process shows is explained.
async fn all_are_documented(url: &str) {
    let document = include_str!("../../docs/metrics.md");
    let (_, text) = get(&format!("{url}/metrics")).await;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unknown: Vec<_> =
        names.filter(|name| !name.starts_with("process_") && !document.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "docs/metrics.md lacks {unknown:?}");
}

/// The sum over processes and labels of all series of this name.
fn sum(scrapes: &[BTreeMap<String, f64>], name: &str, label: &str) -> f64 {
    let is_it = |series: &str| series.split('{').next() == Some(name) && series.contains(label);
    scrapes.iter().flatten().filter(|(series, _)| is_it(series)).map(|(_, value)| value).sum()
}

/// What the processes count is what the scanner counts, and what they share is the same in all.
#[tokio::test]
async fn metrics_of_all_processes_are_true() {
    for on_redis in [false, true] {
        let redis = on_redis.then(RedisServer::start);
        let config = SimConfig::new().scan_duration(Duration::from_millis(300));
        let site = match &redis {
            Some(redis) => Site::start_on(&redis.url(), config).await,
            None => Site::start(config).await,
        };
        let mut tasks = Vec::new();
        for number in 1..=5 {
            tasks.push(site.submit(&format!("scan {number}"), &format!("192.0.2.{number}")).await);
        }
        let waiting = scrape(site.server.url()).await;
        assert_eq!(waiting["nessus_pool_queue_depth{pool=\"nessus\"}"], 5.0);
        assert_eq!((waiting["nessus_workers_alive"], waiting["nessus_queue_up"]), (0.0, 1.0));
        assert!(waiting["nessus_pool_oldest_waiting_seconds{pool=\"nessus\"}"] >= 0.0, "{waiting:?}");
        let disk = (waiting["nessus_data_disk_free_bytes"], waiting["nessus_data_disk_used_ratio"]);
        assert!(disk.0 > 0.0 && disk.1 > 0.0 && disk.1 < 1.0, "{disk:?}");
        let nobody = health(site.server.url()).await.1;
        assert_eq!(nobody["checks"]["workers"]["status"], "degraded", "{nobody}");
        assert_eq!(nobody["checks"]["workers"]["unserved_pools"][0], "nessus", "{nobody}");

        let workers = [worker_with_metrics(&site, &[]), worker_with_metrics(&site, &[])];
        let processes: Vec<_> = workers.iter().map(|(process, _)| process).collect();
        for task in &tasks {
            site.completed(task, &processes).await;
        }
        site.queue_is_empty(&processes).await;
        let urls = [site.server.url(), &workers[0].1, &workers[1].1];
        let scrapes = until("both workers are announced", &processes, async || {
            let mut scrapes = Vec::new();
            for url in urls {
                scrapes.push(scrape(url).await);
            }
            scrapes.iter().all(|scrape| scrape["nessus_workers_alive"] == 2.0).then_some(scrapes)
        })
        .await;
        let stats = site.sim.stats();
        for (name, label, count) in [
            ("nessus_scans_total", "status=\"queued\"", 5.0),
            ("nessus_scans_total", "status=\"completed\"", 5.0),
            ("nessus_task_duration_seconds_count", "completed", 5.0),
            ("nessus_queue_wait_seconds_count", "", 5.0),
            ("nessus_validation_total", "success", 5.0),
            ("nessus_export_seconds_count", "", 5.0),
            ("nessus_conversion_seconds_count", "", 5.0),
            ("nessus_scanner_call_seconds_count", "call=\"create\"", stats.creates.values().sum::<u64>() as f64),
            ("nessus_scanner_call_seconds_count", "call=\"launch\"", stats.launches.values().sum::<u64>() as f64),
            ("nessus_lease_losses_total", "", 0.0),
        ] {
            assert_eq!(sum(&scrapes, name, label), count, "{name} {label} of {scrapes:#?}");
        }
        assert!(sum(&scrapes, "nessus_export_bytes_total", "") > 1000.0);
        for scrape in &scrapes {
            for (name, value) in [
                ("nessus_pool_queue_depth{pool=\"nessus\"}", 0.0),
                ("nessus_pool_workers{pool=\"nessus\"}", 2.0),
                ("nessus_active_scans", 0.0),
                ("nessus_dlq_size", 0.0),
            ] {
                assert_eq!(scrape[name], value, "{name}");
            }
            assert!(scrape["process_open_fds"] > 3.0 && scrape["process_resident_memory_bytes"] > 1e6);
            assert!(scrape.keys().any(|name| name.starts_with("nessus_build_info{version=\"")));
        }
        for url in urls {
            all_are_documented(url).await;
        }
        assert_eq!(health(&workers[0].1).await.1["checks"]["workers"]["alive"], 2);
        assert_eq!(get(&format!("{}/health/ready", workers[1].1)).await, (200, "ready\n".to_owned()));
        assert_eq!(get(&format!("{}/health/live", workers[1].1)).await.0, 200);
    }
}

/// A queue that says nothing at all holds nobody up who asks how things are. What is known without it is said.
#[tokio::test]
async fn a_queue_that_hangs_is_seen_at_once() {
    let redis = RedisServer::start();
    let site = Site::start_on(&redis.url(), SimConfig::new()).await;
    let (worker, url) = worker_with_metrics(&site, &[]);
    until("the worker is announced", &[&worker], async || {
        (scrape(site.server.url()).await["nessus_workers_alive"] == 1.0).then_some(())
    })
    .await;
    redis.process.freeze();
    for url in [site.server.url(), &url] {
        let (status, report) = health(url).await;
        assert_eq!((status, &report["checks"]["queue"]["status"]), (503, &"unhealthy".into()), "{report}");
        assert_eq!(report["checks"]["scanners"]["enabled"], 1, "{report}");
        assert!(report["checks"]["disk"]["free_gb"].is_number(), "{report}");
        assert_eq!(get(&format!("{url}/health/ready")).await.0, 503);
        assert_eq!(get(&format!("{url}/health/live")).await.0, 200);
        let series = scrape(url).await;
        assert_eq!((series["nessus_queue_up"], series["nessus_pool_total_capacity"]), (0.0, 2.0), "{series:#?}");
        for unknown in ["nessus_active_scans", "nessus_workers_alive", "nessus_pool_queue_depth"] {
            assert!(!series.keys().any(|name| name.starts_with(unknown)), "{unknown} in {series:#?}");
        }
    }
    redis.process.thaw();
    until("the queue is seen again", &[&worker], async || {
        let series = scrape(&url).await;
        (series["nessus_queue_up"] == 1.0 && series.contains_key("nessus_active_scans")).then_some(())
    })
    .await;
}

/// At an address that other machines can reach, nothing is shown to those who have no token.
#[tokio::test]
async fn a_worker_shows_itself_to_other_machines_only_with_tokens() {
    let site = Site::start(SimConfig::new()).await;
    let mut worker = site.start_worker(&["--metrics-bind", "0.0.0.0:0"]);
    assert_eq!(worker.wait().code(), Some(78));
    assert!(worker.log().contains("`METRICS_BIND` must be a loopback address"), "{}", worker.log());
}
