//! What a submit would do, without doing it.

use serde::{Deserialize, Serialize};

use super::{
    ScanService,
    error::ServiceError,
    list::TaskSummary,
    shorten,
    submit::{Prepared, SubmitRequest},
};
use crate::{
    ids::{InstanceId, PoolName, TaskId},
    policy::{Checked, PolicyMode},
    scanner::DEFAULT_TEMPLATE,
    targets,
    task::{ScanType, TaskQuery},
};

/// What is said of a request that a submit would accept.
const NOTHING_STORED: &str = "nothing was stored or queued; the same request without `dry_run` submits the scan";

/// The answer of [`ScanService::dry_run`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DryRunView {
    /// Always true.
    pub dry_run: bool,
    /// untrusted, trusted or privileged.
    pub scan_type: ScanType,
    /// The normalised targets: the first of them, and how many more, where there are many.
    pub targets: String,
    /// How many hosts the targets comprise, at most the largest exact JSON integer.
    pub target_hosts: u64,
    /// What the scope policy says of them.
    pub scope: ScopeVerdict,
    /// The template of the scanner; absent for a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The policy of the scanner, by its name as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why it could not be checked whether a scanner has the template or the policy; that is done before the scan begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_warning: Option<String>,
    /// The type of scanner.
    pub scanner_type: String,
    /// The pool.
    pub scanner_pool: PoolName,
    /// The enabled scanners that the scan could run on.
    pub scanners: Vec<ScannerLoad>,
    /// Why the pool is paused; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// Scans of the pool that wait already.
    pub queue_depth: u64,
    /// Seconds until the scan is likely to begin, from what the pool's last scans took; absent when that is not known, or the pool
    /// is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
    /// What would keep the scan from beginning now: a person who must agree first; or a window of the policy, with the time when
    /// it opens; or that no worker serves the pool or has the scanner; or that the pool is paused; or that no scanner is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The task that the idempotency key stands for already: a submit would return it, and scan nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<TaskId>,
    /// The last task whose targets share an address or a name with these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_overlapping_scan: Option<TaskSummary>,
    /// What to do next.
    pub message: String,
}

/// What the scope policy (`policy.yaml`) says of targets that may be scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScopeVerdict {
    /// `allowed`; `would_refuse` if only a dry run of the policy lets it pass; `no_scope` if no policy is applied.
    pub verdict: String,
    /// `off`, `dry_run` or `enforce`.
    pub mode: String,
    /// The rules that decided: those of `allow`, and of the `targets` of the client, that hold the targets, or what is refused and by which rule. Empty where nothing
    /// is denied and there is no `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl ScopeVerdict {
    /// `of_day` is what the limit of a day would refuse.
    fn new(checked: &Checked, of_day: Option<&str>) -> Self {
        let refused: Vec<_> = checked.would_refuse.iter().cloned().chain(of_day.map(str::to_owned)).collect();
        let (verdict, rules) = match checked.mode {
            PolicyMode::Off if checked.allowed_by.is_empty() => ("no_scope", Vec::new()),
            _ if !refused.is_empty() => ("would_refuse", shorten::list(&refused)),
            _ => ("allowed", shorten::list(&checked.allowed_by)),
        };
        Self { verdict: verdict.to_owned(), mode: checked.mode.to_string(), rules }
    }
}

/// How busy a scanner is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ScannerLoad {
    /// The scanner.
    pub scanner_instance: InstanceId,
    /// Scans it runs now, counted over all workers.
    pub active_scans: usize,
    /// The most it runs at once.
    pub max_concurrent_scans: u32,
    /// Free slots; 0 when it is not called because of its circuit.
    pub available_slots: u32,
}

impl ScanService {
    /// What a submit of this request would do: it is checked and answered in the same way, and nothing is stored or queued. An
    /// idempotency key is looked up and not claimed.
    ///
    /// # Errors
    /// Those of [`ScanService::submit`] that refuse a request.
    pub async fn dry_run(&self, request: SubmitRequest) -> Result<DryRunView, ServiceError> {
        let request = self.as_of_caller(request);
        let repeats = match &request.idempotency_key {
            Some(key) => self.standing(&request, key).await?.map(|(task, _)| task.task_id),
            None => None,
        };
        let Prepared { task, targets, target_hosts, scope, basis, .. } = self.prepare(request).await?;
        let pool = self.pool_of(Some(task.scanner_pool.as_str()))?;
        let pinned = task.pinned_instance_id.as_ref();
        let instances = self.scanners_of(&pool, &self.process_circuits().await?).await?;
        let can_run = |id: &InstanceId| {
            pinned.is_none_or(|pinned| pinned == id) && basis.able.as_ref().is_none_or(|able| able.contains(id))
        };
        let scanners = instances.into_iter().filter(|one| one.enabled && can_run(&one.scanner_instance));
        let stats = self.queue.stats(&pool.name).await?;
        let mut query = TaskQuery::default().with_limit(1);
        query.targets = Some(targets);
        let last = self.tasks_matching(query).await?.tasks.into_iter().next();
        let scope = ScopeVerdict::new(&scope, task.host_refusal());
        let outlook = self.outlook(&pool.name, None, pinned).await;
        let nobody = self.nobody_for(&task).await;
        let waiting_for = Box::pin(self.waiting_for(&task, Some(&outlook), nobody)).await;
        let estimated_wait_seconds = match (&outlook, &waiting_for) {
            (Ok(outlook), None) => {
                self.estimated_wait(&pool.name, pinned, outlook, stats.ready.saturating_add(1)).await
            }
            _ => None,
        };
        let policy = task.payload.policy_name.or(task.payload.policy);
        Ok(DryRunView {
            dry_run: true,
            scan_type: task.scan_type,
            targets: targets::shortened(&task.payload.targets),
            target_hosts,
            scope,
            template: policy.is_none().then(|| task.payload.template.unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned())),
            policy,
            template_warning: basis.warning,
            scanner_type: task.scanner_type,
            scanners: scanners
                .map(|one| ScannerLoad {
                    scanner_instance: one.scanner_instance,
                    active_scans: one.active_scans,
                    max_concurrent_scans: one.max_concurrent_scans,
                    available_slots: one.available_slots,
                })
                .collect(),
            paused: stats.paused.as_deref().map(shorten::text),
            queue_depth: stats.ready,
            estimated_wait_seconds,
            waiting_for,
            repeats,
            last_overlapping_scan: last.map(TaskSummary::from),
            scanner_pool: task.scanner_pool,
            message: NOTHING_STORED.to_owned(),
        })
    }
}
