//! Whether the scanner can scan, by `GET /server/status`, and waiting until it can.
//!
//! Only `loading` passes by itself: after a start the plugins are compiled, which may take many minutes. All other words
//! need a person. However many calls meet a scanner that is loading, one of them asks it and the others wait with it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::{sync::Mutex, time::Instant};

use super::{
    call::{Access, Call, Credentials},
    config::ReadyLimits,
    http::{Answer, Exchange},
    refusal::check_ready,
};
use crate::scanner::error::ScannerError;

/// Where those wait who met a scanner that is loading.
#[derive(Debug, Default)]
pub(super) struct Gate {
    failure: Mutex<Option<ScannerError>>,
    /// How many waits have ended.
    waits: AtomicU64,
}

impl Gate {
    /// Waits until the scanner no longer says `loading`.
    ///
    /// # Errors
    /// [`ScannerError::Unusable`] when an operator must fix it, [`ScannerError::TimedOut`] when it takes too long, or why
    /// it could not be asked.
    pub(super) async fn wait(&self, exchange: &Exchange, limits: &ReadyLimits) -> Result<(), ScannerError> {
        let waits_before = self.waits.load(Ordering::Acquire);
        let mut failure = self.failure.lock().await;
        if self.waits.load(Ordering::Acquire) == waits_before {
            *failure = until_ready(exchange, limits).await.err();
            self.waits.fetch_add(1, Ordering::Release);
        }
        failure.clone().map_or(Ok(()), Err)
    }
}

async fn until_ready(exchange: &Exchange, limits: &ReadyLimits) -> Result<(), ScannerError> {
    let started = Instant::now();
    let mut shown = None;
    loop {
        let said = match ask(exchange).await {
            Err(ScannerError::NotReady(said)) => said,
            outcome => return outcome,
        };
        if started.elapsed() >= limits.max_wait {
            return Err(ScannerError::TimedOut { what: format!("the scanner: {said}"), waited: started.elapsed() });
        }
        if shown.as_ref() != Some(&said) {
            tracing::info!(scanner = exchange.base(), "waiting for the scanner: {said}");
            shown = Some(said);
        }
        tokio::time::sleep(limits.poll_interval).await;
    }
}

/// Asks the scanner once, without a login.
///
/// # Errors
/// [`ScannerError::NotReady`] while it is loading, [`ScannerError::Unusable`] when an operator must fix it.
pub(super) async fn ask(exchange: &Exchange) -> Result<(), ScannerError> {
    let call = Call::get("/server/status", Access::Open);
    match exchange.send(&call, &Credentials::default()).await? {
        Answer::Body(body) => check_ready(&exchange.decode(&call, &body)?),
        // A proxy that hides it: whether the scanner can scan shows by itself.
        Answer::Refused(refusal) if matches!(refusal.status, 401 | 403 | 404 | 405) => Ok(()),
        Answer::Refused(refusal) => Err(refusal.into_error(&call)),
        Answer::Stream(_) => Ok(()),
    }
}
