//! Nessus over HTTP.

use std::{net::TcpListener, sync::Arc, time::Duration};

use async_trait::async_trait;
use nessus_mcp_lib::{
    ScannerInterface,
    scanner::{NessusConfig, NessusScanner},
    secret::Secret,
    testing::scanner_conformance::{Counted, ScannerHarness},
};
use nessus_mcp_tests::sim::{SimConfig, SimulatedNessus};

struct NessusHarness {
    sim: SimulatedNessus,
    scanner: Arc<NessusScanner>,
}

fn scanner(url: &str) -> Arc<NessusScanner> {
    let config = NessusConfig::new(url, "admin", Secret::new("nessus"));
    Arc::new(NessusScanner::new(config.export_poll_interval(Duration::from_millis(50))).unwrap())
}

impl NessusHarness {
    async fn start() -> Self {
        let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(1500))).await;
        sim.add_policy("Weekly");
        sim.add_policy_with_login("Logs in");
        for _ in 0..2 {
            sim.add_policy("Twice");
        }
        Self { scanner: scanner(&sim.url()), sim }
    }
}

#[async_trait]
impl ScannerHarness for NessusHarness {
    fn scanner(&self) -> Arc<dyn ScannerInterface> {
        Arc::clone(&self.scanner) as Arc<dyn ScannerInterface>
    }

    fn targets(&self) -> String {
        "192.0.2.1-192.0.2.2,2001:db8::10/127".to_owned()
    }

    async fn counted(&self, marker: &str) -> Option<Counted> {
        let (stats, carried) = (self.sim.stats(), format!("[{marker}]"));
        let of = |counts: &std::collections::BTreeMap<String, u64>| {
            counts.iter().filter(|(name, _)| name.ends_with(&carried)).map(|(_, count)| count).sum()
        };
        Some(Counted::new(of(&stats.creates), of(&stats.launches)))
    }

    async fn unreachable(&self) -> Option<Arc<dyn ScannerInterface>> {
        // A port that was free a moment ago, and that nobody listens on any more.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some(scanner(&format!("http://127.0.0.1:{port}")))
    }
}

nessus_mcp_lib::scanner_conformance_tests!(NessusHarness::start());
