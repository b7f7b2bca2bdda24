//! Calls to the scanner with a login behind them.
//!
//! What a refusal proves decides what is repeated: a 401 or a 412 says that the scanner did *not* act, so the same call
//! is sent once more with a new session or web token, whatever it is. A failure that proves nothing is repeated only
//! where a second time does no harm; after a create or launch its effect is looked for first.

use std::marker::PhantomData;

use reqwest::Response;
use serde::de::{DeserializeOwned, DeserializeSeed};

use super::{
    auth::Auth,
    call::{Access, Call, decode_error},
    config::{NessusConfig, ReadyLimits},
    http::{Answer, Exchange},
    ready::{self, Gate},
};
use crate::{
    retry::{Retries, RetrySettings},
    scanner::{
        error::{RequestSent, ScannerError},
        permit,
    },
    secret::Secret,
};

/// How often a read is attempted.
const ATTEMPTS: u32 = 3;

/// A scanner one can talk to.
#[derive(Debug)]
pub(super) struct Client {
    exchange: Exchange,
    auth: Auth,
    retries: Retries,
    ready: Gate,
    ready_limits: ReadyLimits,
}

impl Client {
    /// # Errors
    /// [`ScannerError::Configuration`], see [`Exchange::new`].
    pub(super) fn new(config: &NessusConfig) -> Result<Self, ScannerError> {
        let exchange = Exchange::new(config)?;
        Ok(Self {
            retries: Retries::new(RetrySettings::new(ATTEMPTS, config.retry_pause, exchange.timeout)),
            exchange,
            auth: Auth::new(config.account()),
            ready: Gate::default(),
            ready_limits: config.ready.clone(),
        })
    }

    /// The scanner's URL.
    pub(super) fn base(&self) -> &str {
        self.exchange.base()
    }

    /// Somebody's text made fit for a message.
    pub(super) fn shown(&self, text: &[u8]) -> String {
        self.exchange.redactor.shown(text, &[])
    }

    /// Remembers what must not be shown.
    pub(super) fn learn(&self, secret: &Secret) {
        self.exchange.redactor.learn(secret);
    }

    /// Sorts a failure while a body is read.
    pub(super) fn transport_error(&self, call: &Call, error: reqwest::Error) -> ScannerError {
        self.exchange.transport_error(call, error)
    }

    /// Asks the scanner once whether it can scan, without a login.
    ///
    /// # Errors
    /// [`ScannerError::NotReady`] or [`ScannerError::Unusable`] when it cannot.
    pub(super) async fn check_ready(&self) -> Result<(), ScannerError> {
        ready::ask(&self.exchange).await
    }

    /// Waits until a scanner that is loading has done so, for its own long limit.
    pub(super) async fn wait_ready(&self) -> Result<(), ScannerError> {
        self.ready.wait(&self.exchange, &self.ready_limits).await
    }

    /// Sends the call; returns the answer to it once the scanner has agreed, never a refusal.
    async fn send(&self, call: &Call) -> Result<Answer, ScannerError> {
        let mut access = call.access;
        let (mut session_renewed, mut token_renewed) = (false, false);
        loop {
            let grant = self.auth.grant(&self.exchange, access).await.map_err(before_the_call)?;
            if access == Access::Control && !permit::permit_is_valid() {
                let message = "it came too late to be sent".to_owned();
                return Err(ScannerError::Transport { call: call.name(), message, sent: RequestSent::No });
            }
            let refusal = match self.exchange.send(call, &grant.credentials).await {
                Ok(Answer::Refused(refusal)) => refusal,
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    // Some versions say nothing at all where others say 412: the next call brings a fresh token.
                    if access == Access::Control
                        && matches!(error, ScannerError::Transport { sent: RequestSent::Maybe, .. })
                    {
                        self.auth.api_token_refused(&grant).await;
                    }
                    return Err(error);
                }
            };
            match refusal.status {
                401 if access != Access::Open => {
                    if session_renewed || !self.auth.can_renew(&grant) {
                        return Err(grant.explain(refusal.into_error(call)));
                    }
                    session_renewed = true;
                    self.auth.session_refused(&grant).await;
                }
                412 if access != Access::Open => {
                    if token_renewed {
                        return Err(grant.explain(refusal.into_error(call)));
                    }
                    token_renewed = true;
                    if access == Access::Control {
                        self.auth.api_token_refused(&grant).await;
                    }
                    // Which calls ask for the web token differs between versions.
                    access = Access::Control;
                }
                _ => {
                    // A login page says that the session is over, a scanner that starts says that all are.
                    if refusal.is_page || refusal.server.is_some() {
                        self.auth.session_refused(&grant).await;
                    }
                    return Err(refusal.into_error(call));
                }
            }
        }
    }

    /// Sends the call and leaves its body to the caller.
    pub(super) async fn open(&self, call: &Call) -> Result<Response, ScannerError> {
        match self.send(call).await? {
            Answer::Stream(answer) => Ok(answer.rest),
            Answer::Body(_) | Answer::Refused(_) => Err(decode_error(call, "it was read already")),
        }
    }

    /// Sends the call; what the answer says does not matter, and it may be empty.
    pub(super) async fn act(&self, call: &Call) -> Result<Vec<u8>, ScannerError> {
        match self.send(call).await? {
            Answer::Body(body) => Ok(body),
            Answer::Stream(_) | Answer::Refused(_) => Ok(Vec::new()),
        }
    }

    /// Sends the call and reads its JSON answer.
    pub(super) async fn fetch<T: DeserializeOwned + Send + 'static>(&self, call: &Call) -> Result<T, ScannerError> {
        self.fetch_as(call, PhantomData).await
    }

    /// The same into what `seed` makes of it.
    async fn fetch_as<T, S>(&self, call: &Call, seed: S) -> Result<T, ScannerError>
    where
        T: Send + 'static,
        S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
    {
        match self.send(call).await? {
            Answer::Body(body) => self.exchange.decode_as(call, &body, seed),
            Answer::Stream(answer) => self.exchange.decode_large(call, answer, seed).await,
            Answer::Refused(_) => Err(decode_error(call, "it was not read")),
        }
    }

    /// Sends a call that does no harm a second time, again when that may help and has not taken long.
    pub(super) async fn fetch_repeated<T>(&self, call: &Call) -> Result<T, ScannerError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.fetch_repeated_as(call, PhantomData).await
    }

    /// The same into what `seed` makes of it.
    pub(super) async fn fetch_repeated_as<T, S>(&self, call: &Call, seed: S) -> Result<T, ScannerError>
    where
        T: Send + 'static,
        S: for<'de> DeserializeSeed<'de, Value = T> + Clone + Send + 'static,
    {
        self.retries.run(|| self.fetch_as(call, seed.clone()), may_pass).await
    }

    /// Reads.
    pub(super) async fn get<T>(&self, path: impl Into<String>, access: Access) -> Result<T, ScannerError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.fetch_repeated(&Call::get(path, access)).await
    }

    /// Reads, once the scanner is ready: for what a scan cannot begin or end without.
    pub(super) async fn fetch_when_ready<T, S>(&self, call: &Call, seed: S) -> Result<T, ScannerError>
    where
        T: Send + 'static,
        S: for<'de> DeserializeSeed<'de, Value = T> + Clone + Send + 'static,
    {
        match self.fetch_repeated_as(call, seed.clone()).await {
            Err(ScannerError::NotReady(_)) => {
                self.wait_ready().await?;
                self.fetch_repeated_as(call, seed).await
            }
            outcome => outcome,
        }
    }

    /// Ends the session on the scanner.
    pub(super) async fn logout(&self) {
        self.auth.logout(&self.exchange).await;
    }
}

/// A failure of what had to come first: whatever it was, the call itself was never sent.
pub(super) fn before_the_call(error: ScannerError) -> ScannerError {
    permit::request_not_sent();
    match error {
        ScannerError::Transport { call, message, .. } => {
            ScannerError::Transport { call, message, sent: RequestSent::No }
        }
        other => other,
    }
}

/// Whether the same call may succeed in a moment. A scanner that says when to come back is not called before.
fn may_pass(error: &ScannerError) -> bool {
    matches!(error, ScannerError::Transport { .. } | ScannerError::Server { .. } | ScannerError::Decode { .. })
}
