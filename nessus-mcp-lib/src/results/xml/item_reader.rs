//! Single items, wherever in the export they stand.

use super::{
    export::read_single_item,
    quick,
    repairs::RepairCounts,
    source::{Buffers, Source},
};
use crate::results::error::ResultsError;
use crate::results::record::Item;

/// Reads single items from their bytes, wherever in the file those stand.
#[derive(Debug, Default)]
pub(crate) struct ItemReader {
    item: Item,
    buffers: Buffers,
}

impl ItemReader {
    /// Parses the bytes of one `ReportItem`, which began at `offset` in the file.
    pub(crate) fn read(&mut self, bytes: &[u8], offset: u64) -> Result<&Item, ResultsError> {
        let mut repairs = RepairCounts::default();
        if quick::read(bytes, offset, &mut self.item, &mut repairs) == Some(bytes.len()) {
            return Ok(&self.item);
        }
        let mut source = Source::new(bytes, offset, std::mem::take(&mut self.buffers));
        let result = read_single_item(&mut source, &mut self.item);
        self.buffers = source.into_buffers();
        result.map(|()| &self.item)
    }
}
