//! The indexes that were read last, for as long as index and export are as they were read.

use std::sync::Arc;

use crate::{
    ids::TaskId,
    known::{Known, Stamp},
    results::{ExportIndex, IndexError},
    task::OpenResult,
};

/// The most bytes of indexes that are kept.
const KNOWN_BYTES: usize = 4 << 20;

/// The indexes that were read last, by index and export. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct KnownIndexes(Arc<Known<TaskId, Arc<ExportIndex>, 2>>);

impl Default for KnownIndexes {
    fn default() -> Self {
        Self(Arc::new(Known::new(KNOWN_BYTES)))
    }
}

impl KnownIndexes {
    pub(super) fn get(&self, task_id: &TaskId, index: &OpenResult, export: &OpenResult) -> Option<Arc<ExportIndex>> {
        self.0.get(task_id, &stamps(index, export)?)
    }

    /// Reads an index from its first byte to its last, and keeps it.
    pub(super) fn load(
        &self,
        task_id: &TaskId,
        index: &OpenResult,
        export: &OpenResult,
    ) -> Result<Arc<ExportIndex>, IndexError> {
        let loaded = Arc::new(ExportIndex::load(&index.source, &export.source)?);
        if let Some(stamps) = stamps(index, export) {
            self.0.keep(task_id.clone(), stamps, loaded.bytes_kept(), &loaded);
        }
        Ok(loaded)
    }
}

fn stamps(index: &OpenResult, export: &OpenResult) -> Option<[Stamp; 2]> {
    Some([index.stamp?, export.stamp?])
}
