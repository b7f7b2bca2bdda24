//! A scan in as little memory as a comparison needs.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    sync::Arc,
};

use crate::results::{
    error::ResultsError,
    judge::{AuthenticationReport, ExportStats, Judge, Judgement, LoginExpected, Tally},
    record::{FieldId, Host, Record, Severity, Value},
    texts::{NAME_CHARS, clean},
    xml::{Header, Visit, walk},
};

/// The most findings of one scan that are compared; more are counted and said.
pub(super) const MOST_FINDINGS: usize = if cfg!(test) { 3_000 } else { 4_000_000 };
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
    /// A hash of what tells checks of a compliance plugin apart, or of a number that is out of its range; else 0. As bytes
    /// it leaves no gap.
    pub check: [u8; 8],
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
    pub hosts: Vec<Arc<str>>,
    host_index: HashMap<Arc<str>, u32>,
    pub plugins: HashMap<u32, Box<str>>,
    pub checks: HashMap<[u8; 8], Box<str>>,
    /// The host looked up last: items of a host come together.
    present: Option<u32>,
}

impl Names {
    /// The number of a host, given when it is first seen.
    pub(super) fn host(&mut self, host: &Host) -> u32 {
        if let Some(present) = self.present {
            return present;
        }
        let index = self.host_index.get(&*host.name).copied().unwrap_or_else(|| {
            let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
            let name: Arc<str> = Arc::from(&*host.name);
            self.hosts.push(Arc::clone(&name));
            self.host_index.insert(name, index);
            index
        });
        self.present = Some(index);
        index
    }

    /// How keys are listed: by the name of the host.
    pub(super) fn order(&self, left: &Key, right: &Key) -> Ordering {
        let host = |key: &Key| self.hosts.get(key.host as usize);
        host(left).cmp(&host(right)).then_with(|| left.cmp(right))
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
        let check = if is_unusual { unusual.finish().max(1) } else { 0 }.to_be_bytes();
        if let Some(name) = check_name
            && self.checks.len() < MOST_NAMES
        {
            self.checks.entry(check).or_insert_with(|| clean(name, NAME_CHARS).into());
        }
        if self.plugins.len() < MOST_NAMES && !self.plugins.contains_key(&plugin) {
            let name = match record.first(FieldId::PluginName) {
                Some(Value::Text(name) | Value::TypeMismatch(name)) => clean(name, NAME_CHARS),
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
}

impl About {
    pub(super) fn judgement(&self, host: u32) -> Option<Judgement> {
        self.judgements.get(&host).copied()
    }
}

/// Reads a scan.
pub(super) fn read_scan<R: Read>(
    input: R,
    login: LoginExpected,
    names: &mut Names,
) -> Result<(About, Findings), ResultsError> {
    let mut findings = Findings::default();
    let mut tally = Tally::default();
    let mut judge = Judge::new(0);
    let mut header = Header::default();
    let mut judgements: HashMap<u32, Judgement> = HashMap::new();
    let mut start: Option<String> = None;
    walk(input, |visit| {
        tally.visit(visit);
        let judgement = judge.visit(visit);
        match visit {
            Visit::HostStart => names.next_host(),
            Visit::Item(record) => {
                let (key, state) = names.finding(&record);
                findings.push(key, state);
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
    findings.put_in_order();
    Ok((About { header, stats: tally.finish(), authentication, judgements, start }, findings))
}

/// The findings of a scan: 24 bytes each.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// In the order of the keys, and each key once, when the scan was read.
    pub kept: Vec<(Key, State)>,
    /// How many were too many.
    pub left_out: u64,
}

impl Findings {
    fn push(&mut self, key: Key, state: State) {
        self.kept.push((key, state));
        if self.kept.len() >= MOST_FINDINGS + MOST_FINDINGS / 8 {
            self.put_in_order();
        }
    }

    /// Keeps the worst of what has one key, and of those the first that there is room for.
    fn put_in_order(&mut self) {
        // Of one key the worst comes first.
        self.kept.sort_unstable_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(&left.1)));
        self.kept.dedup_by_key(|finding| finding.0);
        self.left_out += self.kept.len().saturating_sub(MOST_FINDINGS) as u64;
        self.kept.truncate(MOST_FINDINGS);
    }
}
