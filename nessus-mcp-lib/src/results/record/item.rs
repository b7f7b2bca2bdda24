//! One `ReportItem` as it stands in the file, in buffers that are used again for the next.

use std::ops::Range;

use super::{
    fields::{ALL, FieldId, FieldSet, Kind},
    spelling::{each, may_be_changed, may_hold_several, means_itself, meant},
};
use crate::results::texts::words;

/// No further occurrence.
const NONE: u32 = u32::MAX;

/// Values of an item up to which the text of a list is taken apart; what it has beyond stays one text.
const MOST_VALUES: usize = 20_000;

/// A range of [`Item::text`].
type Span = Range<u32>;

/// Where a name stands; each has its own memory of what came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Attribute,
    Child,
}

/// One value that an element or attribute of the item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// Empty for declared fields, whose name is known.
    name: Span,
    value: Span,
    /// The attributes of the element, as a range of [`Item::attributes`].
    attributes: Range<u32>,
    /// The next occurrence of the same declared field.
    next: u32,
}

/// A value whose text is still to come.
#[derive(Debug)]
pub(crate) struct Opened {
    id: Option<FieldId>,
    name: Span,
    attributes: u32,
}

/// A name and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'i> {
    /// The name.
    pub name: &'i str,
    /// The value.
    pub value: &'i str,
}

/// The names and texts of one item.
///
/// Values are what texts mean: without white space around them, and one value where an element has several of a list in it.
/// A declared field whose text says nothing has no occurrence.
///
/// All texts lie behind each other in one buffer; declared fields are chained by field, so that a value is found
/// without a search and nothing is allocated for an item once the buffers have grown.
#[derive(Debug)]
pub(crate) struct Item {
    text: String,
    occurrences: Vec<Occurrence>,
    attributes: Vec<(Span, Span)>,
    /// The first and the last occurrence of each declared field that is `present`.
    ends: Vec<(u32, u32)>,
    others: Vec<u32>,
    /// How many elements and attributes were taken, and values that stood in one with others.
    taken: usize,
    present: FieldSet,
    is_as_written: bool,
    /// What came after each field in the items before, as attribute and as child: the last two. At the end stands what
    /// came first.
    next: [Vec<[Option<FieldId>; 2]>; 2],
    /// The field read last in each place, or the number of fields at the beginning.
    previous: [usize; 2],
    /// Where the item's bytes begin in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            text: String::new(),
            occurrences: Vec::new(),
            attributes: Vec::new(),
            ends: vec![(NONE, NONE); ALL.len()],
            others: Vec::new(),
            taken: 0,
            present: FieldSet::default(),
            is_as_written: false,
            next: [vec![[None; 2]; ALL.len() + 1], vec![[None; 2]; ALL.len() + 1]],
            previous: [ALL.len(); 2],
            offset: 0,
            length: 0,
        }
    }
}

impl Item {
    /// The texts of a declared field, in file order.
    pub(crate) fn values(&self, id: FieldId) -> impl Iterator<Item = &str> {
        self.occurrences(id).map(|occurrence| self.value(occurrence))
    }

    /// The first text of a declared field.
    pub(crate) fn first(&self, id: FieldId) -> Option<&str> {
        self.values(id).next()
    }

    /// The item's bytes, when it was read in its usual form.
    pub(crate) fn as_written(&self) -> Option<&[u8]> {
        if self.is_as_written { self.text.as_bytes().get(..usize::try_from(self.length).ok()?) } else { None }
    }

    /// Takes it that the text begins with the item as it is written, of so many bytes.
    pub(crate) fn set_as_written(&mut self, length: usize) {
        self.length = length as u64;
        self.is_as_written = true;
    }

    /// The declared fields that have an occurrence.
    pub(crate) fn present(&self) -> FieldSet {
        self.present
    }

    /// Whether a declared field has an occurrence.
    pub(crate) fn has(&self, id: FieldId) -> bool {
        self.present.contains(id)
    }

    /// The occurrences of a declared field, in file order.
    pub(crate) fn occurrences(&self, id: FieldId) -> impl Iterator<Item = &Occurrence> {
        let mut at = if self.has(id) { self.ends[id as usize].0 } else { NONE };
        std::iter::from_fn(move || {
            let occurrence = self.occurrences.get(at as usize)?;
            at = occurrence.next;
            Some(occurrence)
        })
    }

    /// The elements and attributes that are not in the table of fields, in file order.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Occurrence> {
        self.others.iter().filter_map(|at| self.occurrences.get(*at as usize))
    }

    /// The name of an occurrence among [`Item::others`].
    pub(crate) fn name(&self, occurrence: &Occurrence) -> &str {
        self.span(&occurrence.name)
    }

    /// The text of an occurrence.
    pub(crate) fn value(&self, occurrence: &Occurrence) -> &str {
        self.span(&occurrence.value)
    }

    /// The XML attributes of the element.
    pub(crate) fn attributes(&self, occurrence: &Occurrence) -> impl ExactSizeIterator<Item = Attribute<'_>> {
        let range = occurrence.attributes.start as usize..occurrence.attributes.end as usize;
        let spans = self.attributes.get(range).unwrap_or_default();
        spans.iter().map(|(name, value)| Attribute { name: self.span(name), value: self.span(value) })
    }

    fn span(&self, span: &Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Forgets the previous item. Buffers that a huge item has grown are given back.
    pub(crate) fn clear(&mut self, offset: u64) {
        const KEPT: usize = 1 << 20;
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.occurrences.clear();
        self.occurrences.shrink_to(KEPT / 64);
        self.attributes.clear();
        self.others.clear();
        self.taken = 0;
        self.present = FieldSet::default();
        self.is_as_written = false;
        self.previous = [ALL.len(); 2];
        self.offset = offset;
        self.length = 0;
    }

    /// How many elements and attributes there are so far, with a value or without, and values that stand in one with others.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// The buffer that values are appended to, before [`Item::end`] takes what was appended as a value.
    pub(crate) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Marks the place where the next value begins.
    pub(crate) fn begin(&self) -> usize {
        self.text.len()
    }

    /// Takes what was appended since `begin` as an XML attribute of the element to come.
    pub(crate) fn end_attribute(&mut self, name: &str, begin: usize) {
        let value = within(&(narrow(begin)..narrow(self.text.len())), meant(Kind::Text, &self.text[begin..]));
        let name = self.keep(name);
        self.attributes.push((name, value));
    }

    /// Begins a value of the field `id`, or else of the unknown name.
    pub(crate) fn open(&mut self, id: Option<FieldId>, name: &str) -> Opened {
        let name = if id.is_none() { self.keep(name) } else { 0..0 };
        Opened { id, name, attributes: narrow(self.attributes.len()) }
    }

    /// Takes what was appended since `begin` as the value.
    pub(crate) fn end(&mut self, opened: Opened, begin: usize) {
        let Opened { id, name, attributes } = opened;
        let value = narrow(begin)..narrow(self.text.len());
        self.push(id, Occurrence { name, value, attributes: attributes..narrow(self.attributes.len()), next: NONE });
    }

    /// Takes two ranges of what was appended as the name and the value of the field `id`, or else of that name.
    #[inline]
    pub(crate) fn add(&mut self, id: Option<FieldId>, name: Range<usize>, value: Range<usize>) {
        let value = narrow(value.start)..narrow(value.end);
        if let Some(id) = id {
            self.push_declared(id, Occurrence { name: 0..0, value, attributes: 0..0, next: NONE });
        } else {
            let name = narrow(name.start)..narrow(name.end);
            self.push(None, Occurrence { name, value, attributes: 0..0, next: NONE });
        }
    }

    /// Which of the fields that came next in the items before it is, if any; the likelier is asked for first.
    #[inline]
    pub(crate) fn expected(&self, place: Place, is_it: impl Fn(FieldId) -> bool) -> Option<FieldId> {
        let [first, second] = self.next[place as usize][self.previous[place as usize]];
        first.filter(|id| is_it(*id)).or_else(|| second.filter(|id| is_it(*id)))
    }

    /// Goes on to a field that was expected.
    pub(crate) fn take(&mut self, id: FieldId, place: Place) {
        self.previous[place as usize] = id as usize;
    }

    /// The field of a name, by what was expected or else by what `look_up` says.
    pub(crate) fn look_up(
        &mut self,
        name: &str,
        look_up: impl Fn(&str) -> Option<FieldId>,
        place: Place,
    ) -> Option<FieldId> {
        let expected = self.expected(place, |id| words::is_same(id.field().xml.as_bytes(), name.as_bytes()));
        let id = if let Some(id) = expected {
            id
        } else {
            let id = look_up(name)?;
            let next = &mut self.next[place as usize][self.previous[place as usize]];
            *next = [Some(id), next[0]];
            id
        };
        self.take(id, place);
        Some(id)
    }

    fn push(&mut self, id: Option<FieldId>, mut occurrence: Occurrence) {
        let Some(id) = id else {
            self.taken += 1;
            occurrence.value = within(&occurrence.value, meant(Kind::Text, self.span(&occurrence.value)));
            self.others.push(narrow(self.occurrences.len()));
            self.occurrences.push(occurrence);
            return;
        };
        self.push_declared(id, occurrence);
    }

    #[inline]
    fn push_declared(&mut self, id: FieldId, occurrence: Occurrence) {
        self.taken += 1;
        let text = &self.text.as_bytes()[occurrence.value.start as usize..occurrence.value.end as usize];
        // Most of them by far, so they go the short way.
        if means_itself(FieldSet::TEXTS.contains(id), text)
            && !(FieldSet::SEVERAL.contains(id) && may_be_changed(id, text))
        {
            self.chain(id, occurrence);
        } else {
            self.push_meaning(id, occurrence);
        }
    }

    /// Takes what a text means, which may be several values or none.
    fn push_meaning(&mut self, id: FieldId, mut occurrence: Occurrence) {
        let field = id.field();
        if FieldSet::SEVERAL.contains(id) && may_hold_several(self.span(&occurrence.value).as_bytes()) {
            let mut rest = occurrence.value.clone();
            while let Some((value, end)) = each(id, self.span(&rest)) {
                let is_last = self.taken >= MOST_VALUES;
                let value = if is_last { rest.clone() } else { within(&rest, value) };
                self.chain_upper(id, Occurrence { value, ..occurrence.clone() });
                if is_last {
                    return;
                }
                self.taken += 1;
                rest.start += narrow(end);
            }
            return;
        }
        let value = meant(field.kind, self.span(&occurrence.value));
        if !value.is_empty() || field.kind == Kind::Attachment {
            occurrence.value = within(&occurrence.value, value);
            self.chain_upper(id, occurrence);
        }
    }

    /// As [`chain`](Self::chain), with a CVE in capitals.
    fn chain_upper(&mut self, id: FieldId, mut occurrence: Occurrence) {
        if id == FieldId::Cve && may_be_changed(id, self.span(&occurrence.value).as_bytes()) {
            let upper = self.span(&occurrence.value).to_ascii_uppercase();
            occurrence.value = self.keep(&upper);
        }
        self.chain(id, occurrence);
    }

    /// Puts an occurrence behind the others of its field.
    #[inline]
    fn chain(&mut self, id: FieldId, occurrence: Occurrence) {
        let at = narrow(self.occurrences.len());
        self.occurrences.push(occurrence);
        let (first, last) = &mut self.ends[id as usize];
        if self.present.contains(id) {
            self.occurrences[*last as usize].next = at;
        } else {
            *first = at;
            self.present.insert(id);
        }
        *last = at;
    }

    fn keep(&mut self, name: &str) -> Span {
        let begin = narrow(self.text.len());
        self.text.push_str(name);
        begin..narrow(self.text.len())
    }
}

/// A range of the text of a span, as a span.
fn within(span: &Span, range: Range<usize>) -> Span {
    span.start + narrow(range.start)..span.start + narrow(range.end)
}

/// Items are far smaller than 4 GiB (see [`super::limits::ITEM_BYTES`]).
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
