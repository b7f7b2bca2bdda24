//! What stands above the findings: what the scan was, what it reached, and the counts.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, Write},
    mem,
};

use super::{charts, checks, markup::escape};
use crate::results::{
    convert::FirstPass,
    judge::{AuthenticationReport, AuthenticationStatus, CheckGroups, Judge, LoginExpected, SeverityCounts},
    query::NameKey,
    record::{FieldId, Record, RecordKind, Severity, Value},
    xml::Visit,
};

/// The most hosts that are counted one by one; an export that was made to fill memory has more.
const MOST_HOSTS: usize = 200_000;
/// The hosts of the chart.
const CHARTED: usize = 15;

/// Counts of the matching findings, gathered in the first pass.
#[derive(Debug)]
pub(super) struct Overview {
    counts: SeverityCounts,
    /// Of what kind the report's list is.
    kind: RecordKind,
    /// Compliance checks: those that match where the list has them, else all.
    checks: CheckGroups,
    exploitable: u64,
    known_exploited: u64,
    /// Of the blocks that have any, with their numbers and names.
    hosts: Vec<(usize, Box<str>, SeverityCounts)>,
    /// The number of the present block.
    block: usize,
    /// Some hosts were too many.
    has_more_hosts: bool,
    judge: Judge,
    start: Option<Box<str>>,
    end: Option<Box<str>>,
}

impl Overview {
    pub(super) fn new(kind: RecordKind) -> Self {
        Self {
            counts: SeverityCounts::default(),
            kind,
            checks: CheckGroups::default(),
            exploitable: 0,
            known_exploited: 0,
            hosts: Vec::new(),
            block: 0,
            has_more_hosts: false,
            judge: Judge::new(0),
            start: None,
            end: None,
        }
    }

    pub(super) fn look(&mut self, visit: Visit<'_>, matches: bool) {
        self.judge.visit(visit);
        match visit {
            Visit::Item(record)
                if record.kind() == RecordKind::Compliance && (matches || self.kind == RecordKind::Vulnerability) =>
            {
                self.checks.add(&record, u32::try_from(self.block).unwrap_or(u32::MAX));
            }
            Visit::Item(record) if matches => self.count(&record),
            Visit::HostEnd(host) => {
                self.block += 1;
                let first = |kept: &mut Option<Box<str>>, found: Option<&str>, wanted: fn(&str, &str) -> bool| {
                    if let Some(found) = found
                        && kept.as_deref().is_none_or(|kept| wanted(found, kept))
                    {
                        *kept = Some(found.into());
                    }
                };
                first(&mut self.start, host.get(FieldId::HostStart), |found, kept| found < kept);
                first(&mut self.end, host.get(FieldId::HostEnd), |found, kept| found > kept);
            }
            _ => {}
        }
    }

    fn count(&mut self, record: &Record<'_>) {
        let severity = record.severity();
        self.counts.add(severity);
        let is_exploitable = record.any(FieldId::ExploitAvailable, |value| value == Value::Boolean(true));
        self.exploitable += u64::from(severity > Some(Severity::Info) && is_exploitable);
        let date = record.item.first(FieldId::CisaKnownExploited);
        self.known_exploited += u64::from(date.is_some_and(|date| !date.trim().is_empty()));
        let has_room = self.hosts.len() < MOST_HOSTS;
        match self.hosts.last_mut() {
            Some((block, _, counts)) if *block == self.block => counts.add(severity),
            _ if has_room => {
                let mut counts = SeverityCounts::default();
                counts.add(severity);
                self.hosts.push((self.block, record.host.name.clone(), counts));
            }
            _ => self.has_more_hosts = true,
        }
    }

    /// What the scan was.
    pub(super) fn facts(&self, first_pass: &FirstPass<'_>, output: &mut impl Write) -> io::Result<()> {
        let (header, stats) = (&first_pass.header, &first_pass.stats);
        let plugins = stats.plugin_feed_version.as_deref();
        let facts = [
            ("Policy", header.policy_name.as_deref().or(stats.policy_used.as_deref())),
            ("Scanner", stats.scanner_version.as_deref()),
            ("Plugins", plugins),
            ("Severities by", header.severity_basis.as_deref()),
            ("First host begun", self.start.as_deref()),
            ("Last host ended", self.end.as_deref()),
        ];
        output.write_all(b"<dl class=\"facts\">")?;
        for (name, value) in facts {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                write!(output, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value))?;
            }
        }
        output.write_all(b"</dl>\n")
    }

    /// Counts, charts, and what the reader must know.
    pub(super) fn write(&mut self, first_pass: &FirstPass<'_>, output: &mut impl Write) -> io::Result<()> {
        let stats = &first_pass.stats;
        let judge = mem::replace(&mut self.judge, Judge::new(0));
        let machines = judge.machines();
        let (authentication, _) = judge.finish(LoginExpected::NotSaid, 1.0);
        // Where the export breaks, a host was not read to its end, so that nothing can be said about it.
        let is_whole = first_pass.failure.is_none();
        let answered = is_whole.then_some(("of them answered", authentication.counts.live()));
        let (hosts, findings, outcomes) = (stats.hosts, self.counts.above_info(), self.checks.counts);
        let hosts = (if hosts == 1 { "host in the export" } else { "hosts in the export" }, hosts);
        let counts = match self.kind {
            RecordKind::Vulnerability => [
                (if findings == 1 { "finding above Info" } else { "findings above Info" }, findings),
                ("with a public exploit", self.exploitable),
                ("known to be exploited (CISA)", self.known_exploited),
            ],
            RecordKind::Compliance => [
                (if outcomes.failed == 1 { "check failed" } else { "checks failed" }, outcomes.failed),
                ("to be reviewed, or not done", outcomes.warning + outcomes.error + outcomes.other),
                ("passed", outcomes.passed),
            ],
        };
        let cards = [Some(hosts), answered].into_iter().flatten().chain(counts);
        output.write_all(b"<ul class=\"cards\">")?;
        for (what, count) in cards {
            write!(output, "<li><strong>{count}</strong> {what}</li>")?;
        }
        output.write_all(b"</ul>\n")?;
        Self::write_notes(first_pass, &authentication, output)?;
        let mut checks = mem::take(&mut self.checks);
        checks.count_hosts(&machines);
        if self.kind == RecordKind::Compliance {
            return checks::write(checks, self.kind, output);
        }
        output.write_all(b"<section class=\"charts\">\n")?;
        charts::severities(&self.counts, output)?;
        // Of a machine with several blocks the name counts that is no address.
        let rank =
            |name: &str| (matches!(NameKey::of(name), NameKey::Address(_)), name.to_lowercase(), name.to_owned());
        let mut by_machine: HashMap<usize, (&str, SeverityCounts)> = HashMap::new();
        for (block, name, counts) in &self.hosts {
            let (shown, sum) = by_machine.entry(machines.of(*block)).or_insert((name, SeverityCounts::default()));
            sum.add_all(counts);
            if machines.has_repeated() && rank(name) < rank(shown) {
                *shown = name;
            }
        }
        let mut hosts: Vec<(&str, SeverityCounts)> =
            by_machine.into_values().filter(|(_, counts)| counts.above_info() > 0).collect();
        hosts.sort_by_key(|(name, counts)| {
            (std::cmp::Reverse((counts.critical, counts.high, counts.medium, counts.low)), *name)
        });
        let left_out = hosts.len().saturating_sub(CHARTED);
        hosts.truncate(CHARTED);
        charts::hosts(&hosts, left_out, self.has_more_hosts, output)?;
        output.write_all(b"</section>\n")?;
        self.hosts = Vec::new();
        checks::write(checks, self.kind, output)
    }

    fn write_notes(
        first_pass: &FirstPass<'_>,
        authentication: &AuthenticationReport,
        output: &mut impl Write,
    ) -> io::Result<()> {
        let stats = &first_pass.stats;
        output.write_all(b"<ul class=\"notes\">\n")?;
        if stats.hosts_without_findings > 0 {
            let names = &stats.hosts_without_findings_names;
            let more = stats.hosts_without_findings - names.len() as u64;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let names = escape(&names.join(", "));
            let count = stats.hosts_without_findings;
            writeln!(
                output,
                "<li class=\"warn\"><strong>Not scanned: {count}.</strong> Nothing is known about {names}{more}: no answer, \
                 or not reached.</li>"
            )?;
        }
        let counts = &authentication.counts;
        if counts.live() > 0 && first_pass.failure.is_none() {
            let mut text = String::new();
            for (verdict, hosts) in counts.named().into_iter().filter(|(_, hosts)| *hosts > 0) {
                let _ = write!(text, "{}{verdict} on {hosts}", if text.is_empty() { "" } else { ", " });
            }
            let is_short =
                matches!(authentication.status, AuthenticationStatus::Partial | AuthenticationStatus::Failed);
            let class = if is_short { " class=\"warn\"" } else { "" };
            let login = authentication.status.as_str().replace('_', " ");
            writeln!(output, "<li{class}><strong>Login: {login}.</strong> By host: {text}.</li>")?;
        }
        output.write_all(b"</ul>\n")
    }
}
