//! Lists of tasks: from the catalogue where it can be used, and else from all files. What a list shows of a task is always what
//! stands in its file.

use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tracing::{debug, warn};

use super::{
    catalogue::Catalogue,
    entry::TaskFacts,
    error::TaskError,
    manager::TaskManager,
    model::Task,
    query::{TaskCursor, TaskQuery},
    state::TaskStatus,
    store::TaskStore,
};
use crate::{
    error::{Classified as _, chain},
    ids::{PoolName, TaskId},
};

/// The answer of [`TaskManager::list`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TaskList {
    /// The tasks, newest first.
    pub tasks: Vec<Task>,
    /// How many match in all, whatever the query's cursor and limit.
    pub total: usize,
    /// The tasks behind these, to be asked for with [`TaskQuery::after`]; `None` behind the last.
    pub next: Option<TaskCursor>,
    /// Tasks whose file is known not to be readable, with the reason: they may belong here.
    pub unreadable: Vec<(TaskId, String)>,
}

impl TaskManager {
    /// The tasks that match, newest first, as they stand in their files. A task that cannot be read is said in the list, and once
    /// in the log; where no file can be opened for now, there is no list.
    pub async fn list(&self, query: TaskQuery) -> Result<TaskList, TaskError> {
        let query = query.in_lower_case();
        let by_catalogue = match self.catalogue_now().await {
            Some(catalogue) => self.list_by(&catalogue, query.clone()).await?,
            None => None,
        };
        let list = match by_catalogue {
            Some(list) => list,
            None => self.list_of_files(query).await?,
        };
        self.say_unreadable(&list);
        Ok(list)
    }

    /// The ids of the tasks that match, newest first, and the tasks that cannot be read, as in a [list](Self::list). Where there is a
    /// catalogue, only the files of those are read of which it does not say enough.
    pub(crate) async fn matching(&self, query: TaskQuery) -> Result<(Vec<TaskId>, Vec<(TaskId, String)>), TaskError> {
        let mut list = TaskList::default();
        let Some(catalogue) = self.catalogue_now().await else {
            list = self.list_of_files(query.in_lower_case().with_limit(0)).await?;
            return Ok((list.tasks.into_iter().map(|task| task.task_id).collect(), list.unreadable));
        };
        let found = catalogue.find(query.in_lower_case(), 0).await?;
        // One that can be read again is in no list before its record is right; whoever lists the tasks sees to that.
        self.look_again(&found.unreadable, &mut list).await?;
        Ok((found.tasks.into_iter().map(|(task_id, _)| task_id).collect(), list.unreadable))
    }

    fn say_unreadable(&self, list: &TaskList) {
        let mut logged = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        for (task_id, reason) in &list.unreadable {
            if logged.insert(task_id.clone()) {
                warn!(%task_id, reason, "a task cannot be read: it is in no list until its file is repaired");
            }
        }
        // One that can be read again, and is damaged later, is said again.
        if !logged.is_empty() {
            list.tasks.iter().for_each(|task| _ = logged.remove(&task.task_id));
        }
    }

    /// The catalogue, if it is whole: brought up to date, and made again where it is lost. `None` where lists have to be made from the
    /// files: there is none, the queue does not answer, is not that of this directory or has not heard of all changes yet.
    async fn catalogue_now(&self) -> Option<Arc<Catalogue>> {
        let catalogue = self.catalogue.as_ref()?;
        if !catalogue.record_rest_if_due().await {
            return None;
        }
        let _alone = catalogue.updating.lock().await;
        // Whoever has waited here for somebody who has waited in vain does not wait once more.
        if catalogue.has_just_failed() {
            return None;
        }
        let ready = make_ready(catalogue).await;
        if ready.is_err() {
            catalogue.notice_failure();
        }
        let was_said = catalogue.is_said.swap(ready.is_err(), Ordering::Relaxed);
        match ready {
            Ok(is_ready) => is_ready.then(|| Arc::clone(catalogue)),
            Err(error) if was_said => {
                debug!(error = chain(&error), "the catalogue of tasks still cannot be used");
                None
            }
            Err(error) => {
                warn!(
                    error = chain(&error),
                    hint = error.hint(),
                    "the catalogue of tasks cannot be used: all files are read"
                );
                None
            }
        }
    }

    /// The list as the catalogue finds it; `None` where it cannot be made to find all.
    async fn list_by(&self, catalogue: &Arc<Catalogue>, query: TaskQuery) -> Result<Option<TaskList>, TaskError> {
        let mut list = TaskList::default();
        let most = query.limit;
        let mut found = catalogue.find(query.clone(), most).await?;
        let readable = self.look_again(&found.unreadable, &mut list).await?;
        if !readable.is_empty() {
            if !mend_all(catalogue, readable).await {
                return Ok(None);
            }
            found = catalogue.find(query.clone(), most).await?;
        }
        list.total = found.total;
        loop {
            let end = found.tasks.last().map(|(task_id, _)| task_id.clone());
            let wrong = self.read_found(found.tasks, &query, &mut list).await?;
            list.total = list.total.saturating_sub(wrong.len());
            if !wrong.is_empty() {
                debug!(count = wrong.len(), "the catalogue of tasks said other than their files");
                // They are left out all the same.
                mend_all(catalogue, wrong).await;
            }
            let Some(end) = end.filter(|_| found.more) else { break };
            if list.tasks.len() >= most {
                list.next = Some(query.cursor_behind(&end));
                break;
            }
            found = catalogue.find(query.behind(&end), most - list.tasks.len()).await?;
        }
        Ok(Some(list))
    }

    /// Reads the tasks of a page; returns those that do not belong there, which the catalogue has wrong.
    async fn read_found(
        &self,
        tasks: Vec<(TaskId, Option<u64>)>,
        query: &TaskQuery,
        list: &mut TaskList,
    ) -> Result<Vec<(TaskId, Option<u64>)>, TaskError> {
        let ids: Vec<_> = tasks.iter().map(|(task_id, _)| task_id.clone()).collect();
        // A page is asked for again; all of them would drive out everything else that is kept.
        let read = if query.limit > 0 { TaskStore::look } else { TaskStore::read };
        let read = self.store.blocking(move |store| Ok(store.each(&ids, |id| read(store, id)))).await?;
        let mut wrong = Vec::new();
        for ((task_id, revision), read) in tasks.into_iter().zip(read) {
            match read {
                Ok(task) if query.matches(&TaskFacts::of(&task)) => list.tasks.push(task),
                Err(error) if error.is_shortage() => return Err(error),
                Err(error) if !matches!(error, TaskError::NotFound(_)) => {
                    list.unreadable.push((task_id.clone(), error.to_string()));
                    wrong.push((task_id, revision));
                }
                Ok(_) | Err(_) => wrong.push((task_id, revision)),
            }
        }
        Ok(wrong)
    }

    /// Looks again at tasks that could not be read: those that still cannot are said in the list, those that can are returned.
    async fn look_again(
        &self,
        unreadable: &[(TaskId, Option<u64>)],
        list: &mut TaskList,
    ) -> Result<Vec<(TaskId, Option<u64>)>, TaskError> {
        if unreadable.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = unreadable.iter().map(|(task_id, _)| task_id.clone()).collect();
        let read = self.store.blocking(move |store| Ok(store.each(&ids, |id| store.read(id)))).await?;
        let mut readable = Vec::new();
        for ((task_id, revision), read) in unreadable.iter().zip(read) {
            match read {
                Ok(_) => readable.push((task_id.clone(), *revision)),
                // It is just being created, or the reconciler will miss its directory.
                Err(TaskError::NotFound(_)) => {}
                Err(error) if error.is_shortage() => return Err(error),
                Err(error) => list.unreadable.push((task_id.clone(), error.to_string())),
            }
        }
        Ok(readable)
    }

    async fn list_of_files(&self, query: TaskQuery) -> Result<TaskList, TaskError> {
        self.store
            .blocking(move |store| {
                let mut list = TaskList::default();
                for task_id in store.list()?.into_iter().filter(|task_id| query.matches_id(task_id)) {
                    match store.read(&task_id) {
                        Ok(task) if query.matches(&TaskFacts::of(&task)) => {
                            list.total += 1;
                            if query.is_before_cursor(&task_id) {
                                continue;
                            }
                            if query.limit == 0 || list.tasks.len() < query.limit {
                                list.tasks.push(task);
                            } else if list.next.is_none() {
                                list.next = list.tasks.last().map(|last| query.cursor_behind(&last.task_id));
                            }
                        }
                        // A directory without a file is a task that was never accepted, or is just being created.
                        Ok(_) | Err(TaskError::NotFound(_)) => {}
                        Err(error) if error.is_shortage() => return Err(error),
                        Err(error) => list.unreadable.push((task_id, error.to_string())),
                    }
                }
                Ok(list)
            })
            .await
    }

    /// What `pick` makes of the tasks that match, newest first, until it breaks off. No file is read where there is a catalogue.
    pub(crate) async fn pick<T: Send + 'static>(
        &self,
        query: TaskQuery,
        mut pick: impl FnMut(&TaskId, &TaskFacts) -> ControlFlow<(), Option<T>> + Send + 'static,
    ) -> Result<Vec<T>, TaskError> {
        let (query, mut picked) = (query.in_lower_case(), Vec::new());
        let mut visit = move |picked: &mut Vec<T>, task_id: &TaskId, facts: &TaskFacts| match pick(task_id, facts) {
            ControlFlow::Break(()) => ControlFlow::Break(()),
            ControlFlow::Continue(one) => {
                picked.extend(one);
                ControlFlow::Continue(())
            }
        };
        if let Some(catalogue) = self.catalogue_now().await {
            return self
                .store
                .blocking(move |_| {
                    catalogue.mirror().visit(&query, |task_id, facts| visit(&mut picked, task_id, facts));
                    Ok(picked)
                })
                .await;
        }
        self.store
            .blocking(move |store| {
                for task_id in store.list()?.into_iter().filter(|task_id| query.matches_id(task_id)) {
                    let facts = match store.read(&task_id) {
                        Ok(task) => TaskFacts::of(&task),
                        Err(error) if error.is_shortage() => return Err(error),
                        // A task that cannot be read says nothing here; whoever lists tasks hears of it.
                        Err(_) => continue,
                    };
                    if query.matches(&facts) && visit(&mut picked, &task_id, &facts).is_break() {
                        break;
                    }
                }
                Ok(picked)
            })
            .await
    }

    /// How long the last completed scans of a pool took, at most `most` of them, the newest first.
    pub(crate) async fn recent_durations(&self, pool: &PoolName, most: usize) -> Result<Vec<Duration>, TaskError> {
        let query = TaskQuery::default().with_status(TaskStatus::Completed).with_pool(pool.clone());
        let mut left = most;
        let took = move |_: &TaskId, facts: &TaskFacts| {
            let Some(next) = left.checked_sub(1) else { return ControlFlow::Break(()) };
            if facts.took_ms.is_some() {
                left = next;
            }
            ControlFlow::Continue(facts.took_ms.map(Duration::from_millis))
        };
        self.pick(query, took).await
    }
}

/// Brings the catalogue up to date, after it was made again if it is not whole and this directory's; whether it is now.
async fn make_ready(catalogue: &Arc<Catalogue>) -> Result<bool, TaskError> {
    let Some(directory) = catalogue.directory().await? else { return Ok(false) };
    if catalogue.catch_up(&directory).await? {
        return Ok(true);
    }
    // A queue without a binding is rebuilt as a whole, and one of another directory is none of ours.
    if catalogue.in_time(catalogue.queue.binding()).await?.is_none_or(|binding| binding.directory != directory) {
        return Ok(false);
    }
    catalogue.rebuild().await?;
    catalogue.catch_up(&directory).await
}

/// Makes records right, and brings the mirror up to date. Whether it went well: no list fails because it did not.
async fn mend_all(catalogue: &Arc<Catalogue>, tasks: Vec<(TaskId, Option<u64>)>) -> bool {
    let mended = async {
        let left = catalogue.mend(tasks).await?;
        let _alone = catalogue.updating.lock().await;
        Ok::<_, TaskError>(left.is_empty() && make_ready(catalogue).await?)
    };
    mended.await.unwrap_or_else(|error| {
        warn!(
            error = chain(&error),
            hint = error.hint(),
            "what the catalogue of tasks has wrong cannot be made right for now"
        );
        false
    })
}
