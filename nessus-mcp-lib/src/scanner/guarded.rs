//! A scanner behind its circuit breaker.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::{
    ExportSink, ExportSummary, ScanHost, ScanHostDetails, ScanRequest, ScanRun, ScanStatus, ScannerError,
    ScannerInterface, ScannerProperties,
};
use crate::{
    circuit_breaker::{CircuitBreaker, CircuitState},
    ids::ScanId,
};

/// Lets each call to a scanner through its breaker; one that the breaker forbids is [`ScannerError::CircuitOpen`].
///
/// Stopping a scan is tried although the circuit is open, and then counts as nothing: it is rare, it matters, and a scanner
/// that fails to tell a scan's status may stop it all the same. Logging out is no call: it is done when nothing else is.
/// After a reset the scanner forgets its session, and with it that its login was refused, so that it is tried once more.
#[derive(Debug)]
pub struct Guarded {
    scanner: Arc<dyn ScannerInterface>,
    breaker: CircuitBreaker,
    /// The resets of the breaker that the scanner has been told of.
    resets: AtomicU64,
}

impl Guarded {
    /// Puts `breaker` in front of `scanner`.
    pub fn new(scanner: Arc<dyn ScannerInterface>, breaker: CircuitBreaker) -> Self {
        let resets = AtomicU64::new(breaker.resets());
        Self { scanner, breaker, resets }
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, ScannerError>>) -> Result<T, ScannerError> {
        let resets = self.breaker.resets();
        if self.resets.swap(resets, Ordering::AcqRel) != resets {
            self.scanner.close().await;
        }
        self.breaker.call(work).await
    }

    /// Whoever ends a scan must not wait until something else is found to work.
    async fn end(&self, work: impl Future<Output = Result<(), ScannerError>>) -> Result<(), ScannerError> {
        match self.breaker.check() {
            Err(open) if matches!(open.state, CircuitState::Open | CircuitState::HalfOpen) => work.await,
            _ => self.call(work).await,
        }
    }
}

#[async_trait]
impl ScannerInterface for Guarded {
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError> {
        self.call(self.scanner.create(request)).await
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        self.call(self.scanner.launch(scan)).await
    }

    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError> {
        self.call(self.scanner.status(scan)).await
    }

    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError> {
        self.call(self.scanner.export(scan, sink)).await
    }

    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.end(self.scanner.stop(scan)).await
    }

    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.end(self.scanner.kill(scan)).await
    }

    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call(self.scanner.pause(scan)).await
    }

    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call(self.scanner.resume(scan)).await
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call(self.scanner.delete(scan)).await
    }

    async fn trash(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call(self.scanner.trash(scan)).await
    }

    async fn forget_credentials(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call(self.scanner.forget_credentials(scan)).await
    }

    async fn history(&self, scan: &ScanId) -> Result<Vec<ScanRun>, ScannerError> {
        self.call(self.scanner.history(scan)).await
    }

    async fn hosts(&self, scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError> {
        self.call(self.scanner.hosts(scan)).await
    }

    async fn host_details(&self, scan: &ScanId, host: u64) -> Result<ScanHostDetails, ScannerError> {
        self.call(self.scanner.host_details(scan, host)).await
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        self.call(self.scanner.find_by_marker(marker)).await
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        self.call(self.scanner.properties()).await
    }

    async fn close(&self) {
        self.scanner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::CircuitSettings,
        scanner::{MockConfig, MockOperation, MockScanner, RequestSent},
    };

    fn guarded() -> (Arc<MockScanner>, CircuitBreaker, Guarded) {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let breaker = CircuitBreaker::new("lab:one", CircuitSettings::default().with_failures(2));
        let guarded = Guarded::new(scanner.clone(), breaker.clone());
        (scanner, breaker, guarded)
    }

    /// A method with a default would otherwise do nothing, and say that it had.
    #[tokio::test(start_paused = true)]
    async fn what_has_a_default_reaches_the_scanner_too() {
        let (scanner, _, guarded) = guarded();
        let scan = guarded.create(&ScanRequest::new("m", "n", "192.0.2.1")).await.unwrap();
        guarded.launch(&scan).await.unwrap();
        guarded.kill(&scan).await.unwrap();
        guarded.forget_credentials(&scan).await.unwrap();
        for operation in [MockOperation::Kill, MockOperation::ForgetCredentials] {
            assert_eq!(scanner.calls(operation), 1, "{operation:?}");
        }
        guarded.remove(&scan, std::time::Duration::from_secs(1)).await.unwrap();
        assert_eq!(scanner.calls(MockOperation::Delete), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_circuit_sends_nothing_and_says_so() {
        let (scanner, breaker, guarded) = guarded();
        for _ in 0..2 {
            let (call, message) = ("GET /scans".to_owned(), "refused".to_owned());
            scanner.fail_next(
                MockOperation::FindByMarker,
                ScannerError::Transport { call, message, sent: RequestSent::No },
            );
            guarded.find_by_marker("x").await.unwrap_err();
        }
        let calls = scanner.calls(MockOperation::FindByMarker);
        let Err(ScannerError::CircuitOpen(open)) = guarded.find_by_marker("x").await else { panic!("it was sent") };
        assert_eq!((&*open.scanner, open.state), ("lab:one", CircuitState::Open));
        assert!(open.reason.contains("GET /scans") && open.retry_after.is_some(), "{open}");
        assert_eq!(scanner.calls(MockOperation::FindByMarker), calls);
        assert!(matches!(guarded.properties().await, Err(ScannerError::CircuitOpen(_))), "every call is guarded");
        guarded.stop(&ScanId::new("1")).await.unwrap_err();
        assert_eq!(scanner.calls(MockOperation::Stop), 1, "but a stop is tried");
        breaker.isolate("maintenance");
        assert!(matches!(guarded.stop(&ScanId::new("1")).await, Err(ScannerError::CircuitOpen(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_not_repeated_until_a_reset() {
        let (scanner, breaker, guarded) = guarded();
        scanner.fail_next(MockOperation::FindByMarker, ScannerError::AuthenticationRefused("no".to_owned()));
        assert!(matches!(guarded.find_by_marker("x").await, Err(ScannerError::AuthenticationRefused(_))));
        let Err(ScannerError::CircuitOpen(open)) = guarded.find_by_marker("x").await else { panic!("it was sent") };
        assert_eq!((open.state, open.retry_after), (CircuitState::Unusable, None));
        breaker.reset("the password is right again");
        assert_eq!(guarded.find_by_marker("x").await.unwrap(), None);
    }
}
