//! What a first reading remembers of the items that are to be shown.

use crate::results::query::{Key, Query, SortOrder, Sorter};

/// A stretch of the export goes on to the next matching item if that begins within so many bytes; in tests so few that
/// small exports have several.
const GAP_BYTES: u64 = if cfg!(test) { 1 << 9 } else { 256 << 10 };

/// The most stretches that are kept; the last of so many goes on to the last matching item, however far that is.
const MOST_STRETCHES: usize = if cfg!(test) { 8 } else { 4 << 10 };

/// How many keys more than are wanted are held before those that cannot be on the page are dropped.
const SPARE_KEYS: usize = if cfg!(test) { 4 } else { 16 << 10 };

/// The items to be shown.
#[derive(Debug)]
pub(crate) enum Selection {
    /// All that match, in file order.
    Stretches(Vec<Stretch>),
    /// These, in this order.
    Items(Vec<Key>),
}

/// A stretch of the export from the first byte of a matching item to the last byte of the same or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// How many items in it match.
    pub matches: u64,
    /// The number of the host it begins in.
    pub host: u32,
}

/// What is to be told of a matching item that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing more.
    Nothing,
    /// Its host, for [`Picker::begin_stretch`].
    Host,
    /// Its key, for [`Picker::push`].
    Key,
}

/// Remembers matching items in as little as the order and page allow: 40 bytes for each up to the end of the page, and in
/// file order next to nothing.
pub(crate) struct Picker<'q> {
    query: &'q Query,
    /// How many keys decide the page.
    wanted: usize,
    matched: u64,
    keys: Vec<Key>,
    stretches: Vec<Stretch>,
    sorter: Sorter<'q>,
}

impl<'q> Picker<'q> {
    pub(crate) fn new(query: &'q Query) -> Self {
        Self {
            query,
            wanted: usize::MAX,
            matched: 0,
            keys: Vec::new(),
            stretches: Vec::new(),
            sorter: Sorter::new(&query.sort),
        }
    }

    /// The same for a page of which no keys but the first so many are wanted.
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
        let is_full = self.stretches.len() >= MOST_STRETCHES;
        match self.stretches.last_mut() {
            Some(stretch) if is_full || offset - stretch.offset <= stretch.length + GAP_BYTES => {
                stretch.length = offset + length - stretch.offset;
                stretch.matches += 1;
                Wanted::Nothing
            }
            _ => Wanted::Host,
        }
    }

    /// Takes the host of an item that was counted and begins a stretch.
    pub(crate) fn begin_stretch(&mut self, offset: u64, length: u64, host: u32) {
        self.stretches.push(Stretch { offset, length, matches: 1, host });
    }

    /// Makes the keys.
    pub(crate) fn sorter(&mut self) -> &mut Sorter<'q> {
        &mut self.sorter
    }

    /// Takes a wanted key.
    pub(crate) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// Whether there are so many keys that it is time to [drop](Self::drop_keys) some.
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

    /// How many items match, and those to be shown; `rank` gives the place of a host among the hosts.
    pub(crate) fn finish(self, rank: impl Fn(u32) -> u32) -> (u64, Selection) {
        let Self { query, matched, mut keys, stretches, mut sorter, .. } = self;
        if query.sort == SortOrder::File {
            let is_all = query.page.is_all();
            return (matched, if is_all { Selection::Stretches(stretches) } else { Selection::Items(keys) });
        }
        sorter.sort(&mut keys, rank, None);
        if !query.page.is_all() {
            let window = query.window(matched);
            let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(keys.len());
            let range = index(window.start)..index(window.end);
            keys = keys[range].to_vec();
        }
        (matched, Selection::Items(keys))
    }
}
