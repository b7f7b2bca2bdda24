//! The first reading of an export: what matches, how many there are, and where they stand.
//!
//! The header line of the output needs totals that are known only at the end, and an output that was begun cannot be
//! taken back when the export turns out to be broken. So an export is read twice: here everything is checked and
//! counted, and matching items are remembered by their [`Key`], 40 bytes each; only then is anything written.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use serde::{Deserialize, Serialize};

use super::{
    conversion::Damage,
    error::ResultsError,
    fields::{self, FieldId, FieldRef, FieldSet, key_of_other},
    profile::Projection,
    query::Query,
    record::{Host, Record},
    sort::{Key, SortOrder, Sorter},
    validate::{ExportStats, Tally},
    walk::Visit,
    xml::{ExportReader, Header, Mended, Step},
};

/// How many names of undeclared elements are remembered.
pub(super) const OTHER_NAMES: usize = 256;

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    pub header: Header,
    pub stats: ExportStats,
    /// How many items match.
    pub matched: u64,
    pub warnings: Warnings,
    pub selection: Selection,
    /// The hosts of the selected items.
    pub hosts: Vec<Host>,
    /// The fields that matching items have; filled for the `full` profile only.
    pub present: Vec<FieldRef>,
    /// Whether there are more of them than are remembered.
    pub has_more_fields: bool,
    /// Where the export is broken, when that is no reason to stop.
    pub damage: Option<Damage>,
}

/// The items to be shown.
#[derive(Debug)]
pub(super) enum Selection {
    /// All that match, in file order: found again by reading the file again.
    Stream,
    /// These, in this order.
    Items(Vec<Key>),
}

/// What was irregular.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Warnings {
    pub misfits: BTreeMap<FieldId, u64>,
    pub mended: Mended,
}

impl Warnings {
    /// Counts what is irregular in the values of a record.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        record.misfits(|id| *self.misfits.entry(id).or_default() += 1);
    }
}

/// Reads the whole export and shows `look` each step, and whether it is an item that matches.
///
/// A lenient survey of a broken export that has begun to tell of hosts ends where the export is broken.
pub(super) fn survey<R: BufRead>(
    mut reader: ExportReader<R>,
    query: &Query,
    is_lenient: bool,
    mut look: impl FnMut(Visit<'_>, bool),
) -> Result<Survey, ResultsError> {
    let mut damage = None;
    let mut tally = Tally::default();
    let mut warnings = Warnings::default();
    let mut picker = Picker::new(query);
    let mut names = Names::new(query);
    let mut hosts: Vec<Host> = Vec::new();
    loop {
        let step = match reader.next() {
            Ok(step) => step,
            Err(error) => {
                damage = Damage::of(&error).filter(|_| is_lenient && tally.hosts() > 0);
                if damage.is_none() {
                    return Err(error);
                }
                break;
            }
        };
        tally.count(step, &reader);
        match step {
            Step::HostStart | Step::HostEnd => look(Visit::of(step, &reader), false),
            Step::End => {
                look(Visit::of(step, &reader), false);
                break;
            }
            Step::Item => {
                let record = Record { host: reader.host(), item: reader.item() };
                warnings.add(&record);
                names.look_for_wanted(&record);
                let matches = query.filters.matches(&record);
                look(Visit::Item(record), matches);
                if matches {
                    names.look_at_present(&record);
                    if picker.wants_key() {
                        // Properties that come late change the host in the midst of its items.
                        if hosts.last() != Some(record.host) {
                            hosts.push(record.host.clone());
                        }
                        let host = u32::try_from(hosts.len() - 1).unwrap_or(u32::MAX);
                        let key = picker.sorter().key(&record, host, 0);
                        picker.push(key);
                    }
                }
            }
        }
    }
    names.check()?;
    query.filters.check()?;
    warnings.mended = reader.mended();
    let (present, has_more_fields) = names.present();
    let (matched, selection) = picker.finish(&hosts);
    let (header, stats) = (reader.header().clone(), tally.finish());
    Ok(Survey { header, stats, matched, warnings, selection, hosts, present, has_more_fields, damage })
}

/// Keeps the keys of matching items, as few as the order and page allow.
pub(super) struct Picker<'q> {
    query: &'q Query,
    matched: u64,
    keys: Vec<Key>,
    sorter: Sorter<'q>,
}

impl<'q> Picker<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        Self { query, matched: 0, keys: Vec::new(), sorter: Sorter::new(&query.sort) }
    }

    /// Counts a matching item; whether its key is wanted.
    pub(super) fn wants_key(&mut self) -> bool {
        let number = self.matched;
        self.matched += 1;
        // The total is not known yet, but the window of a page does not depend on what follows it.
        self.query.sort != SortOrder::File
            || (!self.query.page.is_all() && self.query.window(u64::MAX).contains(&number))
    }

    /// Makes the keys.
    pub(super) fn sorter(&mut self) -> &mut Sorter<'q> {
        &mut self.sorter
    }

    /// Takes a wanted key.
    pub(super) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// How many items match, and those to be shown.
    pub(super) fn finish(self, hosts: &[Host]) -> (u64, Selection) {
        let Self { query, matched, mut keys, sorter } = self;
        if query.sort == SortOrder::File {
            return (matched, if query.page.is_all() { Selection::Stream } else { Selection::Items(keys) });
        }
        sorter.sort(&mut keys, hosts);
        if !query.page.is_all() {
            let window = query.window(matched);
            let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(keys.len());
            let range = index(window.start)..index(window.end);
            keys = keys[range].to_vec();
        }
        (matched, Selection::Items(keys))
    }
}

/// Which names the export has: those a query asks for on the export's word, and those that `full` shows.
struct Names<'q> {
    /// Not seen yet.
    wanted: Vec<(&'static str, &'q str)>,
    full: bool,
    declared: FieldSet,
    others: BTreeSet<String>,
    has_more: bool,
    /// All that were seen while a wanted name was not.
    known: BTreeSet<String>,
}

impl<'q> Names<'q> {
    fn new(query: &'q Query) -> Self {
        Self {
            wanted: query.undeclared().collect(),
            full: query.projection == Projection::Full,
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
        self.wanted.retain(|(_, name)| record.others(name).next().is_none());
        remember_others(&mut self.known, record);
    }

    fn look_at_present(&mut self, record: &Record<'_>) {
        if !self.full {
            return;
        }
        for id in record.shown_beside(self.declared) {
            self.declared.insert(id);
        }
        self.has_more |= !remember_others(&mut self.others, record);
    }

    fn check(&self) -> Result<(), ResultsError> {
        let Some((place, name)) = self.wanted.first() else { return Ok(()) };
        Err(unknown_field(name, place, self.known.iter().map(String::as_str)))
    }

    fn present(&self) -> (Vec<FieldRef>, bool) {
        if self.full {
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

/// The error for a name that the export does not have.
pub(super) fn unknown_field<'n>(name: &str, place: &'static str, known: impl Iterator<Item = &'n str>) -> ResultsError {
    ResultsError::UnknownField {
        field: crate::error::excerpt(name).to_string(),
        place,
        nearest: fields::nearest(name, known),
    }
}

/// The declared and other fields that the `full` profile shows.
pub(super) fn full_fields<'n>(declared: FieldSet, others: impl Iterator<Item = &'n str>) -> Vec<FieldRef> {
    let declared = declared.iter().map(FieldRef::Declared);
    declared.chain(others.map(|name| FieldRef::Other(key_of_other(name).into()))).collect()
}
