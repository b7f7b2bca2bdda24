//! Who asks, and the one place where the tasks that callers ask for are looked up.
//!
//! Everything that a caller learns of a task, by its id, in a list or as a completion, comes from here. A task that it may not
//! see does not exist for it.

use std::sync::Arc;

use super::{IdempotencyKey, ScanService, SubmitRequest, error::ServiceError};
use crate::{
    config::host_name,
    error::excerpt,
    ids::TaskId,
    policy::{LOCAL, Principal, Role, Sight},
    task::{Task, TaskError, TaskList, TaskQuery},
};

/// How many tasks are named where the beginning of an id means several.
const CANDIDATES: usize = 10;

/// The answer of [`ScanService::matching_tasks`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchingTasks {
    /// The tasks, newest first.
    pub tasks: Vec<TaskId>,
    /// Tasks whose file cannot be read: they may match.
    pub unreadable: Vec<TaskId>,
}

impl ScanService {
    /// The same service for a caller: its scans are submitted under its name, and of the tasks it sees what the policy in force
    /// lets it see. A caller with the role `read` changes nothing. Through a service that acts for nobody, as the embedding program has it,
    /// everything may be seen and done. An API of your own calls this for each request, with whom its login knows.
    pub fn acting_for(&self, caller: Principal) -> Self {
        Self { tasks: self.tasks.acting_as(actor_of(&caller)), caller: Some(caller), ..self.clone() }
    }

    /// The same service, whose changes are those of `actor`, such as `user@host`: the events of tasks and the log say so. Other than
    /// [`acting_for`](Self::acting_for), this changes nothing of what may be done and seen.
    pub fn with_actor(&self, actor: &str) -> Self {
        let actor: Arc<str> = actor.into();
        Self { tasks: self.tasks.acting_as(Arc::clone(&actor)), index: self.index.with_actor(actor), ..self.clone() }
    }

    /// Who changes something, as the log says.
    pub(super) fn actor(&self) -> &str {
        self.tasks.actor().unwrap_or("operator")
    }

    /// Whom the service acts for.
    pub fn caller(&self) -> Option<&Principal> {
        self.caller.as_ref()
    }

    /// Whether the caller looks after the system, as the role `admin`, whoever is on this machine, and the program itself do. Only
    /// they are told which machines and processes there are, and what is wrong with what the queue runs on.
    pub fn is_operator(&self) -> bool {
        self.caller().is_none_or(|caller| caller.role.may(Role::Admin) || caller.is_local())
    }

    /// The tasks that the caller may see.
    pub(super) fn sight(&self) -> Sight {
        self.caller().map_or(Sight::All, |caller| self.scope.policy().sight_of(caller))
    }

    /// The task that a caller names.
    ///
    /// # Errors
    /// [`TaskError::NotFound`] when there is none that it may see, and [`TaskError::Removed`] when there was one. Whose a damaged task
    /// is, nobody knows.
    pub(super) async fn task(&self, task_id: &TaskId) -> Result<Task, TaskError> {
        let seen = self.seen(task_id, self.tasks.get(task_id).await, |task| task);
        self.or_removed(task_id, seen).await
    }

    /// As [`task`](Self::task), and whether its export is there.
    pub(super) async fn task_with_export(&self, task_id: &TaskId) -> Result<(Task, bool), TaskError> {
        let seen = self.seen(task_id, self.tasks.get_with_export(task_id).await, |(task, _)| task);
        self.or_removed(task_id, seen).await
    }

    /// Says of a task that is not there when it was removed, to those who could see it.
    async fn or_removed<T>(&self, task_id: &TaskId, read: Result<T, TaskError>) -> Result<T, TaskError> {
        let Err(missing @ TaskError::NotFound(_)) = read else { return read };
        Err(match self.tasks.removed_task(task_id).await {
            Ok(Some((task, at))) if task.is_seen_by(&self.sight()) => {
                TaskError::Removed { task_id: task_id.clone(), at }
            }
            _ => missing,
        })
    }

    fn seen<T>(&self, task_id: &TaskId, read: Result<T, TaskError>, task: fn(&T) -> &Task) -> Result<T, TaskError> {
        let sight = self.sight();
        match read {
            Ok(read) if task(&read).is_seen_by(&sight) => Ok(read),
            Err(error) if sight == Sight::All || error.is_shortage() => Err(error),
            _ => Err(TaskError::NotFound(task_id.clone())),
        }
    }

    /// The tasks that match and that the caller may see, newest first. Whose a damaged task is, nobody knows.
    pub(super) async fn tasks_matching(&self, mut query: TaskQuery) -> Result<TaskList, TaskError> {
        let sight = self.sight();
        query.sight = sight.clone();
        let mut list = self.tasks.list(query).await?;
        if sight != Sight::All {
            list.unreadable.clear();
        }
        Ok(list)
    }

    /// The ids of the first tasks that match and that the caller may see, newest first, and how many match.
    pub(super) async fn ids_matching(&self, query: TaskQuery) -> Result<(Vec<TaskId>, usize), TaskError> {
        let most = query.limit;
        let mut found = self.matching_tasks(query).await?.tasks;
        let total = found.len();
        found.truncate(most);
        Ok((found, total))
    }

    /// All tasks that match and that the caller may see, by their ids: for an order that is to reach every one of them. The query's
    /// cursor counts, its limit does not.
    ///
    /// # Errors
    /// [`TaskError`] when the tasks cannot be read.
    pub async fn matching_tasks(&self, mut query: TaskQuery) -> Result<MatchingTasks, TaskError> {
        query.sight = self.sight();
        let is_all = query.sight == Sight::All;
        let (tasks, unreadable) = self.tasks.matching(query).await?;
        let unreadable = unreadable.into_iter().filter(|_| is_all).map(|(task_id, _)| task_id).collect();
        Ok(MatchingTasks { tasks, unreadable })
    }

    /// The task that a person names by its id, or by the beginning of its id if no other begins so.
    ///
    /// # Errors
    /// [`ServiceError::AmbiguousTask`] with the tasks that begin so, [`ServiceError::Invalid`] where none does. Whether there is a task
    /// with a whole id is not looked at.
    pub async fn find_task(&self, text: &str) -> Result<TaskId, ServiceError> {
        let text = text.trim();
        match Self::parse_task_id(text) {
            Err(_) if !text.is_empty() => {}
            whole => return whole,
        }
        let mut query = TaskQuery::default().with_limit(CANDIDATES);
        query.id_prefix = Some(text.to_owned());
        let (mut found, total) = self.ids_matching(query).await?;
        match (total, found.pop()) {
            (1, Some(task_id)) => Ok(task_id),
            (_, Some(last)) => {
                found.push(last);
                Err(ServiceError::AmbiguousTask { begin: excerpt(text).to_string(), candidates: found, total })
            }
            (_, None) => {
                let message = format!("is neither a task id nor the beginning of one: `{}`", excerpt(text));
                Err(ServiceError::invalid("task_id", message, "the list of tasks shows those there are".to_owned()))
            }
        }
    }

    /// The same request as one of its caller: nobody's idempotency key stands for the request of another.
    pub(super) fn as_of_caller(&self, mut request: SubmitRequest) -> SubmitRequest {
        if let Some(caller) = self.caller() {
            request.submitted_by = Some(caller.name.to_string());
            if &*caller.name != LOCAL {
                request.idempotency_key = request.idempotency_key.map(|key| IdempotencyKey::of(&caller.name, &key));
            }
        }
        request
    }
}
/// How events name a caller: a user of the operating system with the machine.
fn actor_of(caller: &Principal) -> String {
    match caller.name.strip_prefix("user:") {
        Some(user) => format!("{user}@{}", host_name()),
        None => caller.name.to_string(),
    }
}
