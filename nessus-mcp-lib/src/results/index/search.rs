//! Answers from the rows, and from items where the rows do not know.

use std::{
    collections::BTreeSet,
    io::{Read, Seek},
    rc::Rc,
};

use super::{
    about::Shape,
    export_index::ExportIndex,
    row::{Columns, Known},
};
use crate::results::{
    convert::{Counting, Facts, FirstPass, OTHER_NAMES, Picker, Selection, Wanted, Window, full_fields, unknown_field},
    error::ResultsError,
    query::{Ask, Filter, Key, Query, SortOrder, Sorter, rating_of_worst},
    record::{FieldId, FieldRef, FieldSet, Host, Item, Kind, Origin, Record, Value},
    xml::ItemReader,
};

/// Bytes read at once when item after item is looked at.
const WINDOW_BYTES: usize = 256 << 10;

/// Finds with the index what the first pass finds by reading the whole export.
pub(crate) fn search<'i, R: Read + Seek>(
    index: &'i ExportIndex,
    query: &Query,
    export: &mut R,
) -> Result<FirstPass<'i>, ResultsError> {
    let (about, stored) = (&index.about, &index.stored);
    let has = |kind, name: &str| {
        let mut shapes = about.shapes.iter().filter(|shape| shape.kind == kind);
        shapes.any(|shape| shape.has_other(name, &about.names))
    };
    if let Some((place, name)) = query.undeclared().find(|(_, name)| !has(query.kind, name)) {
        let known: BTreeSet<&str> = about.names.iter().take(OTHER_NAMES).map(String::as_str).collect();
        let is_in_other = has(query.kind.other(), name);
        return Err(unknown_field(query, name, place, is_in_other, known.into_iter()));
    }
    query.filters.check()?;
    let rank = |host| stored.rank(host);
    let mut picker = Picker::new(query).at_most(query.keys_wanted());
    let (mut counting, mut matched) = (Counting::new(query), 0);
    let mut present = Present::new(query, index);
    let mut items = Items { export, window: Window::new(WINDOW_BYTES), reader: ItemReader::default() };
    let nothing = Item::default();
    // Where neither filters nor order look at it, and its items need nothing of it to be read, any will do.
    let mut asked = query.filters.fields().into_iter().chain(query.sort.field());
    let needs_host = about.has_namespaces || asked.any(FieldRef::needs_host);
    let mut host = (None, Host::default());
    stored.rows(|row| {
        if about.repeats.as_ref().is_some_and(|repeats| repeats.has_item(row.offset)) {
            return Ok(());
        }
        let shape = about.shapes.get(row.shape as usize).ok_or(ResultsError::Changed)?;
        if shape.kind != query.kind {
            return Ok(());
        }
        if needs_host && host.0 != Some(row.host) {
            host = (Some(row.host), index.host(row.host)?);
        }
        let host = &host.1;
        let view = View { row: &row, shape, names: &about.names, record: Record { host, item: &nothing } };
        let mut verdict = query.filters.verdict(&|filter| view.ask(filter));
        let mut facts = view.facts(&counting);
        let mut record = None;
        if verdict.is_none() || (verdict == Some(true) && facts.is_none()) {
            let read = items.read(&row, host)?;
            verdict = Some(query.matches(&read));
            facts = Some(counting.facts_of(&read, row.host));
            record = Some(read);
        }
        let (Some(true), Some(facts)) = (verdict, facts) else { return Ok(()) };
        matched += 1;
        present.add(row.shape);
        counting.add(facts, || row.whereabouts())?;
        if query.ask != Ask::Findings {
            return Ok(());
        }
        match picker.count(row.offset, u64::from(row.length)) {
            Wanted::Nothing => return Ok(()),
            Wanted::Host => {
                picker.begin_range(row.offset, u64::from(row.length), row.host);
                return Ok(());
            }
            Wanted::Key => {}
        }
        let key = if let Some(key) = view.key(picker.sorter(), &query.sort) {
            key
        } else {
            let record = if let Some(record) = record { record } else { items.read(&row, host)? };
            picker.sorter().key(&record, row.host, row.check)
        };
        picker.push(key);
        if picker.has_spare_keys() {
            picker.drop_keys(rank);
        }
        Ok(())
    })?;
    let counts = counting.finish(|host| stored.machine(host) as usize);
    let selection = Selection::of(&counts).unwrap_or_else(|| picker.finish(rank));
    Ok(FirstPass {
        header: about.header.clone(),
        stats: about.stats.clone(),
        matched,
        counts,
        warnings: about.warnings.clone(),
        selection,
        repeats: about.repeats.clone().map(Rc::new),
        hosts: Box::new(|number| index.host(number).map(Rc::new)),
        has_more_fields: present.has_more,
        present: present.fields(),
        failure: None,
    })
}

/// A row and all it stands for.
struct View<'i> {
    row: &'i Columns,
    shape: &'i Shape,
    names: &'i [String],
    /// With the host, if that is needed, and an item that has nothing.
    record: Record<'i>,
}

impl View<'_> {
    /// Whether a filter holds, when that can be said.
    fn ask(&self, filter: &Filter) -> Option<bool> {
        if filter.field().is_of_host() {
            return Some(filter.holds(&self.record));
        }
        let known = match filter.field() {
            FieldRef::Declared(id) => self.value(*id),
            FieldRef::Other(name) => self.other(name),
        };
        known.map(|value| filter.holds_for(value))
    }

    /// What must be known of the item to count it, when that can be said.
    fn facts(&self, counting: &Counting<'_>) -> Option<Facts> {
        let rating = rating_of_worst(self.shape.kind, self.row.worst);
        let number = |value: Option<Value<'_>>| match value {
            Some(Value::Integer(number)) => Some(number.cast_unsigned()),
            _ => None,
        };
        let text = |by| self.row.text(by).map(number);
        counting.facts(rating, self.row.host, |id| self.value(id).map(|value| value), text)
    }

    /// What is known of a field of the item.
    fn value(&self, id: FieldId) -> Known {
        let known = self.row.value(id);
        if !matches!(known, Known::Unknown) {
            return known;
        }
        let present = |id| self.shape.present.contains(id);
        let stands_in = match id.field().origin {
            Origin::Check => present(FieldId::Compliance) && present(FieldId::Description),
            _ => id == FieldId::PluginName && present(FieldId::PluginNameElement),
        };
        let is_of_item = !matches!(id.field().origin, Origin::Host | Origin::HostList | Origin::Derived(_));
        if !is_of_item || present(id) || stands_in {
            Known::Unknown
        } else if id.field().kind == Kind::Boolean {
            Known::One(Value::Boolean(false))
        } else {
            Known::Nothing
        }
    }

    /// What is known of an undeclared field: that the item has none of this name.
    fn other(&self, name: &str) -> Known {
        if self.shape.has_other(name, self.names) { Known::Unknown } else { Known::Nothing }
    }

    /// The item's key, when the row knows all of it.
    fn key(&self, sorter: &mut Sorter<'_>, order: &SortOrder) -> Option<Key> {
        let place = self.row.place()?;
        let mut key = |first: Option<Value<'_>>| sorter.key_at(first, self.record.item, place);
        match order.field() {
            None => Some(key(None)),
            Some(field) if field.is_of_host() => Some(key(self.record.first_of(field))),
            Some(FieldRef::Declared(id)) => self.value(*id).map(key),
            Some(FieldRef::Other(name)) => self.other(name).map(key),
        }
    }
}

/// Which fields matching items have, for the `full` profile.
struct Present<'i> {
    index: &'i ExportIndex,
    /// In `full`: what is shown of every item.
    full: Option<FieldSet>,
    seen: Vec<bool>,
    declared: FieldSet,
    others: BTreeSet<&'i str>,
    has_more: bool,
}

impl<'i> Present<'i> {
    fn new(query: &Query, index: &'i ExportIndex) -> Self {
        let full = query.projection.beside_all();
        let seen = vec![false; index.about.shapes.len()];
        Self { index, full, seen, declared: FieldSet::default(), others: BTreeSet::new(), has_more: false }
    }

    fn add(&mut self, shape: u32) {
        let about = &self.index.about;
        let (Some(beside), Some(seen)) = (self.full, self.seen.get_mut(shape as usize).filter(|seen| !**seen)) else {
            return;
        };
        *seen = true;
        let Some(shape) = about.shapes.get(shape as usize) else { return };
        self.declared = self.declared.union(beside).union(shape.shown);
        for name in shape.others.iter().filter_map(|number| about.names.get(*number as usize)) {
            if self.others.len() < OTHER_NAMES || self.others.contains(&**name) {
                self.others.insert(name);
            } else {
                self.has_more = true;
            }
        }
    }

    fn fields(&self) -> Vec<FieldRef> {
        if self.full.is_some() { full_fields(self.declared, self.others.iter().copied()) } else { Vec::new() }
    }
}

/// Reads items that the rows point to.
struct Items<'e, R> {
    export: &'e mut R,
    window: Window,
    reader: ItemReader,
}

impl<R: Read + Seek> Items<'_, R> {
    fn read<'s>(&'s mut self, row: &Columns, host: &'s Host) -> Result<Record<'s>, ResultsError> {
        let bytes = self.window.read(self.export, row.offset, row.length, row.check)?;
        Ok(Record { host, item: self.reader.read(bytes, row.offset, &host.namespaces)? })
    }
}
