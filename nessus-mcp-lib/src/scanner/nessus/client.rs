//! Calls to the scanner with a login behind them.
//!
//! What a refusal proves decides what is repeated: a 401 or a 412 says that the scanner did *not* act, so the same call
//! is sent once more with a new session or web token, whatever it is. A failure that proves nothing is repeated for
//! reads only; a create or launch is left to the caller, who looks for its effect first.

use std::time::Duration;

use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    auth::Auth,
    config::NessusConfig,
    http::{Access, Answer, Call, Exchange},
};
use crate::scanner::{RequestSent, ScannerError, permit};

/// How often a read is attempted.
const ATTEMPTS: u32 = 3;

/// A scanner one can talk to.
#[derive(Debug)]
pub(super) struct Client {
    exchange: Exchange,
    auth: Auth,
    retry_pause: Duration,
}

impl Client {
    /// # Errors
    /// [`ScannerError::Configuration`], see [`Exchange::new`].
    pub(super) fn new(config: &NessusConfig) -> Result<Self, ScannerError> {
        Ok(Self {
            exchange: Exchange::new(config)?,
            auth: Auth::new(&config.username, &config.password),
            retry_pause: config.retry_pause,
        })
    }

    /// The scanner's URL.
    pub(super) fn base(&self) -> &str {
        self.exchange.base()
    }

    /// Somebody's text made fit for a message.
    pub(super) fn shown(&self, text: &[u8]) -> String {
        self.exchange.shown(text, &super::http::Credentials::default())
    }

    /// Sorts a failure while a body is read.
    pub(super) fn transport_error(&self, call: &Call, error: reqwest::Error) -> ScannerError {
        self.exchange.transport_error(call, error)
    }

    /// Sends the call; returns the answer to it once the scanner has agreed.
    pub(super) async fn open(&self, call: &Call) -> Result<Response, ScannerError> {
        let mut access = call.access;
        let (mut session_renewed, mut token_renewed) = (false, false);
        loop {
            let grant = self.auth.grant(&self.exchange, access).await.map_err(before_the_call)?;
            if access == Access::Control && !permit::may_act() {
                let message = "it came too late to be sent".to_owned();
                return Err(ScannerError::Transport { call: call.name(), message, sent: RequestSent::No });
            }
            let refusal = match self.exchange.send(call, &grant.credentials).await? {
                Answer::Success(response) => return Ok(response),
                Answer::Refused(refusal) => refusal,
            };
            match refusal.status {
                401 if access != Access::Open => {
                    if session_renewed {
                        return Err(refusal.into_error(call));
                    }
                    session_renewed = true;
                    self.auth.session_refused(&grant).await;
                }
                412 if access != Access::Open => {
                    if token_renewed {
                        return Err(refusal.into_error(call));
                    }
                    token_renewed = true;
                    if access == Access::Control {
                        self.auth.api_token_refused(&grant).await;
                    }
                    // Which calls ask for the web token differs between versions.
                    access = Access::Control;
                }
                _ => return Err(refusal.into_error(call)),
            }
        }
    }

    /// Sends the call and reads its JSON answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ScannerError> {
        let response = self.open(call).await?;
        self.exchange.decode(call, response).await
    }

    /// Sends the call; what the answer says does not matter, and it may be empty.
    pub(super) async fn act(&self, call: &Call) -> Result<Vec<u8>, ScannerError> {
        let response = self.open(call).await?;
        // The scanner has agreed: a body that breaks off takes nothing back.
        Ok(self.exchange.body(call, response).await.unwrap_or_default())
    }

    /// Reads, a few times when that may help and has not taken long.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
        access: Access,
    ) -> Result<T, ScannerError> {
        let call = Call::get(path, access);
        let started = Instant::now();
        let mut pause = self.retry_pause;
        let mut attempt = 1;
        loop {
            match self.fetch(&call).await {
                Err(error) if attempt < ATTEMPTS && may_pass(&error) && started.elapsed() < self.exchange.timeout => {
                    tracing::debug!(scanner = self.base(), attempt, %error, "a read is repeated");
                    tokio::time::sleep(pause).await;
                    pause *= 4;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Ends the session on the scanner.
    pub(super) async fn logout(&self) {
        self.auth.logout(&self.exchange).await;
    }
}

/// A failure of what had to come first: whatever it was, the call itself was never sent.
pub(super) fn before_the_call(error: ScannerError) -> ScannerError {
    match error {
        ScannerError::Transport { call, message, .. } => {
            ScannerError::Transport { call, message, sent: RequestSent::No }
        }
        other => other,
    }
}

/// Whether the same read may succeed in a moment. A scanner that says when to come back is left alone until then.
fn may_pass(error: &ScannerError) -> bool {
    matches!(error, ScannerError::Transport { .. } | ScannerError::Server { .. } | ScannerError::Decode { .. })
}
