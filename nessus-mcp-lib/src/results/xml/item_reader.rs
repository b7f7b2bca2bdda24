//! Single items, wherever in the export they stand.

use super::{
    export::read_single_item,
    quick,
    repairs::RepairCounts,
    source::{Buffers, Source},
};
use crate::results::error::ResultsError;
use crate::results::record::{Item, Namespaces};

/// Reads single items from their bytes, wherever in the file those stand.
#[derive(Debug, Default)]
pub(crate) struct ItemReader {
    item: Item,
    names: Namespaces,
    buffers: Buffers,
}

impl ItemReader {
    /// Parses the bytes of one `ReportItem`, which began at `offset` in the file, where `names` were declared.
    pub(crate) fn read(&mut self, bytes: &[u8], offset: u64, names: &Namespaces) -> Result<&Item, ResultsError> {
        let mut repairs = RepairCounts::default();
        self.names.clone_from(names);
        if quick::read(bytes, offset, &mut self.item, &mut self.names, &mut repairs) == Some(bytes.len()) {
            return Ok(&self.item);
        }
        let mut source = Source::new(bytes, offset, std::mem::take(&mut self.buffers));
        source.names.clone_from(names);
        let result = read_single_item(&mut source, &mut self.item);
        self.buffers = source.into_buffers();
        result.map(|()| &self.item)
    }
}
