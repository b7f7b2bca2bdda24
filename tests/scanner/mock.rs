//! The scanner that plays.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nessus_mcp_lib::{
    ScannerInterface,
    scanner::{MockConfig, MockScanner},
    testing::scanner_conformance::{Counted, ScannerHarness},
};

struct MockHarness(Arc<MockScanner>);

impl MockHarness {
    fn start() -> Self {
        Self(Arc::new(MockScanner::new(MockConfig::new().scan_duration(Duration::from_millis(700)))))
    }
}

#[async_trait]
impl ScannerHarness for MockHarness {
    fn scanner(&self) -> Arc<dyn ScannerInterface> {
        Arc::clone(&self.0) as Arc<dyn ScannerInterface>
    }

    async fn counted(&self, marker: &str) -> Option<Counted> {
        Some(Counted::new(self.0.creates_of(marker), self.0.launches_of(marker)))
    }
}

nessus_mcp_lib::scanner_conformance_tests!(std::future::ready(MockHarness::start()));
