//! What the first pass remembers of the items to be shown.

use super::counting::Counts;
use crate::results::query::{Key, Query, SortOrder, Sorter};

/// Matching items with at most this many bytes between them are read as one range. Tests use a small value, so that
/// small exports have several ranges.
const GAP_BYTES: u64 = if cfg!(test) { 1 << 9 } else { 256 << 10 };

/// The most ranges that are kept. The last one then extends to the last matching item, however far away that is.
const MOST_RANGES: usize = if cfg!(test) { 8 } else { 4 << 10 };

/// How many keys are held beyond those wanted before the ones that cannot be on the page are dropped.
const SPARE_KEYS: usize = if cfg!(test) { 4 } else { 16 << 10 };

/// The items to be shown.
#[derive(Debug)]
pub(crate) enum Selection {
    /// All that match, in file order.
    Ranges(Vec<ByteRange>),
    /// These, in this order.
    Items(Vec<Key>),
}

impl Selection {
    /// The first finding of each group that is shown; `None` where there are no groups.
    pub(crate) fn of(counts: &Counts) -> Option<Self> {
        let (_, groups) = counts.groups.as_ref()?;
        Some(Self::Items(groups.iter().map(|group| Key::at(group.place)).collect()))
    }
}

/// Bytes of the export, from the first byte of a matching item to the last byte of the same or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// How many items in it match.
    pub matches: u64,
    /// The number of the host it begins in.
    pub host: u32,
}

/// What the picker needs to know of a matching item that it has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing more.
    Nothing,
    /// Its host, for [`Picker::begin_range`].
    Host,
    /// Its key, for [`Picker::push`].
    Key,
}

/// Remembers matching items in as little memory as order and page allow: 40 bytes for each item up to the end of the page;
/// for a whole export in file order, only the ranges.
pub(crate) struct Picker<'q> {
    query: &'q Query,
    /// How many keys decide the page.
    wanted: usize,
    matched: u64,
    keys: Vec<Key>,
    ranges: Vec<ByteRange>,
    sorter: Sorter<'q>,
}

impl<'q> Picker<'q> {
    pub(crate) fn new(query: &'q Query) -> Self {
        Self {
            query,
            wanted: usize::MAX,
            matched: 0,
            keys: Vec::new(),
            ranges: Vec::new(),
            sorter: Sorter::new(&query.sort),
        }
    }

    /// Limits the keys that are kept to the first `wanted` in the order.
    pub(crate) fn at_most(self, wanted: u64) -> Self {
        Self { wanted: usize::try_from(wanted).unwrap_or(usize::MAX), ..self }
    }

    /// Counts a matching item of so many bytes.
    pub(crate) fn count(&mut self, offset: u64, length: u64) -> Wanted {
        let number = self.matched;
        self.matched += 1;
        if self.query.sort != SortOrder::File {
            return Wanted::Key;
        }
        if !self.query.page.is_all() {
            // The total is not known yet, but the window of a page does not depend on what follows it.
            return if self.query.window(u64::MAX).contains(&number) { Wanted::Key } else { Wanted::Nothing };
        }
        let is_full = self.ranges.len() >= MOST_RANGES;
        match self.ranges.last_mut() {
            Some(range) if is_full || offset - range.offset <= range.length + GAP_BYTES => {
                range.length = offset + length - range.offset;
                range.matches += 1;
                Wanted::Nothing
            }
            _ => Wanted::Host,
        }
    }

    /// Takes the host of an item that was counted, and begins a range with the item.
    pub(crate) fn begin_range(&mut self, offset: u64, length: u64, host: u32) {
        self.ranges.push(ByteRange { offset, length, matches: 1, host });
    }

    /// Makes the keys.
    pub(crate) fn sorter(&mut self) -> &mut Sorter<'q> {
        &mut self.sorter
    }

    /// Takes a wanted key.
    pub(crate) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// Whether there are enough spare keys to [drop](Self::drop_keys) some.
    pub(crate) fn has_spare_keys(&self) -> bool {
        let spare = SPARE_KEYS.max(self.wanted / 2);
        self.query.sort != SortOrder::File && self.keys.len() >= self.wanted.saturating_add(spare)
    }

    /// Drops the keys that cannot be on the page; `rank` gives the place of a host among the hosts.
    pub(crate) fn drop_keys(&mut self, rank: impl Fn(u32) -> u32) {
        self.sorter.sort(&mut self.keys, rank, Some(self.wanted));
    }

    /// The numbers of the keys' hosts, to be changed.
    pub(crate) fn hosts_of_keys(&mut self) -> impl Iterator<Item = &mut u32> {
        self.keys.iter_mut().map(|key| &mut key.place.host)
    }

    /// The items to be shown; `rank` gives the place of a host among the hosts.
    pub(crate) fn finish(mut self, rank: impl Fn(u32) -> u32) -> Selection {
        if self.query.sort != SortOrder::File {
            // The few of a page are found sooner than all are sorted.
            self.drop_keys(&rank);
        }
        let Self { query, matched, mut keys, ranges, mut sorter, .. } = self;
        if query.sort == SortOrder::File {
            let is_all = query.page.is_all();
            return if is_all { Selection::Ranges(ranges) } else { Selection::Items(keys) };
        }
        sorter.sort(&mut keys, rank, None);
        if !query.page.is_all() {
            let window = query.window(matched);
            let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(keys.len());
            let range = index(window.start)..index(window.end);
            keys = keys[range].to_vec();
        }
        Selection::Items(keys)
    }
}
