//! The catalogue as a process has it in memory, in the order of lists.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use super::{
    entry::{SharedTexts, TaskEntry, TaskFacts},
    model::Task,
    query::TaskQuery,
    store::newest_first,
};
use crate::{ids::TaskId, queue::CatalogueRecord};

/// A task's place in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place(TaskId);

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        newest_first(&self.0, &other.0)
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a query found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The first tasks behind the query's cursor that match, newest first, with the revision that is known.
    pub(super) tasks: Vec<(TaskId, Option<u64>)>,
    /// How many match, wherever the cursor stands.
    pub(super) total: usize,
    /// Whether more match behind these.
    pub(super) more: bool,
    /// Tasks whose file could not be read.
    pub(super) unreadable: Vec<(TaskId, Option<u64>)>,
}

/// What is known of a task.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) revision: u64,
    pub(super) unfinished: bool,
    pub(super) entry: TaskEntry,
}

impl Recorded {
    /// Whether this is what is to be recorded of a task.
    pub(super) fn says(&self, task: &Task, login_is_left: bool) -> bool {
        let is_unfinished = login_is_left || !task.status.is_terminal();
        self.unfinished == is_unfinished && self.entry == TaskEntry::of(task)
    }
}

/// The entries of all tasks, as they were after the change of a number.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// The mark of the catalogue they come from; `None` for none yet.
    pub(super) mark: Option<String>,
    pub(super) last: u64,
    entries: BTreeMap<Place, Recorded>,
    shared: SharedTexts,
}

impl Mirror {
    /// A mirror of a catalogue with this mark, of which nothing is known yet.
    pub(super) fn of(mark: Option<String>) -> Self {
        Self { mark, ..Self::default() }
    }

    /// Takes over what has changed up to a number. Fails at a record of another version.
    pub(super) fn take(&mut self, records: Vec<CatalogueRecord>, last: u64) -> Result<(), TaskId> {
        for record in records {
            let place = Place(record.task_id);
            let Some(text) = record.entry else {
                self.entries.remove(&place);
                continue;
            };
            let Some(entry) = TaskEntry::parse(&text) else { return Err(place.0) };
            let (revision, unfinished, entry) = (record.revision, record.unfinished, self.shared.share(entry));
            self.entries.insert(place, Recorded { revision, unfinished, entry });
        }
        self.last = last;
        Ok(())
    }

    /// The tasks that match as far as is known here, and whose files say the rest.
    pub(super) fn undecided(&self, query: &TaskQuery) -> Vec<TaskId> {
        let mut undecided = Vec::new();
        if query.targets.is_some() || query.error_code.is_some() {
            self.visit(&query.without_undecided(), |task_id, facts| {
                undecided.extend(query.is_undecided(facts).then(|| task_id.clone()));
                ControlFlow::Continue(())
            });
        }
        undecided
    }

    /// The tasks that match, at most `most` of them (0 for all); of the undecided, those whose files were found to match.
    pub(super) fn find(&self, query: &TaskQuery, most: usize, decided: &HashSet<TaskId>) -> Found {
        let mut found = Found::default();
        for (Place(task_id), Recorded { revision, entry, .. }) in &self.entries {
            if !query.matches_id(task_id) {
                continue;
            }
            match entry {
                TaskEntry::Task(facts) if query.matches(facts) || decided.contains(task_id) => {
                    found.total += 1;
                    let is_wanted = !query.is_before_cursor(task_id);
                    let has_room = most == 0 || found.tasks.len() < most;
                    if is_wanted && has_room {
                        found.tasks.push((task_id.clone(), Some(*revision)));
                    }
                    found.more |= is_wanted && !has_room;
                }
                TaskEntry::Task(_) => {}
                TaskEntry::Unreadable(_) => found.unreadable.push((task_id.clone(), Some(*revision))),
            }
        }
        found
    }

    /// Shows the tasks that match, newest first, until it is enough.
    pub(super) fn visit(&self, query: &TaskQuery, mut visit: impl FnMut(&TaskId, &TaskFacts) -> ControlFlow<()>) {
        for (Place(task_id), known) in &self.entries {
            if let TaskEntry::Task(facts) = &known.entry
                && query.matches_id(task_id)
                && query.matches(facts)
                && visit(task_id, facts).is_break()
            {
                return;
            }
        }
    }

    /// All tasks, with what is known of them.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (&TaskId, &Recorded)> {
        self.entries.iter().map(|(Place(task_id), known)| (task_id, known))
    }

    /// What is known of a task.
    pub(super) fn get(&self, task_id: &TaskId) -> Option<&Recorded> {
        self.entries.get(&Place(task_id.clone()))
    }
}
