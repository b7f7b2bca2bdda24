//! Views of whole scans: one summarised, two compared.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ScanService, error::ServiceError, gate::MemoryShare, shorten};
use crate::{
    blocking,
    ids::TaskId,
    results::{
        DiffView, Difference, LoginExpected, MIN_CHARS, ResultsError, ScanDiff, ScanSummary, SummarySection,
        SummaryView,
    },
    targets,
    task::{ScanType, Task, TaskStatus},
};

/// A task's scan, grouped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskSummaryView {
    /// The task.
    pub task_id: TaskId,
    /// How it ended. Only `completed` has complete results.
    pub status: TaskStatus,
    /// untrusted, trusted or privileged.
    pub scan_type: ScanType,
    /// The targets: the first of them, and how many more, where there are many.
    pub targets: String,
    /// What a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was found.
    #[serde(flatten)]
    pub summary: SummaryView,
}

/// The scans of two tasks, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TaskComparison {
    /// The task of the first scan.
    pub before_task_id: TaskId,
    /// The task of the second.
    pub after_task_id: TaskId,
    /// What changed.
    #[serde(flatten)]
    pub diff: DiffView,
}

impl ScanService {
    /// What a task's scan found, grouped, in at most `max_chars` characters of JSON
    /// ([`DEFAULT_CHARS`](crate::results::DEFAULT_CHARS) is a good number).
    ///
    /// # Errors
    /// [`ServiceError::ResultsNotReady`] before the scan has ended, [`ServiceError::NoResults`] when it ended without,
    /// [`ServiceError::Busy`] when others read too much, [`ServiceError::Results`] for a damaged export.
    pub async fn summary(&self, task_id: &TaskId, max_chars: usize) -> Result<TaskSummaryView, ServiceError> {
        self.summary_of(task_id, &[], max_chars).await
    }

    /// As [`summary`](Self::summary), with the sections of these names only, or all when none is named.
    ///
    /// # Errors
    /// Those of [`summary`](Self::summary), and [`ResultsError::UnknownSection`] with the nearest names.
    pub async fn summary_of(
        &self,
        task_id: &TaskId,
        sections: &[String],
        max_chars: usize,
    ) -> Result<TaskSummaryView, ServiceError> {
        let named: Vec<SummarySection> = sections.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        let sections = if named.is_empty() { SummarySection::ALL.to_vec() } else { named };
        let (task, export) = self.task_and_export(task_id).await?;
        let memory = self.look_at_export(&task, &export).await?.0.for_summary();
        let share = self.memory.enter(memory).await?;
        self.note_access(&task).await;
        let (status, scan_type) = (task.status, task.scan_type);
        let targets = targets::shortened(&task.payload.targets);
        let warnings = shorten::list(&task.validation_warnings);
        let beside = json!({
            "task_id": task_id, "status": status, "scan_type": scan_type, "targets": targets, "warnings": warnings,
        });
        let left = chars_left(max_chars, &beside);
        let login = login_expected(scan_type);
        let summary =
            read(share, move || Ok(ScanSummary::read(export.open()?.source, login)?.view_of(&sections, left))).await?;
        Ok(TaskSummaryView { task_id: task.task_id, status, scan_type, targets, warnings, summary })
    }

    /// What changed from the scan of one task to that of a later one, in at most `max_chars` characters of JSON.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] when both are the same task, else as [`ScanService::summary`] for either.
    pub async fn compare(
        &self,
        before: &TaskId,
        after: &TaskId,
        max_chars: usize,
    ) -> Result<TaskComparison, ServiceError> {
        if before == after {
            let hint = "name the tasks of two scans of the same targets, the earlier one first".to_owned();
            return Err(ServiceError::invalid("after_task_id", "is the same task as the first", hint));
        }
        let (first, first_export) = self.task_and_export(before).await?;
        let (second, second_export) = self.task_and_export(after).await?;
        let (extent, _) = self.look_at_export(&first, &first_export).await?;
        let memory = extent.for_comparison(self.look_at_export(&second, &second_export).await?.0);
        let share = self.memory.enter(memory).await?;
        self.note_access(&first).await;
        self.note_access(&second).await;
        let differences = differences(&first, &second);
        let beside = json!({ "before_task_id": before, "after_task_id": after, "differences": differences });
        let left = chars_left(max_chars, &beside);
        let logins = (login_expected(first.scan_type), login_expected(second.scan_type));
        let diff = read(share, move || {
            // Opened once, because another export may take their places meanwhile.
            let (first, second) = (first_export.open()?.source, second_export.open()?.source);
            let mut diff = ScanDiff::read_as(first.clone(), logins.0, second.clone(), logins.1)?;
            diff.read_outputs(first, second)?;
            Ok(diff.view(left))
        });
        let mut diff = diff.await?;
        diff.differences.splice(0..0, differences);
        Ok(TaskComparison { before_task_id: before.clone(), after_task_id: after.clone(), diff })
    }
}

/// Whether scans of this type are to log in.
pub(crate) const fn login_expected(scan_type: ScanType) -> LoginExpected {
    match scan_type {
        ScanType::Untrusted => LoginExpected::No,
        ScanType::Trusted | ScanType::Privileged => LoginExpected::Yes,
    }
}

/// In what the tasks differ beside their results.
fn differences(before: &Task, after: &Task) -> Vec<Difference> {
    let mut found = Vec::new();
    if before.scan_type != after.scan_type {
        let message = "a scan with a login finds what one without it cannot";
        found.push(Difference::new("scan_type", before.scan_type.to_string(), after.scan_type.to_string(), message));
    }
    // Compared as a whole: what differs may stand behind what is shown.
    if before.payload.targets != after.payload.targets {
        let shown = |task: &Task| targets::shortened(&task.payload.targets);
        let message = "hosts that are in one list only cannot be compared";
        found.push(Difference::new("targets", shown(before), shown(after), message));
    }
    for task in [before, after].into_iter().filter(|task| task.status != TaskStatus::Completed) {
        let message = "this scan did not complete: what it did not reach looks as if it were fixed";
        found.push(Difference::new("status", task.task_id.to_string(), task.status.to_string(), message));
    }
    found
}

/// How many characters are left beside `view`.
fn chars_left(max_chars: usize, view: &impl Serialize) -> usize {
    let taken = serde_json::to_string(view).map_or(0, |text| text.chars().count());
    max_chars.max(MIN_CHARS).saturating_sub(taken)
}

/// Runs `work` with its share of the memory, which it has to its end even when nobody waits for it any more.
async fn read<T: Send + 'static>(
    share: MemoryShare,
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    let work = move || {
        let _share = share;
        work()
    };
    blocking::run(work).await.map_err(ResultsError::Read)?
}
