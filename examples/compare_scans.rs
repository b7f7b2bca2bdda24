//! How to compare two exports of the same machines: what is new, what is fixed, and what cannot be told, because the later scan could
//! not see what the earlier one saw.
//!
//! ```console
//! cargo run --example compare_scans -- fixtures/exports/office.nessus fixtures/exports/office_later.nessus
//! ```
//!
//! `DiffView` also implements `Display`: `print!("{view}")` shows all of it to a person.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, fmt::Write as _, fs::File};

use nessus_mcp_lib::results::{DEFAULT_CHARS, FindingRow, ScanDiff, Section};

fn list(out: &mut String, name: &str, section: &Section<FindingRow>) -> Result<(), std::fmt::Error> {
    writeln!(out, "{name}: {}", section.total)?;
    for row in &section.shown {
        let severity = row.severity.map_or_else(|| "unrated".to_owned(), |severity| severity.to_string());
        writeln!(out, "  {severity} {} port {}: {}", row.host, row.port, row.plugin_name)?;
    }
    Ok(())
}

fn run(before: &str, after: &str) -> Result<String, Box<dyn Error>> {
    let view = ScanDiff::read(File::open(before)?, File::open(after)?)?.view(DEFAULT_CHARS);
    let mut out = String::new();
    list(&mut out, "new", &view.new)?;
    list(&mut out, "fixed", &view.fixed)?;
    writeln!(out, "still there: {}", view.counts.still_there.total())?;
    // Neither fixed nor still there: to take it for fixed would be a mistake.
    writeln!(out, "not comparable: {}", view.counts.not_comparable.total())?;
    for host in &view.hosts_not_comparable.shown {
        writeln!(out, "  {}: {}, {} findings", host.host, host.reason.as_str(), host.severity_counts.total())?;
    }
    Ok(out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let before = paths.next().unwrap_or_else(|| "fixtures/exports/office.nessus".to_owned());
    let after = paths.next().unwrap_or_else(|| "fixtures/exports/office_later.nessus".to_owned());
    print!("{}", run(&before, &after)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_office_has_changed() {
        let exports = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/exports");
        let text = super::run(&format!("{exports}/office.nessus"), &format!("{exports}/office_later.nessus")).unwrap();
        let expected = "\
new: 3
  Critical 192.0.2.60 port 8443: Acorn Web Server < 2.4.9 Request Smuggling
  High 192.0.2.10 port 443: Acorn Web Server Status Page
  High 192.0.2.50 port 443: Acorn Web Server Status Page
fixed: 1
  Medium 192.0.2.10 port 443: TLS Certificate Expired
still there: 8
not comparable: 12
  192.0.2.30: host_down, 5 findings
  db01.office.example: credentials_lost, 2 findings
  printer.office.example: host_not_scanned, 5 findings
  db01.office.example: audit_not_run, 0 findings
";
        assert_eq!(text, expected);
    }
}
