//! A check of a Nessus, step by step, with the client that scans use: from its name to its plugins.
//!
//! It logs in once at most, and logs out again. Nothing else is changed on the scanner.

use std::{io, net::SocketAddr, time::Duration};

use reqwest::Url;
use serde::de::DeserializeOwned;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    auth::{Auth, Grant},
    call::{Access, Call, decode_error},
    config::{NessusConfig, TlsTrust},
    facts,
    http::{Answer, Exchange},
    ready,
    tls::{self, Shown},
    wire::Folders,
};
use crate::{
    blocking,
    scanner::{
        check::{CheckStep, ENDS_SOON, LoginTry, ScannerCheck, Steps, in_days, timed},
        error::{RequestSent, ScannerError},
        facts::ScannerProperties,
    },
    time::Timestamp,
};

/// How long one step may take, or one request of it.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// How long the whole check may take: the steps ask several things.
const CHECK_LIMIT: Duration = Duration::from_secs(60);

/// A step has failed, and stands among the steps.
struct Ended;

/// Checks a scanner.
pub(in crate::scanner) async fn check_nessus(config: NessusConfig, login: LoginTry, now: Timestamp) -> ScannerCheck {
    let config = config.request_timeout(STEP_LIMIT);
    let exchange = match Exchange::new(&config) {
        Ok(exchange) => exchange,
        Err(error) => return ScannerCheck::not_configured(&error),
    };
    let auth = Auth::new(config.account());
    let mut steps = Steps::default();
    steps.ok(CheckStep::Configuration, None, exchange.base());
    let checked = timeout(CHECK_LIMIT, run(&config, &exchange, &auth, login, now, &mut steps)).await;
    auth.logout(&exchange).await;
    match checked {
        Ok(_) => steps.end("it was not asked"),
        Err(_) => steps.end(&format!("the check took longer than {} s", CHECK_LIMIT.as_secs())),
    }
}

async fn run(
    config: &NessusConfig,
    exchange: &Exchange,
    auth: &Auth,
    login: LoginTry,
    now: Timestamp,
    steps: &mut Steps,
) -> Result<(), Ended> {
    let shown = reach(config, exchange, steps).await?;
    ready_and_trusted(config, exchange, shown, now, steps).await?;
    let properties = let_in(config, exchange, auth, login, steps).await?;
    steps.judge(&properties, now);
    Ok(())
}

/// Looks up the name, connects, and looks at the certificate. Through a proxy only the way to that is seen here.
async fn reach(
    config: &NessusConfig,
    exchange: &Exchange,
    steps: &mut Steps,
) -> Result<Option<(Shown, Duration)>, Ended> {
    let scanner = config.base_url().ok();
    let proxy = config.proxy.as_ref().and_then(|proxy| Url::parse(proxy.expose()).ok());
    let Some(way) = proxy.as_ref().or(scanner.as_ref()) else { return Ok(None) };
    let (host, port) = (way.host_str().unwrap_or_default(), way.port_or_known_default().unwrap_or(443));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let whose = if proxy.is_some() { "the proxy" } else { "the scanner" };
    let (found, took) = timed(timeout(STEP_LIMIT, lookup_host((host, port)))).await;
    let addresses: Vec<SocketAddr> = match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let hint = "check the name in `url` (or `proxy`), and the name servers of this machine";
            steps.refuse(CheckStep::Dns, took, format!("{whose} `{host}` has no address: {error}"), hint);
            return Err(Ended);
        }
    };
    let list = addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
    steps.ok(CheckStep::Dns, took, format!("{host}: {list}"));
    let (connected, took) = timed(timeout(STEP_LIMIT, TcpStream::connect(&addresses[..]))).await;
    let connection = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(connection) => connection,
        Err(error) => {
            let hint = "check that it runs, the port in `url` (or `proxy`), and the firewalls between";
            steps.refuse(
                CheckStep::Tcp,
                took,
                format!("no connection to {whose} at {host}, port {port}: {error}"),
                hint,
            );
            return Err(Ended);
        }
    };
    steps.ok(CheckStep::Tcp, took, format!("port {port} of {whose}"));
    if proxy.is_some() || !exchange.base().starts_with("https:") {
        return Ok(None);
    }
    let (shown, took) = timed(look(connection, host.to_owned())).await;
    match shown {
        Ok(shown) => Ok(Some((shown, took.unwrap_or_default()))),
        Err(error) => {
            let hint = "check that it speaks https at this port; if it speaks http only, `url` begins with `http://`";
            steps.refuse(CheckStep::Tls, took, format!("no TLS connection: {error}"), hint);
            Err(Ended)
        }
    }
}

async fn look(connection: TcpStream, host: String) -> io::Result<Shown> {
    let connection = connection.into_std()?;
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(STEP_LIMIT / 2))?;
    connection.set_write_timeout(Some(STEP_LIMIT / 2))?;
    let looked = timeout(STEP_LIMIT, blocking::run(move || tls::look(connection, &host))).await;
    looked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
}

/// Asks whether it is ready, by the client and the trust of scans: whether its certificate is trusted shows there.
async fn ready_and_trusted(
    config: &NessusConfig,
    exchange: &Exchange,
    shown: Option<(Shown, Duration)>,
    now: Timestamp,
    steps: &mut Steps,
) -> Result<(), Ended> {
    let (asked, took) = timed(ready::ask(exchange)).await;
    let is_https = exchange.base().starts_with("https:");
    let shaken = shown.as_ref().map(|(_, took)| *took);
    match &asked {
        Err(error @ ScannerError::Certificate(_)) => {
            steps.fail(CheckStep::Tls, shaken.or(took), error);
            if let Some((shown, _)) = &shown {
                steps
                    .advise(format!("the certificate that it shows is pinned by `tls_pin_sha256: {}`", shown.sha256()));
            }
            return Err(Ended);
        }
        Err(error @ ScannerError::Transport { sent: RequestSent::No, .. }) if is_https => {
            steps.fail(CheckStep::Tls, shaken.or(took), error);
            return Err(Ended);
        }
        _ => judge_tls(config, is_https, shown.as_ref(), now, steps),
    }
    match asked {
        Ok(()) => {
            steps.ok(CheckStep::Ready, took, "it can scan");
            Ok(())
        }
        Err(error) => {
            steps.fail(CheckStep::Ready, took, &error);
            Err(Ended)
        }
    }
}

fn judge_tls(
    config: &NessusConfig,
    is_https: bool,
    shown: Option<&(Shown, Duration)>,
    now: Timestamp,
    steps: &mut Steps,
) {
    if !is_https {
        steps.skip(CheckStep::Tls, "it speaks http: whoever controls the network can read the password");
        return;
    }
    let took = shown.map(|(_, took)| *took);
    let ends = shown.and_then(|(shown, _)| shown.ends());
    let until = ends.map_or_else(|| "trusted".to_owned(), |end| format!("trusted, valid until {end}"));
    match &config.tls_trust {
        TlsTrust::AnyCertificate => {
            let pin = shown
                .map(|(shown, _)| format!("pin it with `tls_pin_sha256: {}`, without `verify_tls`", shown.sha256()));
            let hint =
                pin.unwrap_or_else(|| "pin its certificate with `tls_pin_sha256`, without `verify_tls`".to_owned());
            steps.warn(CheckStep::Tls, took, "any certificate is accepted (`verify_tls: false`)", &hint);
        }
        TlsTrust::Pinned(_) => steps.ok(CheckStep::Tls, took, "the certificate is the pinned one"),
        _ if ends.is_some_and(|end| end.since(now) < ENDS_SOON) => {
            let left = ends.map(|end| in_days(end.since(now))).unwrap_or_default();
            let hint = "renew the certificate on the scanner";
            steps.warn(CheckStep::Tls, took, format!("{until}, for {left}"), hint);
        }
        _ => steps.ok(CheckStep::Tls, took, until),
    }
}

/// Logs in once, and asks what the scanner is.
async fn let_in(
    config: &NessusConfig,
    exchange: &Exchange,
    auth: &Auth,
    login: LoginTry,
    steps: &mut Steps,
) -> Result<ScannerProperties, Ended> {
    if let (LoginTry::RefusedBefore(reason), false) = (&login, config.username.is_empty()) {
        let hint = "correct user name and password, then reset the circuit; or check with a login, which may lock the \
                    account";
        steps.refuse(CheckStep::Login, None, format!("not tried, because it was refused before: {reason}"), hint);
        return Err(Ended);
    }
    let (properties, took) = timed(ask(config, exchange, auth)).await;
    match properties {
        Ok((properties, has_token)) => {
            judge_login(config, &properties, has_token, took, steps);
            Ok(properties)
        }
        Err(error) => {
            steps.fail(CheckStep::Login, took, &error);
            Err(Ended)
        }
    }
}

fn judge_login(
    config: &NessusConfig,
    properties: &ScannerProperties,
    has_token: bool,
    took: Option<Duration>,
    steps: &mut Steps,
) {
    let may_scan_with_keys = properties.scans_by_api_key != Some(false);
    let user = &config.username;
    match (user.is_empty(), config.api_keys.is_some()) {
        (true, _) if may_scan_with_keys => steps.ok(CheckStep::Login, took, "the API keys are accepted"),
        (true, _) => {
            let hint = "configure `username` and `password`";
            let detail = "the API keys are accepted, and this edition lets them only read: no scan can be created";
            steps.warn(CheckStep::Login, took, detail, hint);
        }
        (false, _) if !has_token && properties.scans_by_api_key != Some(true) => {
            let hint = "check whether this edition lets scans be controlled by API";
            let detail = format!("user `{user}` is let in, and there is no X-API-Token in its `nessus6.js`");
            steps.warn(CheckStep::Login, took, detail, hint);
        }
        (false, true) => {
            steps.ok(CheckStep::Login, took, format!("user `{user}` is let in, and the API keys are accepted"));
        }
        (false, false) => steps.ok(CheckStep::Login, took, format!("user `{user}` is let in")),
    }
}

/// What the scanner is, by each login that is configured, and whether there is a web token. Each is shown once.
async fn ask(
    config: &NessusConfig,
    exchange: &Exchange,
    auth: &Auth,
) -> Result<(ScannerProperties, bool), ScannerError> {
    let mut grants = vec![auth.grant(exchange, Access::Control).await?];
    let has_token = grants[0].credentials.api_token.is_some();
    if config.api_keys.is_some() && !config.username.is_empty() {
        grants.push(auth.grant(exchange, Access::Session).await?);
    }
    let mut properties = ScannerProperties::default();
    for grant in &grants {
        properties = ask_with(exchange, grant).await?;
    }
    Ok((properties, has_token))
}

async fn ask_with(exchange: &Exchange, grant: &Grant) -> Result<ScannerProperties, ScannerError> {
    // A scanner tells some of its properties to anybody: that it has let us in shows by what it tells to its users only.
    let _: Folders = read(exchange, grant, &Call::get("/folders", Access::Session)).await?;
    Ok(facts::properties(read(exchange, grant, &Call::get("/server/properties", Access::Session)).await?))
}

async fn read<T: DeserializeOwned>(exchange: &Exchange, grant: &Grant, call: &Call) -> Result<T, ScannerError> {
    match exchange.send(call, &grant.credentials).await? {
        Answer::Body(body) => exchange.decode(call, &body),
        Answer::Refused(refusal) => Err(grant.explain(refusal.into_error(call))),
        Answer::Stream(_) => Err(decode_error(call, "it was not read")),
    }
}
