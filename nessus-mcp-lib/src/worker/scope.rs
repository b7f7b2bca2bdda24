//! The last check of what a scan is aimed at, right before it is created and right before it is launched.

use tracing::warn;

use super::{held_task::HeldTask, outcome::StepError};
use crate::{
    error::chain,
    ids::ScanId,
    policy::ScopeError,
    scanner::{ScannerError, ScannerInterface as _},
    targets::TargetSet,
    task::Task,
};

/// Whether the scan of this task may be created now: the scope may have changed since it was submitted.
pub(super) fn before_create(held: &HeldTask<'_>, task: &Task) -> Result<(), StepError> {
    let targets = task.payload.targets.parse::<TargetSet>().map_err(ScopeError::from)?;
    Ok(held.shared.scope.check(&targets)?)
}

/// Whether a scan that was created, perhaps by an earlier worker, may be launched now. One that may not is taken off its
/// scanner.
pub(super) async fn before_launch(held: &HeldTask<'_>, task: &Task, scan: &ScanId) -> Result<(), StepError> {
    let Err(refused) = before_create(held, task) else { return Ok(()) };
    held.confirm().await?;
    match held.instance.scanner.delete(scan).await {
        Ok(()) | Err(ScannerError::NotFound(_)) => {}
        Err(error) => warn!(%scan, error = chain(&error), "a scan that may not be launched cannot be deleted"),
    }
    let instance = held.instance.instance_id.clone();
    let gone = scan.clone();
    held.update(move |task| {
        task.close_scan(&instance, &gone);
        task.nessus_scan_id = None;
    })
    .await?;
    Err(refused)
}
