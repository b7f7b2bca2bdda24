//! The audit lines of requests that are refused before they reach a tool: without a valid token, for another host, of another
//! origin.

use std::net::IpAddr;

use axum::{extract::Request, response::Response};
use http::{StatusCode, Uri};
use nessus_mcp_lib::{
    audit::{Audit, Decision, Event, Who},
    error::excerpt,
    policy::Principal,
};

use crate::{client_address::ClientAddress, tools};

/// An extension of an answer: what is refused and why, in words that are for the operator alone.
#[derive(Debug, Clone)]
pub(super) struct Refused(Event);

impl Refused {
    /// A request of nobody, for this reason.
    pub(super) fn login(reason: &str) -> Self {
        Self(Event::new("login", Who::default()).decided(Decision::Refused, reason))
    }

    /// The call of a tool that asks for a scope which the caller's token does not give.
    pub(super) fn call(caller: &Principal, tool: &str, scope: &str) -> Self {
        let event =
            Event::new(tool, tools::who(caller)).decided(Decision::Refused, format!("scope {scope} is missing"));
        Self(event.with_outcome("insufficient_scope"))
    }
}

/// The statuses of requests that somebody must not make. What there is no room or time for is counted in `refusals.rs`.
const REFUSALS: [StatusCode; 3] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::MISDIRECTED_REQUEST];

/// What is said of a request if it is refused.
#[derive(Debug)]
pub(super) struct Asked {
    uri: Uri,
    from: Option<IpAddr>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let from = request.extensions().get::<ClientAddress>().map(|ClientAddress(address)| *address);
        Self { uri: request.uri().clone(), from }
    }

    /// Writes that the request was refused, if it was. The same refusals within some seconds share a line.
    pub(super) fn note(self, audit: &Audit, response: &Response) {
        let status = response.status();
        let event = match response.extensions().get::<Refused>() {
            Some(Refused(event)) => event.clone(),
            None if REFUSALS.contains(&status) => {
                let (path, reason) = (excerpt(self.uri.path()), status.canonical_reason().unwrap_or_default());
                Event::new("request", Who::default()).decided(Decision::Refused, format!("{path}: {reason}"))
            }
            None => return,
        };
        let event =
            if event.outcome.is_none() { event.with_outcome(format!("http_{}", status.as_u16())) } else { event };
        audit.refused(event.with_address(self.from));
    }
}
