//! The scanner that plays.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nessus_mcp_lib::{
    ScannerInterface,
    scanner::{MockConfig, MockScanner, ScanPolicy},
    testing::scanner_conformance::{Counted, ScannerHarness},
};
use tempfile::TempDir;

struct MockHarness {
    scanner: Arc<MockScanner>,
    _directory: Option<TempDir>,
}

impl MockHarness {
    fn start() -> Self {
        Self { scanner: Arc::new(MockScanner::new(config())), _directory: None }
    }

    fn start_on_a_disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scanner = Arc::new(MockScanner::new(config().keep_in(directory.path().join("lab/play"))));
        Self { scanner, _directory: Some(directory) }
    }
}

fn config() -> MockConfig {
    let policies = [("4", "Weekly"), ("5", "Twice"), ("6", "Twice")].map(|(id, name)| ScanPolicy::new(id, name));
    MockConfig::new().scan_duration(Duration::from_millis(700)).policies(policies)
}

#[async_trait]
impl ScannerHarness for MockHarness {
    fn scanner(&self) -> Arc<dyn ScannerInterface> {
        Arc::clone(&self.scanner) as Arc<dyn ScannerInterface>
    }

    async fn counted(&self, marker: &str) -> Option<Counted> {
        Some(Counted::new(self.scanner.creates_of(marker), self.scanner.launches_of(marker)))
    }
}

mod in_memory {
    use super::MockHarness;

    nessus_mcp_lib::scanner_conformance_tests!(std::future::ready(MockHarness::start()));
}

mod on_a_disk {
    use super::MockHarness;

    nessus_mcp_lib::scanner_conformance_tests!(std::future::ready(MockHarness::start_on_a_disk()));
}
