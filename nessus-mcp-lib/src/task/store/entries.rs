//! What lies where tasks are kept, and what of it is ours.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::names::{ARTIFACT_PREFIX, LOCK_FILE, REMOVED, SEALED_FILE, TASK_FILE, result_files};
use crate::{
    durable::{EntryKind, FolderEntry, TEMPORARY_PREFIX},
    ids::TaskId,
    task::{error::TaskError, model::Task},
};

/// How old an unfinished file must be before it is removed: no download or conversion takes as long.
pub(super) const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The most bytes of a file with a task: its targets may be a megabyte.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// What an entry of `tasks/` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InTasks {
    /// The directory of a task.
    Task(TaskId),
    /// That of a task that is being removed.
    Removed(TaskId),
    /// An unfinished file of ours.
    Unfinished,
    /// None of ours: it stays.
    Foreign(Foreign),
}

/// Why something is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It is a symbolic link.
    Link,
    /// This program gives nothing such a name, or it is no file or directory as it should be.
    Unknown,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Unknown => "none of ours",
        })
    }
}

impl InTasks {
    /// What an entry of this name and kind is.
    pub(crate) fn of(name: &str, kind: EntryKind) -> Self {
        let task = |name: &str| TaskId::new(name).ok();
        match kind {
            EntryKind::Link => Self::Foreign(Foreign::Link),
            EntryKind::File if name.starts_with(TEMPORARY_PREFIX) => Self::Unfinished,
            EntryKind::Folder => match (task(name), name.strip_suffix(REMOVED).and_then(task)) {
                (Some(task_id), _) => Self::Task(task_id),
                (None, Some(task_id)) => Self::Removed(task_id),
                (None, None) => Self::Foreign(Foreign::Unknown),
            },
            EntryKind::File | EntryKind::Other => Self::Foreign(Foreign::Unknown),
        }
    }
}

/// What an entry of a task's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InTask {
    /// A file that a task has.
    File,
    /// An unfinished file.
    Unfinished,
    /// None of ours: the task stays.
    Foreign(Foreign),
}

impl InTask {
    /// What an entry of this name and kind is.
    pub(crate) fn of(name: &str, kind: EntryKind) -> Self {
        match kind {
            EntryKind::Link => Self::Foreign(Foreign::Link),
            EntryKind::File if [TEMPORARY_PREFIX, ARTIFACT_PREFIX].iter().any(|start| name.starts_with(start)) => {
                Self::Unfinished
            }
            EntryKind::File if is_file_of_a_task(name) => Self::File,
            _ => Self::Foreign(Foreign::Unknown),
        }
    }
}

fn is_file_of_a_task(name: &str) -> bool {
    [TASK_FILE, LOCK_FILE, SEALED_FILE].contains(&name) || result_files().any(|file| file == name)
}

/// Whether an unfinished file, last written then, has no writer any more. One from the future may have one.
pub(crate) fn is_abandoned(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age >= ABANDONED_AFTER)
}

/// What lies in `tasks/`.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The tasks, in the order of their ids.
    pub(crate) tasks: Vec<TaskId>,
    /// Those that are being removed.
    pub(crate) removed: Vec<TaskId>,
    /// What is none of ours, by its name.
    pub(crate) foreign: Vec<(String, Foreign)>,
}

/// What killed processes left.
#[derive(Debug, Default)]
pub(crate) struct Abandoned {
    /// What was removed, by its path in the data directory.
    pub(crate) removed: Vec<String>,
    /// What could not be removed or looked at, by the same path.
    pub(crate) failed: Vec<(String, TaskError)>,
}

impl Abandoned {
    /// Goes on after a failure that concerns this place alone.
    pub(super) fn go_on(&mut self, place: &str, outcome: Result<(), TaskError>) -> Result<(), TaskError> {
        match outcome {
            Err(error) if !error.concerns_all() => self.failed.push((place.to_owned(), error)),
            outcome => return outcome,
        }
        Ok(())
    }
}

/// A task, and what else lies in its directory.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) task_id: TaskId,
    /// `None` for a directory without a task: it was never accepted, or is just being created.
    pub(crate) task: Result<Option<Task>, TaskError>,
    /// What is none of ours there.
    pub(crate) foreign: Vec<(String, Foreign)>,
}

/// What lies there of a task.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Whether its file is there.
    pub(super) has_file: bool,
    /// What is none of ours.
    pub(super) foreign: Vec<(String, Foreign)>,
}

/// What among these is none of ours.
pub(super) fn foreign_in(entries: &[FolderEntry]) -> Vec<(String, Foreign)> {
    let foreign = entries.iter().filter_map(|entry| match InTask::of(&entry.shown(), entry.kind) {
        InTask::Foreign(why) => Some((entry.shown(), why)),
        _ => None,
    });
    foreign.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_program_writes_is_ours() {
        use EntryKind::{File, Folder, Link, Other};
        let id = TaskId::new("ne_ness_20251201_143022_a1b2c3d4").unwrap();
        let (link, unknown) = (InTasks::Foreign(Foreign::Link), InTasks::Foreign(Foreign::Unknown));
        for (name, kind, expected) in [
            (id.as_str(), Folder, InTasks::Task(id.clone())),
            ("ne_ness_20251201_143022_a1b2c3d4.removed", Folder, InTasks::Removed(id.clone())),
            (id.as_str(), Link, link.clone()),
            (id.as_str(), File, unknown.clone()),
            (id.as_str(), Other, unknown.clone()),
            ("ne_ness_20251201_143022_a1b2c3d4.removed", Link, link.clone()),
            ("ne_ness_20251201_143022_a1b2c3d4.bak", Folder, unknown.clone()),
            ("notes", Folder, unknown.clone()),
            ("lost+found", Folder, unknown.clone()),
            (".removed", Folder, unknown.clone()),
            (".tmp-x", File, InTasks::Unfinished),
            (".tmp-x", Link, link),
            (".tmp-x", Folder, unknown),
        ] {
            assert_eq!(InTasks::of(name, kind), expected, "{name} {kind:?}");
        }
        let foreign = [InTask::Foreign(Foreign::Link), InTask::Foreign(Foreign::Unknown)];
        for (name, kind, expected) in [
            ("task.json", File, InTask::File),
            ("task.lock", File, InTask::File),
            ("credential.sealed", File, InTask::File),
            ("scan_native.nessus", File, InTask::File),
            ("scan_native.idx", File, InTask::File),
            ("scan_schema_brief.jsonl", File, InTask::File),
            ("scan_schema_other.jsonl", File, foreign[1]),
            (".tmp-a", File, InTask::Unfinished),
            (".artifact-a", File, InTask::Unfinished),
            ("task.json", Link, foreign[0]),
            ("scan_native.nessus", Link, foreign[0]),
            ("scan_native.nessus", Folder, foreign[1]),
            ("report.pdf", File, foreign[1]),
            ("task.json.bak", File, foreign[1]),
            ("task.json", Other, foreign[1]),
        ] {
            assert_eq!(InTask::of(name, kind), expected, "{name} {kind:?}");
        }
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        let hour = Duration::from_secs(3600);
        for (written, abandoned) in [(now - day, true), (now - 23 * hour, false), (now, false), (now + 99 * day, false)]
        {
            assert_eq!(is_abandoned(written, now), abandoned);
        }
    }
}
