//! The sentences of a validation.

use std::fmt;

use serde::Serialize;

use super::{
    authentication::{AuthenticationReport, AuthenticationStatus, Cause, CauseCount, Contradictions, LoginExpected},
    counts::ExportStats,
};
use crate::error::counted;

/// Something a reader of the findings must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ValidationWarning {
    /// A stable code.
    pub code: &'static str,
    /// The sentence.
    pub message: String,
}

impl fmt::Display for ValidationWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What is known about a scan beside its export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Whether it was to log in.
    pub login: LoginExpected,
    /// How many hosts were asked for.
    pub targets: Option<u128>,
    /// How many hosts the scanner says it has results for.
    pub reported_hosts: Option<u64>,
    /// How many hosts the scanner's licence allows.
    pub licensed_hosts: Option<u64>,
}

pub(crate) fn warnings(
    known: Known,
    stats: &ExportStats,
    authentication: &AuthenticationReport,
    contradictions: &Contradictions,
) -> Vec<ValidationWarning> {
    let mut warnings = Vec::new();
    let mut warn = |code, message| warnings.push(ValidationWarning { code, message });
    let hosts = stats.hosts;
    if let Some((asked, licensed)) = known.targets.zip(known.licensed_hosts)
        && asked > u128::from(licensed)
        && hosts >= licensed
    {
        warn(
            "licence_limit",
            format!(
                "{} asked for and the licence allows {licensed}: the others were not scanned",
                counted(asked, "host was", "hosts were")
            ),
        );
    }
    if hosts == 0 {
        warn("no_hosts", "the scanner reports no host: nothing answered, or nothing was scanned".to_owned());
    } else if let Some(asked) = known.targets {
        let without = asked.saturating_sub(u128::from(hosts));
        if without > 0 {
            let targets = counted(asked, "target", "targets");
            let message = if without == 1 {
                format!("1 of {targets} has no results: it did not answer or was not scanned")
            } else {
                format!("{without} of {targets} have no results: they did not answer or were not scanned")
            };
            warn("targets_without_results", message);
        }
    }
    if stats.hosts_without_findings > 0 {
        let hosts = counted(stats.hosts_without_findings, "host is", "hosts are");
        warn("hosts_without_findings", format!("{hosts} listed without any finding: not scanned, or no answer"));
    }
    let only_ping = authentication.dead_hosts.saturating_sub(stats.hosts_without_findings);
    if only_ping > 0 {
        let hosts = counted(only_ping, "host has", "hosts have");
        warn("dead_hosts", format!("{hosts} nothing but the result of a ping: taken for dead"));
    }
    if let Some(reported) = known.reported_hosts.filter(|reported| *reported != hosts) {
        let reported = counted(reported, "host", "hosts");
        warn("host_count_differs", format!("the scanner reported {reported}, the export has {hosts}"));
    }
    if stats.severity_counts.unknown > 0 {
        let findings = counted(stats.severity_counts.unknown, "finding has", "findings have");
        warn("unknown_severities", format!("{findings} no severity that is known"));
    }
    if let Some((code, message)) = login_warning(known.login, authentication) {
        warn(code, message);
    }
    if contradictions.hosts > 0 {
        let message = format!(
            "on {}, such as {}, the tag Credentialed_Scan and plugin 19506 disagree; the plugin was believed",
            counted(contradictions.hosts, "host", "hosts"),
            contradictions.first.as_deref().unwrap_or("?")
        );
        warn("authentication_contradiction", message);
    }
    warnings
}

/// What is to be said about the login; nothing where none was expected and none was tried.
fn login_warning(expected: LoginExpected, found: &AuthenticationReport) -> Option<(&'static str, String)> {
    let live = counted(found.counts.live(), "host", "hosts");
    let causes = || {
        let causes: Vec<String> =
            found.causes.iter().map(|count| format!("{} on {}", count.cause.as_str(), count.hosts)).collect();
        if causes.is_empty() { String::new() } else { format!(" (causes by hosts: {})", causes.join(", ")) }
    };
    match found.status {
        AuthenticationStatus::Failed => Some((
            "authentication_failed",
            format!("the login worked on none of {live}{}: the findings are only what the network shows", causes()),
        )),
        AuthenticationStatus::Partial => Some((
            "authentication_partial",
            format!(
                "the login worked fully on {} of {live}{}: the others may have findings that were not seen",
                found.counts.authenticated,
                causes()
            ),
        )),
        AuthenticationStatus::Unknown if expected == LoginExpected::Yes => {
            Some(("authentication_unknown", format!("nothing in the export says whether the login worked on {live}")))
        }
        AuthenticationStatus::NotApplicable if expected == LoginExpected::Yes => {
            Some(("authentication_unknown", "no host answered, so no login was tried".to_owned()))
        }
        // A success with a lowered bar.
        AuthenticationStatus::Success if found.counts.authenticated < found.counts.live() => Some((
            "authentication_incomplete",
            format!("the login worked fully on {} of {live}{}", found.counts.authenticated, causes()),
        )),
        _ => None,
    }
}

pub(crate) fn troubleshooting(expected: LoginExpected, found: &AuthenticationReport) -> Vec<String> {
    if expected == LoginExpected::No {
        return Vec::new();
    }
    // Nobody said that a login was wanted, so its absence is nothing to fix.
    let wanted = |cause: Cause| {
        expected == LoginExpected::Yes
            || !matches!(cause, Cause::NoCredentials | Cause::NoSignOfLogin | Cause::NoEvidence)
    };
    let causes = found.causes.iter().filter(|count| wanted(count.cause));
    let step = |count: &CauseCount| {
        let hosts = counted(count.hosts, "host", "hosts");
        format!("{} ({hosts}): {}", count.cause.as_str(), count.cause.advice())
    };
    causes.map(step).collect()
}
