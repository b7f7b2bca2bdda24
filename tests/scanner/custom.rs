//! The scanner of the example `custom_scanner`, which nothing in the library knows.

#[path = "../../examples/custom_scanner/drive.rs"]
mod drive;
#[path = "../../examples/custom_scanner/port_scanner.rs"]
mod port_scanner;

use std::{net::TcpListener, sync::Arc, time::Duration};

use async_trait::async_trait;
use nessus_mcp_lib::{ScannerInterface, testing::scanner_conformance::ScannerHarness};
use serde_json::Value;

use self::port_scanner::PortScanner;

struct PortHarness(Arc<PortScanner>);

impl PortHarness {
    fn start() -> Self {
        // Nothing needs to listen: a closed port is tried like an open one.
        Self(Arc::new(PortScanner::new((1..=10).collect(), Duration::from_millis(70))))
    }
}

#[async_trait]
impl ScannerHarness for PortHarness {
    fn scanner(&self) -> Arc<dyn ScannerInterface> {
        Arc::clone(&self.0) as Arc<dyn ScannerInterface>
    }

    fn targets(&self) -> String {
        "127.0.0.1".to_owned()
    }
}

nessus_mcp_lib::scanner_conformance_tests!(std::future::ready(PortHarness::start()));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_drives_it_to_its_findings() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let scanner = PortScanner::new(vec![port], Duration::from_millis(50));
    let findings = drive::scan(scanner, &directory.path().join("data")).await.unwrap();
    let lines: Vec<Value> = findings.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().filter(|line| line["type"] == "vulnerability").collect();
    assert_eq!((found.len(), &found[0]["host"]), (1, &Value::from("127.0.0.1")), "{findings}");
    assert_eq!((&lines[0]["total_vulnerabilities"], &found[0]["plugin_id"]), (&1.into(), &11219.into()), "{findings}");
}
