//! One line of a group each, with what is needed to ask for more.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::groups::{Groups, HostGroup, Plugin, Solution};
use crate::results::{
    judge::{Cause, Judgement, SeverityCounts, Verdict, is_zero},
    record::Severity,
    texts::{NAME_CHARS, clean},
};

/// How many hosts a row names.
const HOSTS_NAMED: usize = 3;

/// All findings of one severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SeverityRow {
    /// The severity.
    pub severity: Severity,
    /// Findings.
    pub findings: u64,
    /// Plugins whose worst finding has it.
    pub plugins: u64,
    /// Hosts that have a finding of it.
    pub hosts: u64,
    /// Filters that show them.
    pub filters: Json,
}

/// All findings of one plugin, which the filters `{"plugin_id": ..}` show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PluginRow {
    /// The plugin; absent when the export does not number it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<i64>,
    /// Its name.
    pub plugin_name: String,
    /// The worst severity of its findings; absent when none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// On how many hosts.
    pub hosts: u64,
    /// How many findings: a host may have several.
    pub findings: u64,
    /// The first hosts, addresses before names.
    pub example_hosts: Vec<String>,
    /// How many CVE numbers it has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cves: u64,
    /// The best base score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cvss_score: Option<f64>,
    /// The chance that it is exploited within 30 days, 0 to 1 (EPSS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epss_score: Option<f64>,
    /// Tenable's priority, 0.1 to 10 (VPR).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpr_score: Option<f64>,
    /// Whether exploits are known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exploit_available: bool,
    /// The day by which CISA requires it to be fixed (KEV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cisa_known_exploited: Option<String>,
}

/// All findings on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct HostRow {
    /// Its name in the export.
    pub host: String,
    /// Its address, where it is not its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// The most likely operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// Findings by severity.
    pub severity_counts: SeverityCounts,
    /// Findings with known exploits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exploitable: u64,
    /// Findings on the list of CISA.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known_exploited: u64,
    /// Whether the login worked; absent for a host that did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Verdict>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Filters that show its findings; absent when none shows only these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Json>,
}

/// All findings that one solution clears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SolutionRow {
    /// The solution's text.
    pub solution: String,
    /// How many findings it clears.
    pub clears: u64,
    /// By severity.
    pub severity_counts: SeverityCounts,
    /// On how many hosts.
    pub hosts: u64,
    /// The plugins, at most ten; the filters `{"plugin_id": [..]}` show their findings.
    pub plugin_ids: Vec<i64>,
    /// Whether there are more plugins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_plugins: bool,
}

impl PluginRow {
    pub(super) fn new(plugin: &Plugin, groups: &Groups) -> Self {
        let hosts = plugin.first_hosts.iter().take(HOSTS_NAMED);
        let name = |index: &usize| groups.hosts.get(*index).map(|host| clean(&host.name, NAME_CHARS));
        Self {
            plugin_id: plugin.id,
            plugin_name: plugin.name.clone().unwrap_or_default(),
            severity: plugin.severity,
            hosts: plugin.hosts,
            findings: plugin.findings,
            example_hosts: hosts.filter_map(name).collect(),
            cves: plugin.cves as u64,
            cvss_score: plugin.cvss,
            epss_score: plugin.epss,
            vpr_score: plugin.vpr,
            exploit_available: plugin.exploitable > 0,
            cisa_known_exploited: plugin.known_exploited.clone(),
        }
    }
}

impl HostRow {
    pub(super) fn new(host: &HostGroup) -> Self {
        let name = clean(&host.name, NAME_CHARS);
        let (authentication, cause) = match host.judgement {
            Judgement::Live(verdict, cause) => (Some(verdict), cause),
            Judgement::Dead | Judgement::NotScanned => (None, None),
        };
        // A name that had to be cleaned would not be found by what is left of it.
        let is_found = |name: &str| *clean(name, NAME_CHARS) == *name && !name.is_empty();
        let filters = (host.names().all(is_found) && !host.is_ambiguous).then(|| {
            let exactly = |name: &str| Json::String(format!("={name}"));
            let names: Vec<Json> = host.names().map(exactly).collect();
            if names.len() > 1 { json!({ "host": names }) } else { json!({ "host": exactly(&host.name) }) }
        });
        Self {
            host_ip: host.address.as_deref().filter(|address| *address != name).map(str::to_owned),
            host: name,
            operating_system: host.system.as_deref().map(str::to_owned),
            severity_counts: host.counts,
            exploitable: host.exploitable,
            known_exploited: host.known_exploited,
            authentication,
            cause,
            filters,
        }
    }
}

impl SolutionRow {
    pub(super) fn new(solution: &Solution) -> Self {
        Self {
            solution: solution.text.to_string(),
            clears: solution.counts.total(),
            severity_counts: solution.counts,
            hosts: solution.hosts,
            plugin_ids: solution.plugins.iter().copied().collect(),
            more_plugins: solution.more_plugins,
        }
    }
}
