//! The comparison for a person at a terminal.

use std::fmt::{self, Write as _};

use super::view::{ComplianceRow, DiffView, FindingRow, HostNotComparable, ScanSide};
use crate::{
    error::counted,
    results::{judge::SeverityCounts, record::Severity, write::Section},
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
            "hosts: {} in both, {} only before, {} only after",
            hosts.in_both, hosts.only_before, hosts.only_after
        )?;
        write_section(f, "New", &self.new, finding)?;
        write_section(f, "Fixed", &self.fixed, finding)?;
        write_section(f, "Severity changed", &self.severity_changed, finding)?;
        write_section(f, "Not comparable", &self.hosts_not_comparable, not_comparable)?;
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
            write_section(f, "Failing now", &compliance.newly_failed, check)?;
            write_section(f, "Passing now", &compliance.newly_passed, check)?;
        }
        if self.truncated {
            writeln!(f, "\nLists are cut to fit; `--max-chars` makes room.")?;
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

fn write_section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    section: &Section<T>,
    line: impl Fn(&T) -> String,
) -> fmt::Result {
    if section.total == 0 {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    for entry in &section.shown {
        writeln!(f, "  {}", line(entry))?;
    }
    if section.left_out > 0 {
        writeln!(f, "  ... and {} more", section.left_out)?;
    }
    Ok(())
}

fn finding(row: &FindingRow) -> String {
    let severity = row.severity.map_or("?", Severity::name);
    let mut line = format!("{severity:<8}  ");
    if let Some(previous) = row.previous_severity {
        let _ = write!(line, "(was {previous})  ");
    }
    let _ = write!(line, "{}  {}/{}  {}  {}", row.host, row.port, row.protocol, row.plugin_id, row.plugin_name);
    line
}

fn not_comparable(row: &HostNotComparable) -> String {
    let SeverityCounts { critical, high, medium, low, info, .. } = row.severity_counts;
    let reason = row.reason.map_or("?", |reason| reason.as_str());
    format!("{}  {reason}: {critical} critical, {high} high, {medium} medium, {low} low, {info} info", row.host)
}

fn check(row: &ComplianceRow) -> String {
    format!("{}  {} -> {}  {}", row.host, row.before.unwrap_or("(not checked)"), row.after, row.check)
}
