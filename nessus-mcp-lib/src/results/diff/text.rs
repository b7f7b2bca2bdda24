//! The comparison for a person at a terminal.

use std::fmt::{self, Write as _};

use super::{
    compliance::CheckCounts,
    rows::{ComplianceRow, FindingRow, HostNotComparable},
    view::{DiffView, ScanSide},
};
use crate::{
    error::counted,
    results::{judge::SeverityCounts, record::Severity},
};

/// Lines of at most a few hundred characters, without control characters and without colour.
impl fmt::Display for DiffView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_side(f, "before", &self.before)?;
        write_side(f, "after", &self.after)?;
        if !self.differences.is_empty() {
            writeln!(f, "\nThe scans differ")?;
            for difference in &self.differences {
                writeln!(f, "  {difference}")?;
            }
        }
        let counts = &self.counts;
        writeln!(
            f,
            "\n{:<16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "findings", "all", "critical", "high", "medium", "low", "info"
        )?;
        for (name, counts) in [
            ("new", &counts.new),
            ("fixed", &counts.fixed),
            ("still there", &counts.still_there),
            ("severity changed", &counts.severity_changed),
            ("output changed", &counts.changed_output),
            ("not comparable", &counts.not_comparable),
        ] {
            let SeverityCounts { critical, high, medium, low, info, .. } = counts;
            let all = counts.total();
            writeln!(f, "{name:<16} {all:>8} {critical:>8} {high:>8} {medium:>8} {low:>8} {info:>8}")?;
        }
        for (count, one, many) in [
            (
                counts.new_on_unseen_hosts,
                "of the new is on a host that the first scan did not see",
                "of the new are on hosts that the first scan did not see",
            ),
            (
                counts.new_by_better_login,
                "of the new is on a host with a better login than before: it may be old",
                "of the new are on hosts with a better login than before: they may be old",
            ),
            (
                counts.new_by_wider_scan,
                "of the new is where the first scan did not look: it may be old",
                "of the new are where the first scan did not look: they may be old",
            ),
            (
                counts.not_compared,
                "finding was left aside: there are too many",
                "findings were left aside: there are too many",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{}", counted(count, one, many))?;
            }
        }
        let hosts = &self.hosts;
        writeln!(
            f,
            "hosts: {} in both, {} only before, {} only after{}",
            hosts.in_both,
            hosts.only_before,
            hosts.only_after,
            if hosts.renamed > 0 { format!(", {} under another name now", hosts.renamed) } else { String::new() }
        )?;
        self.new.write(f, "New", finding)?;
        self.fixed.write(f, "Fixed", finding)?;
        self.severity_changed.write(f, "Severity changed", finding)?;
        self.changed_output.write(f, "Output changed", finding)?;
        self.hosts_not_comparable.write(f, "Not comparable", not_comparable)?;
        if let Some(compliance) = &self.compliance {
            writeln!(
                f,
                "\nCompliance checks: {} unchanged, {} failing now, {} passing now, {} changed otherwise, {} gone, {} not comparable",
                compliance.unchanged,
                compliance.newly_failed.total,
                compliance.newly_passed.total,
                compliance.changed_otherwise,
                compliance.gone,
                compliance.not_comparable
            )?;
            compliance.by_audit.write(f, "By audit", |row| checks(&row.audit, &row.counts))?;
            compliance
                .by_check
                .write(f, "By check", |row| checks(&format!("{}  {}", row.audit, row.check), &row.counts))?;
            compliance.newly_failed.write(f, "Failing now", check)?;
            compliance.newly_passed.write(f, "Passing now", check)?;
        }
        if self.truncated {
            writeln!(f, "\nLists are cut to fit; more characters make room.")?;
        }
        Ok(())
    }
}

fn write_side(f: &mut fmt::Formatter<'_>, name: &str, side: &ScanSide) -> fmt::Result {
    let report = side.report_name.as_deref().unwrap_or("(scan without a name)");
    let started = side.started.as_ref().map(|time| format!(", started {time}")).unwrap_or_default();
    writeln!(
        f,
        "{name:<6}  {report}{started}, {} ({} dead), {}, login {}",
        counted(side.hosts, "host", "hosts"),
        side.dead_hosts,
        counted(side.severity_counts.total(), "finding", "findings"),
        side.authentication_status
    )
}

fn finding(row: &FindingRow) -> String {
    let severity = row.severity.map_or("?", Severity::name);
    let mut line = format!("{severity:<8}  ");
    if let Some(previous) = row.previous_severity {
        let _ = write!(line, "(was {previous})  ");
    }
    let host = host(&row.host, row.previous_host.as_deref());
    let _ = write!(line, "{host}  {}/{}  {}  {}", row.port, row.protocol, row.plugin_id, row.plugin_name);
    if let Some((count, of)) = row.count.zip(row.of) {
        let _ = write!(line, "  ({count} of {of})");
    }
    if let Some(reason) = row.unseen_before {
        let _ = write!(line, "  (before: {})", reason.as_str());
    }
    let _ = write!(line, "  {}", row.finding_key);
    if let Some(previous) = &row.previous_finding_key {
        let _ = write!(line, " (was {previous})");
    }
    for (mark, output) in [('-', &row.output_before), ('+', &row.output_after)] {
        if let Some(output) = output {
            let _ = write!(line, "\n    {mark} {output}");
        }
    }
    line
}

/// `NAME`, or `NAME (was NAME)`.
fn host(name: &str, previous: Option<&str>) -> String {
    previous.map_or_else(|| name.to_owned(), |previous| format!("{name} (was {previous})"))
}

fn checks(name: &str, counts: &CheckCounts) -> String {
    let mut line = name.trim().to_owned();
    for (count, what) in [
        (counts.newly_failed, "failing now"),
        (counts.newly_passed, "passing now"),
        (counts.changed_otherwise, "changed otherwise"),
        (counts.gone, "gone"),
        (counts.not_comparable, "not comparable"),
        (counts.unchanged, "unchanged"),
    ] {
        if count > 0 {
            let _ = write!(line, "  {count} {what}");
        }
    }
    line
}

fn not_comparable(row: &HostNotComparable) -> String {
    let SeverityCounts { critical, high, medium, low, info, .. } = row.severity_counts;
    let (host, reason) = (host(&row.host, row.previous_host.as_deref()), row.reason.as_str());
    let checks = match row.compliance_items {
        0 => String::new(),
        checks => format!(", {checks} compliance"),
    };
    format!("{host}  {reason}: {critical} critical, {high} high, {medium} medium, {low} low, {info} info{checks}")
}

fn check(row: &ComplianceRow) -> String {
    let host = host(&row.host, row.previous_host.as_deref());
    format!(
        "{host}  {} -> {}  {}  {}",
        row.before.as_deref().unwrap_or("(not checked)"),
        row.after,
        row.check,
        row.finding_key
    )
}
