//! What the reconciler asks: which tasks have to be looked after, and whether the catalogue says what the files say.

use std::{collections::HashSet, sync::Arc};

use tracing::warn;

use super::{
    catalogue::Catalogue,
    entry::{TaskEntry, digest},
    error::TaskError,
    manager::TaskManager,
    mirror::{Mirror, Recorded},
    model::Task,
    query::TaskQuery,
    repair::{Rebuild, Unfinished},
    store::TaskStore,
};
use crate::{
    error::counted,
    ids::TaskId,
    queue::{CATALOGUE_BATCH, CatalogueState},
};

/// How many files are read at once.
const READ_AT_ONCE: usize = 200;
/// How often the unfinished tasks are asked for again when the catalogue was made again meanwhile.
const ROUNDS: usize = 3;

/// What was found when all task files were compared with the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueAudit {
    /// Tasks whose file was read.
    pub tasks: usize,
    /// Tasks that the catalogue did not have.
    pub missing: usize,
    /// Tasks of which it said other than their files.
    pub wrong: usize,
    /// Tasks that it had and that are not there any more.
    pub gone: usize,
    /// Tasks whose file cannot be read, with the reason.
    pub unreadable: Vec<(TaskId, String)>,
    /// Whether the catalogue was not whole. A repair has made it again before it compared the files; without one, nothing was
    /// compared with it.
    pub was_lost: bool,
}

impl TaskManager {
    /// Begins to read all tasks, and to make the catalogue again by that.
    pub(crate) async fn begin_rebuild(&self) -> Result<Rebuild, TaskError> {
        Rebuild::begin(self.catalogue.clone(), self.store.clone()).await
    }

    /// Whether there are changes that could not be recorded yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.catalogue.as_ref().is_some_and(|catalogue| catalogue.is_behind())
    }

    /// Records them.
    pub(crate) async fn record_rest(&self) -> Result<(), TaskError> {
        match &self.catalogue {
            Some(catalogue) => catalogue.record_rest().await,
            None => Ok(()),
        }
    }

    /// The tasks that have to be looked after, oldest first, after the catalogue was made again if it is not whole, and was compared
    /// with the names of the files if there are more or fewer.
    pub(crate) async fn unfinished(&self) -> Result<Vec<Unfinished>, TaskError> {
        let by_catalogue = match &self.catalogue {
            Some(catalogue) => unfinished_of(catalogue).await?,
            None => None,
        };
        let mut unfinished = if let Some(unfinished) = by_catalogue {
            unfinished
        } else {
            let tasks = self.list(TaskQuery::default().unfinished()).await?.tasks;
            tasks.into_iter().map(|task| Unfinished { task_id: task.task_id, known: None }).collect()
        };
        unfinished.sort_by(|one, other| super::store::newest_first(&other.task_id, &one.task_id));
        Ok(unfinished)
    }

    /// The task, if its file can be read and it has not ended, or webhooks are to be told of it; its record is made right if it is wrong.
    pub(crate) async fn compare(&self, unfinished: &Unfinished) -> Result<Option<Task>, TaskError> {
        if let (Some(catalogue), Some(_)) = (&self.catalogue, &unfinished.known) {
            return catalogue.compare(unfinished).await;
        }
        match self.get(&unfinished.task_id).await {
            Err(error) if error.is_shortage() => Err(error),
            read => Ok(read.ok().filter(|task| !task.status.is_terminal() || task.has_deliveries())),
        }
    }

    /// Records what the file of a task says, whatever the catalogue has of it.
    pub(crate) async fn record_again(&self, task_id: &TaskId) {
        let Some(catalogue) = &self.catalogue else { return };
        let task_id = task_id.clone();
        let read = catalogue.store.blocking(move |store| {
            let task = store.read(&task_id)?;
            Ok(TaskEntry::record(&task, store.has_login_left(&task)))
        });
        if let Ok(record) = read.await {
            catalogue.note(record).await;
        }
    }

    /// Compares all files with the catalogue and makes right what it has wrong; `None` where none is kept.
    pub(crate) async fn repair(&self) -> Result<Option<CatalogueAudit>, TaskError> {
        let Some(catalogue) = &self.catalogue else { return Ok(None) };
        let _alone = catalogue.updating.lock().await;
        let Some(directory) = catalogue.directory().await? else { return Ok(None) };
        let was_lost = !catalogue.catch_up(&directory).await?;
        if was_lost {
            catalogue.rebuild().await?;
            catalogue.catch_up_whole(&directory).await?;
        }
        let (audit, wrong) = compare_all(catalogue, &directory).await?;
        catalogue.mend(wrong).await?;
        Ok(Some(CatalogueAudit { was_lost, ..audit }))
    }

    /// Compares all files with the catalogue and changes nothing; `None` where none is kept.
    pub(crate) async fn audit(&self) -> Result<Option<CatalogueAudit>, TaskError> {
        let Some(catalogue) = &self.catalogue else { return Ok(None) };
        let _alone = catalogue.updating.lock().await;
        let whole = match catalogue.directory().await? {
            Some(directory) if catalogue.catch_up(&directory).await? => Some(directory),
            _ => None,
        };
        if let Some(directory) = whole {
            return Ok(Some(compare_all(catalogue, &directory).await?.0));
        }
        let read = |store: &TaskStore| {
            let mut audit = CatalogueAudit { was_lost: true, ..CatalogueAudit::default() };
            for task_id in store.list()? {
                match store.read(&task_id) {
                    Ok(_) => audit.tasks += 1,
                    Err(TaskError::NotFound(_)) => {}
                    Err(error) if error.is_shortage() => return Err(error),
                    Err(error) => audit.unreadable.push((task_id, error.to_string())),
                }
            }
            Ok(audit)
        };
        catalogue.store.blocking(read).await.map(Some)
    }

    /// The tasks that have not ended by their files, whatever the catalogue has of them. Those that cannot be read are left out.
    pub(crate) async fn unfinished_by_files(&self) -> Result<Vec<Task>, TaskError> {
        let read = |store: &TaskStore| {
            let mut unfinished = Vec::new();
            for task_id in store.list()? {
                match store.read(&task_id) {
                    Ok(task) if !task.status.is_terminal() || task.has_deliveries() => unfinished.push(task),
                    Err(error) if error.is_shortage() => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(unfinished)
        };
        self.store.blocking(read).await
    }
}

/// Compares all files with a catalogue that is whole. Returns what was found, and the records that are wrong.
async fn compare_all(
    catalogue: &Arc<Catalogue>,
    directory: &str,
) -> Result<(CatalogueAudit, Vec<(TaskId, Option<u64>)>), TaskError> {
    let names = catalogue.store.blocking(TaskStore::list).await?;
    let (mut first, mut suspects) = (CatalogueAudit::default(), Vec::new());
    for some in names.chunks(READ_AT_ONCE) {
        suspects.extend(compare_files(catalogue, some.to_vec(), &mut first).await?);
    }
    let names = names.into_iter().collect();
    suspects.extend(catalogue.blocking_mirror(move |mirror| without(mirror, &names)).await?);
    // Much may have changed while so many files were read: only what differs now is wrong.
    let (mut audit, mut wrong) = (CatalogueAudit::default(), Vec::new());
    for some in suspects.chunks(READ_AT_ONCE) {
        catalogue.catch_up_whole(directory).await?;
        let some = some.iter().map(|(task_id, _)| task_id.clone()).collect();
        wrong.extend(compare_files(catalogue, some, &mut audit).await?);
    }
    audit.tasks = first.tasks;
    Ok((audit, wrong))
}

/// Tasks that the mirror has and that are not among these.
fn without(mirror: &Mirror, names: &HashSet<TaskId>) -> Vec<(TaskId, Option<u64>)> {
    let of_others = mirror.tasks().filter(|(task_id, _)| !names.contains(*task_id));
    of_others.map(|(task_id, known)| (task_id.clone(), Some(known.revision))).collect()
}

/// Reads files, and returns those of which the mirror says something else.
async fn compare_files(
    catalogue: &Arc<Catalogue>,
    some: Vec<TaskId>,
    audit: &mut CatalogueAudit,
) -> Result<Vec<(TaskId, Option<u64>)>, TaskError> {
    let read = catalogue.store.blocking(move |store| {
        Ok(store.each(&some, |task_id| {
            let read = store.read(task_id);
            let login_is_left = read.as_ref().is_ok_and(|task| store.has_login_left(task));
            (task_id.clone(), read, login_is_left)
        }))
    });
    let mut wrong = Vec::new();
    for (task_id, read, login_is_left) in read.await? {
        let mirror = catalogue.mirror();
        let known = mirror.get(&task_id);
        let revision = known.map(|known| known.revision);
        match read {
            Ok(task) => {
                audit.tasks += 1;
                let agrees = |known: &Recorded| known.revision <= task.revision && known.says(&task, login_is_left);
                match known {
                    Some(known) if agrees(known) && !login_is_left => continue,
                    Some(_) => audit.wrong += 1,
                    None => audit.missing += 1,
                }
            }
            Err(TaskError::NotFound(_)) if known.is_none() => continue,
            Err(TaskError::NotFound(_)) => audit.gone += 1,
            Err(error) if error.is_shortage() => return Err(error),
            Err(error) => audit.unreadable.push((task_id.clone(), error.to_string())),
        }
        wrong.push((task_id, revision));
    }
    Ok(wrong)
}

/// The unfinished tasks of a catalogue, made whole before; `None` while the directory has no id.
async fn unfinished_of(catalogue: &Arc<Catalogue>) -> Result<Option<Vec<Unfinished>>, TaskError> {
    let Some(directory) = catalogue.directory().await? else { return Ok(None) };
    for _ in 0..ROUNDS {
        let state = whole_state(catalogue, &directory).await?;
        let mut names = catalogue.store.blocking(TaskStore::ids).await?;
        let empty = catalogue.empty().clone();
        if !empty.is_empty() {
            let still = move |store: &TaskStore| {
                names.retain(|task_id| !empty.contains(task_id) || store.has_file(task_id));
                Ok(names)
            };
            names = catalogue.store.blocking(still).await?;
        }
        if names.len() as u64 != state.tasks {
            compare_names(catalogue, names, &directory).await?;
        }
        let (mut unfinished, mut after) = (Vec::new(), None);
        loop {
            let records = catalogue.queue.unfinished_records(after, CATALOGUE_BATCH).await?;
            after = records.last().map(|record| record.task_id.clone());
            let is_last = records.len() < CATALOGUE_BATCH;
            unfinished.extend(records.into_iter().map(|record| {
                let known = Some((record.revision, digest(&record)));
                Unfinished { task_id: record.task_id, known }
            }));
            if is_last {
                break;
            }
        }
        // Were it lost or made again meanwhile, these might be a part.
        let now = catalogue.queue.catalogue_state().await?;
        if now.mark == state.mark {
            return Ok(Some(unfinished));
        }
    }
    Err(Catalogue::lost())
}

/// The state of the catalogue, after it was made again where it was not whole.
async fn whole_state(catalogue: &Arc<Catalogue>, directory: &str) -> Result<CatalogueState, TaskError> {
    let is_whole = |state: &CatalogueState| Catalogue::is_ours(state.mark.as_deref(), directory);
    let state = catalogue.queue.catalogue_state().await?;
    if is_whole(&state) {
        return Ok(state);
    }
    let _alone = catalogue.updating.lock().await;
    // Whoever had the lock before may have made it again.
    let state = catalogue.queue.catalogue_state().await?;
    if is_whole(&state) {
        return Ok(state);
    }
    catalogue.rebuild().await?;
    let state = catalogue.queue.catalogue_state().await?;
    if is_whole(&state) { Ok(state) } else { Err(Catalogue::lost()) }
}

/// Looks at the tasks that only the directory or only the catalogue has: another version of the program may have made or removed them.
async fn compare_names(catalogue: &Arc<Catalogue>, names: Vec<TaskId>, directory: &str) -> Result<(), TaskError> {
    let _alone = catalogue.updating.lock().await;
    catalogue.catch_up_whole(directory).await?;
    let (only_files, mut differ) = catalogue
        .blocking_mirror(move |mirror| {
            let only_files: Vec<_> = names.iter().filter(|task_id| mirror.get(task_id).is_none()).cloned().collect();
            (only_files, without(mirror, &names.into_iter().collect()))
        })
        .await?;
    let parted = catalogue
        .store
        .blocking(move |store| Ok(only_files.into_iter().partition::<Vec<_>, _>(|task_id| store.has_file(task_id))));
    let (with_file, empty) = parted.await?;
    differ.extend(with_file.into_iter().map(|task_id| (task_id, None)));
    if !differ.is_empty() {
        warn!(
            "{} in the catalogue of tasks or in the data directory only: the catalogue is made right",
            counted(differ.len(), "task was", "tasks were")
        );
    }
    // A directory without a file is a task that was never accepted: it need not be looked for in the mirror each time.
    catalogue.empty().extend(empty);
    catalogue.mend(differ).await?;
    Ok(())
}
