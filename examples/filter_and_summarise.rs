//! How to ask an export questions in Rust: a filter, a page of typed findings, a summary, and the hosts to look at first.
//!
//! ```console
//! cargo run --example filter_and_summarise -- fixtures/exports/office.nessus
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, fmt::Write as _, fs::File};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{
        DEFAULT_CHARS, FilterSet, GroupBy, GroupSort, LoginExpected, Page, Profile, Query, ResultsPage, ScanSummary,
        SortOrder, SummarySection,
    },
};

/// The answer to a query, as typed values.
fn page(path: &str, query: Query) -> Result<ResultsPage, Box<dyn Error>> {
    let mut lines = Vec::new();
    JsonNlConverter::new(query).convert(File::open(path)?, &mut lines)?;
    Ok(String::from_utf8(lines)?.parse()?)
}

fn run(path: &str) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();

    // A filter and a page: what is serious, without the printer, and with what is likeliest to be exploited first.
    let query = Query::builder()
        .profile(Profile::Triage)
        .filters(r#"{"severity": ">=High", "not": {"host": "=printer.office.example"}}"#.parse::<FilterSet>()?)
        .sort("-epss_score".parse::<SortOrder>()?)
        .page(Page::new(1, Some(10))?)
        .build()?;
    let found = page(path, query)?;
    writeln!(out, "{} of {} findings are serious, without the printer", found.schema.matched, found.schema.total)?;
    for finding in &found.findings {
        let host = finding.host.as_deref().unwrap_or("?");
        let name = finding.plugin_name.as_deref().unwrap_or("?");
        writeln!(out, "  {host} port {}: {name}", finding.port.unwrap_or(0))?;
    }

    // The hosts to look at first: groups in place of findings.
    let hosts = page(path, Query::builder().group_by(GroupBy::Host, GroupSort::WORST).build()?)?;
    for group in hosts.groups.iter().take(3) {
        let host = group.other.get("host").and_then(|host| host.as_str()).unwrap_or("?");
        writeln!(out, "host {host}: {} findings", group.findings)?;
    }

    // A summary of everything, of which only a part is listed.
    let summary = ScanSummary::read(File::open(path)?, LoginExpected::NotSaid)?;
    let view = summary.view_of(&[SummarySection::Plugins], DEFAULT_CHARS);
    let counts = &view.counts;
    writeln!(
        out,
        "{} hosts, {} findings, {} of them critical",
        counts.hosts, counts.findings, counts.severity_counts.critical
    )?;
    for plugin in view.plugins.iter().flat_map(|plugins| &plugins.shown).take(3) {
        writeln!(out, "plugin, findings {}: {}", plugin.findings, plugin.plugin_name)?;
    }
    Ok(out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "fixtures/exports/office.nessus".to_owned());
    print!("{}", run(&path)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_office_is_filtered_and_summarised() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/exports/office.nessus");
        let expected = "\
4 of 22 findings are serious, without the printer
  192.0.2.30 port 445: File Sharing: Remote Code Execution (Hazel)
  192.0.2.10 port 443: Acorn Web Server < 2.4.9 Request Smuggling
  db01.office.example port 5432: Birch Database < 15.8 Privilege Escalation
  db01.office.example port 0: Kernel Update Missing
host 192.0.2.10: 7 findings
host 192.0.2.30: 5 findings
host db01.office.example: 5 findings
5 hosts, 22 findings, 2 of them critical
plugin, findings 1: Acorn Web Server < 2.4.9 Request Smuggling
plugin, findings 1: File Sharing: Remote Code Execution (Hazel)
plugin, findings 1: Birch Database < 15.8 Privilege Escalation
";
        assert_eq!(super::run(path).unwrap(), expected);
    }
}
