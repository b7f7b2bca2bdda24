//! The sentences of a validation.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{
    authentication::{
        AuthenticationReport, AuthenticationStatus, Cause, CauseCount, Contradiction, Contradictions, LoginExpected,
    },
    counts::ExportStats,
    targets::TargetDifferences,
};
use crate::error::counted;

/// Something a reader of the findings must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationWarning {
    /// A stable code.
    pub code: Cow<'static, str>,
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
    /// How many hosts the scanner says it has results for.
    pub reported_hosts: Option<u64>,
    /// How many hosts the scanner's licence allows.
    pub licensed_hosts: Option<u64>,
}

/// What was found in the export.
pub(super) struct Found<'f> {
    pub stats: &'f ExportStats,
    pub authentication: &'f AuthenticationReport,
    pub contradictions: &'f Contradictions,
    /// Where it is known what was asked for.
    pub targets: Option<&'f TargetDifferences>,
    /// `ReportHost` elements; a machine may have several.
    pub blocks: u64,
}

pub(super) fn warnings(known: Known, found: &Found<'_>) -> Vec<ValidationWarning> {
    let Found { stats, authentication, contradictions, targets, blocks } = *found;
    let mut warnings = Vec::new();
    let mut warn = |code: &'static str, message| warnings.push(ValidationWarning { code: code.into(), message });
    let hosts = stats.hosts;
    if let Some((targets, licensed)) = targets.zip(known.licensed_hosts)
        && targets.asked > u128::from(licensed)
        && hosts >= licensed
    {
        let asked = targets.asked;
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
    }
    if let Some(targets) = targets {
        let without = targets.missing.host_count();
        if without > 0 {
            let (asked, named) = (targets.asked, targets.missing_named());
            let why = if without == 1 {
                "has no results, because it did not answer or was not scanned"
            } else {
                "have no results, because they did not answer or were not scanned"
            };
            let of = counted(asked, "target", "targets");
            warn("targets_without_results", format!("{without} of {of} {why}: {named}"));
        }
        if targets.others > 0 {
            let (one, many) = ("host is in the export and was", "hosts are in the export and were");
            let hosts = counted(targets.others as u64, one, many);
            warn("hosts_not_asked_for", format!("{hosts} not asked for: {}", targets.others_named()));
        }
    }
    if blocks > hosts {
        let repeated = counted(blocks - hosts, "block of findings is", "blocks of findings are");
        warn(
            "repeated_hosts",
            format!(
                "{repeated} of a machine that has another, as in a merged file: each machine counts as one host, and what \
                 several of its blocks have as one finding ({} left out)",
                counted(stats.repeated_items, "item", "items")
            ),
        );
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
    if let Some(reported) = known.reported_hosts.filter(|reported| *reported != blocks) {
        let reported = counted(reported, "host", "hosts");
        warn("host_count_differs", format!("the scanner reported {reported}, the export has {blocks}"));
    }
    if stats.severity_counts.unknown > 0 {
        let findings = counted(stats.severity_counts.unknown, "finding has", "findings have");
        warn("unknown_severities", format!("{findings} no severity that is known"));
    }
    if let Some((code, message)) = login_warning(known.login, authentication) {
        warn(code, message);
    }
    for (kind, contradicted) in contradictions {
        let hosts = counted(contradicted.hosts, "host", "hosts");
        let place = format!("on {hosts}, such as {}", contradicted.first);
        let message = match kind {
            Contradiction::Proof => format!(
                "{place}, the scan says that it was not credentialed (plugin 19506, tag Credentialed_Scan), and has what \
                 only a login brings (such as plugins 110095 and 117887); the login was believed"
            ),
            Contradiction::Tag => {
                format!("{place}, the tag Credentialed_Scan and plugin 19506 disagree; the plugin was believed")
            }
        };
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
    if expected == LoginExpected::No {
        let worked = found.counts.authenticated + found.counts.partial;
        return match found.status {
            AuthenticationStatus::Success | AuthenticationStatus::Partial => Some((
                "authentication_not_expected",
                format!("the scan was not to log in, and yet the login worked on {worked} of {live}"),
            )),
            AuthenticationStatus::Failed => Some((
                "authentication_not_expected",
                format!("the scan was not to log in, and yet a login failed on {} of {live}", found.counts.failed),
            )),
            _ => None,
        };
    }
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
        AuthenticationStatus::NotAttempted if expected == LoginExpected::Yes => Some((
            "authentication_not_attempted",
            format!(
                "the scan was to log in, and no login was tried on {live}{}: the findings are only what the network shows",
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
