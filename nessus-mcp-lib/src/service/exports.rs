//! The exports of tasks and their indexes, which are made where they are missing.

use std::{fs::File, sync::Arc};

use tracing::{info, warn};

use super::{ScanService, error::ServiceError};
use crate::{
    blocking,
    error::{chain, is_away},
    ids::TaskId,
    results::{ExportIndex, Extent, IndexError, ResultsError},
    task::{EXPORT_FILE, INDEX_FILE, ResultPlace, Task, Writer},
};

impl ScanService {
    /// A task, and where its export is.
    pub(super) async fn task_and_export(&self, task_id: &TaskId) -> Result<(Task, ResultPlace), ServiceError> {
        let (task, has_export) = self.task_with_export(task_id).await?;
        if !task.status.is_terminal() {
            return Err(ServiceError::ResultsNotReady { task_id: task.task_id, status: task.status });
        }
        if !has_export {
            return Err(ServiceError::NoResults {
                task_id: task.task_id,
                status: task.status,
                reason: task.error_code,
            });
        }
        let export = self.tasks.place(&task, EXPORT_FILE);
        Ok((task, export))
    }

    /// How large an export is, for what reading it takes, and its index if it is known.
    pub(super) async fn look_at_export(
        &self,
        task: &Task,
        export: &ResultPlace,
    ) -> Result<(Extent, Option<Arc<ExportIndex>>), ServiceError> {
        let (index, export) = (self.tasks.place(task, INDEX_FILE), export.clone());
        let (task_id, indexes) = (task.task_id.clone(), self.indexes.clone());
        let looked = blocking::run(move || {
            let (export, index) = (export.open()?, index.try_open().ok());
            let known = index.as_ref().and_then(|index| indexes.get(&task_id, index, &export));
            let index = index.as_ref().map(|index| &index.source);
            let extent =
                known.as_ref().map_or_else(|| Extent::of(&export.source, index), |index| Extent::of_index(index));
            Ok((extent, known))
        });
        looked.await.map_err(ServiceError::stopping)?
    }

    /// The index of an export. One that is missing or does not fit is made again; `None` when that cannot be done, and
    /// the export has to be read without.
    pub(super) async fn index_of(&self, task: &Task, export: &ResultPlace) -> Option<Arc<ExportIndex>> {
        let (place, source, task_id) = (self.tasks.place(task, INDEX_FILE), export.clone(), &task.task_id);
        let (of, indexes) = (task_id.clone(), self.indexes.clone());
        let loaded = blocking::run(move || {
            let index = place.try_open().map_err(IndexError::Read)?;
            indexes.load(&of, &index, &source.try_open().map_err(IndexError::Read)?)
        });
        let reason = match loaded.await {
            Ok(Ok(index)) => return Some(index),
            Ok(Err(IndexError::Impossible)) => return None,
            // A store that does not answer would not give the export either, of which to make another.
            Ok(Err(IndexError::Read(error))) if is_away(&error) => {
                warn!(%task_id, error = chain(&error), "the index of the results cannot be read");
                return None;
            }
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
        export: &ResultPlace,
    ) -> Result<Option<Arc<ExportIndex>>, ServiceError> {
        let artifact = self.tasks.begin_artifact(task_id, INDEX_FILE).await?;
        let (path, export) = (artifact.temporary_path().to_owned(), export.clone());
        let output = artifact.writer().map_err(ResultsError::Write)?;
        let made = blocking::run(move || -> Result<_, ServiceError> {
            let export = export.open()?.source;
            ExportIndex::build(&export, output)?;
            let index = File::open(path).map_err(ResultsError::Read)?;
            Ok(ExportIndex::load(&index.into(), &export).ok().map(Arc::new))
        });
        let index = made.await.map_err(ResultsError::Read)??;
        // One that is of no use is kept too: it says so.
        self.tasks.publish(artifact, Writer::Api).await?;
        Ok(index)
    }
}
