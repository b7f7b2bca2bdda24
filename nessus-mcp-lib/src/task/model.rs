//! The content of `task.json`.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    delivery::Delivery,
    events::TaskEvent,
    pause::{Pause, PauseRequest, PauseState, PausedBy},
    records::{
        ChargedHosts, ClientCharge, FetchedExport, FormerScan, HistoryEntry, LastError, Observation, OpenScan, Step,
        StoredFile,
    },
    state::TaskStatus,
};
use crate::{
    error::excerpt,
    ids::{FencingToken, InstanceId, PoolName, ScanId, TaskId, TraceId},
    policy::{Approval, Checked, Sight},
    targets::{NameAddresses, TargetError, TargetSet},
    time::Timestamp,
};

/// The version of `task.json` this library writes.
pub const TASK_SCHEMA_VERSION: u32 = 1;

/// What is said of a task that somebody has cancelled.
pub(crate) const CANCELLED: &str = "cancelled on request";

/// The code of a task with which worker after worker was lost. It says nothing against its scan.
pub(crate) const POISON_TASK: &str = "poison_task";

/// The member of [`Task::validation_stats`] that has the codes of the warnings.
pub(crate) const WARNING_CODES: &str = "warning_codes";

/// What a scan may use on its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub enum ScanType {
    /// The network only.
    Untrusted,
    /// A login over SSH, without more rights than its user has.
    #[serde(alias = "authenticated", alias = "trusted_basic")]
    Trusted,
    /// A login over SSH that takes more rights (`sudo`, `su`, ...).
    #[serde(alias = "authenticated_privileged", alias = "trusted_privileged")]
    Privileged,
}

impl ScanType {
    /// The word in `task.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Trusted => "trusted",
            Self::Privileged => "privileged",
        }
    }
}

impl fmt::Display for ScanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScanType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "untrusted" => Ok(Self::Untrusted),
            "trusted" | "authenticated" | "trusted_basic" => Ok(Self::Trusted),
            "privileged" | "authenticated_privileged" | "trusted_privileged" => Ok(Self::Privileged),
            _ => Err(format!("`{}` is not a scan type; there are: untrusted, trusted, privileged", excerpt(text))),
        }
    }
}

/// What a scan logs in with, by name; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CredentialReference {
    /// The id in `credentials.yaml`; `None` for a login that came with the request, which lies sealed beside the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `ssh` or `windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The user it logs in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How it takes more rights, such as `sudo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation_method: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScanPayload {
    /// The targets, normalised, comma separated.
    pub targets: String,
    /// The name a person gave.
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// The result profile asked for, such as `brief`.
    #[serde(default)]
    pub schema_profile: Option<String>,
    /// The scanner's name for the kind of scan; `None` for its basic one.
    #[serde(default)]
    pub template: Option<String>,
    /// The policy of the scanner that the scan is made of, by its name or its id; `None` for one made of a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// For a policy that was asked for by its id: the name it had at the submit, and must have when the scan begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// What the scan logs in with; `None` for one from the network only, and for one that logs in with what its policy has.
    #[serde(default)]
    pub credential: Option<CredentialReference>,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ScanPayload {
    /// A scan of these targets under this name, everything else left open.
    pub fn new(name: impl Into<String>, targets: impl Into<String>) -> Self {
        Self {
            targets: targets.into(),
            name: name.into(),
            description: String::new(),
            schema_profile: None,
            template: None,
            policy: None,
            policy_name: None,
            credential: None,
            extra: Map::new(),
        }
    }
}

/// The idempotency key that a task was submitted under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskKey {
    /// The key.
    pub key: String,
    /// The hash of the request it stands for.
    pub request_hash: String,
    /// When it was first used: from then on it counts.
    pub claimed_at: Timestamp,
}

impl TaskKey {
    /// A key of these parts.
    pub(crate) fn new(key: impl Into<String>, request_hash: impl Into<String>, claimed_at: Timestamp) -> Self {
        Self { key: key.into(), request_hash: request_hash.into(), claimed_at }
    }
}

/// What the scope policy said of a task's targets when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScopeRecord {
    /// When.
    pub checked_at: Timestamp,
    /// `dry_run` or `enforce`.
    pub mode: String,
    /// The addresses that were checked for each name of the targets: the scan is of them, whatever the name stands for later.
    #[serde(default, skip_serializing_if = "NameAddresses::is_empty")]
    pub addresses: NameAddresses,
    /// What the rules would have refused, in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_refuse: Vec<String>,
}

impl ScopeRecord {
    /// What was found at this moment, if there is something to say.
    pub(crate) fn of(checked: Checked, checked_at: Timestamp) -> Option<Self> {
        let Checked { mode, addresses, would_refuse, .. } = checked;
        let is_told = !addresses.is_empty() || !would_refuse.is_empty();
        is_told.then(|| Self { checked_at, mode: mode.as_str().to_owned(), addresses, would_refuse })
    }
}

/// A task as it stands in `task.json`. Fields this version does not know survive in `extra`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Task {
    /// Its name.
    pub task_id: TaskId,
    /// The request it came with.
    pub trace_id: TraceId,
    /// What it may use on its targets.
    pub scan_type: ScanType,
    /// The type of scanner, such as `nessus` or `mock`.
    pub scanner_type: String,
    /// The pool that runs it.
    pub scanner_pool: PoolName,
    /// The scanner that runs it: pinned by the submitter, or chosen when its scan was about to be created.
    #[serde(default)]
    pub scanner_instance_id: Option<InstanceId>,
    /// The scanner the submitter asked for, if it asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_instance_id: Option<InstanceId>,
    /// Where it stands.
    pub status: TaskStatus,
    /// What was asked for.
    pub payload: ScanPayload,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a worker started it.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// Seconds from `started_at` to `completed_at`, without pauses.
    #[serde(default)]
    pub execution_time: Option<f64>,
    /// The scan on the scanner.
    #[serde(default)]
    pub nessus_scan_id: Option<ScanId>,
    /// The scanner's name for the run of the scan.
    #[serde(default)]
    pub scan_uuid: Option<String>,
    /// The scans that were made for it, in this attempt or an earlier one, and are not known to have ended. Before another
    /// is made, those of earlier attempts are stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_scans: Vec<OpenScan>,
    /// The scans of earlier attempts that it did not go on with, whether they have ended or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_scans: Vec<FormerScan>,
    /// What went wrong, in words.
    #[serde(default)]
    pub error_message: Option<String>,
    /// What went wrong, as a stable code.
    #[serde(default)]
    pub error_code: Option<String>,
    /// What to do about it, where more is known than its code says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_hint: Option<String>,
    /// How often the task was started on request, from 1; an explicit retry raises it.
    #[serde(default = "first_attempt")]
    pub attempt: u32,
    /// Its steps, oldest first.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
    /// What has happened to it, and who has done it, oldest first: of very many events the first and the last. Where an older version
    /// of the program has written, some are missing that `history` has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<TaskEvent>,
    /// How many events are left out of their middle.
    #[serde(default, skip_serializing_if = "is_none_left_out")]
    pub events_left_out: u64,
    /// Counts of the validated export.
    #[serde(default)]
    pub validation_stats: Option<Value>,
    /// What a reader of the results must know, in sentences.
    #[serde(default)]
    pub validation_warnings: Vec<String>,
    /// Whether the login on the targets worked, whatever was asked for; `not_applicable` where none was wanted and none tried.
    #[serde(default)]
    pub authentication_status: Option<String>,
    /// 0 to 100, never falling within an attempt, 100 only when completed.
    #[serde(default)]
    pub progress: Option<u8>,
    /// What the scanner last said of the running scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// When the export of its scan was fetched, which is then checked and converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_fetched_at: Option<Timestamp>,
    /// The export that its results were read from, as it lies here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<FetchedExport>,
    /// When its scan was deleted on the scanner by housekeeping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_deleted_at: Option<Timestamp>,
    /// The last error, while it is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Who submitted it, when the API layer knows.
    #[serde(default)]
    pub submitted_by: Option<String>,
    /// The team of whoever submitted it, if the policy named one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Under whose rights the present attempt runs: who submitted it, or tried it again; `None` for the program that embeds the
    /// service, and for an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// When its results were last read.
    #[serde(default)]
    pub last_accessed_at: Option<Timestamp>,
    /// When somebody asked for the running scan to be stopped; its worker does so as soon as it sees this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested_at: Option<Timestamp>,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// The wish that it be held: before its scan begins it waits, and a scan that runs is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_request: Option<PauseRequest>,
    /// How its scan is held, as its worker sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Seconds that it was held in this attempt, without the pause that lasts. They are no time of its scan.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused_seconds: f64,
    /// The caller's own name for the request, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<TaskKey>,
    /// What the scope policy said, where one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeRecord>,
    /// How it stands with the approval of this attempt, where the policy wants a person to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Its hosts that count against a day, by attempt; empty where the policy has no limit for a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charged_hosts: Vec<ChargedHosts>,
    /// What it counts against limits of its principals, by attempt; empty where they have none. A task that has some also has
    /// `charged_hosts`, which know whether its scan was launched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charged_clients: Vec<ClientCharge>,
    /// What has happened and webhooks want to hear, oldest first, with what became of it; empty where no webhook wants anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<Delivery>,
    /// When an operator cleared the dead letter of this failure away; a retry clears this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed_at: Option<Timestamp>,
    /// Its files of results, by name, where they are kept in an object store; empty in a data directory, where they lie beside this
    /// document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, StoredFile>,
    /// The fencing token of the last claim that wrote here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<FencingToken>,
    /// How often this document was written; 0 in one that only older versions have written.
    #[serde(default)]
    pub revision: u64,
    /// The version of this document.
    #[serde(default = "current_version")]
    pub schema_version: u32,
    /// What a newer version wrote.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(seconds: &f64) -> bool {
    *seconds <= 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none_left_out(count: &u64) -> bool {
    *count == 0
}

const fn first_attempt() -> u32 {
    1
}

const fn current_version() -> u32 {
    TASK_SCHEMA_VERSION
}

impl Task {
    /// Whether a caller with this sight may see it.
    pub(crate) fn is_seen_by(&self, sight: &Sight) -> bool {
        sight.includes(self.submitted_by.as_deref(), self.team.as_deref())
    }

    /// A queued task.
    pub fn new(
        task_id: TaskId,
        trace_id: TraceId,
        scan_type: ScanType,
        scanner_type: impl Into<String>,
        scanner_pool: PoolName,
        payload: ScanPayload,
        created_at: Timestamp,
    ) -> Self {
        Self {
            task_id,
            trace_id,
            scan_type,
            scanner_type: scanner_type.into(),
            scanner_pool,
            scanner_instance_id: None,
            pinned_instance_id: None,
            status: TaskStatus::Queued,
            payload,
            created_at,
            started_at: None,
            completed_at: None,
            execution_time: None,
            nessus_scan_id: None,
            scan_uuid: None,
            open_scans: Vec::new(),
            former_scans: Vec::new(),
            error_message: None,
            error_code: None,
            error_hint: None,
            attempt: 1,
            history: Vec::new(),
            events: Vec::new(),
            events_left_out: 0,
            validation_stats: None,
            validation_warnings: Vec::new(),
            authentication_status: None,
            progress: None,
            observation: None,
            export_fetched_at: None,
            export: None,
            scan_deleted_at: None,
            last_error: None,
            submitted_by: None,
            team: None,
            principal: None,
            last_accessed_at: None,
            cancel_requested_at: None,
            cancel_reason: None,
            pause_request: None,
            pause: None,
            paused_seconds: 0.0,
            idempotency: None,
            scope: None,
            approval: None,
            charged_hosts: Vec::new(),
            charged_clients: Vec::new(),
            deliveries: Vec::new(),
            dismissed_at: None,
            files: BTreeMap::new(),
            fence: None,
            revision: 0,
            schema_version: TASK_SCHEMA_VERSION,
            extra: Map::new(),
        }
    }

    /// Binds the task to the scanner its submitter asks for.
    pub fn pin(&mut self, instance: InstanceId) {
        self.scanner_instance_id = Some(instance.clone());
        self.pinned_instance_id = Some(instance);
    }

    /// When it was queued last: when it was accepted, or when it was tried again.
    pub(crate) fn queued_at(&self) -> Timestamp {
        let again = self.history.iter().rev().find(|step| step.to == TaskStatus::Queued);
        again.map_or(self.created_at, |step| step.at)
    }

    /// The scanner on which the next step is due: where a scan of an earlier attempt has to be stopped first, that one's.
    pub(crate) fn next_instance(&self) -> Option<&InstanceId> {
        match (&self.nessus_scan_id, self.open_scans.first()) {
            (None, Some(earlier)) => Some(&earlier.instance_id),
            _ => self.scanner_instance_id.as_ref(),
        }
    }

    /// Whether its login came with the request, so that it is gone once the task has ended.
    pub(crate) fn has_sealed_login(&self) -> bool {
        self.payload.credential.as_ref().is_some_and(|credential| credential.id.is_none())
    }

    /// Whether it logs in with credentials of its policy only.
    pub(crate) fn logs_in_by_policy(&self) -> bool {
        self.payload.policy.is_some() && self.payload.credential.is_none()
    }

    /// How often this step has failed in a row, and since when.
    pub(crate) fn failures(&self, step: Step) -> Option<(u32, Timestamp)> {
        self.last_error.as_ref().filter(|last| last.is_in(step)).map(|last| (last.count, last.since))
    }

    /// Writes down that a step has failed, and when it is tried again.
    pub(crate) fn step_failed(&mut self, step: Step, error: LastError, next_try_at: Timestamp) {
        let (count, since) = self.failures(step).unwrap_or((0, error.since));
        self.last_error = Some(LastError { count: count.saturating_add(1), since, next_try_at, ..error });
    }

    /// How it is held, for whoever asks: as its worker has written it, else as somebody wishes.
    pub(crate) fn shown_pause(&self) -> Option<Pause> {
        let wished = |state| {
            let PauseRequest { requested_at, reason } = self.pause_request.clone()?;
            Some(Pause { by: PausedBy::Request, state, since: requested_at, reason, until: None })
        };
        match self.status {
            TaskStatus::Running => self.pause.clone().or_else(|| wished(PauseState::Pausing)),
            TaskStatus::Queued => wished(PauseState::Paused),
            _ => None,
        }
    }

    /// How long it was held in this attempt, up to this moment: that is no time of its scan.
    pub(crate) fn time_paused(&self, now: Timestamp) -> Duration {
        let earlier = Duration::try_from_secs_f64(self.paused_seconds).unwrap_or_default();
        earlier + self.pause.as_ref().map_or(Duration::ZERO, |pause| pause.lasted(now))
    }

    /// The moment from which its time counts: when it started, later by as long as it was held.
    pub(crate) fn time_counts_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.started_at.map(|started_at| started_at.plus(self.time_paused(now)))
    }

    /// Writes down that its scan is not held any more.
    pub(crate) fn end_pause(&mut self, now: Timestamp) {
        self.paused_seconds = self.time_paused(now).as_secs_f64();
        self.pause = None;
    }

    /// What is said of a task that was cancelled: that somebody wanted it, and why if that was said.
    pub(crate) fn cancel_message(&self) -> String {
        match &self.cancel_reason {
            Some(reason) => format!("{CANCELLED}: {}", excerpt(reason)),
            None => CANCELLED.to_owned(),
        }
    }

    /// Its targets, and the addresses that were checked for names among them.
    pub(crate) fn checked_targets(&self) -> Result<(TargetSet, NameAddresses), TargetError> {
        let addresses = self.scope.as_ref().map(|scope| scope.addresses.clone());
        Ok((self.payload.targets.parse()?, addresses.unwrap_or_default()))
    }

    /// The entry of this task in the queue: enough for an operator to read, never a secret.
    pub(crate) fn queue_entry(&self) -> Value {
        serde_json::json!({
            "task_id": self.task_id,
            "trace_id": self.trace_id,
            "scan_type": self.scan_type,
            "scanner_type": self.scanner_type,
            "scanner_pool": self.scanner_pool,
            "scanner_instance_id": self.scanner_instance_id,
            "payload": self.payload,
            "attempt": self.attempt,
            "created_at": self.created_at,
            "queued_at": self.queued_at(),
        })
    }
}
