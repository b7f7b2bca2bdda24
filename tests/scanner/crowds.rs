//! A Nessus with very many hosts in a scan, and very many scans.

use std::time::Duration;

use nessus_mcp_lib::{
    ScannerInterface as _,
    scanner::{NessusConfig, NessusScanner, ScanRequest, ScanState},
    secret::Secret,
};
use nessus_mcp_tests::sim::{SimConfig, SimulatedNessus};

const MANY: usize = 100_000;
const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

async fn scanner(config: SimConfig) -> (SimulatedNessus, NessusScanner) {
    let sim = SimulatedNessus::start_with(config).await;
    let config = NessusConfig::new(sim.url(), "admin", Secret::new("nessus"));
    // The simulator makes an answer of 60 MB in one piece.
    let scanner = NessusScanner::new(config.request_timeout(Duration::from_secs(300))).unwrap();
    (sim, scanner)
}

#[tokio::test]
async fn the_status_of_a_scan_with_100_000_hosts_is_read() {
    let config = SimConfig::new().scan_duration(Duration::ZERO).host_limit(MANY).findings_per_host(1);
    let (_sim, scanner) = scanner(config).await;
    let scan = scanner.create(&ScanRequest::new(MARKER, "all", "10.0.0.0/15")).await.unwrap();
    scanner.launch(&scan).await.unwrap();
    let status = scanner.status(&scan).await.unwrap();
    assert_eq!((status.state, status.hosts), (ScanState::Completed, Some(MANY as u64)));
    assert_eq!(status.left_out_hosts, Some((1 << 17) - MANY as u64));
    assert_eq!(scanner.hosts(&scan).await.unwrap().len(), MANY);
    scanner.close().await;
}

#[tokio::test]
async fn a_scan_is_found_among_100_000_others() {
    let (sim, scanner) = scanner(SimConfig::new()).await;
    let scan = scanner.create(&ScanRequest::new(MARKER, "one", "192.0.2.1")).await.unwrap();
    for number in 0..MANY {
        sim.add_scan(&format!("somebody else's, number {number}"), "192.0.2.1");
    }
    assert_eq!(scanner.find_by_marker(MARKER).await.unwrap(), Some(scan));
    assert_eq!(scanner.find_by_marker("ne_of_nobody").await.unwrap(), None);
    scanner.close().await;
}
