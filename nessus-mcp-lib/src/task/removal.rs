//! Removing tasks that nobody needs any more, and what killed processes have left.
//!
//! ```text
//! archive/{task_id}.json       written first: what is left of a removed task
//! tasks/{task_id}.removed      it stands under a name that no reader takes for a task; then its files go, task.json last
//! ```
//!
//! A task is decided about, archived and moved away under one hold, so whoever changes or reads it at the same moment comes before
//! or after all of that. Whatever is killed in between is finished by the next run. In a directory, nothing follows a symbolic link, and a
//! task with anything beside it that this version does not write stays as it is.

use serde_json::json;

use super::{
    error::TaskError,
    manager::TaskManager,
    model::Task,
    store::{Abandoned, Hold, Inspected, Inventory, TaskStore},
};
use crate::{fail_points::fail_point, ids::TaskId, queue::CatalogueRecord, time::Timestamp};

/// A task that is archived and about to be removed. Nobody changes it meanwhile.
#[derive(Debug)]
pub(crate) struct Removal {
    task: Task,
    hold: Hold,
}

impl Removal {
    /// The task as it was archived.
    pub(crate) const fn task(&self) -> &Task {
        &self.task
    }
}

impl TaskManager {
    /// What lies in `tasks/`.
    pub(crate) async fn inventory(&self) -> Result<Inventory, TaskError> {
        self.store.blocking(TaskStore::inventory).await
    }

    /// Reads these tasks, and looks what else lies in their directories.
    pub(crate) async fn inspect(&self, ids: Vec<TaskId>) -> Result<Vec<Inspected>, TaskError> {
        let inspect = move |store: &TaskStore| Ok(ids.iter().map(|task_id| store.inspect(task_id)).collect());
        self.store.blocking(inspect).await
    }

    /// Locks and archives a task that is to be removed, if `judge` still lets it go; `None` if not.
    pub(crate) async fn begin_removal(
        &self,
        task_id: &TaskId,
        judge: impl FnOnce(&Task) -> bool + Send + 'static,
        archived_at: Timestamp,
    ) -> Result<Option<Removal>, TaskError> {
        let task_id = task_id.clone();
        let removal = self.store.blocking(move |store| begin_removal(store, &task_id, judge, archived_at)).await?;
        fail_point!("housekeeping_archived");
        Ok(removal)
    }

    /// Removes a task for good. Whoever waits for its lock finds that it is not there any more.
    pub(crate) async fn finish_removal(&self, removal: Removal) -> Result<(), TaskError> {
        let manager = self.clone();
        self.to_its_end(async move {
            let Removal { task, hold } = removal;
            let moved = manager.store.blocking(move |store| {
                store.move_away(&hold, &task)?;
                Ok(task)
            });
            let task = moved.await?;
            fail_point!("housekeeping_moved");
            manager.note_removed(&task).await;
            fail_point!("housekeeping_recorded");
            manager.store.blocking(move |store| store.remove_moved(&task.task_id)).await?;
            Ok(())
        })
        .await
    }

    /// Goes on with a removal that was cut short; whether the task is gone now.
    pub(crate) async fn resume_removal(&self, task_id: &TaskId) -> Result<bool, TaskError> {
        let moved = task_id.clone();
        if let Some(task) = self.store.blocking(move |store| store.moved_task(&moved)).await? {
            self.note_removed(&task).await;
        }
        let task_id = task_id.clone();
        self.store.blocking(move |store| store.remove_moved(&task_id)).await
    }

    async fn note_removed(&self, task: &Task) {
        if let Some(catalogue) = &self.catalogue {
            // Larger than what anybody has written, so that nothing that comes late brings it back.
            let revision = task.revision.saturating_add(1);
            catalogue.note(CatalogueRecord::gone(task.task_id.clone(), revision)).await;
        }
    }

    /// Removes what killed processes left in the data directory and nobody has touched for a day; returns the names, and those that
    /// could not be removed. In a dry run it only returns them. The age is taken from the times that the place of the tasks keeps itself.
    ///
    /// # Errors
    /// When nothing can be removed at all.
    pub(crate) async fn remove_abandoned(&self, tasks: Vec<TaskId>, dry_run: bool) -> Result<Abandoned, TaskError> {
        self.store.blocking(move |store| store.remove_abandoned(&tasks, dry_run)).await
    }
}

/// Takes hold of a task that `judge` lets go, after it was read once more, and archives it.
fn begin_removal(
    store: &TaskStore,
    task_id: &TaskId,
    judge: impl FnOnce(&Task) -> bool,
    archived_at: Timestamp,
) -> Result<Option<Removal>, TaskError> {
    let hold = store.hold(task_id)?;
    let task = store.read_held(&hold, task_id)?;
    if !judge(&task) || store.has_foreign(task_id)? {
        return Ok(None);
    }
    store.archive(task_id.as_str(), &json!({ "task": task, "archived_at": archived_at }))?;
    Ok(Some(Removal { task, hold }))
}
