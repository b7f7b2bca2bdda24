//! Something that a webhook is to be told, as it stands in a task's file.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{hex, ids::TaskId, policy::HookEvent, time::Timestamp};

/// Something that a webhook is to be told, and how that went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivery {
    /// The webhook, by its name in `policy.yaml`; `None` where whoever wrote this did not know the webhooks: a worker does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// What has happened, a word such as `completed`.
    pub event: String,
    /// The attempt of the task that it belongs to.
    pub attempt: u32,
    /// When it happened.
    pub at: Timestamp,
    /// How often it was tried to tell it.
    #[serde(default)]
    pub tries: u32,
    /// When that was tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_tried_at: Option<Timestamp>,
    /// Why it failed last, in words that hold no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// When the webhook has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_at: Option<Timestamp>,
    /// When an operator cleared away that it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed_at: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn new(webhook: Option<String>, event: HookEvent, attempt: u32, at: Timestamp) -> Self {
        let event = event.as_str().to_owned();
        let (first_tried_at, last_error, next_try_at, delivered_at, given_up_at, dismissed_at) = Default::default();
        Self {
            webhook,
            event,
            attempt,
            at,
            tries: 0,
            first_tried_at,
            last_error,
            next_try_at,
            delivered_at,
            given_up_at,
            dismissed_at,
        }
    }

    /// Whether it is still to be delivered.
    pub const fn is_pending(&self) -> bool {
        self.delivered_at.is_none() && self.given_up_at.is_none()
    }

    /// Whether it was given up, and nobody has cleared that away.
    pub(crate) const fn is_dead(&self) -> bool {
        self.given_up_at.is_some() && self.delivered_at.is_none() && self.dismissed_at.is_none()
    }

    /// Whether it is this event for this webhook, however it went.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let parts = |one: &Self| (one.attempt, one.at);
        self.webhook == other.webhook && self.event == other.event && parts(self) == parts(other)
    }

    /// The name by which the webhook knows it again when it comes twice: 32 hexadecimal digits.
    pub(crate) fn id(&self, task_id: &TaskId) -> String {
        let Self { webhook, event, attempt, at, .. } = self;
        let named = json!(["nessus-mcp delivery, version 1", task_id, webhook, event, attempt, at]).to_string();
        hex::encode(&Sha256::digest(named)[..16])
    }
}
