//! The fleet of the example, small.

use nessus_mcp_tests::fleet::{self, Fault, Plan, RedisKind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_without_a_shared_directory_loses_nothing() {
    let plan = Plan::new(RedisKind::Cluster).scans(40).servers(2).workers(3).scanners(2).agents(4);
    let verdict = fleet::run(&plan).await;
    assert!(verdict.is_clean(), "{}", verdict.report());
    assert_eq!(verdict.count.completed, 40);
    assert_eq!(verdict.faults.len(), Fault::ALL.len(), "{}", verdict.report());
    println!("{}", verdict.report());
}
