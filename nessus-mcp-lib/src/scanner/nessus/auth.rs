//! The login session and the web interface's token, obtained once however many tasks need them.
//!
//! A scanner locks an account after a few refused logins and turns users away after too many open sessions. So one
//! lock stands around login and token: who comes while a login is under way waits for its outcome and shares it, good
//! or bad. Whoever finds a session expired says *which* one it used, so that a session renewed in the meantime stays.
//!
//! A scanner that is starting refuses good logins and API keys too, so it is asked whether it is ready before either is
//! shown to it for the first time, and before keys that it has refused are shown once more.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};

use super::{
    call::{Access, Call, Credentials, Expected, decode_error},
    config::Account,
    http::{Answer, Exchange},
    ready,
    wire::Login,
};
use crate::{scanner::error::ScannerError, secret::Secret};

/// How long a logout may hold up the end of a process.
const LOGOUT_LIMIT: Duration = Duration::from_secs(3);
/// How long no login is tried when the scanner has too many sessions; it doubles with each further time.
const FIRST_FULL_PAUSE: Duration = Duration::from_secs(60);
/// The longest of these pauses.
const LAST_FULL_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Who logs in, and what is known of it.
#[derive(Debug)]
pub(super) struct Auth {
    account: Account,
    state: Mutex<State>,
    /// How many logins and fetches of the token have ended, read by those who wait for one.
    attempts: AtomicU64,
    /// Whether the scanner has said that it is ready since the API keys were last refused.
    keys_may_be_shown: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Numbered<Secret>>,
    /// The inner `None`: the scanner's web interface has no token.
    api_token: Option<Numbered<Option<Secret>>>,
    last_number: u64,
    /// Why the last attempt failed, if it did.
    failure: Option<ScannerError>,
    /// Why the login was refused: it is not tried again.
    refused: Option<ScannerError>,
    /// When the scanner had too many sessions, and how long no login is tried for that.
    full: Option<(Instant, Duration, ScannerError)>,
}

#[derive(Debug, Clone)]
struct Numbered<T> {
    value: T,
    number: u64,
}

impl State {
    fn next<T>(&mut self, value: T) -> Numbered<T> {
        self.last_number += 1;
        Numbered { value, number: self.last_number }
    }

    /// # Errors
    /// While a scanner with too many sessions is not to be asked for another.
    fn check_not_full(&self) -> Result<(), ScannerError> {
        match &self.full {
            Some((until, _, ScannerError::TooManySessions { message, .. })) if Instant::now() < *until => {
                let retry_after = until.saturating_duration_since(Instant::now());
                Err(ScannerError::TooManySessions { message: message.clone(), retry_after })
            }
            _ => Ok(()),
        }
    }
}

/// What to show to the scanner, and which generation it is of.
#[derive(Debug, Default)]
pub(super) struct Grant {
    pub(super) credentials: Credentials,
    session: u64,
    api_token: u64,
}

impl Grant {
    /// Says what a refusal means for what was shown.
    pub(super) fn explain(&self, error: ScannerError) -> ScannerError {
        let shown = &self.credentials;
        match error {
            ScannerError::SessionRefused(said) if shown.api_keys.is_some() => {
                ScannerError::AuthenticationRefused(format!("the API keys are not accepted, {said}"))
            }
            ScannerError::ApiNotAvailable(said) if shown.api_keys.is_some() => ScannerError::ApiNotAvailable(format!(
                "{said}; only API keys are configured, and with them this edition allows to read and to export, not to \
                 create, launch or stop scans: configure `username` and `password`"
            )),
            ScannerError::ApiNotAvailable(said) if shown.session.is_some() && shown.api_token.is_none() => {
                ScannerError::ApiNotAvailable(format!(
                    "{said}; there is no X-API-Token in the `nessus6.js` of this scanner"
                ))
            }
            other => other,
        }
    }
}

impl Auth {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            state: Mutex::default(),
            attempts: AtomicU64::new(0),
            keys_may_be_shown: AtomicBool::new(false),
        }
    }

    /// What a call with this access has to show; logs in and fetches the token when needed.
    ///
    /// # Errors
    /// [`ScannerError::AuthenticationRefused`], for ever after once a login was refused (until [`Self::logout`]), or
    /// why the login could not be made.
    pub(super) async fn grant(&self, exchange: &Exchange, access: Access) -> Result<Grant, ScannerError> {
        let mut grant = Grant::default();
        if access == Access::Open {
            return Ok(grant);
        }
        if let Some(keys) = &self.account.api_keys
            && (access == Access::Session || self.account.login.is_none())
        {
            if !self.keys_may_be_shown.load(Ordering::Acquire) {
                ready::ask(exchange).await?;
                self.keys_may_be_shown.store(true, Ordering::Release);
            }
            grant.credentials.api_keys = Some(keys.clone());
            return Ok(grant);
        }
        let attempts_before = self.attempts.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        // Who has waited for somebody's failure does not try in turn: a silent scanner would hold up each a little longer.
        let waited = self.attempts.load(Ordering::Acquire) != attempts_before;
        if state.session.is_none() {
            if let Some(refused) = &state.refused {
                return Err(refused.clone());
            }
            state.check_not_full()?;
            match &state.failure {
                Some(failure) if waited => return Err(failure.clone()),
                _ => {}
            }
            let outcome = self.login(exchange).await;
            let token = self.attempted(exchange.base(), &mut state, outcome)?;
            exchange.redactor.learn(&token);
            state.session = Some(state.next(token));
        }
        if access == Access::Control && state.api_token.is_none() {
            match &state.failure {
                Some(failure) if waited => return Err(failure.clone()),
                _ => {}
            }
            let outcome = fetch_api_token(exchange).await;
            let token = self.attempted(exchange.base(), &mut state, outcome)?;
            if let Some(token) = &token {
                exchange.redactor.learn(token);
            }
            state.api_token = Some(state.next(token));
        }
        if let Some(session) = state.session.clone() {
            grant.session = session.number;
            grant.credentials.session = Some(session.value);
        }
        if access == Access::Control
            && let Some(token) = state.api_token.clone()
        {
            grant.api_token = token.number;
            grant.credentials.api_token = token.value;
        }
        Ok(grant)
    }

    /// Remembers how an attempt ended, for those who wait.
    fn attempted<T>(
        &self,
        scanner: &str,
        state: &mut State,
        outcome: Result<T, ScannerError>,
    ) -> Result<T, ScannerError> {
        self.attempts.fetch_add(1, Ordering::Release);
        state.failure = outcome.as_ref().err().cloned();
        match &state.failure {
            Some(refused @ ScannerError::AuthenticationRefused(_)) => state.refused = Some(refused.clone()),
            Some(ScannerError::TooManySessions { message, .. }) => {
                let pause =
                    state.full.as_ref().map_or(FIRST_FULL_PAUSE, |(_, pause, _)| *pause * 2).min(LAST_FULL_PAUSE);
                let failure = ScannerError::TooManySessions { message: message.clone(), retry_after: pause };
                tracing::warn!(scanner, "{failure}");
                state.full = Some((Instant::now() + pause, pause, failure.clone()));
                return Err(failure);
            }
            Some(_) => {}
            None => state.full = None,
        }
        outcome
    }

    /// Whether another grant may help a call that was refused with this one: after a new login, or with the same keys once
    /// the scanner is ready.
    pub(super) fn can_renew(&self, grant: &Grant) -> bool {
        let shown = &grant.credentials;
        shown.api_keys.is_some() || shown.session.is_some() && self.account.login.is_some()
    }

    /// The scanner does not accept the session or the keys of this grant.
    pub(super) async fn session_refused(&self, grant: &Grant) {
        if grant.credentials.api_keys.is_some() {
            self.keys_may_be_shown.store(false, Ordering::Release);
        }
        let mut state = self.state.lock().await;
        state.session.take_if(|session| session.number == grant.session);
    }

    /// The scanner does not accept the web token of this grant: it changes with each upgrade.
    pub(super) async fn api_token_refused(&self, grant: &Grant) {
        let mut state = self.state.lock().await;
        state.api_token.take_if(|token| token.number == grant.api_token);
    }

    /// Ends the session on the scanner, as far as that is possible in a few seconds, and forgets everything, also that a
    /// login was refused.
    pub(super) async fn logout(&self, exchange: &Exchange) {
        self.keys_may_be_shown.store(false, Ordering::Release);
        let Some(session) = std::mem::take(&mut *self.state.lock().await).session else {
            return;
        };
        let credentials = Credentials { session: Some(session.value), ..Credentials::default() };
        let call = Call::new(Method::DELETE, "/session", Access::Session).expects(Expected::Consent);
        match tokio::time::timeout(LOGOUT_LIMIT, exchange.send(&call, &credentials)).await {
            Ok(Ok(Answer::Body(_))) => tracing::debug!(scanner = exchange.base(), "logged out of the scanner"),
            // 401: it had expired already.
            Ok(Ok(Answer::Refused(refusal))) if refusal.status == 401 => {}
            _ => tracing::warn!(scanner = exchange.base(), "the session on the scanner could not be ended"),
        }
    }

    /// `POST /session`, once; not while the scanner is starting, when it would refuse good passwords too.
    async fn login(&self, exchange: &Exchange) -> Result<Secret, ScannerError> {
        let Some((username, password)) = &self.account.login else {
            return Err(ScannerError::Configuration(
                "neither user name and password nor API keys are given".to_owned(),
            ));
        };
        ready::ask(exchange).await?;
        let body = json!({ "username": username, "password": password.expose() });
        let call = Call::new(Method::POST, "/session", Access::Open).json(&body);
        let refusal = match exchange.send(&call, &Credentials::default()).await? {
            Answer::Body(body) => {
                let login: Login = exchange.decode(&call, &body)?;
                let token = login.token.filter(|token| !token.is_empty());
                let token = token.ok_or_else(|| decode_error(&call, "there is no `token` in it"))?;
                tracing::info!(scanner = exchange.base(), "logged in to the scanner");
                return Ok(Secret::new(token));
            }
            Answer::Refused(refusal) => refusal,
            Answer::Stream(_) => return Err(decode_error(&call, "it was not read")),
        };
        match refusal.status {
            // 400 is what Nessus says to a user name of a wrong form.
            400 | 401 | 403 => {
                let said = format!("{} (HTTP {}, user `{username}`)", refusal.words, refusal.status);
                tracing::error!(
                    scanner = exchange.base(),
                    "the scanner refused the login and is not asked again: {said}"
                );
                Err(ScannerError::AuthenticationRefused(said))
            }
            500 if refusal.words.to_ascii_lowercase().contains("too many") => {
                Err(ScannerError::TooManySessions { message: refusal.words, retry_after: FIRST_FULL_PAUSE })
            }
            _ => Err(refusal.into_error(&call)),
        }
    }
}

/// The token in `GET /nessus6.js`; `None` when the scanner has no such file or no token in it.
///
/// A call that needs it is then sent without, and the scanner's own refusal says the rest.
async fn fetch_api_token(exchange: &Exchange) -> Result<Option<Secret>, ScannerError> {
    let call = Call::get("/nessus6.js", Access::Open).expects(Expected::Text);
    let token = match exchange.send(&call, &Credentials::default()).await? {
        Answer::Body(script) => find_api_token(&String::from_utf8_lossy(&script)).map(Secret::new),
        Answer::Refused(refusal) if refusal.status != 404 => return Err(refusal.into_error(&call)),
        Answer::Refused(_) | Answer::Stream(_) => None,
    };
    if token.is_none() {
        tracing::warn!(scanner = exchange.base(), "no X-API-Token found in `nessus6.js`");
    }
    Ok(token)
}

/// The UUID that `getApiToken` returns in the web interface's script:
/// `{key:"getApiToken",value:function(){return"778F4A9C-D797-4817-B110-EC427B724486"}}`.
fn find_api_token(script: &str) -> Option<&str> {
    const FUNCTION: &str = "getApiToken";
    let mentions = || script.match_indices(FUNCTION).map(|(at, _)| &script[at + FUNCTION.len()..]);
    // A function's body ends with its brace: what stands behind it belongs to another one.
    let returned = mentions().find_map(|text| returned_uuid(text.split('}').next().unwrap_or_default()));
    // Another build may write it as a plain field.
    let as_field = || {
        mentions().find_map(|text| {
            let text = text.strip_prefix('"').unwrap_or(text);
            let quote = text.find(['"', '\'']).filter(|quote| *quote <= 80)?;
            quoted_uuid(&text[quote..])
        })
    };
    // A minifier may have renamed the function: take any that returns a UUID.
    returned.or_else(as_field).or_else(|| returned_uuid(script))
}

/// The first UUID behind a `return`.
fn returned_uuid(text: &str) -> Option<&str> {
    const RETURN: &str = "return";
    text.match_indices(RETURN).find_map(|(at, _)| quoted_uuid(&text[at + RETURN.len()..]))
}

/// The UUID at the beginning of the text when it stands in quotes.
fn quoted_uuid(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let (uuid, _) = text[1..].split_once(quote)?;
    let well_formed = uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    well_formed.then_some(uuid)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TOKEN: &str = "778F4A9C-D797-4817-B110-EC427B724486";
    const DECOY: &str = "00000000-1111-2222-3333-444444444444";

    #[rstest]
    #[case::real(r#"x,{key:"getApiToken",value:function(){return"TOKEN"}},{key:"z"}"#)]
    #[case::spaced(r"getApiToken: function() { return 'TOKEN'; }")]
    #[case::decoy_before(
        r#"{key:"a",value:function(){return"DECOY"}},{key:"getApiToken",value:function(){return"TOKEN"}}"#
    )]
    #[case::decoy_behind(
        r#"{key:"getApiToken",value:function(){return"TOKEN"}},{key:"b",value:function(){return"DECOY"}}"#
    )]
    #[case::used_before(r#"h(t.getApiToken(),"top");{key:"getApiToken",value:function(){return"TOKEN"}}"#)]
    #[case::used_beside_a_uuid(r#"f(this.getApiToken(),"DECOY");{key:"getApiToken",value:function(){return"TOKEN"}}"#)]
    #[case::field(r#"{getApiToken:"TOKEN"}"#)]
    #[case::json(r#"{"getApiToken":"TOKEN"}"#)]
    #[case::renamed(r#"{key:"q",value:function(){return"nessuscli"}},{key:"r",value:function(){return "TOKEN"}}"#)]
    fn the_api_token_is_found(#[case] script: &str) {
        let script = script.replace("TOKEN", TOKEN).replace("DECOY", DECOY);
        assert_eq!(find_api_token(&script), Some(TOKEN));
    }

    #[rstest]
    #[case("")]
    #[case("<html><body>Not found</body></html>")]
    #[case(r#"{key:"getApiToken",value:function(){return"top"}}"#)]
    #[case(r#"{key:"getApiToken",value:function(){return""#)]
    #[case(r#"getApiToken return"é778F4A9C-D797-4817-B110-EC427B72448""#)]
    fn without_a_token_none_is_invented(#[case] script: &str) {
        assert_eq!(find_api_token(script), None);
    }
}
