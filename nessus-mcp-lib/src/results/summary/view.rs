//! The summary as it is shown: counts first, then lists as long as there is room.

use std::{borrow::Cow, cmp::Reverse, collections::HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    compliance::ComplianceView,
    groups::{HostGroup, Plugin},
    rows::{HostRow, PluginRow, SeverityRow, SolutionRow},
    scan_summary::ScanSummary,
    section::SummarySection,
};
use crate::results::{
    judge::{
        AuthenticationReport, AuthenticationStatus, ComplianceCounts, Judgement, SeverityCounts, Verdict, is_zero,
    },
    record::Severity,
    texts::{NAME_CHARS, clean},
    write::{Section, fit},
};

/// The longest list, whatever room there is.
const MOST: usize = 500;
/// How many solutions the first sentence about solutions counts.
const FEW: usize = 3;

/// Counts over the whole scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SummaryCounts {
    /// Hosts in the export.
    pub hosts: u64,
    /// Those that did not answer or were not scanned.
    pub dead_hosts: u64,
    /// Those with a finding above `Info`.
    pub hosts_with_vulnerabilities: u64,
    /// Findings, without outcomes of compliance checks.
    pub findings: u64,
    /// Those above `Info`.
    pub vulnerabilities: u64,
    /// Plugins with findings above `Info`.
    pub distinct_vulnerabilities: u64,
    /// Findings by severity.
    pub severity_counts: SeverityCounts,
    /// Outcomes of compliance checks.
    pub compliance_items: u64,
    /// By status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance_counts: Option<ComplianceCounts>,
    /// Findings that are in the counts and in no list, because there are too many groups.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_grouped: u64,
}

/// Findings that share a risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RiskView {
    /// How many.
    pub findings: u64,
    /// On how many hosts.
    pub hosts: u64,
    /// Filters that show them.
    pub filters: Json,
    /// Their plugins, the worst first: rows of `plugins`. Null stands for findings that are not numbered.
    pub plugin_ids: Section<Option<i64>>,
}

/// Whether the login worked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuthenticationView {
    /// Status, counts and causes.
    #[serde(flatten)]
    pub report: AuthenticationReport,
    /// The hosts by verdict, those that need attention first; `nessus-admin validate` shows the evidence. Absent for a
    /// scan that was not to log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_host: Option<Section<AuthenticationRow>>,
}

/// One host's verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuthenticationRow {
    /// The host.
    pub host: String,
    /// The verdict; `dead` for a host that did not answer, `not_scanned` for one without any item.
    pub verdict: Cow<'static, str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cow<'static, str>>,
}

/// What to do, by how much it helps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SolutionsView {
    /// How many solutions the next count is about: at most three.
    pub first: u64,
    /// How many findings above `Info` these solutions clear.
    pub first_clear: u64,
    /// Findings above `Info` without a solution.
    pub without_solution: u64,
    /// The solutions, those that clear most critical and high findings first.
    #[serde(flatten)]
    pub section: Section<SolutionRow>,
}

/// A scan, grouped, within a number of characters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SummaryView {
    /// `Report/@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_name: Option<String>,
    /// The policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// How severities were derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_basis: Option<String>,
    /// The scanner's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_version: Option<String>,
    /// The version of its plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_feed_version: Option<String>,
    /// Counts over everything.
    pub counts: SummaryCounts,
    /// Whether lists are cut; each says by how much.
    pub truncated: bool,
    /// By severity, worst first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_severity: Option<Vec<SeverityRow>>,
    /// Known to be exploited, by the list of CISA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_exploited: Option<RiskView>,
    /// Exploits are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exploitable: Option<RiskView>,
    /// The highest EPSS: rows of `plugins`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_epss: Option<Section<Option<i64>>>,
    /// The highest VPR: rows of `plugins`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_vpr: Option<Section<Option<i64>>>,
    /// By solution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solutions: Option<SolutionsView>,
    /// By plugin, worst first and among equals the most widespread: those with findings above `Info`. Those that the lists
    /// above name are there in any case, whatever their severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Section<PluginRow>>,
    /// By host, worst first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Section<HostRow>>,
    /// The outcomes of compliance checks, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance: Option<ComplianceView>,
    /// Whether the login worked, by host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationView>,
}

impl ScanSummary {
    /// The view that fits `max_chars` characters as compact JSON; see [`DEFAULT_CHARS`](crate::results::DEFAULT_CHARS)
    /// and [`MIN_CHARS`](crate::results::MIN_CHARS).
    pub fn view(&self, max_chars: usize) -> SummaryView {
        self.view_of(&SummarySection::ALL, max_chars)
    }

    /// As [`ScanSummary::view`], with these sections only, and of `plugins` what they name.
    pub fn view_of(&self, sections: &[SummarySection], max_chars: usize) -> SummaryView {
        let lists = Lists::of(self);
        fit(MOST, max_chars, |most| self.view_with(&lists, sections, most))
    }

    /// The view with lists of at most so many entries.
    fn view_with(&self, lists: &Lists<'_>, sections: &[SummarySection], most: usize) -> SummaryView {
        use SummarySection as Part;
        let text = |text: &Option<String>| text.as_deref().map(|text| clean(text, NAME_CHARS));
        let is_in = |section| sections.contains(&section);
        // What is looked at first gets by with less.
        let few = most.div_ceil(4);
        let ids = |plugins: &[&Plugin]| Section::of(plugins.iter().map(|plugin| plugin.id), few);
        let mut view = SummaryView {
            report_name: text(&self.header.report_name),
            policy_name: text(&self.header.policy_name).or_else(|| self.stats.policy_used.clone()),
            severity_basis: text(&self.header.severity_basis),
            scanner_version: self.stats.scanner_version.clone(),
            plugin_feed_version: self.stats.plugin_feed_version.clone(),
            counts: self.counts(lists),
            truncated: false,
            by_severity: is_in(Part::BySeverity).then(|| Lists::by_severity(self)),
            known_exploited: is_in(Part::KnownExploited).then(|| Lists::known_exploited(self, few)),
            exploitable: is_in(Part::Exploitable).then(|| lists.exploitable(self, few)),
            highest_epss: is_in(Part::HighestEpss).then(|| ids(&lists.epss)),
            highest_vpr: is_in(Part::HighestVpr).then(|| ids(&lists.vpr)),
            solutions: is_in(Part::Solutions).then(|| Lists::solutions(self, most.div_ceil(2))),
            plugins: None,
            hosts: is_in(Part::Hosts).then(|| Section::of(lists.hosts.iter().map(|host| HostRow::new(host)), most)),
            compliance: self.checks.view(most.div_ceil(2)).filter(|_| is_in(Part::Compliance)),
            authentication: is_in(Part::Authentication).then(|| lists.authentication(self, most)),
        };
        let named = view.named_plugins();
        if is_in(Part::Plugins) || !named.is_empty() {
            view.plugins = Some(self.plugins(lists, &named, if is_in(Part::Plugins) { most } else { 0 }));
        }
        // Who asked for a list that names plugins has not asked for all others.
        let left_out_plugins = view.plugins.as_ref().filter(|_| is_in(Part::Plugins)).map(|section| section.left_out);
        let left_out = [
            view.known_exploited.as_ref().map(|risk| risk.plugin_ids.left_out),
            view.exploitable.as_ref().map(|risk| risk.plugin_ids.left_out),
            view.highest_epss.as_ref().map(|section| section.left_out),
            view.highest_vpr.as_ref().map(|section| section.left_out),
            view.solutions.as_ref().map(|solutions| solutions.section.left_out),
            left_out_plugins,
            view.hosts.as_ref().map(|section| section.left_out),
            view.compliance.as_ref().map(|checks| checks.by_audit.left_out + checks.by_check.left_out),
            view.authentication.as_ref().and_then(|logins| logins.by_host.as_ref()).map(|section| section.left_out),
        ];
        view.truncated = left_out.iter().flatten().any(|count| *count > 0);
        view
    }

    /// The first plugins above `Info`, and those that are named elsewhere.
    fn plugins(&self, lists: &Lists<'_>, named: &HashSet<Option<i64>>, most: usize) -> Section<PluginRow> {
        let (mut place, mut shown_above_info) = (0, 0);
        let mut shown = Vec::new();
        for plugin in &self.groups.plugins {
            let is_first = plugin.is_vulnerability() && place < most;
            place += usize::from(plugin.is_vulnerability());
            if is_first || named.contains(&plugin.id) {
                shown_above_info += u64::from(plugin.is_vulnerability());
                shown.push(PluginRow::new(plugin, &self.groups));
            }
        }
        let total = lists.plugins.len() as u64;
        Section { total, left_out: total - shown_above_info, shown }
    }

    fn counts(&self, lists: &Lists<'_>) -> SummaryCounts {
        let stats = &self.stats;
        SummaryCounts {
            hosts: stats.hosts,
            dead_hosts: self.authentication.dead_hosts,
            hosts_with_vulnerabilities: lists.hosts.len() as u64,
            findings: stats.severity_counts.total(),
            vulnerabilities: stats.severity_counts.above_info(),
            distinct_vulnerabilities: lists.plugins.len() as u64,
            severity_counts: stats.severity_counts,
            compliance_items: stats.compliance_items,
            compliance_counts: (stats.compliance_items > 0).then_some(stats.compliance_counts),
            not_grouped: self.groups.not_grouped,
        }
    }
}

impl SummaryView {
    /// The plugins that lists name.
    fn named_plugins(&self) -> HashSet<Option<i64>> {
        let risks = [&self.known_exploited, &self.exploitable].into_iter().flatten().map(|risk| &risk.plugin_ids);
        let highest = [&self.highest_epss, &self.highest_vpr].into_iter().flatten();
        risks.chain(highest).flat_map(|section| section.shown.iter().copied()).collect()
    }
}

/// The groups in the orders they are shown in, made once for all sizes that are tried.
struct Lists<'s> {
    plugins: Vec<&'s Plugin>,
    epss: Vec<&'s Plugin>,
    vpr: Vec<&'s Plugin>,
    hosts: Vec<&'s HostGroup>,
    by_verdict: Vec<&'s HostGroup>,
}

impl<'s> Lists<'s> {
    fn of(summary: &'s ScanSummary) -> Self {
        let groups = &summary.groups;
        let plugins: Vec<&Plugin> = groups.plugins.iter().filter(|plugin| plugin.is_vulnerability()).collect();
        let highest = |score: fn(&Plugin) -> Option<f64>| {
            let mut rated: Vec<&Plugin> =
                groups.plugins.iter().filter(|plugin| score(plugin).is_some_and(|score| score > 0.0)).collect();
            rated.sort_by(|left, right| {
                let key = |plugin: &Plugin| score(plugin).unwrap_or(-1.0);
                key(right).total_cmp(&key(left)).then(right.hosts.cmp(&left.hosts)).then(left.id.cmp(&right.id))
            });
            rated
        };
        let mut hosts: Vec<&HostGroup> =
            groups.hosts.iter().filter(|host| host.counts.above_info() + host.counts.unknown > 0).collect();
        let counts = |host: &HostGroup| {
            let SeverityCounts { critical, high, medium, low, .. } = host.counts;
            Reverse((critical, high, medium, low))
        };
        // Equals stay in the order of names.
        hosts.sort_by_key(|host| counts(host));
        let mut by_verdict: Vec<&HostGroup> = groups.hosts.iter().collect();
        by_verdict.sort_by_key(|host| match host.judgement {
            Judgement::Live(Verdict::Authenticated, _) => (3, None),
            Judgement::Live(verdict, cause) => (1, Some((verdict, cause))),
            Judgement::Dead | Judgement::NotScanned => (2, None),
        });
        Self { plugins, epss: highest(|plugin| plugin.epss), vpr: highest(|plugin| plugin.vpr), hosts, by_verdict }
    }

    fn by_severity(summary: &ScanSummary) -> Vec<SeverityRow> {
        let groups = &summary.groups;
        let row = |severity: Severity| {
            let plugins = groups.plugins.iter().filter(|plugin| plugin.severity == Some(severity)).count() as u64;
            let hosts = groups.hosts.iter().filter(|host| host.counts.of(Some(severity)) > 0).count() as u64;
            let findings = summary.stats.severity_counts.of(Some(severity));
            let filters = json!({ "severity": severity.name() });
            SeverityRow { severity, findings, plugins, hosts, filters }
        };
        Severity::ALL.into_iter().rev().map(row).collect()
    }

    fn known_exploited(summary: &ScanSummary, most: usize) -> RiskView {
        let plugins: Vec<&Plugin> =
            summary.groups.plugins.iter().filter(|plugin| plugin.known_exploited_findings > 0).collect();
        RiskView {
            findings: plugins.iter().map(|plugin| plugin.known_exploited_findings).sum(),
            hosts: summary.groups.hosts.iter().filter(|host| host.known_exploited > 0).count() as u64,
            filters: json!({ "cisa_known_exploited": ">=1970/01/01" }),
            plugin_ids: Section::of(plugins.into_iter().map(|plugin| plugin.id), most),
        }
    }

    fn exploitable(&self, summary: &ScanSummary, most: usize) -> RiskView {
        let plugins: Vec<&Plugin> = self.plugins.iter().copied().filter(|plugin| plugin.exploitable > 0).collect();
        RiskView {
            findings: plugins.iter().map(|plugin| plugin.exploitable).sum(),
            hosts: summary.groups.hosts.iter().filter(|host| host.exploitable > 0).count() as u64,
            filters: json!({ "exploit_available": true, "severity": ">=Low" }),
            plugin_ids: Section::of(plugins.into_iter().map(|plugin| plugin.id), most),
        }
    }

    fn solutions(summary: &ScanSummary, most: usize) -> SolutionsView {
        let solutions = &summary.groups.solutions;
        let first = &solutions[..solutions.len().min(FEW)];
        SolutionsView {
            first: first.len() as u64,
            first_clear: first.iter().map(|solution| solution.counts.total()).sum(),
            without_solution: summary.groups.without_solution,
            section: Section::of(solutions.iter().map(SolutionRow::new), most),
        }
    }

    fn authentication(&self, summary: &ScanSummary, most: usize) -> AuthenticationView {
        let row = |host: &&HostGroup| {
            let (verdict, cause) = match host.judgement {
                Judgement::Live(verdict, cause) => (verdict.as_str(), cause.map(|cause| cause.as_str().into())),
                Judgement::Dead => ("dead", None),
                Judgement::NotScanned => ("not_scanned", None),
            };
            AuthenticationRow { host: clean(&host.name, NAME_CHARS), verdict: verdict.into(), cause }
        };
        // The list by host is the one with all of them.
        let report = AuthenticationReport { hosts_left_out: 0, ..summary.authentication.clone() };
        let applies = report.status != AuthenticationStatus::NotApplicable;
        AuthenticationView { by_host: applies.then(|| Section::of(self.by_verdict.iter().map(row), most)), report }
    }
}
