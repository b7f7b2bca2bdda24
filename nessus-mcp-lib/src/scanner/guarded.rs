//! A scanner behind its circuit breaker.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    connection::Connection,
    error::ScannerError,
    facts::{ScanHost, ScannerProperties},
    interface::{ExportSink, ExportSummary, MarkedScan, ScanRequest, ScanStatus, ScannerInterface},
    offer::ScanOffer,
};
use crate::{
    circuit_breaker::{CircuitBreaker, CircuitOpen, CircuitState, Permit},
    error::{Classified, chain},
    ids::ScanId,
    telemetry::ScannerCalls,
};

/// Lets each call to a scanner through its breaker; one that the breaker forbids is [`ScannerError::CircuitOpen`].
///
/// A call that concerns one scan says less about the scanner than one that concerns all of it: see
/// [`ClassifyOutcome::outcome_on_one`](crate::circuit_breaker::ClassifyOutcome::outcome_on_one).
///
/// Stopping a scan is tried although the circuit is open, and then counts as nothing: it is rare, it matters, and a scanner
/// that fails to tell a scan's status may stop it all the same. Logging out is no call: it is done when nothing else is.
/// After a reset the scanner forgets its session, and with it that its login was refused, so that it is tried once more.
///
/// What stands behind it can be exchanged while it is used: a call that has begun ends where it began, and its end says
/// nothing about what has come since.
#[derive(Debug)]
pub struct Guarded {
    front: ArcSwap<Front>,
    calls: ScannerCalls,
}

/// A scanner and what decides about calls to it, between two exchanges.
#[derive(Debug)]
struct Front {
    connection: Arc<Connection>,
    breaker: CircuitBreaker,
    /// The circuit under the scanner's name, where that belongs to another scanner by now: operators speak to this one.
    named: Option<CircuitBreaker>,
    /// The resets that the scanner has been told of.
    resets: AtomicU64,
}

impl Front {
    fn new(connection: Arc<Connection>, breaker: CircuitBreaker, named: Option<CircuitBreaker>) -> Self {
        let resets = AtomicU64::new(named.as_ref().unwrap_or(&breaker).resets());
        Self { connection, breaker, named, resets }
    }

    fn scanner(&self) -> Arc<dyn ScannerInterface> {
        Arc::clone(self.connection.scanner())
    }

    /// Does what an operator has commanded since the last call.
    ///
    /// # Errors
    /// [`CircuitOpen`] while the scanner's name is isolated.
    async fn obey(&self) -> Result<(), CircuitOpen> {
        let resets = self.named.as_ref().unwrap_or(&self.breaker).resets();
        if self.resets.swap(resets, Ordering::AcqRel) != resets {
            if self.named.is_some() {
                self.breaker.reset("an operator has reset the circuit of its name");
            }
            self.connection.scanner().close().await;
        }
        self.isolation().map_or(Ok(()), Err)
    }

    /// Why no calls are made under the scanner's name, where an operator wants none.
    fn isolation(&self) -> Option<CircuitOpen> {
        let open = self.named.as_ref().unwrap_or(&self.breaker).check().err()?;
        (open.state == CircuitState::Isolated).then_some(open)
    }
}

impl Guarded {
    /// Puts `breaker` in front of `scanner`.
    pub fn new(scanner: Arc<dyn ScannerInterface>, breaker: CircuitBreaker) -> Self {
        Self::on(Connection::unregistered(scanner), breaker)
    }

    pub(super) fn on(connection: Arc<Connection>, breaker: CircuitBreaker) -> Self {
        let front = ArcSwap::from_pointee(Front::new(connection, breaker, None));
        Self { front, calls: ScannerCalls::default() }
    }

    /// The same, with its calls counted there.
    pub(super) fn counted(mut self, calls: &ScannerCalls) -> Self {
        self.calls = calls.clone();
        self
    }

    /// What is called now.
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.front.load().connection)
    }

    /// Whether it is `breaker` that stands in front.
    pub(super) fn is_behind(&self, breaker: &CircuitBreaker) -> bool {
        self.front.load().breaker.is_same(breaker)
    }

    /// Puts another connection to the same scanner behind the same breaker: all who use this one go on with it. The former
    /// one is let go when the last call on it has ended.
    pub(super) fn exchange(&self, connection: Arc<Connection>) {
        let former = self.front.load_full();
        self.front.store(Arc::new(Front::new(connection, former.breaker.clone(), former.named.clone())));
    }

    /// Gives the scanner a breaker of its own, because its name now belongs to another one. An operator's isolation and
    /// reset of the name still hold for it.
    pub(super) fn detach(&self, breaker: CircuitBreaker) {
        let former = self.front.load_full();
        let named = former.named.clone().unwrap_or_else(|| former.breaker.clone());
        self.front.store(Arc::new(Front::new(Arc::clone(&former.connection), breaker, Some(named))));
    }

    /// Whether the next call would try if the scanner is back.
    pub(super) fn awaits_trial(&self) -> bool {
        let breaker = &self.front.load().breaker;
        breaker.check().is_ok() && breaker.view().state != CircuitState::Closed
    }

    fn is_current(&self, front: &Arc<Front>) -> bool {
        Arc::ptr_eq(front, &self.front.load())
    }

    /// The right to make a call, and on what.
    async fn enter(&self) -> Result<(Arc<Front>, Permit), CircuitOpen> {
        loop {
            let front = self.front.load_full();
            front.obey().await?;
            let permit = front.breaker.try_acquire()?;
            // A permit that is younger than the exchange would count a call to the former scanner for the new one.
            if self.is_current(&front) {
                return Ok((front, permit));
            }
        }
    }

    /// A call that concerns the scanner; `call` is its name in metrics.
    async fn call<T, F>(
        &self,
        call: &'static str,
        work: impl FnOnce(Arc<dyn ScannerInterface>) -> F,
    ) -> Result<T, ScannerError>
    where
        F: Future<Output = Result<T, ScannerError>>,
    {
        let (front, permit) = self.enter().await?;
        self.make(call, front, permit, work).await
    }

    /// A call that concerns one scan.
    async fn call_on_scan<T, F>(
        &self,
        call: &'static str,
        work: impl FnOnce(Arc<dyn ScannerInterface>) -> F,
    ) -> Result<T, ScannerError>
    where
        F: Future<Output = Result<T, ScannerError>>,
    {
        let (front, permit) = self.enter().await?;
        self.make(call, front, permit.on_one(), work).await
    }

    async fn make<T, F>(
        &self,
        call: &'static str,
        front: Arc<Front>,
        permit: Permit,
        work: impl FnOnce(Arc<dyn ScannerInterface>) -> F,
    ) -> Result<T, ScannerError>
    where
        F: Future<Output = Result<T, ScannerError>>,
    {
        match self.measured(call, &front, permit.call(work(front.scanner()))).await {
            // The next call is made with the new login.
            Err(refused @ ScannerError::AuthenticationRefused(_))
                if !Arc::ptr_eq(&front.connection, &self.connection()) =>
            {
                Err(ScannerError::NotReady(format!("its configuration has changed meanwhile: {}", chain(&refused))))
            }
            result => result,
        }
    }

    /// Counts a call once it has ended. One that nobody waits for any more is not counted.
    async fn measured<T>(
        &self,
        call: &'static str,
        front: &Front,
        made: impl Future<Output = Result<T, ScannerError>>,
    ) -> Result<T, ScannerError> {
        let begun = Instant::now();
        let result = made.await;
        let code = result.as_ref().err().map(Classified::code);
        self.calls.made(front.breaker.name(), call, begun.elapsed(), code);
        result
    }

    /// Whoever ends a scan must not wait until something else is found to work.
    async fn end<F>(
        &self,
        call: &'static str,
        work: impl FnOnce(Arc<dyn ScannerInterface>) -> F,
    ) -> Result<(), ScannerError>
    where
        F: Future<Output = Result<(), ScannerError>>,
    {
        let front = self.front.load_full();
        match front.breaker.check() {
            Err(open)
                if matches!(open.state, CircuitState::Open | CircuitState::HalfOpen) && front.isolation().is_none() =>
            {
                self.measured(call, &front, work(front.scanner())).await
            }
            _ => self.call_on_scan(call, work).await,
        }
    }
}

#[async_trait]
impl ScannerInterface for Guarded {
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError> {
        self.call("create", |scanner| async move { scanner.create(request).await }).await
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        self.call_on_scan("launch", |scanner| async move { scanner.launch(scan).await }).await
    }

    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError> {
        self.call_on_scan("status", |scanner| async move { scanner.status(scan).await }).await
    }

    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError> {
        self.call_on_scan("export", |scanner| async move { scanner.export(scan, sink).await }).await
    }

    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.end("stop", |scanner| async move { scanner.stop(scan).await }).await
    }

    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.end("kill", |scanner| async move { scanner.kill(scan).await }).await
    }

    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call_on_scan("pause", |scanner| async move { scanner.pause(scan).await }).await
    }

    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call_on_scan("resume", |scanner| async move { scanner.resume(scan).await }).await
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call_on_scan("delete", |scanner| async move { scanner.delete(scan).await }).await
    }

    async fn trash(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call_on_scan("trash", |scanner| async move { scanner.trash(scan).await }).await
    }

    async fn forget_credentials(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.call_on_scan("forget_credentials", |scanner| async move { scanner.forget_credentials(scan).await }).await
    }

    async fn hosts(&self, scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError> {
        self.call_on_scan("hosts", |scanner| async move { scanner.hosts(scan).await }).await
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        self.call("find_by_marker", |scanner| async move { scanner.find_by_marker(marker).await }).await
    }

    async fn marked_scans(&self) -> Result<Vec<MarkedScan>, ScannerError> {
        self.call("marked_scans", |scanner| async move { scanner.marked_scans().await }).await
    }

    async fn offer(&self) -> Result<ScanOffer, ScannerError> {
        self.call("offer", |scanner| async move { scanner.offer().await }).await
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        self.call("properties", |scanner| async move { scanner.properties().await }).await
    }

    async fn close(&self) {
        let connection = self.connection();
        connection.scanner().close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::CircuitSettings,
        scanner::{MockConfig, MockOperation, MockScanner, RequestSent, remove_scan},
    };

    fn guarded() -> (Arc<MockScanner>, CircuitBreaker, Guarded) {
        let scanner = Arc::new(MockScanner::new(MockConfig::new()));
        let breaker = CircuitBreaker::new("lab:one", CircuitSettings::default().with_failures(2)).unwrap();
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
        guarded.offer().await.unwrap();
        guarded.marked_scans().await.unwrap();
        for operation in [MockOperation::Kill, MockOperation::ForgetCredentials, MockOperation::Offer] {
            assert_eq!(scanner.calls(operation), 1, "{operation:?}");
        }
        remove_scan(&guarded, &scan, std::time::Duration::from_secs(1)).await.unwrap();
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
    async fn what_is_the_matter_with_one_scan_does_not_open_the_circuit() {
        let (scanner, breaker, guarded) = guarded();
        let scan = ScanId::new("1");
        let broken = || ScannerError::Server { status: 500, message: "database is locked".to_owned() };
        for _ in 0..4 {
            scanner.fail_next(MockOperation::Status, broken());
            guarded.status(&scan).await.unwrap_err();
            scanner.fail_next(MockOperation::Export, ScannerError::ExportLost("404 each time".to_owned()));
            guarded.export(&scan, &mut Vec::new()).await.unwrap_err();
        }
        assert_eq!((breaker.view().state, breaker.view().failures), (CircuitState::Closed, 0));
        for _ in 0..2 {
            scanner.fail_next(MockOperation::FindByMarker, broken());
            guarded.find_by_marker("x").await.unwrap_err();
        }
        assert_eq!(breaker.view().state, CircuitState::Open, "the same of the scanner itself does");
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

    fn refused() -> ScannerError {
        ScannerError::AuthenticationRefused("no".to_owned())
    }

    /// A call is under way when the password is changed: that it is refused concerns the old one.
    #[tokio::test(start_paused = true)]
    async fn an_exchanged_scanner_is_used_at_once_and_the_former_one_says_nothing_of_it() {
        let (former, breaker, guarded) = guarded();
        let under_way = guarded.call("status", |_| async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            Err::<(), _>(refused())
        });
        let later = Arc::new(MockScanner::new(MockConfig::new()));
        let exchanged = async {
            let used = Arc::downgrade(&guarded.connection());
            guarded.exchange(Connection::unregistered(later.clone()));
            breaker.reconfigured();
            guarded.find_by_marker("x").await.unwrap();
            assert_eq!(used.strong_count(), 1, "a call is under way");
            used
        };
        let (outcome, used) = tokio::join!(under_way, exchanged);
        assert!(matches!(outcome, Err(ScannerError::NotReady(_))), "it may be tried again: {outcome:?}");
        assert_eq!(used.strong_count(), 0);
        assert_eq!(breaker.view().state, CircuitState::Closed);
        let calls = [&former, &later].map(|scanner| scanner.calls(MockOperation::FindByMarker));
        assert_eq!(calls, [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_detached_scanner_harms_no_other_and_obeys_still() {
        let (former, named, guarded) = guarded();
        guarded.detach(CircuitBreaker::new("lab:one as configured before", CircuitSettings::default()).unwrap());
        named.reconfigured();
        former.fail_next(MockOperation::FindByMarker, refused());
        assert!(matches!(guarded.find_by_marker("x").await, Err(ScannerError::AuthenticationRefused(_))));
        let Err(ScannerError::CircuitOpen(open)) = guarded.find_by_marker("x").await else { panic!("it was sent") };
        assert_eq!((&*open.scanner, open.state), ("lab:one as configured before", CircuitState::Unusable));
        assert_eq!(named.view().state, CircuitState::Closed);
        named.reset("repaired");
        guarded.find_by_marker("x").await.unwrap();
        named.isolate("maintenance");
        for outcome in [guarded.find_by_marker("x").await.map(drop), guarded.stop(&ScanId::new("1")).await] {
            assert!(matches!(outcome, Err(ScannerError::CircuitOpen(_))), "{outcome:?}");
        }
    }
}
