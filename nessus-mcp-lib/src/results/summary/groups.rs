//! Findings gathered into groups while they pass by.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::results::{
    judge::{CheckGroups, HostList, Judgement, SeverityCounts},
    query::NameKey,
    record::{Blocks, FieldId, Host, HostEvidence, Record, RecordKind, Severity, Value},
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
    pub name: Option<String>,
    /// The worst of its findings.
    pub severity: Option<Severity>,
    pub findings: u64,
    /// The blocks it was found in.
    blocks: HostList,
    /// How many hosts these are.
    pub hosts: u64,
    /// The first of them, as indices of [`Groups::hosts`].
    pub first_hosts: Vec<usize>,
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

/// Findings on one host; until all are known, in one block of it.
#[derive(Debug)]
pub(super) struct HostGroup {
    /// As it stands in the export.
    pub name: Box<str>,
    /// What its other blocks are called, in lower case.
    pub other_names: BTreeSet<Box<str>>,
    pub address: Option<Box<str>>,
    /// Whether another host has one of its names, or is at an address that is one: no filter tells them apart.
    pub is_ambiguous: bool,
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
    /// The blocks they were found in.
    blocks: HostList,
    /// How many hosts these are.
    pub hosts: u64,
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
    /// Outcomes of compliance checks.
    pub checks: CheckGroups,
    /// Findings that found no group because there were too many.
    pub not_grouped: u64,
    plugin_index: HashMap<Option<i64>, usize>,
    blocks: Blocks,
    solution_index: HashMap<Arc<str>, usize>,
    systems: HashSet<Arc<str>>,
    present: Option<u32>,
}

impl Groups {
    pub(super) fn begin_host(&mut self) {
        self.present = None;
    }

    /// Takes in a finding, or the outcome of a compliance check, which is none.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let Some(host) = self.host(record.host) else {
            self.not_grouped += 1;
            return;
        };
        if record.kind() == RecordKind::Compliance {
            self.checks.add(record, host);
            return;
        }
        let severity = record.severity();
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
            group.address = text(FieldId::HostIp).map(String::into_boxed_str);
            group.system = system;
            group.judgement = judgement.unwrap_or(group.judgement);
            self.blocks.add(&HostEvidence::of(host));
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

    /// The group of the present block.
    fn host(&mut self, host: &Host) -> Option<u32> {
        if self.present.is_none() && self.hosts.len() < MOST {
            self.present = u32::try_from(self.hosts.len()).ok();
            self.hosts.push(HostGroup {
                name: host.name.clone(),
                other_names: BTreeSet::new(),
                address: None,
                is_ambiguous: false,
                system: None,
                counts: SeverityCounts::default(),
                exploitable: 0,
                known_exploited: 0,
                judgement: Judgement::NotScanned,
            });
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
                self.plugins.push(Plugin::new(id));
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
        plugin.describe(record);
        plugin.exploitable += u64::from(exploitable);
        if let Some(date) = known_exploited {
            plugin.known_exploited_findings += 1;
            keep_least(&mut plugin.known_exploited, date, 30);
        }
        plugin.blocks.push(host);
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
                    blocks: HostList::default(),
                    hosts: 0,
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
        solution.blocks.push(host);
        if let Some(Value::Integer(id)) = record.first(FieldId::PluginId) {
            solution.plugins.insert(id);
            if solution.plugins.len() > REMEMBERED {
                solution.plugins.pop_last();
                solution.more_plugins = true;
            }
        }
    }

    /// Makes one group of the blocks of each machine, in the order of names.
    fn group_machines(&mut self) {
        let machines = std::mem::take(&mut self.blocks).machines();
        let mut hosts: Vec<(usize, HostGroup)> = Vec::with_capacity(machines.count as usize);
        for (block, group) in std::mem::take(&mut self.hosts).into_iter().enumerate() {
            // By first appearance, so that the next new one has the next number.
            match hosts.get_mut(machines.of(block)) {
                Some((_, host)) => host.merge(group),
                None => hosts.push((hosts.len(), group)),
            }
        }
        hosts.sort_by_cached_key(|(_, host)| (NameKey::of(&host.name), host.address.clone()));
        let mut places = vec![0; hosts.len()];
        for (place, (machine, _)) in hosts.iter().enumerate() {
            if let Some(of_machine) = places.get_mut(*machine) {
                *of_machine = place;
            }
        }
        self.hosts = hosts.into_iter().map(|(_, host)| host).collect();
        let hosts_of = |blocks: &mut HostList| {
            let of_block = |block: u32| places.get(machines.of(block as usize)).copied().unwrap_or_default();
            let mut hosts: Vec<usize> = std::mem::take(blocks).iter().map(of_block).collect();
            hosts.sort_unstable();
            hosts.dedup();
            hosts
        };
        for plugin in &mut self.plugins {
            plugin.first_hosts = hosts_of(&mut plugin.blocks);
            plugin.hosts = plugin.first_hosts.len() as u64;
            plugin.first_hosts.truncate(REMEMBERED);
            plugin.first_hosts.shrink_to_fit();
        }
        self.checks.count_hosts(&machines);
        for solution in &mut self.solutions {
            solution.hosts = hosts_of(&mut solution.blocks).len() as u64;
        }
        let mut known: HashMap<String, u32> = HashMap::new();
        for host in &self.hosts {
            let all: BTreeSet<String> = host.names().chain(host.address.as_deref()).map(str::to_lowercase).collect();
            for name in all {
                *known.entry(name).or_default() += 1;
            }
        }
        for host in &mut self.hosts {
            let is_shared = host.names().any(|name| known.get(&name.to_lowercase()).is_some_and(|hosts| *hosts > 1));
            host.is_ambiguous = is_shared;
        }
    }

    /// Brings what matters most to the front; equals by name, so that two readings give the same.
    pub(super) fn sort(&mut self) {
        self.group_machines();
        self.plugin_index = HashMap::new();
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

impl HostGroup {
    /// What it is called in the export.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.other_names).map(|name| &**name)
    }

    /// Takes in another block of the machine, in either order.
    fn merge(&mut self, other: Self) {
        // A name says more than an address.
        let rank =
            |name: &str| (matches!(NameKey::of(name), NameKey::Address(_)), name.to_lowercase(), name.to_owned());
        let plain = |name: &str| name.trim_end_matches('.').to_lowercase().into_boxed_str();
        self.other_names.extend(other.other_names);
        self.other_names.extend([plain(&self.name), plain(&other.name)]);
        if rank(&other.name) < rank(&self.name) {
            self.name = other.name;
        }
        self.other_names.remove(&plain(&self.name));
        self.address = least(self.address.take(), other.address);
        self.system = least(self.system.take(), other.system);
        self.counts.add_all(&other.counts);
        self.exploitable += other.exploitable;
        self.known_exploited += other.known_exploited;
        self.judgement = self.judgement.best(other.judgement);
    }
}

/// The less of two, in either order; one that is there before one that is not.
fn least<T: Ord>(one: Option<T>, another: Option<T>) -> Option<T> {
    match (one, another) {
        (Some(one), Some(another)) => Some(one.min(another)),
        (one, another) => one.or(another),
    }
}

/// Keeps the first of all texts in alphabetical order; mostly they are the same.
fn keep_least(kept: &mut Option<String>, found: &str, most: usize) {
    if kept.as_deref() == Some(found) {
        return;
    }
    let found = clean(found, most);
    if !found.is_empty() && kept.as_ref().is_none_or(|kept| found < *kept) {
        *kept = Some(found);
    }
}

impl Plugin {
    fn new(id: Option<i64>) -> Self {
        Self {
            id,
            name: None,
            severity: None,
            findings: 0,
            blocks: HostList::default(),
            hosts: 0,
            first_hosts: Vec::new(),
            cves: 0,
            cvss: None,
            epss: None,
            vpr: None,
            exploitable: 0,
            known_exploited: None,
            known_exploited_findings: 0,
        }
    }

    /// Takes what a finding says of its plugin. Several versions of it may say different things; the most of each counts.
    fn describe(&mut self, record: &Record<'_>) {
        if let Some(Value::Text(name) | Value::TypeMismatch(name)) = record.first(FieldId::PluginName) {
            keep_least(&mut self.name, name, NAME_CHARS);
        }
        let score = |field| match record.first(field) {
            Some(Value::Number(score)) => Some(score),
            _ => None,
        };
        let keep = |kept: &mut Option<f64>, found: Option<f64>| {
            if found.is_some_and(|found| kept.is_none_or(|kept| kept < found)) {
                *kept = found;
            }
        };
        self.cves = self.cves.max(record.item.values(FieldId::Cve).count());
        keep(&mut self.cvss, record.best_score());
        keep(&mut self.epss, score(FieldId::EpssScore));
        keep(&mut self.vpr, score(FieldId::VprScore).or_else(|| score(FieldId::VulnerabilityPriorityRating)));
    }

    /// Whether it is worth a line: everything but information.
    pub(super) fn is_vulnerability(&self) -> bool {
        self.severity != Some(Severity::Info)
    }
}

fn is_true(value: Value<'_>) -> bool {
    value == Value::Boolean(true)
}
