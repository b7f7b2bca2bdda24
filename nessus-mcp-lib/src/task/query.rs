//! Which tasks a list shows.

use std::{cmp::Ordering, fmt, str::FromStr};

use sha2::{Digest, Sha256};

use super::{entry::TaskFacts, state::TaskStatus, store};
use crate::{
    hex,
    ids::{PoolName, TaskId},
    policy::Sight,
    targets::TargetSet,
    time::Timestamp,
};

/// Which tasks [`TaskManager::list`](super::TaskManager::list) returns: those for which all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskQuery {
    /// Only tasks in this state.
    pub status: Option<TaskStatus>,
    /// Only tasks that have not ended.
    pub unfinished: bool,
    /// Only tasks that a retry may run once more: those that failed or took too long.
    pub retryable: bool,
    /// Only tasks whose id begins so, in any case.
    pub id_prefix: Option<String>,
    /// Only tasks of this pool.
    pub pool: Option<PoolName>,
    /// Only tasks whose targets share an address or a name with these.
    pub targets: Option<TargetSet>,
    /// Only tasks with this in their name, in any case.
    pub name: Option<String>,
    /// Only tasks that this client submitted.
    pub owner: Option<String>,
    /// Only tasks that ended with this error code.
    pub error_code: Option<String>,
    /// Only tasks that were accepted then or later.
    pub created_from: Option<Timestamp>,
    /// Only tasks that were accepted before.
    pub created_before: Option<Timestamp>,
    /// Only tasks that may be seen.
    pub sight: Sight,
    /// Only tasks behind this place of the list; see [`TaskQuery::after`].
    cursor: Option<TaskCursor>,
    /// At most so many, the newest; 0 for all.
    pub limit: usize,
}

impl TaskQuery {
    /// Only tasks in this state.
    pub fn with_status(mut self, status: TaskStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only tasks that have not ended.
    pub fn unfinished(mut self) -> Self {
        self.unfinished = true;
        self
    }

    /// Only tasks that a retry may run once more.
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Only tasks of this pool.
    pub fn with_pool(mut self, pool: PoolName) -> Self {
        self.pool = Some(pool);
        self
    }

    /// At most so many, the newest.
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on behind the last task of another list. Everything else but the limit must be set as it was there, before this is
    /// called: `None` if it is not.
    pub fn after(mut self, cursor: TaskCursor) -> Option<Self> {
        let is_ours = cursor.query == self.fingerprint();
        self.cursor = Some(cursor);
        is_ours.then_some(self)
    }

    /// The same query, as [`matches`](Self::matches) wants it.
    pub(super) fn in_lower_case(mut self) -> Self {
        self.name = self.name.map(|name| name.to_lowercase());
        self
    }

    /// Whether a task of this id can match, whatever is in its file.
    pub(super) fn matches_id(&self, task_id: &TaskId) -> bool {
        let begins = |prefix: &String| {
            task_id.as_str().get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        self.id_prefix.as_ref().is_none_or(begins)
    }

    /// Whether a task matches a query [in lower case](Self::in_lower_case). One whose targets are not known does not match a query for some.
    pub(super) fn matches(&self, task: &TaskFacts) -> bool {
        self.status.is_none_or(|status| status == task.status)
            && self.sight.includes(task.submitted_by.as_deref(), task.team.as_deref())
            && !(self.unfinished && task.status.is_terminal())
            && (!self.retryable || task.status.allows_retry())
            && self.pool.as_ref().is_none_or(|pool| *pool == *task.pool)
            && self.created_from.is_none_or(|from| task.created_at >= from)
            && self.created_before.is_none_or(|before| task.created_at < before)
            && self.name.as_ref().is_none_or(|name| task.name.to_lowercase().contains(name))
            && self.owner.as_ref().is_none_or(|owner| task.submitted_by.as_deref() == Some(owner))
            && self.error_code.as_ref().is_none_or(|code| task.error_code.as_deref() == Some(code))
            && self.targets.as_ref().is_none_or(|targets| {
                let theirs = task.targets.as_ref().and_then(|theirs| theirs.parse::<TargetSet>().ok());
                theirs.is_some_and(|theirs| targets.overlaps(&theirs))
            })
    }

    /// Whether an entry says too little to decide whether its task matches, so that its file does: it has no long targets, and one that
    /// an older version of the program has written has no error code.
    pub(super) fn is_undecided(&self, entry: &TaskFacts) -> bool {
        let has_failed = entry.status.is_terminal() && entry.status != TaskStatus::Completed;
        let lacks_targets = self.targets.is_some() && entry.targets.is_none();
        let lacks_code = self.error_code.is_some() && entry.error_code.is_none() && has_failed;
        lacks_targets || lacks_code
    }

    /// The same query without what an entry may not say.
    pub(super) fn without_undecided(&self) -> Self {
        Self { targets: None, error_code: None, ..self.clone() }
    }

    /// Whether a task stands in the list before what the cursor leads to.
    pub(super) fn is_before_cursor(&self, task_id: &TaskId) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| store::newest_first(task_id, &cursor.last) != Ordering::Greater)
    }

    /// The same query, of the tasks behind one.
    pub(super) fn behind(&self, last: &TaskId) -> Self {
        Self { cursor: Some(self.cursor_behind(last)), ..self.clone() }
    }

    /// The cursor of the tasks behind one.
    pub(super) fn cursor_behind(&self, last: &TaskId) -> TaskCursor {
        TaskCursor { query: self.fingerprint(), last: last.clone() }
    }

    /// Tells queries apart, whatever their cursor and limit, and whoever asks.
    fn fingerprint(&self) -> [u8; 4] {
        let asked = Self { cursor: None, limit: 0, sight: Sight::All, ..self.clone() }.in_lower_case();
        let digest = Sha256::digest(format!("{asked:?}"));
        std::array::from_fn(|at| digest[at])
    }
}

/// A place in a list of tasks. Its text is opaque: what it is made of may change with its version, with which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCursor {
    query: [u8; 4],
    last: TaskId,
}

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", hex::encode(&self.query), self.last)
    }
}

impl FromStr for TaskCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.strip_prefix("v1.").and_then(|rest| rest.split_once('.'));
        let parts = parts.and_then(|(query, last)| Some((hex::decode(query)?, TaskId::new(last).ok()?)));
        let (query, last) = parts.ok_or("is no cursor of a list of tasks")?;
        Ok(Self { query, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_fits_its_query_only() {
        let query = TaskQuery { name: Some("office".to_owned()), ..TaskQuery::default() };
        let cursor = query.cursor_behind(&TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap());
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert!(query.clone().with_limit(5).after(cursor.clone()).is_some());
        assert_eq!(query.with_status(TaskStatus::Failed).after(cursor), None);
        for text in ["", "v1.", "v1.00000000", "v2.00000000.a", "v1.zz.a", "v1.00000000.", "v1.00000000.../x"] {
            assert!(text.parse::<TaskCursor>().is_err(), "{text}");
        }
    }
}
