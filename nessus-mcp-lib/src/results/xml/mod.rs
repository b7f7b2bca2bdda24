//! Reading the XML of an export: the only place that knows quick-xml.
//!
//! An export is read once from front to back, one item at a time, into buffers that are used again, so memory does
//! not grow with the file. quick-xml finds the markup; text between two tags is copied by [`source::Source`] itself,
//! because quick-xml 0.42 makes a separate event of every `&amp;`. Items in their usual form, which is nearly all,
//! are read by [`quick`] without it.
//!
//! The input is hostile: it comes from a scanner over the network, and a scanner repeats what its targets answer.
//! Every event, text, item and count has a limit (see [`limits`]), a DOCTYPE is refused, and quick-xml's lenience
//! (two roots, text around the root, an end in mid-document) is made up for in [`export::ExportReader`].
//!
//! What is mended instead of refused, because the rest of a result is worth having, is counted in [`Mended`].

mod capped;
mod export;
mod item;
mod plugin_set;
mod quick;
mod source;
mod text;

pub(crate) use export::{ExportReader, Header, Step};
pub(crate) use item::{Attribute, Item, Occurrence};
pub(crate) use plugin_set::PluginSetPrint;

use serde::{Deserialize, Serialize};

use super::error::ResultsError;

/// Limits, at ten times or more of the largest seen in public exports.
pub(crate) mod limits {
    /// Bytes of one tag, comment, CDATA section or text between two tags.
    pub(crate) const EVENT_BYTES: u64 = 16 << 20;
    /// Bytes of one start tag.
    pub(crate) const TAG_BYTES: usize = 1 << 20;
    /// Bytes of one item, markup included.
    pub(crate) const ITEM_BYTES: u64 = 32 << 20;
    /// Attributes of one element.
    pub(crate) const ATTRIBUTES: usize = 64;
    /// Child elements of one item.
    pub(crate) const CHILDREN: usize = 20_000;
    /// Elements inside each other.
    pub(crate) const DEPTH: usize = 64;
    /// Tags of one host.
    pub(crate) const HOST_TAGS: usize = 20_000;
    /// Bytes of a host property that is kept.
    pub(crate) const HOST_VALUE_BYTES: u64 = 64 << 10;
    /// Bytes of a text that is skipped without being held; a policy's plugin set is the largest, at 2 MB.
    pub(crate) const SKIPPED_BYTES: u64 = 64 << 20;
}

/// Irregularities that were mended while reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mended {
    /// Characters that XML forbids, each replaced by U+FFFD.
    pub control_characters: u64,
    /// Elements inside a text, left out with their content.
    pub nested_elements: u64,
    /// Text directly inside an item, left out.
    pub stray_texts: u64,
    /// Attributes of elements that have none in any known export, left out.
    pub left_out_attributes: u64,
    /// Hosts whose properties came after their first item, so that earlier items lack them.
    pub late_properties: u64,
}

/// Reads single items from their bytes, wherever in the file those stand.
#[derive(Debug, Default)]
pub(crate) struct ItemReader {
    item: Item,
    buffers: source::Buffers,
}

impl ItemReader {
    /// Parses the bytes of one `ReportItem`, which began at `offset` in the file.
    pub(crate) fn read(&mut self, bytes: &[u8], offset: u64) -> Result<&Item, ResultsError> {
        let mut mended = Mended::default();
        if quick::read(bytes, offset, &mut self.item, &mut mended) == Some(bytes.len()) {
            return Ok(&self.item);
        }
        let mut source = source::Source::new(bytes, offset, std::mem::take(&mut self.buffers));
        let result = export::read_single_item(&mut source, &mut self.item);
        self.buffers = source.into_buffers();
        result.map(|()| &self.item)
    }
}
