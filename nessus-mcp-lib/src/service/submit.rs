//! Submitting a scan: accepting it durably.
//!
//! A request that was made before under its idempotency key is answered from the task it became. In a new one the process
//! may die between any two steps, so their order matters. First the queue is checked: it must answer and be ours. Then the
//! idempotency key is claimed, `task.json` is written and synced, the task is enqueued, and the caller gets its answer. If
//! the queue fails before the file is written, the submit is refused and nothing is left behind. Each later step can be
//! repeated under the same task id without harm. The reconciler enqueues what was written but not enqueued.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{ScanService, error::ServiceError, offers::BasisCheck, rights::check_rights, shorten};
use crate::{
    blocking,
    credentials::Login,
    error::{Classified as _, chain, counted, excerpt},
    hex, housekeeping,
    ids::{InstanceId, PoolName, TaskId, TraceId},
    policy::{Approval, Checked},
    queue::{Binding, IDEMPOTENCY_TTL, IdempotencyEntry, IdempotencyOutcome},
    results::{Profile, is_hidden},
    scanner::{DEFAULT_TEMPLATE, ScannerInstance, ScannerPool},
    targets::{self, TargetSet},
    task::{ScanPayload, ScanType, ScopeRecord, Task, TaskError, TaskKey, TaskStatus},
};

/// The most characters of a scan's name: what Nessus takes.
const MAX_NAME: usize = 255;
/// The most characters of a description.
const MAX_DESCRIPTION: usize = 4096;

/// The largest integer that every JSON reader keeps exact.
const LARGEST_JSON_INTEGER: u64 = (1 << 53) - 1;
/// What to do after a submit.
const ACCEPTED: &str =
    "the scan is accepted and will survive restarts; ask for the task's status, then read the task's results";
/// The same of a scan that a person must agree to.
const WAITS: &str = "the scan is accepted and waits until a person agrees to it: tell whoever wants the scan what \
                     `waiting_for` says; ask for the task's status, then read the task's results";
/// When a new scan is worth asking for.
const FIRST_POLL_SECONDS: u64 = 5;

/// The caller's own name for a request: repeated under the same key, it becomes the same task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] for anything else.
    pub fn new(key: impl Into<String>) -> Result<Self, ServiceError> {
        let key = key.into();
        if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(key))
        } else {
            Err(ServiceError::invalid("idempotency_key", "must be 1 to 255 visible ASCII characters", None))
        }
    }

    /// The key of a caller. A key has no space, so that of nobody else is the same.
    pub(super) fn of(caller: &str, key: &Self) -> Self {
        Self(format!("{caller} {key}"))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A scan to be run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubmitRequest {
    /// The targets, in the notation of [`TargetSet`].
    pub targets: String,
    /// A name for people, 1 to 255 characters.
    pub name: String,
    /// What the scan may use on its targets.
    pub scan_type: ScanType,
    /// What the scan logs in with; `None` for an untrusted one.
    pub login: Option<Login>,
    /// Free text.
    pub description: String,
    /// The result profile to prepare; `brief` when it is `None`.
    pub schema_profile: Option<Profile>,
    /// The scanner's name for the kind of scan; its basic one when it is `None`.
    pub template: Option<String>,
    /// Instead of a template: a policy that somebody made on the scanner, by its name or its id there, 1 to 255 characters. A
    /// scan that may log in and is given no login uses the credentials that the policy has.
    pub policy: Option<String>,
    /// The pool; the default pool when it is `None`.
    pub pool: Option<String>,
    /// The scanner; the best of the pool when it is `None`.
    pub instance: Option<String>,
    /// The caller's own name for the request.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Who asks, when the API layer knows.
    pub submitted_by: Option<String>,
    /// The request it came with; a new one when it is `None`.
    pub trace_id: Option<TraceId>,
}

impl SubmitRequest {
    /// A network-only scan of these targets on the default pool.
    pub fn untrusted(name: impl Into<String>, targets: impl Into<String>) -> Self {
        Self::new(ScanType::Untrusted, name, targets)
    }

    /// A scan of these targets on the default pool that logs in with the rights that its user has.
    pub fn trusted(name: impl Into<String>, targets: impl Into<String>, login: Login) -> Self {
        Self { login: Some(login), ..Self::new(ScanType::Trusted, name, targets) }
    }

    /// A scan of these targets on the default pool that logs in and takes more rights.
    pub fn privileged(name: impl Into<String>, targets: impl Into<String>, login: Login) -> Self {
        Self { login: Some(login), ..Self::new(ScanType::Privileged, name, targets) }
    }

    /// A scan of this type on the default pool, without a login.
    pub fn new(scan_type: ScanType, name: impl Into<String>, targets: impl Into<String>) -> Self {
        Self {
            targets: targets.into(),
            name: name.into(),
            scan_type,
            login: None,
            description: String::new(),
            schema_profile: None,
            template: None,
            policy: None,
            pool: None,
            instance: None,
            idempotency_key: None,
            submitted_by: None,
            trace_id: None,
        }
    }
}

/// The answer to a submit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Submission {
    /// The task; it is already stored durably.
    pub task_id: TaskId,
    /// The request it came with.
    pub trace_id: TraceId,
    /// The task's status: `queued`, or a later one when the request was a repetition.
    pub status: TaskStatus,
    /// The type of scanner.
    pub scanner_type: String,
    /// The pool.
    pub scanner_pool: PoolName,
    /// The scanner it is pinned to; absent when any of the pool may take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<InstanceId>,
    /// Place in the pool's queue, 1 being next; absent when it no longer waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// Seconds until it is likely to begin, from what the pool's last scans took; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_wait_seconds: Option<u64>,
    /// How many hosts the targets comprise, at most the largest exact JSON integer.
    pub target_hosts: u64,
    /// The normalised targets: the first of them, and how many more, where there are many; `task.json` has all.
    pub targets: String,
    /// What the policy would have refused of it, if it were enforced; absent unless it is a dry run that refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_warning: Option<String>,
    /// Why it could not be checked whether a scanner has the template or the policy; that is done before the scan begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_warning: Option<String>,
    /// That a person must agree before it begins, by which rule, until when, and how; or what else keeps it from beginning, as in
    /// its status: a window, a pause of the pool, no worker that serves the pool or has the scanner it is pinned to, no scanner
    /// that is called. Absent unless that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Whether an earlier request with the same key created this task.
    pub idempotent: bool,
    /// Seconds to wait before the status is asked for; absent when the task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_seconds: Option<u64>,
    /// What to do next.
    pub message: String,
}

/// A request that was checked, except for its scope.
struct Accepted {
    request: SubmitRequest,
    task: Task,
    targets: TargetSet,
    request_hash: String,
}

/// A request that a submit would accept. Nothing of it is stored.
pub(super) struct Prepared {
    request: SubmitRequest,
    pub(super) task: Task,
    pub(super) targets: TargetSet,
    /// Its hosts, those that its names stand for included.
    pub(super) target_hosts: u64,
    /// What the scope policy says of its targets.
    pub(super) scope: Checked,
    /// Which scanners have its template or policy.
    pub(super) basis: BasisCheck,
    request_hash: String,
    /// The queue that answered.
    bound: Binding,
}

impl ScanService {
    /// Checks a scan, writes it down durably and enqueues it.
    ///
    /// # Errors
    /// [`ServiceError`] for a wrong request or a queue that does not answer or belongs to another data directory, in which
    /// cases nothing is left behind, and for a disk that fails. When the queue fails later the task is accepted: it is on the
    /// disk, and the reconciler enqueues it; the submission's message says so.
    pub async fn submit(&self, request: SubmitRequest) -> Result<Submission, ServiceError> {
        // Boxed, because it is large, and so would be whatever awaits a submit.
        let submitted = Box::pin(self.submit_uncounted(self.as_of_caller(request))).await;
        if let Err(ServiceError::Scope(refused)) = &submitted {
            self.metrics.scope_refused(refused.code());
        }
        submitted
    }

    async fn submit_uncounted(&self, request: SubmitRequest) -> Result<Submission, ServiceError> {
        self.check_may_change()?;
        let Some(key) = request.idempotency_key.clone() else {
            return self.store(self.prepare(request).await?).await;
        };
        if let Some((task, target_hosts)) = self.standing(&request, &key).await? {
            return self.answer(task, target_hosts, true, None).await;
        }
        match self.prepare(request.clone()).await {
            Ok(prepared) => self.store(prepared).await,
            // Another process may have written this very request's task since: the room that it has taken is no reason to refuse it.
            Err(refused) => match self.standing(&request, &key).await? {
                Some((task, target_hosts)) => self.answer(task, target_hosts, true, None).await,
                None => Err(refused),
            },
        }
    }

    /// Makes every check of a submit, and stores nothing.
    pub(super) async fn prepare(&self, request: SubmitRequest) -> Result<Prepared, ServiceError> {
        // Targets may be as long as a request, so they are read where that holds up nobody.
        let service = self.clone();
        let read = blocking::run(move || service.accept(request));
        let Accepted { request, mut task, targets, request_hash } = read.await.map_err(ServiceError::stopping)??;
        let mut scope = self.scope.check(&targets, &self.rights()).await?;
        self.check_windows(&task, &targets, &mut scope)?;
        scope.would_refuse.extend(self.scope.policy().would_hold(&task.asked(DEFAULT_TEMPLATE), task.created_at));
        let target_hosts = as_json_integer(targets.with_addresses(&scope.addresses).host_count());
        task.scope = ScopeRecord::of(scope.clone(), task.created_at);
        task.add_charges(self.charges_for(target_hosts, true).await?);
        self.check_disk().await?;
        let basis = self.check_basis(&mut task).await?;
        let bound = self.index.ensure().await?;
        Ok(Prepared { request, task, targets, target_hosts, scope, basis, request_hash, bound })
    }

    /// Accepts what was checked.
    pub(super) async fn store(&self, prepared: Prepared) -> Result<Submission, ServiceError> {
        let Prepared { request, mut task, target_hosts, basis, request_hash, bound, .. } = prepared;
        if let Some(refused) = shorten::refusals(&task) {
            warn!(task_id = %task.task_id, refused, "a scan that the policy would refuse is accepted: it is a dry run");
        }
        let mut repeated = false;
        if let Some(key) = &request.idempotency_key {
            let mut claimed_at = task.created_at;
            let entry = IdempotencyEntry::new(task.task_id.clone(), request_hash.clone(), claimed_at);
            let outcome = self.queue.claim_idempotency_key(key.as_str(), &entry, IDEMPOTENCY_TTL).await?;
            if let IdempotencyOutcome::Existing(existing) = outcome {
                if !is_hash_of(&existing.request_hash, &request_hash, &task) {
                    return Err(ServiceError::IdempotencyConflict { task_id: existing.task_id });
                }
                // The first caller may have died before its task was written: go on under its id.
                task.task_id = existing.task_id;
                claimed_at = existing.created_at;
                repeated = true;
            }
            task.idempotency = Some(TaskKey::new(key.as_str(), request_hash, claimed_at));
        }
        crate::fail_points::fail_point!("submit_key_claimed");
        task.approval = self.approval_request(&task).map(Approval::new);
        let sealed = self.sealed(&task.task_id, &request).await?;
        match self.tasks.create_with(task.clone(), sealed).await {
            Ok(()) => self.metrics.task_reached(task.scan_type.as_str(), TaskStatus::Queued.as_str()),
            // Under a key, whoever comes first writes the task, be it the one who claimed the key or one who repeats.
            Err(TaskError::AlreadyExists(task_id)) if request.idempotency_key.is_some() => {
                task = self.tasks.get(&task_id).await?;
            }
            Err(error) => return Err(error.into()),
        }
        if housekeeping::is_withdrawn(&task) {
            // The day had no room for it, so its key is free again.
            return Box::pin(self.submit_uncounted(request)).await;
        }
        crate::fail_points::fail_point!("submit_task_written");
        if task.idempotency.is_some()
            && task.status == TaskStatus::Queued
            && self.index.is_still(&bound).await.is_ok_and(|still| !still)
            // A queue that fails now is settled with by the reconciler.
            && self.index.settle(&task).await.is_ok_and(|keeps| !keeps)
        {
            // The queue was emptied meanwhile, and the key given to another request: that is the one to answer for.
            return Box::pin(self.submit_uncounted(request)).await;
        }
        Box::pin(self.answer(task, target_hosts, repeated, basis.warning)).await
    }

    /// Sees to it that a task that is written is in the queue, and tells its caller of it.
    async fn answer(
        &self,
        task: Task,
        target_hosts: u64,
        repeated: bool,
        template_warning: Option<String>,
    ) -> Result<Submission, ServiceError> {
        let mut message = match task.status {
            TaskStatus::Queued | TaskStatus::Running => ACCEPTED,
            TaskStatus::Completed => "this request was made before and its scan is completed; read the task's results",
            TaskStatus::Failed | TaskStatus::Timeout | TaskStatus::Cancelled => {
                "this request was made before and its scan has ended; the task's status says how, and whether there \
                 are results; a new scan needs a new idempotency key"
            }
        };
        let approval = self.waits_for_approval(&task);
        if approval.is_some() {
            message = WAITS;
            self.note_waiting(&task);
        }
        let mut in_queue = task.status == TaskStatus::Queued;
        let enqueued = if task.status.is_terminal() { Ok(None) } else { self.enqueue(&task).await };
        if let Ok(Some(refused)) = enqueued {
            return Err(refused.into());
        }
        if let Err(error) = enqueued {
            self.index.notice_failure();
            // The task is on the disk and will run: an error here would make the caller submit it a second time.
            warn!(task_id = %task.task_id, error = chain(&error), "the task is kept, and enqueued by the reconciler");
            message = "the scan is accepted and kept, but the queue does not answer; it starts when the queue is back; \
                       ask for the task's status";
            // A queue that did not answer would keep the caller waiting once more.
            in_queue = false;
        }
        crate::fail_points::fail_point!("submit_enqueued");
        info!(task_id = %task.task_id, trace_id = %task.trace_id, pool = %task.scanner_pool, repeated, "the scan was submitted");
        let (pool, pinned) = (&task.scanner_pool, task.pinned_instance_id.as_ref());
        let outlook = if in_queue { Some(self.outlook(pool, Some(&task.task_id), pinned).await) } else { None };
        let waiting_for = match &outlook {
            Some(asked) => {
                let nobody = if asked.is_ok() { self.nobody_for(&task).await } else { None };
                self.waiting_at_once(&task, asked, nobody).await
            }
            None => approval,
        };
        let queue_position = outlook.iter().flatten().find_map(|outlook| outlook.position);
        let estimated_wait_seconds = match (&outlook, queue_position) {
            (Some(Ok(outlook)), Some(position)) if waiting_for.is_none() => {
                self.estimated_wait(pool, pinned, outlook, position).await
            }
            _ => None,
        };
        crate::fail_points::fail_point!("submit_before_reply");
        Ok(Submission {
            estimated_wait_seconds,
            scope_warning: shorten::scope_warning(&task),
            task_id: task.task_id,
            trace_id: task.trace_id,
            status: task.status,
            scanner_type: task.scanner_type,
            scanner_pool: task.scanner_pool,
            scanner_instance: task.scanner_instance_id,
            queue_position,
            target_hosts,
            template_warning,
            waiting_for,
            targets: targets::shortened(&task.payload.targets),
            idempotent: repeated,
            next_poll_seconds: (!task.status.is_terminal()).then_some(FIRST_POLL_SECONDS),
            message: message.to_owned(),
        })
    }

    /// The login of a request as it is kept beside its task.
    async fn sealed(&self, task_id: &TaskId, request: &SubmitRequest) -> Result<Option<Vec<u8>>, ServiceError> {
        if request.login.is_none() {
            return Ok(None);
        }
        let (credentials, task_id, login) = (self.credentials.clone(), task_id.clone(), request.login.clone());
        let sealed = blocking::run(move || credentials.seal(&task_id, login.as_ref()));
        Ok(sealed.await.map_err(ServiceError::stopping)??)
    }

    /// Everything that can be refused without touching disk, queue or network.
    fn accept(&self, request: SubmitRequest) -> Result<Accepted, ServiceError> {
        let (mut payload, targets) = payload_of(&request)?;
        let login = request.login.as_ref();
        // The policy may have a login of its own.
        let is_by_policy = payload.policy.is_some() && login.is_none() && request.scan_type != ScanType::Untrusted;
        if !is_by_policy {
            let rights = self.rights();
            let may_use = |id: &str| rights.allows_credential(id);
            payload.credential = self.credentials.accept(request.scan_type, login, &targets, may_use)?;
        }
        let pool = self.pool_of(request.pool.as_deref())?;
        let instance = request.instance.as_deref().map(|id| instance_of(&pool, id, |one| one.enabled)).transpose()?;
        if pool.capacity() == 0 {
            return Err(ServiceError::PoolDisabled { pool: pool.name.to_string() });
        }

        let now = self.clock.now();
        let label = instance.as_ref().map_or(pool.name.as_str(), InstanceId::as_str);
        let task_id = TaskId::generate(&pool.scanner_type, label, now);
        let trace_id = request.trace_id.clone().unwrap_or_else(TraceId::generate);
        let mut task =
            Task::new(task_id, trace_id, request.scan_type, pool.scanner_type.clone(), pool.name.clone(), payload, now);
        if let Some(instance) = instance {
            task.pin(instance);
        }
        task.submitted_by.clone_from(&request.submitted_by);
        if let Some(caller) = self.caller() {
            task.principal = Some(caller.rights_key());
            check_rights(&task, &caller.name, &caller.rights)?;
        }
        task.team = self.caller().and_then(|caller| caller.team.as_deref()).map(str::to_owned);
        let request_hash = request_hash(&task, self.credentials.fingerprint(login)?);
        Ok(Accepted { request, task, targets, request_hash })
    }
}

/// What was asked for, but for the login, and its targets: all that can be read without knowing the configuration.
pub(super) fn payload_of(request: &SubmitRequest) -> Result<(ScanPayload, TargetSet), ServiceError> {
    let name = check_text("name", &request.name, MAX_NAME)?;
    if name.is_empty() {
        let hint = "give the scan a name of 1 to 255 characters".to_owned();
        return Err(ServiceError::invalid("name", "is missing", hint));
    }
    let description = check_text("description", &request.description, MAX_DESCRIPTION)?;
    let targets = request.targets.parse::<TargetSet>()?;
    let template = request.template.as_deref().map(check_template).transpose()?;
    let policy =
        request.policy.as_deref().map(|policy| check_policy(policy, request.template.as_deref())).transpose()?;
    let mut payload = ScanPayload::new(name, targets.to_string());
    description.clone_into(&mut payload.description);
    payload.schema_profile = Some(request.schema_profile.unwrap_or_default().to_string());
    payload.template = template.map(str::to_owned);
    payload.policy = policy.map(str::to_owned);
    Ok((payload, targets))
}

/// A number of hosts that every JSON reader keeps exact.
pub(super) fn as_json_integer(hosts: u128) -> u64 {
    u64::try_from(hosts).unwrap_or(u64::MAX).min(LARGEST_JSON_INTEGER)
}

/// The scanner of this name among those of the pool that are eligible.
pub(super) fn instance_of(
    pool: &ScannerPool,
    id: &str,
    eligible: fn(&ScannerInstance) -> bool,
) -> Result<InstanceId, ServiceError> {
    let candidates = || pool.instances.iter().filter(|instance| eligible(instance)).map(|one| &one.instance_id);
    candidates().find(|candidate| candidate.as_str() == id).cloned().ok_or_else(|| ServiceError::UnknownInstance {
        pool: pool.name.to_string(),
        instance: excerpt(id).to_string(),
        available: candidates().map(InstanceId::to_string).collect(),
    })
}

fn check_text<'a>(field: &'static str, text: &'a str, most: usize) -> Result<&'a str, ServiceError> {
    let text = text.trim();
    let count = text.chars().count();
    if count > most {
        return Err(ServiceError::invalid(
            field,
            format!("has {}; {most} are allowed", counted(count, "character", "characters")),
            None,
        ));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        || (field == "name" && text.contains(['\n', '\t']))
    {
        return Err(ServiceError::invalid(field, "has control characters", Some("write it on one line".to_owned())));
    }
    if field == "name" {
        let is_shown = |character: char| !character.is_whitespace() && !is_hidden(character);
        if !text.is_empty() && !text.chars().any(is_shown) {
            let hint = "give it letters or digits that a person can see".to_owned();
            return Err(ServiceError::invalid(field, "has invisible characters only", hint));
        }
        // Such a name is shown as another one than it is.
        if text.contains([
            '\u{202A}', '\u{202B}', '\u{202C}', '\u{202D}', '\u{202E}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
        ]) {
            let hint = "write it without them: they show a name as another one than it is".to_owned();
            return Err(ServiceError::invalid(field, "has characters that change the direction of text", hint));
        }
    }
    Ok(text)
}

fn check_template(template: &str) -> Result<&str, ServiceError> {
    let template = template.trim();
    let plain = template.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain && (1..=64).contains(&template.len()) {
        Ok(template)
    } else {
        let hint = "name one of the scanner's templates, such as `basic`, `discovery` or `advanced`".to_owned();
        Err(ServiceError::invalid("template", "is not a template name", hint))
    }
}

fn check_policy<'a>(policy: &'a str, template: Option<&str>) -> Result<&'a str, ServiceError> {
    if template.is_some() {
        let hint = "give one of them: a policy is made from a template".to_owned();
        return Err(ServiceError::invalid("policy", "stands beside a template", hint));
    }
    let policy = check_text("policy", policy, MAX_NAME)?;
    if policy.is_empty() {
        let hint = "give the name or the id of a policy; the list of policies shows them".to_owned();
        return Err(ServiceError::invalid("policy", "is empty", hint));
    }
    Ok(policy)
}

/// What two requests must share to count as the same: everything the caller chose, normalised, and nothing else. A default
/// that is spelled out is no choice; pool and profile are filled in by now, and the default template counts as none. Of a login
/// it has what tells it from others, and nothing from which it can be found out.
pub(super) fn request_hash(task: &Task, fingerprint: Option<String>) -> String {
    let template = task.payload.template.as_deref().filter(|template| *template != DEFAULT_TEMPLATE);
    hash_with(task, template, fingerprint)
}

/// Whether `stored` is the hash of the request of this task: the one of today, or that of an older version.
pub(super) fn is_hash_of(stored: &str, hash: &str, task: &Task) -> bool {
    stored == hash || older_request_hash(task).is_some_and(|older| stored == older)
}

/// What an older version made of a request that spells out the default template: a key that it has claimed stands for 48
/// hours. Its hash of a request that names no template is the one of today.
fn older_request_hash(task: &Task) -> Option<String> {
    let is_default = task.payload.template.as_deref().is_none_or(|template| template == DEFAULT_TEMPLATE);
    is_default.then(|| hash_with(task, Some(DEFAULT_TEMPLATE), None))
}

fn hash_with(task: &Task, template: Option<&str>, fingerprint: Option<String>) -> String {
    let payload = ScanPayload { template: template.map(str::to_owned), ..task.payload.clone() };
    let mut chosen =
        vec![json!(task.scan_type), json!(task.scanner_pool), json!(task.pinned_instance_id), json!(payload)];
    chosen.extend(fingerprint.map(Value::from));
    let chosen = Value::from(chosen);
    hex::encode(&Sha256::digest(chosen.to_string().as_bytes()))
}
