//! Where a webhook is: the addresses that its name has now, each of which it may have.
//!
//! The connection is made to an address that was checked, and to no other: whoever changes what the name stands for between the
//! check and the connection changes nothing.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use url::{Host, Url};

use crate::policy::{Resolver, Webhook, forbidden};

/// How long a lookup may take.
const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// A webhook whose addresses may all be connected to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    /// The name that was looked up, with what it stands for; `None` for a URL with an address.
    pub(super) resolved: Option<(String, Vec<SocketAddr>)>,
}

/// Why nothing may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has an address that it may not have, or none that can be understood.
    Address(String),
    /// Its name stands for nothing now.
    Name(String),
}

/// Finds the addresses of a webhook.
pub(super) async fn find(webhook: &Webhook, resolver: &dyn Resolver) -> Result<Target, Refused> {
    let url = Url::parse(webhook.url.expose());
    let url = url.map_err(|error| Refused::Address(format!("its URL cannot be used: {error}")))?;
    let name = match url.host() {
        Some(Host::Ipv4(address)) => return literal(url, address.into(), webhook),
        Some(Host::Ipv6(address)) => return literal(url, address.into(), webhook),
        Some(Host::Domain(name)) => name.to_owned(),
        None => return Err(Refused::Address("its URL names no host".to_owned())),
    };
    let failed = |why: &str| Refused::Name(format!("the name `{name}` cannot be resolved: {why}"));
    let answer = tokio::time::timeout(LOOKUP_WAIT, resolver.resolve(&name)).await;
    let addresses =
        answer.map_err(|_| failed("the resolver does not answer"))?.map_err(|error| failed(&error.to_string()))?;
    // All of them: of a name with an address of either kind, nobody knows which one is meant.
    for address in &addresses {
        check(*address, webhook)
            .map_err(|refused| Refused::Address(format!("the name `{name}` stands for {refused}")))?;
    }
    if addresses.is_empty() {
        return Err(failed("it has no addresses"));
    }
    // The port of the URL counts.
    let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
    Ok(Target { url, resolved: Some((name, addresses)) })
}

fn literal(url: Url, address: IpAddr, webhook: &Webhook) -> Result<Target, Refused> {
    check(address, webhook).map_err(|refused| Refused::Address(format!("its URL has {refused}")))?;
    Ok(Target { url, resolved: None })
}

fn check(address: IpAddr, webhook: &Webhook) -> Result<(), String> {
    match forbidden(address, webhook.allow_private) {
        None => Ok(()),
        Some(kind) if forbidden(address, true).is_some() => {
            Err(format!("{address}, a {kind} address, which no webhook may have"))
        }
        Some(kind) => Err(format!("{address}, a {kind} address, which it may have only with `allow_private: true`")),
    }
}
