//! The files of results of a task: written where nobody sees them, published by who holds the task, and opened wherever they are kept.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    error::TaskError,
    manager::{TaskManager, Writer, check_writer},
    model::Task,
    place::ResultPlace,
    store::TaskStore,
};
#[cfg(feature = "objects")]
use crate::parts::PartFigures;
use crate::{durable::DurableFile, ids::TaskId, source::Source};

/// A file of a task that is being written; it appears with [`TaskManager::publish`] or not at all.
#[derive(Debug)]
pub(crate) struct Artifact {
    task_id: TaskId,
    name: String,
    file: DurableFile,
}

impl Artifact {
    /// A handle to write the content with.
    pub(crate) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Where the content can be read before it is published.
    pub(crate) fn temporary_path(&self) -> &Path {
        self.file.temporary_path()
    }
}

impl TaskManager {
    /// Where a file of a task is, whether it exists or not.
    pub fn artifact_path(&self, task_id: &TaskId, name: &str) -> PathBuf {
        self.store.path(task_id, name)
    }

    /// Where a result of a task is, to be read.
    pub(crate) fn place(&self, task: &Task, name: &str) -> ResultPlace {
        self.store.place(task, name)
    }

    /// Whether all of a file of results is there, as the place of the tasks says without a reading; `None` where only a reading tells.
    pub(crate) async fn is_whole(&self, task: &Task, name: &'static str) -> Result<Option<bool>, TaskError> {
        let task = task.clone();
        self.store.blocking(move |store| store.is_whole(&task, name)).await
    }

    /// What this process has done to fetch results; `None` where they are read where they lie.
    #[cfg(feature = "objects")]
    pub(crate) fn part_figures(&self) -> Option<PartFigures> {
        self.store.figures()
    }

    /// Opens a file of a task's results, such as [`EXPORT_FILE`](super::EXPORT_FILE), wherever it is kept; `None` where the task has none.
    /// What is read of it may have to be fetched, so it is read on a thread that may block.
    ///
    /// # Errors
    /// [`TaskError::Storage`] when it cannot be read.
    pub async fn open_results(&self, task: &Task, name: &str) -> Result<Option<Source>, TaskError> {
        let place = self.place(task, name);
        let open = move |_: &TaskStore| match place.try_open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(opened.map_err(TaskError::storage("cannot read", place.to_string()))?.source)),
        };
        self.store.blocking(open).await
    }

    /// Begins to write a file of a task.
    pub(crate) async fn begin_artifact(&self, task_id: &TaskId, name: &str) -> Result<Artifact, TaskError> {
        let (task_id, name) = (task_id.clone(), name.to_owned());
        self.store
            .blocking(move |store| {
                let file = store.begin_file(&task_id, &name)?;
                Ok(Artifact { task_id, name, file })
            })
            .await
    }

    /// Removes the unfinished files that a killed worker has left of a task; returns how many.
    ///
    /// # Errors
    /// As [`TaskManager::update`] for a writer that does not hold the task: the files may be its successor's.
    pub(crate) async fn remove_leftovers(&self, task_id: &TaskId, writer: Writer) -> Result<usize, TaskError> {
        let task_id = task_id.clone();
        self.store
            .blocking(move |store| {
                let hold = store.hold(&task_id)?;
                let task = store.read_held(&hold, &task_id)?;
                check_writer(&task, writer)?;
                store.remove_leftovers(&task)
            })
            .await
    }

    /// Gives a written file its name, durably, if the writer still holds the task.
    ///
    /// # Errors
    /// As [`TaskManager::update`]; the file is then thrown away.
    pub(crate) async fn publish(&self, artifact: Artifact, writer: Writer) -> Result<(), TaskError> {
        self.store
            .blocking(move |store| {
                let Artifact { task_id, name, file } = artifact;
                let file = store.prepare(&task_id, &name, file)?;
                store.publish(&task_id, &name, file, |task| check_writer(task, writer))
            })
            .await
    }
}
