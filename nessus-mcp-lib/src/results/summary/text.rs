//! The summary for a person at a terminal.

use std::fmt::{self, Write as _};

use super::{
    compliance::{AuditRow, CheckRow},
    rows::{HostRow, PluginRow, SolutionRow},
    view::{AuthenticationView, RiskView, SummaryView},
};
use crate::{
    error::counted,
    results::{
        judge::{ComplianceCounts, SeverityCounts},
        record::Severity,
        write::Section,
    },
};

/// Lines of at most a few hundred characters, without control characters and without colour.
impl fmt::Display for SummaryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.report_name.as_deref().unwrap_or("(scan without a name)"))?;
        let facts = [
            ("policy", &self.policy_name),
            ("severities", &self.severity_basis),
            ("scanner", &self.scanner_version),
            ("plugins", &self.plugin_feed_version),
        ];
        let facts: Vec<String> =
            facts.iter().filter_map(|(name, text)| Some(format!("{name} {}", text.as_ref()?))).collect();
        if !facts.is_empty() {
            writeln!(f, "{}", facts.join(", "))?;
        }
        self.write_counts(f)?;
        self.write_authentication(f)?;
        self.write_risk(f, "Known to be exploited (CISA KEV)", self.known_exploited.as_ref())?;
        self.write_risk(f, "Exploits available", self.exploitable.as_ref())?;
        self.write_named(f, "Highest EPSS", self.highest_epss.as_ref())?;
        self.write_named(f, "Highest VPR", self.highest_vpr.as_ref())?;
        if let Some(solutions) = self.solutions.as_ref().filter(|solutions| solutions.section.total > 0) {
            let first = if solutions.first == 1 { "clears".to_owned() } else { format!("{} clear", solutions.first) };
            let title =
                format!("Solutions: the first {first} {}", counted(solutions.first_clear, "finding", "findings"));
            solutions.section.write(f, &title, solution)?;
        }
        if let Some(plugins) = &self.plugins {
            plugins.write(f, "Plugins", plugin)?;
        }
        if let Some(hosts) = &self.hosts {
            hosts.write(f, "Hosts", host)?;
        }
        if let Some(compliance) = &self.compliance {
            compliance.by_audit.write(f, "Compliance by audit file", audit)?;
            compliance.by_check.write(f, "Compliance by check", check)?;
        }
        if self.truncated {
            writeln!(f, "\nLists are cut to fit; more characters make room.")?;
        }
        Ok(())
    }
}

impl SummaryView {
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(
            f,
            "\n{}, {} of them dead, {} with vulnerabilities",
            counted(counts.hosts, "host", "hosts"),
            counts.dead_hosts,
            counts.hosts_with_vulnerabilities
        )?;
        writeln!(
            f,
            "{}, {} above Info by {}",
            counted(counts.findings, "finding", "findings"),
            counts.vulnerabilities,
            counted(counts.distinct_vulnerabilities, "plugin", "plugins")
        )?;
        if let Some(compliance) = &counts.compliance_counts {
            writeln!(
                f,
                "compliance checks: {}, of them {} passed, {} failed, {}, {}",
                counts.compliance_items,
                compliance.passed,
                compliance.failed,
                counted(compliance.warning, "warning", "warnings"),
                counted(compliance.error, "error", "errors")
            )?;
        }
        if self.by_severity.is_some() {
            writeln!(f, "\n{:<9} {:>9} {:>9} {:>9}", "severity", "findings", "plugins", "hosts")?;
        }
        for row in self.by_severity.iter().flatten() {
            writeln!(f, "{:<9} {:>9} {:>9} {:>9}", row.severity.name(), row.findings, row.plugins, row.hosts)?;
        }
        Ok(())
    }

    fn write_authentication(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(AuthenticationView { report, .. }) = &self.authentication else { return Ok(()) };
        let counts = &report.counts;
        writeln!(f, "\nLogin: {}", report.status)?;
        writeln!(
            f,
            "  {} authenticated, {} partial, {} failed, {} not attempted, {} unknown; {} dead",
            counts.authenticated,
            counts.partial,
            counts.failed,
            counts.not_attempted,
            counts.unknown,
            report.dead_hosts
        )?;
        for count in &report.causes {
            writeln!(f, "  {} on {}: {}", count.cause.as_str(), count.hosts, count.cause.advice())?;
        }
        Ok(())
    }

    /// Findings that share a risk.
    fn write_risk(&self, f: &mut fmt::Formatter<'_>, title: &str, view: Option<&RiskView>) -> fmt::Result {
        let Some(view) = view.filter(|view| view.findings > 0) else { return Ok(()) };
        let hosts = counted(view.hosts, "host", "hosts");
        let title = format!("{title}: {} on {hosts}", counted(view.findings, "finding", "findings"));
        self.write_named(f, &title, Some(&view.plugin_ids))
    }

    /// The rows of plugins that are named.
    fn write_named(&self, f: &mut fmt::Formatter<'_>, title: &str, ids: Option<&Section<Option<i64>>>) -> fmt::Result {
        let Some(ids) = ids else { return Ok(()) };
        let rows = || self.plugins.iter().flat_map(|plugins| &plugins.shown);
        ids.write(f, title, |id| rows().find(|row| row.plugin_id == *id).map(risk).unwrap_or_default())
    }
}

fn risk(row: &PluginRow) -> String {
    let mut line = lead(row.plugin_id, row.severity, row.hosts);
    if let Some(score) = row.epss_score {
        let _ = write!(line, "  EPSS {score:.4}");
    }
    if let Some(score) = row.vpr_score {
        let _ = write!(line, "  VPR {score:.1}");
    }
    if let Some(date) = &row.cisa_known_exploited {
        let _ = write!(line, "  due {date}");
    }
    let _ = write!(line, "  {}", row.plugin_name);
    line
}

fn plugin(row: &PluginRow) -> String {
    let mut line = lead(row.plugin_id, row.severity, row.hosts);
    if row.findings != row.hosts {
        let _ = write!(line, "  {}", counted(row.findings, "finding", "findings"));
    }
    let exploit = if row.exploit_available { "  [exploit]" } else { "" };
    let _ = write!(line, "  {}{exploit}  ({}", row.plugin_name, row.example_hosts.join(", "));
    let _ = write!(line, "{})", if row.hosts > row.example_hosts.len() as u64 { ", ..." } else { "" });
    line
}

fn lead(plugin: Option<i64>, severity: Option<Severity>, hosts: u64) -> String {
    let plugin = plugin.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let severity = severity.map_or("?", Severity::name);
    format!("{plugin:>7}  {severity:<8}  {hosts:>5} {}", if hosts == 1 { "host " } else { "hosts" })
}

fn host(row: &HostRow) -> String {
    let mut line = format!("{}  {}", row.host, severities(&row.severity_counts));
    if let Some(verdict) = row.authentication {
        let _ = write!(line, "  login {}", verdict.as_str());
    }
    if let Some(system) = &row.operating_system {
        let _ = write!(line, "  {system}");
    }
    line
}

fn audit(row: &AuditRow) -> String {
    let name = row.audit_file.as_deref().unwrap_or("(no audit file)");
    format!("{}  {}", outcomes(&row.compliance_counts, row.hosts), name)
}

fn check(row: &CheckRow) -> String {
    let mut line = outcomes(&row.compliance_counts, row.hosts);
    let _ = write!(line, "  {}", row.check_name.as_deref().unwrap_or("(no name)"));
    if let Some(reference) = &row.reference {
        let _ = write!(line, "  ({reference})");
    }
    line
}

/// `2 failed, 1 passed on 3 hosts`.
fn outcomes(counts: &ComplianceCounts, hosts: u64) -> String {
    let named = [
        (counts.failed, "failed"),
        (counts.error, "error"),
        (counts.warning, "warning"),
        (counts.other, "other"),
        (counts.passed, "passed"),
    ];
    let parts: Vec<String> =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    format!("{} on {}", parts.join(", "), counted(hosts, "host", "hosts"))
}

fn solution(row: &SolutionRow) -> String {
    let hosts = counted(row.hosts, "host", "hosts");
    format!("clears {} on {hosts} ({})  {}", row.clears, severities(&row.severity_counts), row.solution)
}

/// `2 critical, 1 low`; information is left out.
fn severities(counts: &SeverityCounts) -> String {
    let named = [
        (counts.critical, "critical"),
        (counts.high, "high"),
        (counts.medium, "medium"),
        (counts.low, "low"),
        (counts.unknown, "unknown"),
    ];
    let parts: Vec<String> =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    parts.join(", ")
}
