//! Many at once: clients under one key, workers before one scanner.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    client::NessusMcpClient,
    service::{IdempotencyKey, Submission, SubmitRequest},
};
use nessus_mcp_tests::{
    binaries,
    chaos::{self, BackendKind, Plan},
    sim::SimConfig,
    site::Site,
};
use tokio::{sync::Barrier, task::JoinSet};

/// Agents that share a job, or one that has lost its patience: the same request, at the same instant, to two servers on
/// one data directory. They know nothing of each other, and still it is one task.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_clients_with_one_key_at_two_servers_get_one_task() {
    const CLIENTS: usize = 20;
    let site = Site::start(SimConfig::new().scan_duration(Duration::from_millis(300))).await;
    let second = site.deployment.serve(&site.deployment.server(binaries::server()));
    let start = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mcp = if number % 2 == 0 { site.server.mcp() } else { second.mcp() };
        let start = Arc::clone(&start);
        clients.spawn(async move {
            let client = NessusMcpClient::connect(&mcp).await.unwrap();
            start.wait().await;
            let mut arguments = SubmitRequest::untrusted("wanted by many", "192.0.2.1");
            arguments.idempotency_key = Some(IdempotencyKey::new("one-for-all").unwrap());
            client.submit_scan(&arguments).await.unwrap()
        });
    }
    let answers: Vec<Submission> = clients.join_all().await;
    let ids: BTreeSet<_> = answers.iter().map(|answer| answer.task_id.clone()).collect();
    assert_eq!((answers.len(), ids.len()), (CLIENTS, 1), "{ids:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.idempotent).count(), 1, "one was first");

    let task = ids.first().unwrap();
    assert_eq!(site.deployment.task_directories(), [task.to_string()]);
    let worker = site.start_worker(&[]);
    site.completed(task, &[&worker, &second.process]).await;
    site.queue_is_empty(&[&worker]).await;
    site.each_scan_ran_once(1);
}

/// Five workers before a scanner that takes two scans: it never runs a third. With a hundred tasks this is
/// `CRASH_RUNS=sqlite: CRASH_TASKS=100 CRASH_WORKERS=5 CRASH_CAPACITY=2` of the example `crash-suite`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn five_workers_together_run_two_scans_at_a_time() {
    let plan = Plan::new(BackendKind::Sqlite, Vec::new()).tasks(24).workers(5).capacity(2);
    let plan = plan.scan_duration(Duration::from_millis(200)).submit_pause(Duration::ZERO..Duration::from_millis(1));
    let verdict = chaos::run(&plan).await;
    assert!(verdict.is_clean(), "{}", verdict.report());
    assert_eq!(verdict.most_running, 2, "the slots are used\n{}", verdict.report());
}
