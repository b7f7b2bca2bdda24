//! `queue audit` says, and with `--repair` makes right.

use std::fs;

use nessus_mcp_lib::{
    durable,
    ids::{PoolName, TaskId, TraceId},
    task::{ScanPayload, ScanType, Task, TaskManager},
};
use nessus_mcp_tests::deployment::Deployment;

use crate::{MOCKS, admin, json};

/// A deployment with one task that the queue knows, and one more that lies in the directory only.
async fn with_a_foreign_task() -> Deployment {
    let deployment = Deployment::new(MOCKS);
    let task = |number: u32| {
        let at = "2026-11-01T00:00:00Z".parse().unwrap();
        let id = TaskId::new(format!("mo_lab_20261101_00000{number}_0000000{number}")).unwrap();
        let (pool, payload) = (PoolName::new("lab").unwrap(), ScanPayload::new("x", "192.0.2.1"));
        Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, at)
    };
    let tasks = TaskManager::open(&deployment.data()).unwrap();
    tasks.create(task(1)).await.unwrap();
    drop(nessus_mcp_lib::queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap());
    let bound = admin(&deployment, &["queue", "rebind"]);
    assert_eq!(bound.code, Some(0), "{bound:?}");
    let repaired = admin(&deployment, &["queue", "audit", "--repair"]);
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    tasks.create(task(2)).await.unwrap();
    deployment
}

#[tokio::test]
async fn nothing_is_changed_without_repair() {
    let deployment = with_a_foreign_task().await;
    for _ in 0..2 {
        let finished = admin(&deployment, &["queue", "audit", "--json"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("`nessus-admin queue audit --repair`"), "{finished:?}");
        let found = json(&finished);
        let counts = ["tasks", "missing", "forgotten", "wrong"].map(|name| found[name].as_u64().unwrap());
        assert_eq!((counts, &found["repaired"]), ([2, 1, 1, 0], &false.into()), "{found}");
    }
    let finished = admin(&deployment, &["queue", "audit", "--repair", "--json"]);
    let found = json(&finished);
    assert_eq!((finished.code, &found["missing"], &found["repaired"]), (Some(0), &1.into(), &true.into()), "{found}");
    let finished = admin(&deployment, &["queue", "audit"]);
    assert_eq!(
        (finished.code, &*finished.stdout),
        (Some(0), "2 tasks were read\ncatalogue and queue say what the files say\n")
    );
}

#[tokio::test]
async fn a_queue_that_has_lost_its_data_is_said_and_not_rebuilt() {
    let deployment = with_a_foreign_task().await;
    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(deployment.data().join(file));
    }
    drop(nessus_mcp_lib::queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap());
    let found = json(&admin(&deployment, &["queue", "audit", "--json"]));
    let counts = ["tasks", "forgotten"].map(|name| found[name].as_u64().unwrap());
    assert_eq!((counts, &found["catalogue_lost"]), ([2, 2], &true.into()), "{found}");
    let again = json(&admin(&deployment, &["queue", "audit", "--json"]));
    assert_eq!(again, found, "it was not rebuilt by being asked");
    let path = deployment.data().join("tasks/mo_lab_20261101_000001_00000001/task.json");
    durable::replace(&path, b"{").unwrap();
    let finished = admin(&deployment, &["queue", "audit", "--repair"]);
    assert!(finished.code == Some(1) && finished.stdout.contains("cannot be read"), "{finished:?}");
}
