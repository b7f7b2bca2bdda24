//! Why a scan may not have seen what the other has: it did not look there.

use serde::{Deserialize, Serialize};

use super::{
    finding::{Finding, Key, State},
    hosts::Seen,
    names::{Names, Plugin},
    read::About,
};
use crate::results::{
    judge::{Coverage, Judgement, ScanKind, Setting, Transport},
    record::{FindingPart, Protocol},
    xml::LeftOut,
};

/// Why a finding that is missing from a scan cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Incomparable {
    /// The host is not in the scan.
    HostNotScanned,
    /// It is, but did not answer.
    HostDown,
    /// The scan of the host did not come to its end: it has no end time, plugin 19506 is missing there and not elsewhere,
    /// or says so.
    HostAborted,
    /// The scan is of another kind: of web applications, by an agent, or only to find hosts.
    OtherKindOfScan,
    /// The port was not in the range, and nothing says that it was seen open.
    PortNotScanned,
    /// The plugin was not in the scan's set, was switched off, or is newer than the set.
    PluginNotInSet,
    /// The plugin's family was switched off.
    FamilyOff,
    /// No result of the audit is in the scan.
    AuditNotRun,
    /// Scripts of web servers were not tested, and the plugin's family is about web servers.
    NoCgiScanning,
    /// Web applications were not tested, and the plugin's family is about web servers.
    NoWebTests,
    /// The login worked in the other scan and not in this one.
    CredentialsLost,
    /// It worked fully in the other scan and only partly in this one.
    CredentialsWeaker,
    /// Only the other scan tested thoroughly.
    NoThoroughTests,
    /// The other scan reported what is less certain, too.
    LowerParanoia,
    /// Only the other scan made experimental tests.
    NoExperimentalTests,
    /// Only the other scan made tests that may do harm.
    SafeChecksOnly,
}

impl Incomparable {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNotScanned => "host_not_scanned",
            Self::HostDown => "host_down",
            Self::HostAborted => "host_aborted",
            Self::OtherKindOfScan => "other_kind_of_scan",
            Self::PortNotScanned => "port_not_scanned",
            Self::PluginNotInSet => "plugin_not_in_set",
            Self::FamilyOff => "family_off",
            Self::AuditNotRun => "audit_not_run",
            Self::NoCgiScanning => "no_cgi_scanning",
            Self::NoWebTests => "no_web_tests",
            Self::CredentialsLost => "credentials_lost",
            Self::CredentialsWeaker => "credentials_weaker",
            Self::NoThoroughTests => "no_thorough_tests",
            Self::LowerParanoia => "lower_paranoia",
            Self::NoExperimentalTests => "no_experimental_tests",
            Self::SafeChecksOnly => "safe_checks_only",
        }
    }
}

/// One of two scans, at one host.
#[derive(Clone, Copy)]
pub(super) struct Look<'l> {
    pub about: &'l About,
    pub seen: Option<&'l Seen>,
    /// All findings of the scan, in order.
    pub findings: &'l [Finding],
}

impl<'l> Look<'l> {
    /// How much the login let it see.
    fn reach(self) -> u8 {
        match self.seen.map(|seen| seen.machine.judgement) {
            Some(Judgement::Live(verdict, _)) => verdict.reach(),
            _ => 0,
        }
    }

    fn coverage(self) -> Option<&'l Coverage> {
        self.about.coverages.get(self.seen?.machine.coverage as usize)
    }

    fn leaves_out(self, plugin: u32, family: &str) -> Option<LeftOut> {
        self.about.header.scope.as_ref()?.leaves_out(plugin, family)
    }

    /// Whether it found anything at the port of a finding.
    fn sees_port(self, key: &Key) -> bool {
        let at = self.findings.partition_point(|finding| finding.key.place() < key.place());
        self.findings.get(at).is_some_and(|finding| finding.key.place() == key.place())
    }
}

/// Why `lacking`, a scan without the finding, may not have seen it although it is there; `having` is the scan that has it.
pub(super) fn why_unseen(
    lacking: Look<'_>,
    having: Look<'_>,
    names: &Names,
    key: &Key,
    state: State,
) -> Option<Incomparable> {
    let seen = match lacking.seen {
        None => return Some(Incomparable::HostNotScanned),
        Some(seen) if !seen.machine.judgement.is_live() => return Some(Incomparable::HostDown),
        Some(seen) => seen,
    };
    let plugin = names.plugin(key.part.plugin);
    let (looked, other) = (lacking.coverage(), having.coverage());
    if is_aborted(lacking, having, seen) {
        Some(Incomparable::HostAborted)
    } else if is_other_kind(lacking, having, plugin) {
        Some(Incomparable::OtherKindOfScan)
    } else if is_other_port(looked, other, &key.part) && !lacking.sees_port(key) {
        Some(Incomparable::PortNotScanned)
    } else if let Some(reason) = is_other_plugin(lacking, having, key, plugin) {
        Some(reason)
    } else if let State::Check(_) = state
        && names.check(&key.part).is_some_and(|check| !lacking.about.audits.contains(&check.audit))
    {
        Some(Incomparable::AuditNotRun)
    } else if let State::Finding(_) = state
        && let Some(reason) = fewer_tests(&WEB, looked, other, plugin)
    {
        Some(reason)
    } else if lacking.reach() < having.reach() {
        let lost = lacking.reach() == 0;
        Some(if lost { Incomparable::CredentialsLost } else { Incomparable::CredentialsWeaker })
    } else if let State::Finding(_) = state {
        fewer_tests(&ANY, looked, other, plugin)
    } else {
        None
    }
}

fn is_aborted(lacking: Look<'_>, having: Look<'_>, seen: &Seen) -> bool {
    // The plugin runs last on each host.
    let lacks_information = !seen.machine.has_information
        && lacking.about.has_information
        && having.seen.is_some_and(|seen| seen.machine.has_information);
    seen.machine.is_unfinished
        || lacks_information
        || lacking.coverage().is_some_and(|coverage| coverage.is_interrupted)
}

fn is_other_kind(lacking: Look<'_>, having: Look<'_>, plugin: Option<&Plugin>) -> bool {
    let is_of_web = |look: Look<'_>| {
        look.about.header.report_type.as_deref().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("was"))
    };
    let kind = |look: Look<'_>| look.coverage().and_then(|coverage| coverage.kind);
    let is_seen = match (kind(lacking), kind(having)) {
        (Some(ScanKind::Discovery), other) => other == Some(ScanKind::Discovery),
        (Some(ScanKind::Agent), other) => {
            other == Some(ScanKind::Agent) || plugin.is_some_and(|plugin| plugin.is_local)
        }
        (Some(ScanKind::Network) | None, _) => true,
    };
    !is_seen || is_of_web(lacking) != is_of_web(having)
}

/// Whether the port was not scanned. What a scan of the same range has found at a port outside of it was found there without
/// a scan of ports.
fn is_other_port(looked: Option<&Coverage>, other: Option<&Coverage>, part: &FindingPart) -> bool {
    let transport = match part.protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Icmp | Protocol::Other => return false,
    };
    let ports = |coverage: Option<&'_ Coverage>| coverage.and_then(|coverage| coverage.ports.clone());
    let Some(range) = looked.and_then(|coverage| coverage.ports.as_ref()) else { return false };
    part.port != 0 && !range.has(part.port, transport) && !ports(other).is_some_and(|other| other.is_same(range))
}

fn is_other_plugin(lacking: Look<'_>, having: Look<'_>, key: &Key, plugin: Option<&Plugin>) -> Option<Incomparable> {
    let family = plugin.map_or("", |plugin| &plugin.family);
    // What a scan reports although its own policy leaves it out, another reports as well.
    if having.leaves_out(key.part.plugin, family).is_none() {
        match lacking.leaves_out(key.part.plugin, family) {
            Some(LeftOut::Plugin) => return Some(Incomparable::PluginNotInSet),
            Some(LeftOut::Family) => return Some(Incomparable::FamilyOff),
            None => {}
        }
    }
    let published = plugin.map_or(0, |plugin| plugin.published);
    let is_newer = lacking.about.feed.is_some_and(|feed| published > feed && having.about.feed != Some(feed));
    is_newer.then_some(Incomparable::PluginNotInSet)
}

/// A setting, and why a finding is missing where the other scan had more of it.
type Reason = (Setting, Incomparable);

const WEB: [Reason; 2] =
    [(Setting::CgiScanning, Incomparable::NoCgiScanning), (Setting::WebTests, Incomparable::NoWebTests)];
const ANY: [Reason; 4] = [
    (Setting::ThoroughTests, Incomparable::NoThoroughTests),
    (Setting::Paranoia, Incomparable::LowerParanoia),
    (Setting::ExperimentalTests, Incomparable::NoExperimentalTests),
    (Setting::UnsafeChecks, Incomparable::SafeChecksOnly),
];

fn fewer_tests(
    settings: &[Reason],
    looked: Option<&Coverage>,
    other: Option<&Coverage>,
    plugin: Option<&Plugin>,
) -> Option<Incomparable> {
    let level = |coverage: Option<&Coverage>, setting| coverage.and_then(|coverage| coverage.level(setting));
    let family = plugin.map_or("", |plugin| &plugin.family);
    let is_of_web = ["CGI abuses", "CGI abuses : XSS", "Web Servers"].contains(&family);
    // They compare versions of packages, which takes no tests.
    let is_of_packages = family.ends_with("Local Security Checks") || family == "Windows : Microsoft Bulletins";
    settings.iter().find_map(|(setting, reason)| {
        let concerned = match setting {
            Setting::CgiScanning | Setting::WebTests => is_of_web,
            _ => !is_of_packages,
        };
        let fewer = match (level(looked, *setting), level(other, *setting)) {
            (Some(looked), Some(other)) => looked < other,
            // That there were no tests at all is enough.
            (Some(looked), None) => looked == 0 && *setting == Setting::CgiScanning,
            (None, _) => false,
        };
        (concerned && fewer).then_some(*reason)
    })
}
