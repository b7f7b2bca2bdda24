//! The first pass over an export: what matches, how many items match, and where they are.
//!
//! Why two passes? The header line of the output needs totals that are known only at the end of the export. And output
//! that was written cannot be taken back when the export turns out to be broken. So the first pass checks and counts
//! everything and remembers where matching items are. Only then is anything written.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::BufRead,
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use super::{
    counting::{Counting, Counts},
    selection::{Picker, Selection, Wanted},
};
use crate::results::{
    error::{ParseFailure, ResultsError},
    judge::{ExportStats, Tally},
    query::{Ask, NameKey, Opt, Place, Query, ranks},
    record::{FieldId, FieldRef, FieldSet, Host, Machines, Record, Repeats, key_of_other, nearest},
    xml::{ExportReader, Header, RepairCounts, Step, Visit},
};

/// How many names of undeclared elements are remembered.
pub(crate) const OTHER_NAMES: usize = 256;

/// Returns the host with this number; an error when there is none, or when it can no longer be read.
pub(crate) type HostOf<'h> = dyn Fn(u32) -> Result<Rc<Host>, ResultsError> + 'h;

/// What was found.
pub(crate) struct FirstPass<'h> {
    pub header: Header,
    pub stats: ExportStats,
    /// How many items match.
    pub matched: u64,
    /// What they are in numbers.
    pub counts: Counts,
    pub warnings: Warnings,
    pub selection: Selection,
    /// What stands in several blocks of a machine, where any has several.
    pub repeats: Option<Rc<Repeats>>,
    /// The hosts of the selected items.
    pub hosts: Box<HostOf<'h>>,
    /// The fields that matching items have; filled for the `full` profile only.
    pub present: Vec<FieldRef>,
    /// Whether there are more of them than are remembered.
    pub has_more_fields: bool,
    /// Where the export is broken, when that is no reason to stop.
    pub failure: Option<ParseFailure>,
}

impl FirstPass<'_> {
    /// How many lines all pages together have: findings, or groups of them.
    pub(crate) fn lines(&self) -> u64 {
        self.counts.groups.as_ref().map_or(self.matched, |(total, _)| *total)
    }
}

/// What was irregular.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Warnings {
    #[serde(rename = "misfits")]
    pub type_mismatches: BTreeMap<FieldId, u64>,
    #[serde(rename = "mended")]
    pub repairs: RepairCounts,
}

impl Warnings {
    /// Counts what is irregular in the values of a record.
    pub(crate) fn add(&mut self, record: &Record<'_>) {
        record.type_mismatches(|id| *self.type_mismatches.entry(id).or_default() += 1);
    }
}

/// What the pass has found so far.
struct Findings<'q> {
    query: &'q Query,
    tally: Tally,
    warnings: Warnings,
    picker: Picker<'q>,
    counting: Counting<'q>,
    matched: u64,
    names: Names<'q>,
    /// Those of the items that are remembered.
    hosts: Vec<Rc<Host>>,
}

impl<'q> Findings<'q> {
    fn new(query: &'q Query) -> Self {
        Self {
            query,
            tally: Tally::default(),
            warnings: Warnings::default(),
            picker: Picker::new(query).at_most(query.window(u64::MAX).end),
            counting: Counting::new(query),
            matched: 0,
            names: Names::new(query),
            hosts: Vec::new(),
        }
    }

    /// Takes what a reader has just read; whether it is an item that matches.
    fn take<R: BufRead>(&mut self, step: Step, reader: &ExportReader<R>) -> Result<bool, ResultsError> {
        self.tally.count(step, reader);
        if !matches!(step, Step::Item | Step::Repeated) {
            return Ok(false);
        }
        let record = Record { host: reader.host(), item: reader.item() };
        self.names.look_for_wanted(&record);
        if step == Step::Repeated {
            return Ok(false);
        }
        self.warnings.add(&record);
        if !self.query.matches(&record) {
            return Ok(false);
        }
        self.matched += 1;
        self.names.look_at_present(&record);
        let block = u32::try_from(self.tally.hosts().saturating_sub(1)).unwrap_or(u32::MAX);
        let facts = self.counting.facts_of(&record, block);
        let hosts = &mut self.hosts;
        self.counting.add(facts, || Place::of(&record, number_of(hosts, record.host), 0))?;
        if self.query.ask != Ask::Findings {
            return Ok(true);
        }
        let (offset, length) = (record.item.offset, record.item.length);
        let wanted = self.picker.count(offset, length);
        if wanted == Wanted::Nothing {
            return Ok(true);
        }
        let host = number_of(&mut self.hosts, record.host);
        if wanted == Wanted::Host {
            self.picker.begin_range(offset, length, host);
        } else {
            let key = self.picker.sorter().key(&record, host, 0);
            self.picker.push(key);
            self.drop_spare();
        }
        Ok(true)
    }

    /// Forgets items that cannot be on the page, and their hosts, when there are many.
    fn drop_spare(&mut self) {
        if !self.picker.has_spare_keys() {
            return;
        }
        self.picker.drop_keys(host_ranks(&self.hosts));
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let mut kept = Vec::new();
        for number in self.picker.hosts_of_keys() {
            *number = *numbers.entry(*number).or_insert_with(|| {
                kept.extend(self.hosts.get(*number as usize).cloned());
                narrow(kept.len().saturating_sub(1))
            });
        }
        self.hosts = kept;
    }

    /// The whole, with what the reader says of the file.
    fn finish(
        self,
        header: Header,
        repairs: RepairCounts,
        failure: Option<ParseFailure>,
    ) -> Result<(FirstPass<'static>, Machines), ResultsError> {
        self.names.check()?;
        self.query.filters.check()?;
        let (present, has_more_fields) = self.names.present();
        let (stats, machines) = self.tally.finish_with_machines();
        let (matched, hosts) = (self.matched, self.hosts);
        let warnings = Warnings { repairs, ..self.warnings };
        let counts = self.counting.finish(|block| machines.of(block as usize));
        let selection = Selection::of(&counts).unwrap_or_else(|| self.picker.finish(host_ranks(&hosts)));
        let hosts = Box::new(move |number: u32| hosts.get(number as usize).cloned().ok_or(ResultsError::Changed));
        let repeats = None;
        let found = FirstPass {
            header,
            stats,
            matched,
            counts,
            warnings,
            selection,
            repeats,
            hosts,
            present,
            has_more_fields,
            failure,
        };
        Ok((found, machines))
    }
}

/// The number of a host among those that are remembered. Properties that come late change the host in the midst of its
/// items.
fn number_of(hosts: &mut Vec<Rc<Host>>, host: &Host) -> u32 {
    if hosts.last().map(Rc::as_ref) != Some(host) {
        hosts.push(Rc::new(host.clone()));
    }
    narrow(hosts.len() - 1)
}

/// The place of each host among the hosts.
fn host_ranks(hosts: &[Rc<Host>]) -> impl Fn(u32) -> u32 + use<> {
    let ranks = ranks(&hosts.iter().map(|host| NameKey::of(&host.name)).collect::<Vec<_>>());
    move |host| ranks.get(host as usize).copied().unwrap_or_default()
}

/// There are far fewer than 2^32 hosts.
fn narrow(hosts: usize) -> u32 {
    u32::try_from(hosts).unwrap_or(u32::MAX)
}

/// Reads the whole export; also gives its machines. Calls `look` with each step, and with whether it is an item that matches.
///
/// With `is_lenient`, the pass over a broken export ends where it is broken, unless that is before the first host.
pub(crate) fn first_pass<R: BufRead>(
    mut reader: ExportReader<R>,
    query: &Query,
    is_lenient: bool,
    mut look: impl FnMut(Visit<'_>, bool),
) -> Result<(FirstPass<'static>, Machines), ResultsError> {
    let mut failure = None;
    let mut findings = Findings::new(query);
    loop {
        let step = match reader.next() {
            Ok(step) => step,
            Err(error) => {
                failure = ParseFailure::of(&error).filter(|_| is_lenient && findings.tally.hosts() > 0);
                if failure.is_none() {
                    return Err(error);
                }
                break;
            }
        };
        let matches = findings.take(step, &reader)?;
        look(Visit::of(step, &reader), matches);
        if step == Step::End {
            break;
        }
    }
    findings.finish(reader.header().clone(), reader.repairs(), failure)
}

/// Which names the export has: those a query asks for on the export's word, and those that `full` shows.
struct Names<'q> {
    query: &'q Query,
    /// Not seen yet in an item of the kind, and whether in one of the other.
    wanted: Vec<(&'static str, &'q str, bool)>,
    /// In `full`: what is shown of every item.
    full: Option<FieldSet>,
    declared: FieldSet,
    others: BTreeSet<String>,
    has_more: bool,
    /// All that were seen while a wanted name was not.
    known: BTreeSet<String>,
}

impl<'q> Names<'q> {
    fn new(query: &'q Query) -> Self {
        Self {
            query,
            wanted: query.undeclared().map(|(place, name)| (place, name, false)).collect(),
            full: query.projection.beside_all(),
            declared: FieldSet::default(),
            others: BTreeSet::new(),
            has_more: false,
            known: BTreeSet::new(),
        }
    }

    fn look_for_wanted(&mut self, record: &Record<'_>) {
        if self.wanted.is_empty() {
            return;
        }
        let is_of_kind = record.kind() == self.query.kind;
        self.wanted.retain_mut(|(_, name, is_in_other)| {
            let is_found = record.has_other(name);
            *is_in_other |= is_found;
            !(is_found && is_of_kind)
        });
        remember_others(&mut self.known, record);
    }

    fn look_at_present(&mut self, record: &Record<'_>) {
        let Some(beside) = self.full else { return };
        self.declared = self.declared.union(beside).union(record.shown_beside(self.declared));
        self.has_more |= !remember_others(&mut self.others, record);
    }

    fn check(&self) -> Result<(), ResultsError> {
        let Some((place, name, is_in_other)) = self.wanted.first() else { return Ok(()) };
        Err(unknown_field(self.query, name, place, *is_in_other, self.known.iter().map(String::as_str)))
    }

    fn present(&self) -> (Vec<FieldRef>, bool) {
        if self.full.is_some() {
            (full_fields(self.declared, self.others.iter().map(String::as_str)), self.has_more)
        } else {
            (Vec::new(), false)
        }
    }
}

/// Adds the names of an item; whether there was room for all.
fn remember_others(names: &mut BTreeSet<String>, record: &Record<'_>) -> bool {
    let mut has_room = true;
    for other in record.item.others() {
        let name = record.item.name(other);
        if !names.contains(name) {
            has_room &= names.len() < OTHER_NAMES;
            if has_room {
                names.insert(name.to_owned());
            }
        }
    }
    has_room
}

/// The error for a name that the items of the kind do not have, but perhaps those of the other.
pub(crate) fn unknown_field<'n>(
    query: &Query,
    name: &str,
    place: &'static str,
    is_in_other: bool,
    known: impl Iterator<Item = &'n str>,
) -> ResultsError {
    /// How many names are offered in its place.
    const OFFERED: usize = 5;
    let field = crate::error::excerpt(name).to_string();
    if is_in_other {
        let (kind, option) = (query.kind.other(), query.name_of(Opt::Kind));
        return ResultsError::FieldOfOtherKind { field, place, kind, option };
    }
    let mut nearest = nearest(name, known);
    nearest.truncate(OFFERED);
    ResultsError::UnknownField { field, place, nearest }
}

/// The declared and other fields that the `full` profile shows.
pub(crate) fn full_fields<'n>(declared: FieldSet, others: impl Iterator<Item = &'n str>) -> Vec<FieldRef> {
    let declared = declared.iter().map(FieldRef::Declared);
    declared.chain(others.map(|name| FieldRef::Other(key_of_other(name).into()))).collect()
}
