//! Reads a scan: its findings, and of each machine what was seen and looked at.

use std::{
    collections::{HashMap, HashSet},
    io::{Read, Seek},
};

use super::{
    finding::{Finding, Findings},
    names::{Names, day},
};
use crate::results::{
    error::ResultsError,
    judge::{
        AuthenticationReport, Coverage, ExportStats, Judge, Judgement, LoginExpected, PortRange, SCAN_INFORMATION,
        Tally,
    },
    record::{FieldId, Host, HostEvidence, Record, group},
    xml::{Header, Visit, walk_united_with_scope},
};

/// The most rows of ports in what hosts say; of further hosts it is not known what was looked at.
const MOST_PORT_ROWS: usize = 500_000;

/// What is kept of a machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// What was scanned, as it is written.
    pub name: Box<str>,
    pub judgement: Judgement,
    /// Index of [`About::coverages`].
    pub coverage: u32,
    /// Whether it has plugin 19506.
    pub has_information: bool,
    /// Whether the scan of it began and has no end.
    pub is_unfinished: bool,
}

/// What a scan says about itself.
#[derive(Debug)]
pub(super) struct About {
    pub header: Header,
    pub stats: ExportStats,
    pub authentication: AuthenticationReport,
    pub coverages: Vec<Coverage>,
    /// The first start of a host, in a form that sorts.
    pub start: Option<String>,
    /// The day of its plugins, YYYYMMDD.
    pub feed: Option<u32>,
    /// Whether any host has plugin 19506.
    pub has_information: bool,
    /// The audits of which there is a result.
    pub audits: HashSet<Box<str>>,
}

/// A scan that was read.
#[derive(Debug)]
pub(super) struct Scan {
    pub about: About,
    pub findings: Findings,
    /// By number, with the evidence of what they are.
    pub machines: Vec<(HostEvidence, Machine)>,
    /// The number of the machine of each block.
    pub numbers: Vec<u32>,
}

/// What is said of coverage, each once.
struct Coverages {
    list: Vec<Coverage>,
    known: HashMap<Coverage, u32>,
    port_rows: usize,
}

impl Coverages {
    fn new() -> Self {
        Self { list: vec![Coverage::default()], known: HashMap::from([(Coverage::default(), 0)]), port_rows: 0 }
    }

    /// With what the policy says where nothing else does.
    fn or(self, policy: &Coverage) -> Self {
        let list: Vec<Coverage> = self.list.into_iter().map(|coverage| coverage.or(policy)).collect();
        let known = list.iter().cloned().zip(0..).collect();
        Self { list, known, port_rows: self.port_rows }
    }

    /// The number of what is said of a host.
    fn number(&mut self, coverage: Coverage) -> u32 {
        if let Some(known) = self.known.get(&coverage) {
            return *known;
        }
        let rows = coverage.ports.as_ref().map_or(0, PortRange::len) + 8;
        if self.port_rows + rows > MOST_PORT_ROWS {
            return 0;
        }
        self.port_rows += rows;
        let number = u32::try_from(self.list.len()).unwrap_or(0);
        self.list.push(coverage.clone());
        self.known.insert(coverage, number);
        number
    }
}

/// What is gathered while a scan is read.
struct Reading {
    findings: Findings,
    tally: Tally,
    judge: Judge,
    header: Header,
    coverages: Coverages,
    blocks: Vec<(HostEvidence, Machine)>,
    start: Option<String>,
    audits: HashSet<Box<str>>,
    /// What plugin 19506 says of the present host.
    information: Option<Coverage>,
}

impl Reading {
    fn new() -> Self {
        Self {
            findings: Findings::default(),
            tally: Tally::default(),
            judge: Judge::new(0),
            header: Header::default(),
            coverages: Coverages::new(),
            blocks: Vec::new(),
            start: None,
            audits: HashSet::new(),
            information: None,
        }
    }

    fn visit(&mut self, visit: Visit<'_>, names: &mut Names) {
        self.tally.visit(visit);
        let judgement = self.judge.visit(visit);
        match visit {
            Visit::HostStart => self.information = None,
            Visit::Item(record) => {
                let finding = Finding::of(&record, u32::try_from(self.blocks.len()).unwrap_or(u32::MAX));
                names.note(&record, &finding);
                if let Some(check) = names.check(&finding.key.part)
                    && !self.audits.contains(&check.audit)
                {
                    self.audits.insert(check.audit.clone());
                }
                self.note_coverage(&record);
                self.findings.push(finding);
            }
            Visit::Repeated(record) => self.note_coverage(&record),
            Visit::HostEnd(host) => {
                let (begun, ended) = (host.get(FieldId::HostStart), host.get(FieldId::HostEnd));
                let said = self.information.take();
                self.blocks.push((
                    HostEvidence::of(host),
                    Machine {
                        name: host.name.clone(),
                        judgement: judgement.unwrap_or(Judgement::NotScanned),
                        has_information: said.is_some(),
                        coverage: said.map_or(0, |said| self.coverages.number(said)),
                        is_unfinished: begun.is_some() && ended.is_none(),
                    },
                ));
                note_start(&mut self.start, host);
            }
            Visit::End(found) => self.header = found.clone(),
        }
    }

    fn note_coverage(&mut self, record: &Record<'_>) {
        if record.plugin() == Some(SCAN_INFORMATION) {
            let found = Coverage::read(record.output());
            self.information = Some(self.information.take().map_or(found.clone(), |known| known.union(&found)));
        }
    }
}

/// Reads a scan.
pub(super) fn read_scan<R: Read + Seek>(
    input: R,
    login: LoginExpected,
    names: &mut Names,
) -> Result<Scan, ResultsError> {
    let reading = walk_united_with_scope(input, Reading::new, |reading, visit| reading.visit(visit, names))?;
    let Reading { mut findings, tally, judge, header, mut coverages, blocks, start, audits, .. } = reading;
    let (authentication, _) = judge.finish(login, 1.0);
    let stats = tally.finish();
    let policy_name = stats.policy_used.as_deref().or(header.policy_name.as_deref());
    if let Some(policy) = header.scope.as_ref().map(|scope| Coverage::of_policy(scope, policy_name)) {
        coverages = coverages.or(&policy);
    }
    let (machines, numbers) = merge(blocks, &mut coverages);
    findings.of_machines(&numbers);
    let about = About {
        feed: stats.plugin_feed_version.as_deref().and_then(day),
        has_information: machines.iter().any(|(_, machine)| machine.has_information),
        header,
        stats,
        authentication,
        coverages: coverages.list,
        start,
        audits,
    };
    Ok(Scan { about, findings, machines, numbers })
}

/// Keeps the earliest start; a time without its zone cannot be compared.
fn note_start(start: &mut Option<String>, host: &Host) {
    let begun = host.get(FieldId::HostStart).filter(|time| time.ends_with('Z'));
    if let Some(begun) = begun.filter(|begun| start.as_deref().is_none_or(|first| *begun < first)) {
        *start = Some(begun.to_owned());
    }
}

/// The machines of the blocks, and the number of each block's. What was seen in one of several blocks was seen.
fn merge(blocks: Vec<(HostEvidence, Machine)>, coverages: &mut Coverages) -> (Vec<(HostEvidence, Machine)>, Vec<u32>) {
    let evidence: Vec<HostEvidence> = blocks.iter().map(|(evidence, _)| evidence.clone()).collect();
    let numbers = group(&evidence);
    drop(evidence);
    let mut machines: Vec<(HostEvidence, Machine)> = Vec::new();
    for ((evidence, block), number) in blocks.into_iter().zip(&numbers) {
        let Some((known, machine)) = machines.get_mut(*number) else {
            machines.push((evidence, block));
            continue;
        };
        known.merge(&evidence);
        // A name says more than an address, and which is shown must not depend on the order of the blocks.
        let rank = |name: &str| (name.parse::<std::net::IpAddr>().is_ok(), name.to_lowercase(), name.to_owned());
        if rank(&block.name) < rank(&machine.name) {
            machine.name = block.name;
        }
        if block.coverage != machine.coverage {
            let both = coverages.list[machine.coverage as usize].union(&coverages.list[block.coverage as usize]);
            machine.coverage = coverages.number(both);
        }
        let seen = |judgement: Judgement| match judgement {
            Judgement::NotScanned => 0,
            Judgement::Dead => 1,
            Judgement::Live(verdict, _) => 2 + verdict.reach(),
        };
        if seen(block.judgement) > seen(machine.judgement) {
            machine.judgement = block.judgement;
        }
        machine.has_information |= block.has_information;
        machine.is_unfinished &= block.is_unfinished;
    }
    (machines, numbers.into_iter().map(|number| u32::try_from(number).unwrap_or(u32::MAX)).collect())
}
