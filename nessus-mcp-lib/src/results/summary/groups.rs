//! Findings gathered into groups while they pass by.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::results::{
    judge::{Judgement, SeverityCounts},
    record::{FieldId, Host, Record, RecordKind, Severity, Value},
    texts::{NAME_CHARS, clean},
};

/// The most groups of a kind; findings beyond are counted as not grouped. A scan of 100,000 hosts with every plugin
/// there is would fit, a file that was made to fill memory does not.
const MOST: usize = 200_000;
/// The most characters of a solution.
const SOLUTION_CHARS: usize = 300;
/// How many plugins of a solution and hosts of a plugin are remembered; the rest is counted.
const REMEMBERED: usize = 10;

/// Findings of one plugin.
#[derive(Debug)]
pub(super) struct Plugin {
    /// Its number; `None` for findings that have none.
    pub id: Option<i64>,
    pub name: String,
    /// The worst of its findings.
    pub severity: Option<Severity>,
    pub findings: u64,
    pub hosts: u64,
    /// The first hosts, as indices of [`Groups::hosts`].
    pub first_hosts: Vec<u32>,
    last_host: Option<u32>,
    pub cves: usize,
    pub cvss: Option<f64>,
    pub epss: Option<f64>,
    pub vpr: Option<f64>,
    pub exploitable: u64,
    /// The date by which authorities must have fixed it, as written.
    pub known_exploited: Option<String>,
    /// Findings that bear that date.
    pub known_exploited_findings: u64,
}

/// Findings on one host.
#[derive(Debug)]
pub(super) struct HostGroup {
    /// As it stands in the export.
    pub name: Arc<str>,
    /// Where it is not the name.
    pub address: Option<Box<str>>,
    /// Shared by the hosts that have the same.
    pub system: Option<Arc<str>>,
    pub counts: SeverityCounts,
    pub exploitable: u64,
    pub known_exploited: u64,
    pub judgement: Judgement,
}

/// Findings that one solution clears.
#[derive(Debug)]
pub(super) struct Solution {
    pub text: Arc<str>,
    pub counts: SeverityCounts,
    pub hosts: u64,
    last_host: Option<u32>,
    pub plugins: BTreeSet<i64>,
    /// Whether there are more plugins than are remembered.
    pub more_plugins: bool,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub plugins: Vec<Plugin>,
    pub hosts: Vec<HostGroup>,
    pub solutions: Vec<Solution>,
    /// Findings above `Info` for which there is nothing to be done but to read.
    pub without_solution: u64,
    /// Findings that found no group because there were too many.
    pub not_grouped: u64,
    plugin_index: HashMap<Option<i64>, usize>,
    host_index: HashMap<Arc<str>, u32>,
    solution_index: HashMap<Arc<str>, usize>,
    systems: HashSet<Arc<str>>,
    present: Option<u32>,
}

impl Groups {
    pub(super) fn begin_host(&mut self) {
        self.present = None;
    }

    /// Takes in a finding. Outcomes of compliance checks are no findings.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        if record.kind() == RecordKind::Compliance {
            return;
        }
        let severity = record.severity();
        let Some(host) = self.host(record.host) else {
            self.not_grouped += 1;
            return;
        };
        let exploitable = severity > Some(Severity::Info) && record.any(FieldId::ExploitAvailable, is_true);
        let known_exploited = record.item.first(FieldId::CisaKnownExploited).filter(|date| !date.trim().is_empty());
        if let Some(group) = self.hosts.get_mut(host as usize) {
            group.counts.add(severity);
            group.exploitable += u64::from(exploitable);
            group.known_exploited += u64::from(known_exploited.is_some());
        }
        self.add_to_plugin(record, host, severity, exploitable, known_exploited);
        if severity != Some(Severity::Info) {
            self.add_to_solution(record, host, severity);
        }
    }

    /// The present host's properties are complete, and it was judged.
    pub(super) fn end_host(&mut self, host: &Host, judgement: Option<Judgement>) {
        let index = self.host(host);
        let text = |id| host.get(id).map(|text| clean(text.lines().next().unwrap_or_default(), 100));
        let system = index.and_then(|_| text(FieldId::OperatingSystem)).map(|system| self.system(&system));
        if let Some(group) = index.and_then(|index| self.hosts.get_mut(index as usize)) {
            group.address =
                text(FieldId::HostIp).filter(|address| **address != *group.name).map(String::into_boxed_str);
            group.system = system;
            // A host that is listed twice was seen when it was seen once.
            if let Some(judgement @ Judgement::Live(..)) = judgement {
                group.judgement = judgement;
            } else if let (Some(judgement), Judgement::NotScanned) = (judgement, group.judgement) {
                group.judgement = judgement;
            }
        }
        self.present = None;
    }

    fn system(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.systems.get(name) {
            return Arc::clone(known);
        }
        let system: Arc<str> = Arc::from(name);
        self.systems.insert(Arc::clone(&system));
        system
    }

    fn host(&mut self, host: &Host) -> Option<u32> {
        if let Some(present) = self.present {
            return Some(present);
        }
        if let Some(known) = self.host_index.get(&*host.name) {
            self.present = Some(*known);
        } else if self.hosts.len() < MOST {
            let index = u32::try_from(self.hosts.len()).ok()?;
            let name: Arc<str> = Arc::from(&*host.name);
            self.hosts.push(HostGroup {
                name: Arc::clone(&name),
                address: None,
                system: None,
                counts: SeverityCounts::default(),
                exploitable: 0,
                known_exploited: 0,
                judgement: Judgement::NotScanned,
            });
            self.host_index.insert(name, index);
            self.present = Some(index);
        }
        self.present
    }

    fn add_to_plugin(
        &mut self,
        record: &Record<'_>,
        host: u32,
        severity: Option<Severity>,
        exploitable: bool,
        known_exploited: Option<&str>,
    ) {
        let id = match record.first(FieldId::PluginId) {
            Some(Value::Integer(id)) => Some(id),
            _ => None,
        };
        let index = match self.plugin_index.get(&id) {
            Some(index) => *index,
            None if self.plugins.len() < MOST => {
                let index = self.plugins.len();
                self.plugins.push(Plugin::new(id, record));
                self.plugin_index.insert(id, index);
                index
            }
            None => {
                self.not_grouped += 1;
                return;
            }
        };
        let Some(plugin) = self.plugins.get_mut(index) else { return };
        plugin.findings += 1;
        plugin.severity = plugin.severity.max(severity);
        plugin.exploitable += u64::from(exploitable);
        if let Some(date) = known_exploited {
            plugin.known_exploited_findings += 1;
            plugin.known_exploited.get_or_insert_with(|| clean(date, 30));
        }
        if plugin.last_host.replace(host) != Some(host) {
            plugin.hosts += 1;
            if plugin.first_hosts.len() < REMEMBERED {
                plugin.first_hosts.push(host);
            }
        }
    }

    fn add_to_solution(&mut self, record: &Record<'_>, host: u32, severity: Option<Severity>) {
        let text = clean(record.item.first(FieldId::Solution).unwrap_or_default(), SOLUTION_CHARS);
        if text.is_empty() || text.eq_ignore_ascii_case("n/a") {
            self.without_solution += 1;
            return;
        }
        let index = match self.solution_index.get(&*text) {
            Some(index) => *index,
            None if self.solutions.len() < MOST => {
                let index = self.solutions.len();
                let text: Arc<str> = text.into();
                self.solution_index.insert(Arc::clone(&text), index);
                self.solutions.push(Solution {
                    text,
                    counts: SeverityCounts::default(),
                    hosts: 0,
                    last_host: None,
                    plugins: BTreeSet::new(),
                    more_plugins: false,
                });
                index
            }
            None => {
                self.not_grouped += 1;
                return;
            }
        };
        let Some(solution) = self.solutions.get_mut(index) else { return };
        solution.counts.add(severity);
        solution.hosts += u64::from(solution.last_host.replace(host) != Some(host));
        if let Some(Value::Integer(id)) = record.first(FieldId::PluginId)
            && !solution.plugins.contains(&id)
        {
            if solution.plugins.len() < REMEMBERED {
                solution.plugins.insert(id);
            } else {
                solution.more_plugins = true;
            }
        }
    }

    /// Brings what matters most to the front; equals by name, so that two readings give the same.
    pub(super) fn sort(&mut self) {
        self.plugin_index = HashMap::new();
        self.host_index = HashMap::new();
        self.solution_index = HashMap::new();
        self.systems = HashSet::new();
        self.plugins.sort_by(|left, right| {
            let key = |plugin: &Plugin| (plugin.severity, plugin.hosts, plugin.findings);
            let score = |plugin: &Plugin| plugin.cvss.unwrap_or(-1.0);
            key(right).cmp(&key(left)).then(score(right).total_cmp(&score(left))).then(left.id.cmp(&right.id))
        });
        self.solutions.sort_by(|left, right| {
            let key = |found: &Solution| {
                (found.counts.critical + found.counts.high, found.counts.critical, found.counts.total())
            };
            key(right).cmp(&key(left)).then_with(|| left.text.cmp(&right.text))
        });
    }
}

impl Plugin {
    fn new(id: Option<i64>, record: &Record<'_>) -> Self {
        let name = match record.first(FieldId::PluginName) {
            Some(Value::Text(name) | Value::TypeMismatch(name)) => clean(name, NAME_CHARS),
            _ => String::new(),
        };
        let score = |field| match record.first(field) {
            Some(Value::Number(score)) => Some(score),
            _ => None,
        };
        Self {
            id,
            name,
            severity: None,
            findings: 0,
            hosts: 0,
            first_hosts: Vec::new(),
            last_host: None,
            cves: record.item.values(FieldId::Cve).count(),
            cvss: record.best_score(),
            epss: score(FieldId::EpssScore),
            vpr: score(FieldId::VprScore).or_else(|| score(FieldId::VulnerabilityPriorityRating)),
            exploitable: 0,
            known_exploited: None,
            known_exploited_findings: 0,
        }
    }

    /// Whether it is worth a line: everything but information.
    pub(super) fn is_vulnerability(&self) -> bool {
        self.severity != Some(Severity::Info)
    }
}

fn is_true(value: Value<'_>) -> bool {
    value == Value::Boolean(true)
}
