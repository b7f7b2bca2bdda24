//! A request that was made before: it is answered from the task it became, whatever the configuration says by now.

use super::{
    IdempotencyKey, ScanService, SubmitRequest,
    error::ServiceError,
    submit::{as_json_integer, is_hash_of, payload_of, request_hash},
};
use crate::{
    blocking,
    credentials::Credentials,
    housekeeping,
    ids::{InstanceId, PoolName},
    task::{Task, TaskError},
};

impl ScanService {
    /// The task that a request has become under its key, and how many hosts that scans. `None` for a new request, and for
    /// one whose task was not written: its caller has no answer yet, so it is checked like a new one.
    ///
    /// # Errors
    /// [`ServiceError::IdempotencyConflict`] when the key stands for another request.
    pub(super) async fn standing(
        &self,
        request: &SubmitRequest,
        key: &IdempotencyKey,
    ) -> Result<Option<(Task, u64)>, ServiceError> {
        // A queue that has lost its keys gets them back first.
        self.index.ensure().await?;
        let Some(entry) = self.queue.idempotency_entry(key.as_str()).await? else { return Ok(None) };
        let task = match self.tasks.get(&entry.task_id).await {
            Err(TaskError::NotFound(_)) => return Ok(None),
            read => read?,
        };
        if housekeeping::is_withdrawn(&task) {
            self.queue.forget_idempotency_key(key.as_str(), &task.task_id).await?;
            return Ok(None);
        }
        let (credentials, request) = (self.credentials.clone(), request.clone());
        let compare = move || {
            let is_same = match as_if_made_again(&request, task.clone())? {
                Some(again) => {
                    let fingerprint = credentials.fingerprint(request.login.as_ref())?;
                    is_hash_of(&entry.request_hash, &request_hash(&again, fingerprint), &again)
                }
                None => false,
            };
            if !is_same {
                return Err(ServiceError::IdempotencyConflict { task_id: entry.task_id });
            }
            let (targets, addresses) = task.checked_targets()?;
            let hosts = as_json_integer(targets.with_addresses(&addresses).host_count());
            Ok(Some((task, hosts)))
        };
        blocking::run(compare).await.map_err(ServiceError::stopping)?
    }
}

/// The task that the request would become if it were made when `standing` was, and is the same. `None` when it names a pool
/// or a scanner that cannot be that of `standing`.
fn as_if_made_again(request: &SubmitRequest, standing: Task) -> Result<Option<Task>, ServiceError> {
    let (mut payload, _targets) = payload_of(request)?;
    payload.credential = Credentials::repeated(request.login.as_ref(), standing.payload.credential.as_ref());
    let instance = request.instance.as_deref().map(InstanceId::new).transpose();
    // A default that was filled in then counts now, whatever the default is.
    let pool = request.pool.as_deref().map_or_else(|| Ok(standing.scanner_pool.clone()), PoolName::new);
    let (Ok(scanner_pool), Ok(pinned_instance_id)) = (pool, instance) else { return Ok(None) };
    Ok(Some(Task { scan_type: request.scan_type, scanner_pool, pinned_instance_id, payload, ..standing }))
}
