//! `health`: whether a server or worker answers, asked by what has no other HTTP client, such as a container.

use std::time::Duration;

use nessus_mcp_lib::error::{Classified, ErrorKind, Failure, chain};
use reqwest::{Client, Url, redirect::Policy};

use crate::{args::HealthArgs, output};

/// How long the answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Why a process is not said to be well.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("{url} does not answer: {reason}")]
    NoAnswer { url: Url, reason: String },
    #[error("{url} answers with the status {status}")]
    Refused { url: Url, status: u16 },
}

impl Classified for HealthError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "no_answer",
            Self::Refused { .. } => "not_healthy",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

pub(crate) async fn run(args: &HealthArgs) -> Result<(), Failure> {
    let (path, word) = if args.ready { ("/health/ready", "ready") } else { ("/health/live", "live") };
    let wrong = || {
        // It may hold a password, so it is not repeated.
        Failure::usage(
            "what was given is no URL of a server or worker",
            "write `http://ADDRESS:PORT` or `https://ADDRESS:PORT`",
        )
    };
    let mut url = Url::parse(&args.url).ok().filter(is_http).ok_or_else(wrong)?;
    url.set_path(path);
    let no_answer = |error: reqwest::Error| HealthError::NoAnswer {
        url: url.clone(),
        // The URL is said already.
        reason: chain(&error.without_url()),
    };
    // A certificate is for the name by which others reach the process. Whether it lives, a look at loopback tells.
    let client = Client::builder().tls_danger_accept_invalid_certs(is_loopback(&url));
    let client = client.no_proxy().redirect(Policy::none()).timeout(ANSWER_WAIT).build().map_err(no_answer)?;
    let answer = client.get(url.clone()).send().await.map_err(no_answer)?;
    if !answer.status().is_success() {
        return Err(HealthError::Refused { status: answer.status().as_u16(), url }.into());
    }
    output::say(word);
    Ok(())
}

/// Whether it names a host to be asked over HTTP, and brings no login along.
fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
