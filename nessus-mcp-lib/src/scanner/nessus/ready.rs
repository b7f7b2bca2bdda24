//! Whether the scanner can scan, by `GET /server/status`, and waiting until it can.
//!
//! Only `loading` passes by itself: after a start the plugins are compiled, which may take many minutes. All other words
//! need a person. However many calls meet a scanner that is loading, one of them asks it and the others wait with it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{
    http::{Access, Answer, Call, Credentials, Exchange},
    wire::ServerStatus,
};
use crate::{error::excerpt, scanner::ScannerError};

/// How long a scanner that is loading is waited for.
#[derive(Debug, Clone)]
pub(super) struct ReadyLimits {
    pub(super) poll_interval: Duration,
    pub(super) max_wait: Duration,
}

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
    /// [`ScannerError::Unusable`] when a person must mend it, [`ScannerError::TimedOut`] when it takes too long, or why
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
/// [`ScannerError::NotReady`] while it is loading, [`ScannerError::Unusable`] when a person must mend it.
pub(super) async fn ask(exchange: &Exchange) -> Result<(), ScannerError> {
    let call = Call::get("/server/status", Access::Open);
    match exchange.send(&call, &Credentials::default()).await? {
        Answer::Body(body) => check(&exchange.decode(&call, &body)?),
        // A proxy that hides it: whether the scanner can scan shows by itself.
        Answer::Refused(refusal) if matches!(refusal.status, 401 | 403 | 404 | 405) => Ok(()),
        Answer::Refused(refusal) => Err(refusal.into_error(&call)),
        Answer::Stream(_) => Ok(()),
    }
}

/// Whether the scanner can scan, by its own words.
///
/// # Errors
/// [`ScannerError::NotReady`] while it is loading, else [`ScannerError::Unusable`] with what is to be done about it.
pub(super) fn check(status: &ServerStatus) -> Result<(), ScannerError> {
    let word = status.status.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    let advice = match word.as_str() {
        "ready" => return Ok(()),
        "loading" => {
            return Err(ScannerError::NotReady(match status.progress {
                Some(percent) => format!("loading, {percent} %"),
                None => "loading".to_owned(),
            }));
        }
        "register" | "register-locked" => "it must be registered",
        "feed-expired" => "its plugin feed has expired",
        "eval-expired" => "its evaluation licence has expired",
        "locked" => "it is locked by its master password",
        "corrupt-db" => "its database is damaged",
        "download-failed" | "feed-error" => "its plugins could not be downloaded",
        // It answers, but not in words we know: perhaps it is just starting.
        "" => return Err(ScannerError::NotReady("it does not say its status".to_owned())),
        _ => return Err(ScannerError::NotReady(format!("it says the unknown status `{}`", excerpt(&word)))),
    };
    Err(ScannerError::Unusable(format!("{advice} (status `{word}`)")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::error::Classified as _;

    #[rstest]
    #[case(r#"{"status":"loading","progress":37}"#, "loading, 37 %", true)]
    #[case(r#"{"status":"Loading","progress":null}"#, "loading", true)]
    #[case(r#"{"status":"brooding"}"#, "`brooding`", true)]
    #[case("{}", "does not say", true)]
    #[case(r#"{"status":"feed-expired"}"#, "its plugin feed has expired", false)]
    #[case(r#"{"status":"register"}"#, "must be registered", false)]
    #[case(r#"{"status":"corrupt-db"}"#, "damaged", false)]
    #[case(r#"{"status":"locked"}"#, "master password", false)]
    fn a_scanner_that_cannot_scan_says_why(#[case] json: &str, #[case] words: &str, #[case] passes: bool) {
        let error = check(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.is_retryable(), passes, "{error:?}");
        assert!(error.hint().is_some());
    }
}
