//! The tasks that this process knows to wait for a person.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{ids::TaskId, policy::Sight, task::Task};

/// The tasks that are known to wait. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingForApproval(Arc<Mutex<BTreeMap<TaskId, Owner>>>);

/// Whose a task is, which never changes: so nobody need read a task to know who may not see it.
#[derive(Debug)]
struct Owner {
    submitted_by: Option<String>,
    team: Option<String>,
}

impl WaitingForApproval {
    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are known now.
    pub(super) fn all(&self) -> Vec<TaskId> {
        self.seen_by(&Sight::All)
    }

    /// Those that may be seen so.
    pub(super) fn seen_by(&self, sight: &Sight) -> Vec<TaskId> {
        let tasks = self.tasks();
        let seen = tasks.iter().filter(|(_, of)| sight.includes(of.submitted_by.as_deref(), of.team.as_deref()));
        seen.map(|(task_id, _)| task_id.clone()).collect()
    }

    /// One that does not wait any more.
    pub(super) fn remove(&self, task_id: &TaskId) {
        self.tasks().remove(task_id);
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.tasks().len()
    }

    /// One more that waits; whether it is new.
    pub(super) fn insert(&self, task: &Task) -> bool {
        let owner = Owner { submitted_by: task.submitted_by.clone(), team: task.team.clone() };
        self.tasks().insert(task.task_id.clone(), owner).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{PoolName, TraceId},
        task::{ScanPayload, ScanType},
        time::Timestamp,
    };

    /// Whoever may not see a task is told nothing of it, not even by the time that its file takes to be read.
    #[test]
    fn only_what_may_be_seen_is_named() {
        let waiting = WaitingForApproval::default();
        let [hers, of_her_team, anothers] =
            [("ann", None), ("bob", Some("red")), ("cem", Some("blue"))].map(|(by, team)| {
                let at = Timestamp::from_millis(0);
                let payload = ScanPayload::new("x", "192.0.2.1");
                let pool = PoolName::new("lab").unwrap();
                let id = TaskId::generate("mock", pool.as_str(), at);
                let mut task = Task::new(id, TraceId::generate(), ScanType::Untrusted, "mock", pool, payload, at);
                (task.submitted_by, task.team) = (Some(by.to_owned()), team.map(str::to_owned));
                assert!(waiting.insert(&task) && !waiting.insert(&task));
                task.task_id
            });
        let seen = |team: Option<&str>| waiting.seen_by(&Sight::Of { name: "ann".into(), team: team.map(Into::into) });
        assert_eq!(seen(None), std::slice::from_ref(&hers));
        let with_team = seen(Some("red"));
        assert!(with_team.len() == 2 && with_team.contains(&hers) && with_team.contains(&of_her_team));
        assert_eq!((waiting.all().len(), waiting.all().contains(&anothers)), (3, true));
    }
}
