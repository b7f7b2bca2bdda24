//! The files an export consists of.
//!
//! The writers go host by host and finding by finding into any [`io::Write`], so that an export of any size needs no
//! memory of its own; a program that makes fixtures can write a gigabyte with them.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

use crate::time::Timestamp;

use super::{
    authentication::Authentication,
    findings::{Finding, findings, hash},
    plugins::{self, Plugin, SCAN_INFORMATION, Score},
};

/// What a report tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportInput {
    /// The scan's name.
    pub(crate) scan_name: String,
    /// The template's title.
    pub(crate) policy_name: String,
    /// The target list as it was given.
    pub(crate) targets: String,
    /// The plugin set it ran with.
    pub(crate) plugin_set: String,
    /// Decides the findings, together with the host names.
    pub(crate) seed: u64,
    /// How many findings a host has when its scan is complete.
    pub(crate) findings_per_host: usize,
    /// The hosts, in the order of the report.
    pub(crate) hosts: Vec<ReportHost>,
}

/// A host of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportHost {
    /// The name by which it was a target.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: String,
    /// How many of its findings were made; fewer than all when the scan was stopped.
    pub(crate) found: usize,
    /// When its scan began.
    pub(crate) start: Timestamp,
    /// When its scan ended.
    pub(crate) end: Timestamp,
    /// How the logins on it ended.
    pub(crate) authentication: Authentication,
}

impl ReportInput {
    /// What was found on a host: its findings and, when its scan is complete, how the logins went.
    pub(super) fn findings_of(&self, host: &ReportHost) -> impl Iterator<Item = Finding> + use<> {
        let complete = host.found == self.findings_per_host;
        let logins = if complete { host.authentication.plugins() } else { &[] };
        let logins = logins.iter().map(|&plugin| Finding { plugin, port: plugin.port });
        findings(self.seed, &host.name, self.findings_per_host).take(host.found).chain(logins)
    }
}

/// Writes the export as `NessusClientData_v2`.
///
/// # Errors
/// When `out` refuses.
pub(crate) fn write_nessus<W: Write>(mut out: W, input: &ReportInput) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" ?>\n<NessusClientData_v2>")?;
    write_policy(&mut out, input)?;
    writeln!(out, "<Report name=\"{}\" xmlns:cm=\"http://www.nessus.org/cm\">", Escaped(&input.scan_name))?;
    for host in &input.hosts {
        writeln!(out, "<ReportHost name=\"{}\"><HostProperties>", Escaped(&host.name))?;
        for (name, value) in host_properties(input, host) {
            writeln!(out, "<tag name=\"{name}\">{}</tag>", Escaped(&value))?;
        }
        writeln!(out, "</HostProperties>")?;
        for finding in input.findings_of(host) {
            write_item(&mut out, input, host, finding)?;
        }
        writeln!(out, "</ReportHost>")?;
    }
    writeln!(out, "</Report>\n</NessusClientData_v2>")?;
    out.flush()
}

fn write_policy(out: &mut impl Write, input: &ReportInput) -> io::Result<()> {
    let plugin_set = plugins::all().map(|plugin| plugin.id.to_string()).collect::<Vec<_>>().join(";");
    writeln!(out, "<Policy><policyName>{}</policyName>", Escaped(&input.policy_name))?;
    writeln!(out, "<Preferences><ServerPreferences>")?;
    for (name, value) in [
        ("name", input.scan_name.as_str()),
        ("TARGET", &input.targets),
        ("max_hosts", "30"),
        ("max_checks", "5"),
        ("port_range", "default"),
        ("severity_basis", "cvss_v3"),
        ("plugin_set", &plugin_set),
    ] {
        writeln!(out, "<preference><name>{name}</name><value>{}</value></preference>", Escaped(value))?;
    }
    writeln!(out, "</ServerPreferences><PluginsPreferences></PluginsPreferences></Preferences>")?;
    writeln!(
        out,
        "<FamilySelection><FamilyItem><FamilyName>General</FamilyName><Status>enabled</Status></FamilyItem>"
    )?;
    writeln!(out, "</FamilySelection><IndividualPluginSelection></IndividualPluginSelection></Policy>")
}

fn host_properties(input: &ReportInput, host: &ReportHost) -> Vec<(&'static str, String)> {
    let seconds = |at: Timestamp| at.as_millis().div_euclid(1000).to_string();
    let address = host.address.clone();
    let works = host.authentication.works();
    let mut tags = vec![
        ("HOST_START_TIMESTAMP", seconds(host.start)),
        ("HOST_START", nessus_time(host.start)),
        ("HOST_END_TIMESTAMP", seconds(host.end)),
        ("HOST_END", nessus_time(host.end)),
        ("Credentialed_Scan", works.to_string()),
        (if works { "LastAuthenticatedResults" } else { "LastUnauthenticatedResults" }, seconds(host.end)),
        ("policy-used", input.policy_name.clone()),
        ("operating-system", "Larch Linux 7\nLarch Linux 8".to_owned()),
        ("os", "linux".to_owned()),
        ("system-type", "general-purpose".to_owned()),
    ];
    if address != host.name {
        tags.push(("host-fqdn", host.name.clone()));
    }
    tags.push(("host-ip", address));
    tags
}

/// The name of a host of a run, which may be `name[address]`.
pub(super) fn name_of(host: &str) -> &str {
    host.split_once('[').map_or(host, |(name, _)| name)
}

/// The address of a host of a run: the one it was given as `name[address]`, or its name when that is one, else an address of
/// the documentation ranges that is always the same.
pub(super) fn address_of(host: &str) -> String {
    if let Some((_, address)) = host.split_once('[') {
        return address.trim_end_matches(']').to_owned();
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    let hash = hash(0, host);
    format!("203.0.113.{}", hash % 254 + 1)
}

/// `Fri Nov  7 13:25:52 2025`, as the host properties have it.
pub(super) fn nessus_time(at: Timestamp) -> String {
    // Not after the year 9999, which nothing can write.
    let since = u64::try_from(at.as_millis()).unwrap_or_default().min(253_402_300_799_000);
    // Such as `Fri, 07 Nov 2025 13:25:52 GMT`, which has the same words in another order.
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(since));
    let words: Vec<&str> = date.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words[..] {
        [weekday, day, month, year, time, _] => {
            format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0'))
        }
        _ => date,
    }
}

fn write_item(out: &mut impl Write, input: &ReportInput, host: &ReportHost, finding: Finding) -> io::Result<()> {
    let plugin = finding.plugin;
    writeln!(
        out,
        "<ReportItem port=\"{}\" svc_name=\"{}\" protocol=\"{}\" severity=\"{}\" pluginID=\"{}\" pluginName=\"{}\" \
         pluginFamily=\"{}\">",
        finding.port,
        Escaped(plugin.service),
        plugin.protocol,
        plugin.severity,
        plugin.id,
        Escaped(plugin.name),
        Escaped(plugin.family),
    )?;
    let mut child = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => writeln!(out, "<{name}>{}</{name}>", Escaped(value)),
    };
    child("cisa-known-exploited", plugin.exploited)?;
    child("cpe", plugin.cpe)?;
    for cve in plugin.cve {
        child("cve", cve)?;
    }
    for score in scores(plugin) {
        child(&format!("{}_base_score", score.0), score.1.base)?;
        child(&format!("{}_vector", score.0), score.1.vector)?;
    }
    for cwe in plugin.cwe {
        child("cwe", &cwe.to_string())?;
    }
    child("description", plugin.description)?;
    child("epss_score", plugin.epss)?;
    child("exploit_available", plugin.exploit.unwrap_or_default())?;
    child("fname", &plugin.file_name())?;
    child("plugin_modification_date", "2025/09/01")?;
    child("plugin_name", plugin.name)?;
    child("plugin_publication_date", plugin.published)?;
    child("plugin_type", if plugin.id == SCAN_INFORMATION { "summary" } else { "remote" })?;
    child("risk_factor", plugin.risk_factor())?;
    child("script_version", "1.7")?;
    child("see_also", &plugin.see_also.join("\n"))?;
    child("solution", plugin.solution)?;
    child("synopsis", plugin.synopsis)?;
    child("vpr_score", plugin.vpr)?;
    for xref in plugin.xref {
        child("xref", xref)?;
    }
    child("plugin_output", &output(input, host, finding))?;
    writeln!(out, "</ReportItem>")
}

fn scores(plugin: &Plugin) -> impl Iterator<Item = (&'static str, Score)> {
    [("cvss", plugin.cvss2), ("cvss3", plugin.cvss3), ("cvss4", plugin.cvss4)]
        .into_iter()
        .filter_map(|(name, score)| Some((name, score?)))
}

/// What the finding shows as evidence; empty when it shows none.
pub(super) fn output(input: &ReportInput, host: &ReportHost, finding: Finding) -> String {
    if finding.plugin.id != SCAN_INFORMATION {
        let port = finding.port.to_string();
        return finding.plugin.output.replace("{host}", &host.name).replace("{port}", &port);
    }
    let seconds = host.end.since(host.start).as_secs();
    let credentialed = if host.authentication.works() { "yes" } else { "no" };
    format!(
        "Information about this scan :\n\nNessus version : 10.9.4\nPlugin feed version : {}\n\
         Scanner edition used : Nessus\nScan type : Normal\nScan name : {}\nScan policy used : {}\n\
         Scanner IP : 127.0.0.1\nPort range : default\nThorough tests : no\nExperimental tests : no\n\
         Safe checks : yes\nCredentialed checks : {credentialed}\nPatch management checks : None\nMax hosts : 30\n\
         Max checks : 5\nScan Start Date : {}\nScan duration : {seconds} sec\n",
        input.plugin_set,
        // One line each, whatever a name holds: readers take this text line by line.
        input.scan_name.replace(['\r', '\n'], " "),
        input.policy_name.replace(['\r', '\n'], " "),
        nessus_time(host.start),
    )
}

/// Writes the export as comma separated values.
///
/// # Errors
/// When `out` refuses.
pub(crate) fn write_csv<W: Write>(mut out: W, input: &ReportInput) -> io::Result<()> {
    let header = "Plugin ID,CVE,CVSS v2.0 Base Score,Risk,Host,Protocol,Port,Name,Synopsis,Description,Solution,\
                  See Also,Plugin Output";
    write!(out, "{header}\r\n")?;
    for host in &input.hosts {
        for finding in input.findings_of(host) {
            let plugin = finding.plugin;
            let base = plugin.cvss2.map_or("", |score| score.base);
            let cells = [
                plugin.id.to_string(),
                plugin.cve.join(","),
                base.to_owned(),
                plugin.risk_factor().to_owned(),
                host.name.clone(),
                plugin.protocol.to_owned(),
                finding.port.to_string(),
                plugin.name.to_owned(),
                plugin.synopsis.to_owned(),
                plugin.description.to_owned(),
                plugin.solution.to_owned(),
                plugin.see_also.join("\n"),
                output(input, host, finding),
            ];
            let row = cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            write!(out, "{}\r\n", row.join(","))?;
        }
    }
    out.flush()
}

/// Text that may stand in an element or an attribute.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'' | '\r') || illegal(c);
        let mut rest = self.0;
        while let Some(at) = rest.find(special) {
            f.write_str(&rest[..at])?;
            let mut tail = rest[at..].chars();
            f.write_str(match tail.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&apos;",
                // A bare carriage return would be read back as a line feed.
                Some('\r') => "&#xd;",
                _ => "?",
            })?;
            rest = tail.as_str();
        }
        f.write_str(rest)
    }
}

/// Characters that XML 1.0 cannot hold in any form.
fn illegal(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_replaced() {
        assert_eq!(Escaped("a<b>&\"'\r\n\u{1}é").to_string(), "a&lt;b&gt;&amp;&quot;&apos;&#xd;\n?é");
    }

    #[test]
    fn times_are_written_as_host_properties_have_them() {
        assert_eq!(nessus_time(Timestamp::from_millis(1_762_521_952_000)), "Fri Nov  7 13:25:52 2025");
    }
}
