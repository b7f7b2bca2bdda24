//! How the files of tasks are called, and in which order lists show tasks.

use std::cmp::Ordering;

use crate::{ids::TaskId, results::Profile};

/// The scanner's export, as it came.
pub const EXPORT_FILE: &str = "scan_native.nessus";

/// The index of the export, which can be made again from it at any time.
pub const INDEX_FILE: &str = "scan_native.idx";

/// The login that came with the request, sealed; gone when the task has ended. In a bucket `task.json` has it.
pub(super) const SEALED_FILE: &str = "credential.sealed";

/// The name of the export converted to JSON-NL under a profile.
pub(crate) fn profile_file_name(profile: &str) -> String {
    format!("scan_schema_{profile}.jsonl")
}

/// The temporary names of artifacts begin with it.
pub(super) const ARTIFACT_PREFIX: &str = ".artifact-";

pub(super) const TASK_FILE: &str = "task.json";
pub(super) const LOCK_FILE: &str = "task.lock";
/// Where the tasks are.
pub(super) const TASKS: &str = "tasks";
/// Where that is what is left of what was removed, beside the tasks.
pub(in crate::task) const ARCHIVE: &str = "archive";
/// The end of the name under which a task stands that is being removed. No id of a task ends so.
pub(super) const REMOVED: &str = ".removed";

/// The key of a file of a task.
pub(super) fn key(task_id: &TaskId, file: &str) -> String {
    format!("{TASKS}/{task_id}/{file}")
}

/// The files that hold what a scan has found.
pub(super) fn result_files() -> impl Iterator<Item = String> {
    let profiles = Profile::names().into_iter().map(profile_file_name);
    [EXPORT_FILE.to_owned(), INDEX_FILE.to_owned()].into_iter().chain(profiles)
}

/// The order of lists: newest first by the time in the names, and of one second by name.
pub(in crate::task) fn newest_first(a: &TaskId, b: &TaskId) -> Ordering {
    time_part(b).cmp(time_part(a)).then_with(|| a.as_str().cmp(b.as_str()))
}

/// `YYYYMMDD_HHMMSS_xxxxxxxx` of a task id.
fn time_part(id: &TaskId) -> &str {
    let text = id.as_str();
    &text[text.len().saturating_sub(24)..]
}

/// The name under which a task stands that is being removed.
pub(super) fn removed_name(task_id: &TaskId) -> String {
    format!("{task_id}{REMOVED}")
}
