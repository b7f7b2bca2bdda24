//! A scan in as little memory as a comparison needs.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
};

use crate::results::{
    ExportStats,
    authentication::{AuthenticationReport, Judge, Judgement, LoginExpected},
    clean::{NAME_CHARS, clean},
    counts::Tally,
    error::ResultsError,
    fields::FieldId,
    record::{Host, Record, Severity, Value},
    walk::{Visit, walk},
    xml::Header,
};

/// The most findings of one scan that are compared; more are counted and said.
pub(super) const MOST_FINDINGS: usize = 4_000_000;
/// The most plugins and checks whose names are kept.
const MOST_NAMES: usize = 200_000;

/// What makes two findings the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// Index of [`Names::hosts`].
    pub host: u32,
    pub plugin: u32,
    pub port: u16,
    pub protocol: Protocol,
    /// A hash of what tells checks of a compliance plugin apart, or of a number that is out of its range; else 0.
    pub check: u64,
}

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Other,
}

impl Protocol {
    fn of(text: &str) -> Self {
        let is = |name: &str| text.trim().eq_ignore_ascii_case(name);
        if is("tcp") {
            Self::Tcp
        } else if is("udp") {
            Self::Udp
        } else if is("icmp") {
            Self::Icmp
        } else {
            Self::Other
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other => "other",
        }
    }
}

/// What a finding was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A finding of this severity; of several with one key, the worst.
    Finding(Option<Severity>),
    /// The outcome of a compliance check.
    Check(CheckStatus),
}

/// The outcome of a compliance check, the worst greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CheckStatus {
    Passed,
    Other,
    Warning,
    Error,
    Failed,
}

impl CheckStatus {
    fn of(text: &str) -> Self {
        match text.trim().to_ascii_uppercase().as_str() {
            "PASSED" => Self::Passed,
            "FAILED" => Self::Failed,
            "WARNING" => Self::Warning,
            "ERROR" => Self::Error,
            _ => Self::Other,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Other => "OTHER",
        }
    }
}

/// The names behind the numbers, of both scans.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub hosts: Vec<Box<str>>,
    pub host_index: HashMap<Box<str>, u32>,
    pub plugins: HashMap<u32, Box<str>>,
    pub checks: HashMap<u64, Box<str>>,
    /// The host looked up last: items of a host come together.
    present: Option<u32>,
}

impl Names {
    /// The number of a host, given when it is first seen.
    pub(super) fn host(&mut self, host: &Host) -> u32 {
        if let Some(present) = self.present {
            return present;
        }
        let index = self.host_index.get(&host.name).copied().unwrap_or_else(|| {
            let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
            self.hosts.push(host.name.clone());
            self.host_index.insert(host.name.clone(), index);
            index
        });
        self.present = Some(index);
        index
    }

    pub(super) fn next_host(&mut self) {
        self.present = None;
    }

    /// The key and state of an item, its names kept.
    pub(super) fn finding(&mut self, record: &Record<'_>) -> (Key, State) {
        let mut unusual = DefaultHasher::new();
        let mut is_unusual = false;
        let mut note = |text: &str| {
            text.trim().hash(&mut unusual);
            is_unusual = true;
        };
        let item = record.item;
        let plugin_text = item.first(FieldId::PluginId).unwrap_or_default();
        let plugin = plugin_text.trim().parse::<u32>().unwrap_or_else(|_| {
            note(plugin_text);
            note(item.first(FieldId::PluginName).unwrap_or_default());
            0
        });
        let port_text = item.first(FieldId::Port).unwrap_or("0");
        let port = port_text.trim().parse().unwrap_or_else(|_| {
            note(port_text);
            0
        });
        let protocol_text = item.first(FieldId::Protocol).unwrap_or_default();
        let protocol = Protocol::of(protocol_text);
        if protocol == Protocol::Other {
            note(protocol_text);
        }
        let mut state = State::Finding(record.severity());
        let mut check_name = None;
        if let Some(result) = item.first(FieldId::ComplianceResult) {
            state = State::Check(CheckStatus::of(result));
            check_name = item.first(FieldId::ComplianceCheckName);
            note(item.first(FieldId::ComplianceCheckId).or(check_name).unwrap_or_default());
            note(item.first(FieldId::ComplianceAuditFile).unwrap_or_default());
        }
        let check = if is_unusual { unusual.finish().max(1) } else { 0 };
        if let Some(name) = check_name
            && self.checks.len() < MOST_NAMES
        {
            self.checks.entry(check).or_insert_with(|| clean(name, NAME_CHARS).into());
        }
        if self.plugins.len() < MOST_NAMES && !self.plugins.contains_key(&plugin) {
            let name = match record.first(FieldId::PluginName) {
                Some(Value::Text(name) | Value::Misfit(name)) => clean(name, NAME_CHARS),
                _ => String::new(),
            };
            self.plugins.insert(plugin, name.into());
        }
        (Key { host: self.host(record.host), plugin, port, protocol, check }, state)
    }
}

/// What a scan says about itself and its hosts.
#[derive(Debug)]
pub(super) struct About {
    pub header: Header,
    pub stats: ExportStats,
    pub authentication: AuthenticationReport,
    /// By number; a host that is not in the scan has none.
    pub judgements: HashMap<u32, Judgement>,
    /// The first start of a host, in a form that sorts.
    pub start: Option<String>,
    /// Findings that were too many.
    pub not_compared: u64,
}

impl About {
    pub(super) fn judgement(&self, host: u32) -> Option<Judgement> {
        self.judgements.get(&host).copied()
    }
}

/// Reads a scan and shows `take` each finding.
pub(super) fn read_scan<R: Read>(
    input: R,
    login: LoginExpected,
    names: &mut Names,
    mut take: impl FnMut(Key, State) -> bool,
) -> Result<About, ResultsError> {
    let mut tally = Tally::default();
    let mut judge = Judge::new(0);
    let mut header = Header::default();
    let mut judgements: HashMap<u32, Judgement> = HashMap::new();
    let mut start: Option<String> = None;
    let mut not_compared = 0;
    walk(input, |visit| {
        tally.visit(visit);
        let judgement = judge.visit(visit);
        match visit {
            Visit::HostStart => names.next_host(),
            Visit::Item(record) => {
                let (key, state) = names.finding(&record);
                not_compared += u64::from(!take(key, state));
            }
            Visit::HostEnd(host) => {
                let index = names.host(host);
                names.next_host();
                if let Some(judgement) = judgement {
                    // A host that is listed twice was seen when it was seen once.
                    let known = judgements.entry(index).or_insert(judgement);
                    if !matches!(known, Judgement::Live(..)) {
                        *known = judgement;
                    }
                }
                // A time without its zone cannot be compared.
                let begun = host.get(FieldId::HostStart).filter(|time| time.ends_with('Z'));
                if let Some(begun) = begun.filter(|begun| start.as_deref().is_none_or(|first| *begun < first)) {
                    start = Some(begun.to_owned());
                }
            }
            Visit::End(found) => header = found.clone(),
        }
    })?;
    let (authentication, _) = judge.finish(login, 1.0);
    Ok(About { header, stats: tally.finish(), authentication, judgements, start, not_compared })
}

/// The earlier scan.
#[derive(Debug)]
pub(super) struct Kept {
    pub names: Names,
    pub about: About,
    pub findings: HashMap<Key, State>,
}

impl Kept {
    pub(super) fn read<R: Read>(input: R, login: LoginExpected) -> Result<Self, ResultsError> {
        let mut names = Names::default();
        let mut findings = HashMap::new();
        let about = read_scan(input, login, &mut names, |key, state| keep(&mut findings, key, state))?;
        Ok(Self { names, about, findings })
    }
}

/// Keeps the worst of what has one key; whether there was room.
pub(super) fn keep(findings: &mut HashMap<Key, State>, key: Key, state: State) -> bool {
    if let Some(known) = findings.get_mut(&key) {
        *known = (*known).max(state);
        return true;
    }
    if findings.len() >= MOST_FINDINGS {
        return false;
    }
    findings.insert(key, state);
    true
}
