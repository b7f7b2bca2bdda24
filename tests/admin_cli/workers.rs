//! `workers`: who works here, and which pools nobody serves.

use nessus_mcp_lib::{
    queue::{ServedPool, WorkerRecord},
    time::Timestamp,
};

use super::*;

/// Two workers tell of themselves; only one of them claims tasks, and only in one pool.
async fn staffed() -> Deployment {
    let deployment = filled().await;
    let url = format!("sqlite:{}", deployment.data().join("queue.db").display());
    let queue = queue::open(&url.parse().unwrap()).await.unwrap();
    let held = queue.leases(&PoolName::new("lab").unwrap()).await.unwrap();
    for (name, pool, stopping) in [("works", "lab", false), ("ends", "office", true)] {
        let mut record = WorkerRecord::new(WorkerId::new(name).unwrap(), Timestamp::from_millis(1_764_599_422_000));
        (record.host, record.user, record.pid) = ("scan01".to_owned(), "nessus".to_owned(), 4711);
        (record.version, record.stopping) = ("1.2.3".to_owned(), stopping);
        let scanners = vec![InstanceId::new("mock-1").unwrap()];
        record.pools = vec![ServedPool::new(PoolName::new(pool).unwrap(), scanners, 3)];
        if !stopping {
            record.holds = held.iter().map(|held| held.lease.task_id.clone()).collect();
        }
        queue.announce_worker(&record, Duration::from_secs(3600)).await.unwrap();
    }
    deployment
}

/// What an operator looks at when nothing moves.
#[tokio::test]
async fn workers_are_listed_with_what_they_hold() {
    let deployment = staffed().await;
    let mut view: Value = serde_json::from_str(&data(admin(&deployment, &["workers", "--json"]))).unwrap();
    let workers = view["workers"].as_array_mut().unwrap();
    let heard: Vec<_> = workers.iter_mut().map(|worker| worker["heard_seconds_ago"].take()).collect();
    let find = |name: &str| workers.iter().find(|worker| worker["worker"] == name).unwrap();
    let described = |name: &str, state: &str, pool: &str, holds: &[TaskId]| {
        json!({
            "worker": name, "state": state, "host": "scan01", "pid": 4711, "user": "nessus", "version": "1.2.3",
            "started_at": "2025-12-01T14:30:22.000Z", "heard_seconds_ago": null, "clock_offset_ms": 0,
            "pools": [{ "pool": pool, "scanners": ["mock-1"], "capacity": 3 }], "holds": holds, "holding": holds.len(),
        })
    };
    assert_eq!(*find("works"), described("works", "alive", "lab", &[task(4)]));
    assert_eq!(*find("ends"), described("ends", "stopping", "office", &[]));
    // Whoever holds the lease has not announced itself, as workers of older versions.
    let older = workers.iter().find(|worker| worker["host"].is_null()).unwrap();
    let served = json!([{ "pool": "lab", "scanners": [], "capacity": 0 }]);
    assert_eq!((&older["pools"], &older["holds"], &older["state"]), (&served, &json!([task(4)]), &json!("alive")));
    assert_eq!((heard.len(), heard.iter().filter(|seconds| seconds.is_u64()).count()), (3, 2));
    assert_eq!(view["unserved_pools"], json!([{ "scanner_pool": "office", "waiting": 1 }]));

    let table = data(admin(&deployment, &["workers"]));
    let lines: Vec<_> = table.lines().collect();
    let titles: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(titles, ["worker", "state", "host", "pid", "user", "version", "since", "heard", "pools", "holds"]);
    let works = lines.iter().find(|line| line.starts_with("works ")).unwrap();
    let cells: Vec<_> = works.split_whitespace().collect();
    assert_eq!(cells[1..7], ["alive", "scan01", "4711", "nessus", "1.2.3", "2025-12-01T14:30:22.000Z"]);
    assert_eq!(cells[8..], ["ago", "lab", "(3)", task(4).as_str()]);
    assert!(lines[3].starts_with("ends "), "those that work come first: {table}");
    assert_eq!(lines[4], "no worker serves the pool `office`: 1 task waits there");
}

/// The queue and the data directory are enough: the workers tell which pools there are.
#[tokio::test]
async fn workers_need_no_scanner_configuration() {
    let deployment = staffed().await;
    std::fs::remove_file(deployment.scanners_yaml()).unwrap();
    let lines = data(admin(&deployment, &["workers"]));
    assert_eq!(lines.lines().filter(|line| line.contains("alive")).count(), 2, "{lines}");
    assert!(lines.ends_with("no worker serves the pool `office`: 1 task waits there\n"), "{lines}");
}
