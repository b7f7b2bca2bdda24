//! How much memory the reading of an export takes, told before it is begun.
//!
//! The figures are measured ones, rounded up: they decide how many exports are read at once, not what a reading may use.
//! That is bounded by what each reading holds.

use super::export_index::ExportIndex;
use crate::{
    results::query::{Ask, Query},
    source::Source,
};

/// Buffers of a reading, whatever it is about.
const BUFFERS: u64 = 4 << 20;
/// What is held for an item up to the end of a sorted page: its key, and of those that are sorted by a text that.
const KEY: u64 = 40;
const TEXT: u64 = 160;
/// Keys that are held before some are dropped, and the hosts of those.
const SPARE: u64 = 16 << 10;
const HOST: u64 = 400;
/// A group, and a plugin in it.
const GROUP: u64 = 300;
const PLUGIN_IN_GROUP: u64 = 32;
/// An item and a host in an export without an index take at least about so many bytes of it.
const ITEM_BYTES: u64 = 400;
const HOST_BYTES: u64 = 2_000;

/// How large an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    items: u64,
    hosts: u64,
    has_index: bool,
}

impl Extent {
    /// Of an export with its index, as far as there is one. Both are only looked at, not read.
    pub(crate) fn of(export: &Source, index: Option<&Source>) -> Self {
        if let Some((items, hosts)) = index.and_then(ExportIndex::extent) {
            return Self { items, hosts, has_index: true };
        }
        let bytes = export.size().unwrap_or(0);
        Self { items: bytes / ITEM_BYTES, hosts: bytes / HOST_BYTES, has_index: false }
    }

    /// Of an export whose index was read.
    pub(crate) fn of_index(index: &ExportIndex) -> Self {
        let (items, hosts) = index.size();
        Self { items, hosts, has_index: true }
    }

    /// For a page, or everything, as lines of JSON.
    pub(crate) fn for_query(self, query: &Query) -> u64 {
        let groups = match query.ask {
            Ask::Findings | Ask::Counts => 0,
            // As many as hosts in one case; in the others far fewer than findings.
            Ask::Groups(..) => {
                let host = if self.has_index { 0 } else { HOST };
                (GROUP + host) * self.hosts.max(self.items.min(20_000)) + PLUGIN_IN_GROUP * self.items
            }
        };
        let keys = query.keys_wanted().saturating_add(SPARE).saturating_add(query.keys_wanted() / 2).min(self.items);
        let text = if query.sort.field().is_some() { TEXT } else { 0 };
        let index = if self.has_index { 21 * self.hosts } else { 128 * self.hosts + HOST * keys.min(self.hosts) };
        BUFFERS + keys.saturating_mul(KEY + text) + index + groups
    }

    /// For a summary.
    pub(crate) fn for_summary(self) -> u64 {
        BUFFERS + 400 * self.hosts + 40 * self.items.min(200_000) + 4 * self.items
    }

    /// For a comparison with a later scan. While hosts are matched, all that is known of them is held several times.
    pub(crate) fn for_comparison(self, later: Self) -> u64 {
        3 * BUFFERS + 40 * (self.items + later.items) + 1_100 * (self.hosts + later.hosts)
    }
}
