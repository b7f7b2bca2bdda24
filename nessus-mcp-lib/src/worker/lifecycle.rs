//! The lifecycle of a task's scan on its scanner: find or create, launch, watch, fetch, complete.

use tracing::{info, warn};

use super::{
    held_task::HeldTask,
    outcome::StepError,
    poll::{self, Ended},
    results, scope,
};
use crate::{
    blocking,
    error::{Classified as _, chain},
    ids::ScanId,
    scanner::{
        self, RequestSent, ScanBasis, ScanCredential, ScanRequest, ScanState, ScannerError, ScannerInterface as _,
    },
    task::{ScanPayload, ScanType, Task, TaskStatus},
    telemetry::Adoption,
    time::{BootInstant, Clock as _},
};

/// Drives the task from where it stands to the end of its scan.
pub(super) async fn drive(held: &HeldTask<'_>) -> Result<(ScanId, Ended), StepError> {
    let (started_at, now) = (held.started_at, held.shared.clock.now());
    let task = held
        .update(move |task| {
            task.status = TaskStatus::Running;
            task.started_at = Some(started_at);
            if task.nessus_scan_id.is_none() {
                // It was held before its scan could begin.
                task.end_pause(now);
            }
        })
        .await?;
    // From here on no earlier claim can write. One that has until now may have gone on elsewhere.
    crate::fail_points::fail_point!("worker_fence_written");
    if task.next_instance().is_some_and(|bound| *bound != held.instance.instance_id) {
        return Err(StepError::Stopped);
    }
    held.remove_leftovers().await?;
    let task = if task.nessus_scan_id.is_none() { end_earlier(held, task).await? } else { task };
    let reason = held.reason_to_stop(&task);
    let scan = match &reason {
        None => {
            let scan = find_or_create(held, &task).await?;
            launch_once(held, &scan).await?;
            scan
        }
        Some(reason) => match launched(held, &task).await? {
            Some(scan) => scan,
            None => return Err(reason.error()),
        },
    };
    let ended = poll::until_ended(held, &scan, reason).await?;
    Ok((scan, ended))
}

/// Brings the task of a scan that has ended to its completion.
pub(super) async fn complete(held: &HeldTask<'_>, scan: &ScanId, ended: &Ended) -> Result<(), StepError> {
    let task = held.task().await?;
    held.forget_login(&task, scan).await?;
    if let Err(error) = poll::check_end(ended) {
        if let StepError::Scan { status, .. } = &error {
            results::keep_partial(held, &task, scan, &ended.status, *status).await?;
        }
        return Err(error);
    }
    results::complete(held, &task, scan, &ended.status).await
}

/// The scan of a task that shall not go on, if it was launched.
async fn launched(held: &HeldTask<'_>, task: &Task) -> Result<Option<ScanId>, StepError> {
    let known = match &task.nessus_scan_id {
        Some(scan) => Some(scan.clone()),
        None => held.unless_stopped(held.instance.scanner.find_by_marker(&task.scan_marker(task.attempt))).await??,
    };
    let Some(scan) = known else { return Ok(None) };
    if is_launched(held, &scan).await? {
        held.bind_found(&scan).await?;
        return Ok(Some(scan));
    }
    held.close_scan(&scan).await?;
    Ok(None)
}

/// Whether a scan was launched. One that was not is taken off the scanner.
async fn is_launched(held: &HeldTask<'_>, scan: &ScanId) -> Result<bool, StepError> {
    match held.unless_stopped(held.instance.scanner.status(scan)).await? {
        Ok(status) if status.state == ScanState::Created => {
            held.confirm().await?;
            match held.instance.scanner.delete(scan).await {
                Ok(()) | Err(ScannerError::NotFound(_)) => {
                    held.note_launch(false).await?;
                    return Ok(false);
                }
                // Refused perhaps because a launch whose answer was lost has taken effect: then it has to be stopped.
                Err(error) => warn!(%scan, error = chain(&error), "a scan that was not launched cannot be deleted"),
            }
            let status = held.unless_stopped(held.instance.scanner.status(scan)).await??;
            Ok(status.state != ScanState::Created)
        }
        Err(ScannerError::NotFound(_)) => Ok(false),
        // Whoever stops it waits for the scanner.
        Ok(_) | Err(_) => Ok(true),
    }
}

/// The scan of this task: the one its file names, the one that carries its marker, else a new one.
async fn find_or_create(held: &HeldTask<'_>, task: &Task) -> Result<ScanId, StepError> {
    if let Some(scan) = &task.nessus_scan_id {
        return Ok(scan.clone());
    }
    let marker = task.scan_marker(task.attempt);
    if let Some(scan) = held.unless_stopped(held.instance.scanner.find_by_marker(&marker)).await?? {
        info!(%scan, "a scan of the task exists on the scanner and is adopted");
        crate::fail_points::fail_point!("worker_scan_adopted");
        held.shared.metrics.tasks().adopted(&task.scanner_pool, Adoption::Marker);
        held.bind_found(&scan).await?;
        return Ok(scan);
    }
    held.may_begin().await?;
    let mut request = ScanRequest::new(marker, &task.payload.name, &task.payload.targets);
    request.description.clone_from(&task.payload.description);
    request.basis = basis_of(task);
    request.logs_in = task.scan_type != ScanType::Untrusted;
    request.credential = login_of(held, task).await?;
    scope::before_create(held, task, &mut request).await?;
    // The names of its targets may have led to where a person must agree.
    held.may_begin().await?;
    crate::fail_points::fail_point!("worker_scope_checked");
    // Written before the scan is created: whoever comes after us must look for it on this scanner.
    held.bind(None).await?;
    crate::fail_points::fail_point!("worker_bound");
    let until = held.confirm().await?;
    crate::fail_points::fail_point!("worker_create_confirmed");
    let (created, sent) = scanner::act_until(until, held.instance.scanner.create(&request)).await;
    let scan = match created {
        Ok(scan) => scan,
        Err(error) => {
            if sent == RequestSent::No || !error.may_have_acted() {
                still_in_time(until)?;
                held.unbind().await?;
            }
            return Err(error.into());
        }
    };
    crate::fail_points::fail_point!("worker_created");
    info!(%scan, instance = %held.instance.instance_id, "the scan was created");
    held.bind(Some(scan.clone())).await?;
    crate::fail_points::fail_point!("worker_scan_saved");
    Ok(scan)
}

/// What the scan of a task is made of.
pub(super) fn basis_of(task: &Task) -> ScanBasis {
    let ScanPayload { template, policy, policy_name, .. } = &task.payload;
    ScanBasis::of(template.as_deref(), policy.as_deref(), policy_name.as_deref())
}

/// What the scan of a task logs in with; `None` where it does not, or does with what its policy has. One that may not be used any more, or cannot be opened, ends the task: nothing was
/// created yet.
async fn login_of(held: &HeldTask<'_>, task: &Task) -> Result<Option<ScanCredential>, StepError> {
    if task.scan_type == ScanType::Untrusted || task.logs_in_by_policy() {
        return Ok(None);
    }
    let sealed = held.shared.tasks.sealed_login(&task.task_id).await?;
    let (credentials, task) = (held.shared.credentials.clone(), task.clone());
    let opened = blocking::run(move || credentials.of_task(&task, sealed.as_deref())).await;
    let opened = opened.map_err(|_stopping| StepError::Stopped)?;
    opened.map_err(|error| {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        StepError::failed(error.code(), format!("{error}{hint}"))
    })
}

/// Ends the scans of earlier attempts, which may run because their scanner did not answer when they should have been
/// stopped: a task never has two. Where one is on another scanner, the task is handed back to be taken there.
async fn end_earlier(held: &HeldTask<'_>, mut task: Task) -> Result<Task, StepError> {
    let ours = &held.instance.instance_id;
    for earlier in task.open_scans.clone().into_iter().filter(|open| open.instance_id == *ours) {
        info!(scan = %earlier.scan_id, attempt = earlier.attempt, "the scan of an earlier attempt is ended first");
        poll::until_stopped(held, &earlier.scan_id).await?;
        task = held.close_scan(&earlier.scan_id).await?;
    }
    if task.open_scans.is_empty() { Ok(task) } else { Err(StepError::Stopped) }
}

/// Launches the scan if nobody has.
async fn launch_once(held: &HeldTask<'_>, scan: &ScanId) -> Result<(), StepError> {
    let status = held.unless_stopped(held.instance.scanner.status(scan)).await??;
    let run_uuid = if status.state == ScanState::Created {
        scope::before_launch(held, scan).await?;
        held.may_begin().await?;
        held.note_launch(true).await?;
        crate::fail_points::fail_point!("worker_launch_noted");
        let until = held.confirm().await?;
        crate::fail_points::fail_point!("worker_launch_confirmed");
        let (launched, sent) = scanner::act_until(until, held.instance.scanner.launch(scan)).await;
        match launched {
            Ok(run_uuid) => {
                crate::fail_points::fail_point!("worker_launched");
                info!(%scan, "the scan was launched");
                run_uuid
            }
            // "Runs already": a launch of ours or of a worker before us arrived after all.
            Err(ScannerError::Conflict(reason)) => {
                let status = held.instance.scanner.status(scan).await?;
                if status.state == ScanState::Created {
                    held.note_launch(false).await?;
                    return Err(ScannerError::NotReady(format!("the launch is refused: {reason}")).into());
                }
                status.run_uuid
            }
            Err(error) => {
                still_in_time(until)?;
                if sent == RequestSent::No || !error.may_have_acted() {
                    held.note_launch(false).await?;
                }
                return Err(error.into());
            }
        }
    } else {
        status.run_uuid
    };
    if run_uuid.is_some() {
        held.update(move |task| task.scan_uuid = run_uuid).await?;
        crate::fail_points::fail_point!("worker_launch_saved");
    }
    Ok(())
}

/// An error after the permit has expired is ours and not the scanner's.
fn still_in_time(until: BootInstant) -> Result<(), StepError> {
    if BootInstant::now() < until {
        return Ok(());
    }
    warn!("the worker was suspended and its lease may have expired: nothing was sent to the scanner");
    Err(StepError::LeaseLost)
}
