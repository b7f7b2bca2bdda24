//! The first reading of an export: what matches, how many there are, and where they stand.
//!
//! The header line of the output needs totals that are known only at the end, and an output that was begun cannot be
//! taken back when the export turns out to be broken. So an export is read twice: here everything is checked and
//! counted, and matching items are remembered by their [`Key`], 40 bytes each; only then is anything written.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use super::{
    error::ResultsError,
    fields::{self, FieldId, FieldSet, clashes},
    profile::Projection,
    query::Query,
    record::{Host, Record},
    sort::{Key, SortOrder, Sorter},
    validate::{ExportStats, Tally},
    xml::{ExportReader, Header, Mended, Step},
};

/// How many names of undeclared elements are remembered.
const OTHER_NAMES: usize = 256;

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
    pub present: Vec<String>,
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
#[derive(Debug, Default)]
pub(super) struct Warnings {
    pub misfits: BTreeMap<FieldId, u64>,
    pub mended: Mended,
}

/// Reads the whole export.
pub(super) fn survey<R: BufRead>(mut reader: ExportReader<R>, query: &Query) -> Result<Survey, ResultsError> {
    let mut tally = Tally::default();
    let mut warnings = Warnings::default();
    let mut picker = Picker::new(query);
    let mut names = Names::new(query);
    loop {
        let step = reader.next()?;
        tally.count(step, &reader);
        match step {
            Step::HostStart => picker.host_index = None,
            Step::HostEnd => {}
            Step::End => break,
            Step::Item => {
                let record = Record { host: reader.host(), item: reader.item() };
                record.misfits(|id| *warnings.misfits.entry(id).or_default() += 1);
                names.look_for_wanted(&record);
                if query.filters.matches(&record) {
                    names.look_at_present(&record);
                    picker.pick(&record);
                }
            }
        }
    }
    names.check()?;
    warnings.mended = reader.mended();
    let present = names.present();
    let Picker { matched, keys, hosts, sorter, .. } = picker;
    let selection = select(query, matched, keys, &hosts, sorter);
    Ok(Survey { header: reader.header().clone(), stats: tally.finish(), matched, warnings, selection, hosts, present })
}

/// Keeps the keys of matching items, as few as the order and page allow.
struct Picker<'q> {
    query: &'q Query,
    matched: u64,
    keys: Vec<Key>,
    hosts: Vec<Host>,
    host_index: Option<u32>,
    sorter: Sorter<'q>,
}

impl<'q> Picker<'q> {
    fn new(query: &'q Query) -> Self {
        let sorter = Sorter::new(&query.sort);
        Self { query, matched: 0, keys: Vec::new(), hosts: Vec::new(), host_index: None, sorter }
    }

    fn pick(&mut self, record: &Record<'_>) {
        let number = self.matched;
        self.matched += 1;
        if self.query.sort == SortOrder::File {
            // The total is not known yet, but the window of a page does not depend on what follows it.
            if self.query.page.is_all() || !self.query.window(u64::MAX).contains(&number) {
                return;
            }
        }
        let host = *self.host_index.get_or_insert_with(|| {
            self.hosts.push(record.host.clone());
            u32::try_from(self.hosts.len() - 1).unwrap_or(u32::MAX)
        });
        self.keys.push(self.sorter.key(record, host));
    }
}

fn select(query: &Query, matched: u64, mut keys: Vec<Key>, hosts: &[Host], sorter: Sorter<'_>) -> Selection {
    if query.sort == SortOrder::File {
        return if query.page.is_all() { Selection::Stream } else { Selection::Items(keys) };
    }
    sorter.sort(&mut keys, hosts);
    if !query.page.is_all() {
        let window = query.window(matched);
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(keys.len());
        let range = index(window.start)..index(window.end);
        keys = keys[range].to_vec();
    }
    Selection::Items(keys)
}

/// Which names the export has: those a query asks for on the export's word, and those that `full` shows.
struct Names<'q> {
    /// Not seen yet.
    wanted: Vec<(&'static str, &'q str)>,
    full: bool,
    declared: FieldSet,
    others: BTreeSet<String>,
}

impl<'q> Names<'q> {
    fn new(query: &'q Query) -> Self {
        Self {
            wanted: query.undeclared().collect(),
            full: query.projection == Projection::Full,
            declared: FieldSet::default(),
            others: BTreeSet::new(),
        }
    }

    fn look_for_wanted(&mut self, record: &Record<'_>) {
        if self.wanted.is_empty() {
            return;
        }
        self.wanted.retain(|(_, name)| record.others(name).next().is_none());
        self.remember_others(record);
    }

    fn look_at_present(&mut self, record: &Record<'_>) {
        if !self.full {
            return;
        }
        for id in record.shown_beside(self.declared) {
            self.declared.insert(id);
        }
        self.remember_others(record);
    }

    fn remember_others(&mut self, record: &Record<'_>) {
        for other in record.item.others() {
            let name = record.item.name(other);
            if self.others.len() < OTHER_NAMES && !self.others.contains(name) {
                self.others.insert(name.to_owned());
            }
        }
    }

    fn check(&self) -> Result<(), ResultsError> {
        let Some((place, name)) = self.wanted.first() else { return Ok(()) };
        Err(ResultsError::UnknownField {
            field: crate::error::excerpt(name).to_string(),
            place,
            nearest: fields::nearest(name, self.others.iter().map(String::as_str)),
        })
    }

    fn present(&self) -> Vec<String> {
        let declared = self.declared.iter().map(|id| id.name().to_owned());
        let others =
            self.others.iter().map(|name| if clashes(name) { format!("{name}_element") } else { name.clone() });
        if self.full { declared.chain(others).collect() } else { Vec::new() }
    }
}
