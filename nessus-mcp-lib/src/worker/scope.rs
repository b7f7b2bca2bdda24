//! The last check of what a scan is aimed at, right before it is created and right before it is launched.

use std::{sync::Arc, time::Duration};

use tracing::warn;

use super::{held_task::HeldTask, outcome::StepError};
use crate::{
    error::{chain, excerpt},
    ids::ScanId,
    policy::{Checked, PolicyMode, Rights, ScopeError},
    scanner::{ScanRequest, ScannerError, ScannerInterface as _},
    service::check_rights,
    targets::{TargetError, TargetSet},
    task::{ScopeRecord, Task},
    time::Clock as _,
};

/// The pauses before the lookups of names: a resolver that fails once does not fail a scan.
const LOOKUP_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10)];

/// Checks what the scan of this task is aimed at: the policy, and what names stand for, may have changed since the submit.
/// Sets the targets of `request` to what was checked, and writes that down.
pub(super) async fn before_create(
    held: &HeldTask<'_>,
    task: &Task,
    request: &mut ScanRequest,
) -> Result<(), StepError> {
    let rights = rights_of(held, task)?;
    check_policy(held, task, &rights).await?;
    let targets = task.payload.targets.parse::<TargetSet>().map_err(ScopeError::from)?;
    let mut checked = look_up(held, &targets, &rights).await?;
    let closed = held.shared.closed_window(task, PolicyMode::DryRun);
    checked.would_refuse.extend(closed.map(|closed| closed.to_string()));
    for refused in &checked.would_refuse {
        warn!(refused, "a scan that the policy would refuse begins: it is a dry run");
    }
    if !checked.addresses.is_empty() {
        request.targets = targets.with_addresses(&checked.addresses).to_string();
        let named = targets.for_scanner_with(&checked.addresses);
        request.named_targets = Some(named.map_err(|error: TargetError| ScopeError::from(error))?);
    }
    let record = ScopeRecord::of(checked, held.shared.clock.now());
    if record.is_some() || task.scope.is_some() {
        held.update(move |task| task.scope = record).await?;
    }
    Ok(())
}

async fn may_launch(held: &HeldTask<'_>, task: &Task) -> Result<(), StepError> {
    let rights = rights_of(held, task)?;
    check_policy(held, task, &rights).await?;
    let (targets, addresses) = task.checked_targets().map_err(ScopeError::from)?;
    Ok(held.shared.scope.check_created(&targets, &addresses, &rights)?)
}

/// The rights, as they are now, under which the present attempt runs, if they allow its scan; its targets left out.
fn rights_of(held: &HeldTask<'_>, task: &Task) -> Result<Arc<Rights>, ScopeError> {
    let Some(principal) = &task.principal else { return Ok(Arc::default()) };
    let rights = held.shared.scope.policy().rights_of(principal)?;
    check_rights(task, principal, &rights)?;
    Ok(rights)
}

/// Whether the policy that the scan is made of is one of those that the rights name, by what it is called on its scanner now.
async fn check_policy(held: &HeldTask<'_>, task: &Task, rights: &Rights) -> Result<(), StepError> {
    let Some(asked) = task.payload.policy.as_deref().filter(|_| !rights.allows_every_basis()) else { return Ok(()) };
    let is_allowed = match held.unless_stopped(held.instance.offer(Duration::ZERO)).await? {
        Ok(offer) => match offer.policy(asked, task.payload.policy_name.as_deref()) {
            Ok(found) => rights.allows_policy(&found.name, &found.id),
            Err(error) => return Err(error.into()),
        },
        Err(ScannerError::Unsupported(_)) => rights.allows_policy(asked, asked),
        Err(error) => return Err(error.into()),
    };
    if is_allowed {
        return Ok(());
    }
    let client = task.principal.as_deref().unwrap_or_default();
    let what = format!("the policy `{}`", excerpt(asked));
    Err(ScopeError::not_permitted(client, &what, rights.policies.as_deref()).into())
}

async fn look_up(held: &HeldTask<'_>, targets: &TargetSet, rights: &Rights) -> Result<Checked, StepError> {
    let mut outcome = Ok(Checked::default());
    for pause in LOOKUP_PAUSES {
        held.pause(pause).await?;
        outcome = held.unless_stopped(held.shared.scope.check(targets, rights)).await?;
        match &outcome {
            Err(unresolved @ ScopeError::Unresolved { .. }) => {
                warn!(error = chain(unresolved), "a name among the targets is not known");
            }
            _ => break,
        }
    }
    Ok(outcome?)
}

/// Whether a scan that was created, perhaps by an earlier worker, may be launched now. One that never may is taken off its
/// scanner.
pub(super) async fn before_launch(held: &HeldTask<'_>, scan: &ScanId) -> Result<(), StepError> {
    let task = held.task().await?;
    let refused = match may_launch(held, &task).await {
        Err(StepError::Scope(refused)) => StepError::from(refused),
        Ok(()) => match held.shared.refused(&task) {
            Some(refused) => refused,
            None => return Ok(()),
        },
        unknown => return unknown,
    };
    held.confirm().await?;
    match held.instance.scanner.delete(scan).await {
        Ok(()) | Err(ScannerError::NotFound(_)) => {}
        Err(error) => warn!(%scan, error = chain(&error), "a scan that may not be launched cannot be deleted"),
    }
    let (instance, gone) = (held.instance.instance_id.clone(), scan.clone());
    held.update(move |task| {
        task.close_scan(&instance, &gone);
        task.nessus_scan_id = None;
        task.note_launch(false);
    })
    .await?;
    Err(refused)
}
