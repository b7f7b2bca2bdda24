//! What came of deliveries and could not be written down: a webhook is not told the same over and over while a disk fails.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{ids::TaskId, task::Delivery};

/// How much is remembered at most, of either kind. What is forgotten is told, or said, once more.
const MOST: usize = 4096;

#[derive(Debug)]
struct Outcome {
    id: String,
    tried: Delivery,
    after: Delivery,
}

#[derive(Debug, Default)]
struct Known {
    /// The oldest first.
    outcomes: VecDeque<Outcome>,
    /// The tasks that could not be looked after the last time.
    troubles: HashSet<TaskId>,
}

/// What this process could not write down.
#[derive(Debug, Default)]
pub(super) struct Unwritten(Mutex<Known>);

impl Unwritten {
    /// Remembers what came of a delivery, by its id.
    pub(super) fn remember(&self, id: String, tried: Delivery, after: Delivery) {
        let mut known = self.known();
        known.outcomes.retain(|outcome| outcome.id != id);
        if known.outcomes.len() >= MOST {
            known.outcomes.pop_front();
        }
        known.outcomes.push_back(Outcome { id, tried, after });
    }

    /// What came of a delivery that stands in its file as it stood before it was tried.
    pub(super) fn outcome(&self, id: &str, delivery: &Delivery) -> Option<Delivery> {
        let known = self.known();
        let outcome = known.outcomes.iter().find(|outcome| outcome.id == id && outcome.tried == *delivery)?;
        Some(outcome.after.clone())
    }

    /// It is written down.
    pub(super) fn forget(&self, id: &str) {
        self.known().outcomes.retain(|outcome| outcome.id != id);
    }

    /// Whether it is new that a task cannot be looked after.
    pub(super) fn is_new_trouble(&self, task_id: &TaskId) -> bool {
        let mut known = self.known();
        if known.troubles.len() >= MOST {
            known.troubles.clear();
        }
        known.troubles.insert(task_id.clone())
    }

    /// A task was looked after.
    pub(super) fn settled(&self, task_id: &TaskId) {
        self.known().troubles.remove(task_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
