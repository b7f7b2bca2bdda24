//! Items out of an export, by their places.

use std::io::{Read, Seek, SeekFrom};

use super::checksum::short;
use crate::results::error::ResultsError;

/// Bytes of the export that were read together, so that items that follow each other need one read.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    begin: u64,
    /// Bytes read at once.
    step: usize,
}

impl Window {
    pub(crate) fn new(step: usize) -> Self {
        Self { bytes: Vec::new(), begin: 0, step }
    }

    /// The bytes of an item, which must have the hash `check` unless that is 0.
    pub(crate) fn read<R: Read + Seek>(
        &mut self,
        export: &mut R,
        offset: u64,
        length: u32,
        check: u32,
    ) -> Result<&[u8], ResultsError> {
        let length = length as usize;
        let at = |begin: u64| usize::try_from(offset.checked_sub(begin)?).ok();
        let inside = |at: &usize| at.checked_add(length).is_some_and(|end| end <= self.bytes.len());
        let at = if let Some(at) = at(self.begin).filter(inside) {
            at
        } else {
            export.seek(SeekFrom::Start(offset)).map_err(ResultsError::Read)?;
            self.begin = offset;
            self.bytes.clear();
            self.bytes.shrink_to(self.step);
            let most = length.max(self.step) as u64;
            export.by_ref().take(most).read_to_end(&mut self.bytes).map_err(ResultsError::Read)?;
            0
        };
        let bytes = self.bytes.get(at..at + length).ok_or(ResultsError::Changed)?;
        if check != 0 && short(bytes) != check { Err(ResultsError::Changed) } else { Ok(bytes) }
    }
}
