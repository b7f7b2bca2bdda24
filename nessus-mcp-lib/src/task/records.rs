//! What a task remembers of its way: changes of state, what was seen of its scan, failures, and scans of earlier attempts.

use serde::{Deserialize, Serialize};

use super::state::TaskStatus;
use crate::{
    ids::{InstanceId, ScanId},
    policy::Limit,
    time::Timestamp,
};

/// A step in a task's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// The state it had.
    pub from: TaskStatus,
    /// The state it got.
    pub to: TaskStatus,
    /// The attempt it belongs to, from 1.
    pub attempt: u32,
    /// Why, when it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// What the scanner said of a task's scan when it was last looked at, and since when it has said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observation {
    /// `created`, `pending`, `running`, `paused`, `stopping`, `unknown`, or how it ended.
    pub state: String,
    /// The progress it reported, 0 to 100; unlike [`Task::progress`](super::Task::progress) it may fall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// How many hosts it had results for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<u64>,
    /// How many of these it was done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_done: Option<u64>,
    /// Since when none of this has changed.
    pub unchanged_since: Timestamp,
}

impl Observation {
    /// Something seen for the first time, at this moment.
    pub(crate) fn new(state: impl Into<String>, progress: Option<u8>, now: Timestamp) -> Self {
        Self { state: state.into(), progress, hosts: None, hosts_done: None, unchanged_since: now }
    }

    /// Whether the scan is complete on its scanner.
    pub(crate) fn is_completed(&self) -> bool {
        self.state == "completed"
    }

    /// Whether the scan has ended there.
    pub(crate) fn is_over(&self) -> bool {
        self.is_completed() || matches!(self.state.as_str(), "cancelled" | "aborted")
    }

    /// The same as `before`, unless something has changed since.
    #[must_use]
    pub(crate) fn after(self, before: Option<Self>) -> Self {
        let is_same = |before: &Self| *before == Self { unchanged_since: before.unchanged_since, ..self.clone() };
        before.filter(is_same).unwrap_or(self)
    }
}

/// The last error of a task that goes on, until the step succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
#[non_exhaustive]
pub struct LastError {
    /// `begin`, `watch` (the scan) or `results`.
    pub step: String,
    /// A stable code.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to do about it, in the file of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub hint: Option<String>,
    /// How often this step has failed in a row.
    pub count: u32,
    /// When it failed first.
    pub since: Timestamp,
    /// When it failed last.
    pub at: Timestamp,
    /// When it is tried again.
    pub next_try_at: Timestamp,
}

impl LastError {
    /// Something that went wrong for the first time, at this moment.
    pub(crate) fn new(step: Step, code: impl Into<String>, message: impl Into<String>, now: Timestamp) -> Self {
        let (step, code, message) = (step.as_str().to_owned(), code.into(), message.into());
        Self { step, code, message, hint: None, count: 1, since: now, at: now, next_try_at: now }
    }

    /// The same with what to do about it.
    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Whether it was in this step.
    pub(crate) fn is_in(&self, step: Step) -> bool {
        self.step == step.as_str()
    }
}

/// Hosts of a task that count against a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChargedHosts {
    /// The attempt of the task that they are charged for.
    pub attempt: u32,
    /// The day in UTC, as `YYYY-MM-DD`.
    pub day: String,
    /// How many they are.
    pub hosts: u64,
    /// How many the day could have when they were charged; `None` for any number, in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
    /// Whether a scan of the attempt was launched, or is about to be. What never was is given back when the attempt ends.
    #[serde(default)]
    pub launched: bool,
    /// Why they would have been refused, in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_refuse: Option<String>,
}

impl ChargedHosts {
    /// The hosts of a first attempt, of which nothing was launched.
    pub(crate) fn new(day: String, hosts: u64) -> Self {
        Self { attempt: 1, day, hosts, most: None, launched: false, would_refuse: None }
    }
}

/// What an attempt of a task counts against a limit of whoever submitted or retried it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientCharge {
    /// The attempt of the task that it is charged for.
    pub attempt: u32,
    /// The principal whose limit it is.
    pub principal: String,
    /// The limit.
    pub limit: Limit,
    /// The day in UTC, as `YYYY-MM-DD`; `None` for what counts until the attempt ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// How much it counts.
    pub amount: u64,
    /// How much there could be when it was charged.
    pub most: u64,
}

/// What a new attempt of a task counts against limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Charges {
    /// The hosts of a day of all.
    pub(crate) hosts: Option<ChargedHosts>,
    /// The limits of a client.
    pub(crate) client: Vec<ClientCharge>,
}

/// A scan of an earlier attempt: it stays on its scanner as long as the task is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FormerScan {
    /// The scanner it is on.
    pub instance_id: InstanceId,
    /// Its id there.
    pub scan_id: ScanId,
}

/// The export of a task, as it was published when it had been checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FetchedExport {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of it in lower case hexadecimal; `None` when the scanner's backend does not compute it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl FetchedExport {
    /// An export of these parts.
    pub(crate) const fn new(bytes: u64, sha256: Option<String>) -> Self {
        Self { bytes, sha256 }
    }
}

/// A phase of a task that is retried when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Until the scan is launched.
    Begin,
    /// Until the scan has ended.
    Watch,
    /// Until its results are here.
    Results,
}

impl Step {
    /// The word in `task.json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Watch => "watch",
            Self::Results => "results",
        }
    }
}

/// A scan that was made for a task and is not known to have ended: it may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenScan {
    /// The scanner it is on.
    pub instance_id: InstanceId,
    /// Its id there.
    pub scan_id: ScanId,
    /// The attempt of the task in which it was made.
    pub attempt: u32,
    /// Whether it was to be stopped: a retry does not go on with it.
    #[serde(default)]
    pub told_to_stop: bool,
}

impl OpenScan {
    pub(super) fn is(&self, instance: &InstanceId, scan: &ScanId) -> bool {
        (&self.instance_id, &self.scan_id) == (instance, scan)
    }
}

/// A file of results in an object store: the parts that hold it, in their order. Each has a mebibyte, but for the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredFile {
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 of all of it, in hexadecimal digits.
    pub sha256: String,
    /// The name of this upload beside others of the same file.
    pub upload: String,
    /// The SHA-256 of each part, in hexadecimal digits.
    pub parts: Vec<String>,
}
