//! Who is told what happens to tasks.

use std::{fmt, str::FromStr};

use crate::{
    config::ConfigError,
    error::{excerpt, nearest},
    ids::PoolName,
    secret::Secret,
};

/// Something that happens to a task, and that a webhook may want to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookEvent {
    /// Its scan has ended, and its results are here.
    Completed,
    /// It ended in error.
    Failed,
    /// It took longer than it may.
    Timeout,
    /// Somebody stopped it, or did not agree to it.
    Cancelled,
    /// A person must agree to its scan before that begins.
    ApprovalWanted,
    /// A person has agreed, or has not.
    ApprovalDecided,
}

impl HookEvent {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Failed, Self::Timeout, Self::Cancelled, Self::ApprovalWanted, Self::ApprovalDecided];

    /// The word in `policy.yaml`, in `task.json` and in what is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::ApprovalWanted => "approval_wanted",
            Self::ApprovalDecided => "approval_decided",
        }
    }
}

impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HookEvent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| {
            let known = nearest(text, Self::ALL.map(Self::as_str)).join(", ");
            format!("is no event: `{}`; the events are: {known}", excerpt(text))
        })
    }
}

/// Why this process does not know the key of a webhook.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct NoKey(pub(super) ConfigError);

impl PartialEq for NoKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for NoKey {}

impl NoKey {
    /// The error with file, line and key.
    pub fn into_error(self) -> ConfigError {
        self.0
    }
}

/// An entry of `webhooks`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Webhook {
    /// Its name, unlike that of all others.
    pub name: String,
    /// Where it is told, in full: the path may be known to those only who may write there.
    pub url: Secret,
    /// The beginning of that, `https://host:port`, which may be shown.
    pub address: String,
    /// What is sent is signed with this. Only a process that sends needs it, so a policy can be read without.
    pub key: Result<Secret, NoKey>,
    /// What it wants to hear.
    pub events: Vec<HookEvent>,
    /// The pools of the tasks that it hears of; `None` for all.
    pub pools: Option<Vec<PoolName>>,
    /// Whose tasks it hears of; `None` for everybody's.
    pub clients: Option<Vec<String>>,
    /// Whether it may have an address that only this machine or its network reaches.
    pub allow_private: bool,
    /// The certificates, in PEM, of those who vouch for it; `None` for the authorities of the machine.
    pub ca_certificates: Option<String>,
}

impl Webhook {
    /// Whether it wants to hear this of a task in this pool, which somebody has submitted. A webhook that is told of some clients'
    /// tasks is not told of a task of which nobody knows whose it is.
    pub fn wants(&self, event: HookEvent, pool: &PoolName, submitted_by: Option<&str>) -> bool {
        self.events.contains(&event)
            && self.pools.as_ref().is_none_or(|pools| pools.contains(pool))
            && self
                .clients
                .as_ref()
                .is_none_or(|clients| clients.iter().any(|name| Some(name.as_str()) == submitted_by))
    }
}
