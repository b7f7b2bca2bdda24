//! The indexes of exports: made where they are missing, and kept while index and export are as they were read.

use std::{fs::File, path::Path, sync::Arc};

use tracing::{info, warn};

use super::{ScanService, error::ServiceError, results::open};
use crate::{
    blocking,
    ids::TaskId,
    known::{Known, Stamp},
    results::{ExportIndex, Extent, IndexError, ResultsError},
    task::{INDEX_FILE, Writer},
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
    fn get(&self, task_id: &TaskId, index: &File, export: &File) -> Option<Arc<ExportIndex>> {
        self.0.get(task_id, &stamps(index, export)?)
    }

    /// Reads an index from its first byte to its last, and keeps it.
    fn load(&self, task_id: &TaskId, index: &File, export: &File) -> Result<Arc<ExportIndex>, IndexError> {
        let stamps = stamps(index, export);
        let loaded = Arc::new(ExportIndex::load(index, export)?);
        if let Some(stamps) = stamps {
            self.0.keep(task_id.clone(), stamps, loaded.bytes_kept(), &loaded);
        }
        Ok(loaded)
    }
}

fn stamps(index: &File, export: &File) -> Option<[Stamp; 2]> {
    Some([Stamp::of(&index.metadata().ok()?)?, Stamp::of(&export.metadata().ok()?)?])
}

impl ScanService {
    /// How large an export is, for what reading it takes, and its index if it is known.
    pub(super) async fn look_at_export(
        &self,
        task_id: &TaskId,
        export: &Path,
    ) -> Result<(Extent, Option<Arc<ExportIndex>>), ServiceError> {
        let (index, export) = (self.tasks.artifact_path(task_id, INDEX_FILE), export.to_owned());
        let (task_id, indexes) = (task_id.clone(), self.indexes.clone());
        let looked = blocking::run(move || {
            let (export, index) = (open(&export)?, File::open(index).ok());
            let known = index.as_ref().and_then(|index| indexes.get(&task_id, index, &export));
            let extent =
                known.as_ref().map_or_else(|| Extent::of(&export, index.as_ref()), |index| Extent::of_index(index));
            Ok((extent, known))
        });
        looked.await.map_err(ServiceError::stopping)?
    }

    /// The index of an export. One that is missing or does not fit is made again; `None` when that cannot be done, and
    /// the export has to be read without.
    pub(super) async fn index_of(&self, task_id: &TaskId, export: &Path) -> Option<Arc<ExportIndex>> {
        let (path, source) = (self.tasks.artifact_path(task_id, INDEX_FILE), export.to_owned());
        let (of, indexes) = (task_id.clone(), self.indexes.clone());
        let loaded = blocking::run(move || {
            let index = File::open(path).map_err(IndexError::Read)?;
            indexes.load(&of, &index, &File::open(source).map_err(IndexError::Read)?)
        });
        let reason = match loaded.await {
            Ok(Ok(index)) => return Some(index),
            Ok(Err(IndexError::Impossible)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        match self.make_index(task_id, export).await {
            Ok(index) => {
                info!(%task_id, reason, usable = index.is_some(), "the index of the results was made again");
                index
            }
            Err(error) => {
                warn!(%task_id, reason, %error, "the index of the results could not be made again");
                None
            }
        }
    }

    pub(super) async fn make_index(
        &self,
        task_id: &TaskId,
        export: &Path,
    ) -> Result<Option<Arc<ExportIndex>>, ServiceError> {
        let artifact = self.tasks.begin_artifact(task_id, INDEX_FILE).await?;
        let (path, export) = (artifact.temporary_path().to_owned(), export.to_owned());
        let output = artifact.writer().map_err(ResultsError::Write)?;
        let made = blocking::run(move || -> Result<_, ServiceError> {
            let export = open(&export)?;
            ExportIndex::build(&export, output)?;
            Ok(ExportIndex::load(&open(&path)?, &export).ok().map(Arc::new))
        });
        let index = made.await.map_err(ResultsError::Read)??;
        // One that is of no use is kept too: it says so.
        self.tasks.publish(artifact, Writer::Api).await?;
        Ok(index)
    }
}
