//! What a person has decided about a scan, signed so that nobody else can have decided it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    approval::{AskedScan, HoldingRules},
    approval_key::{ApprovalKey, SigningKey},
};
use crate::{secret::Secret, time::Timestamp};

/// What stands before everything that is signed: a signature is never one of something else.
const SIGNED: &str = "nessus-mcp decision, version 1";

/// What a person is asked to agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalRequest {
    /// The digest of what was asked for.
    pub asked: String,
    /// The rules that hold the scan, each with the digest of what it says.
    pub rules: HoldingRules,
    /// Since when.
    pub asked_at: Timestamp,
    /// Until when a person may agree.
    pub expires_at: Timestamp,
    /// Why it is asked once more, if it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_anew: Option<String>,
}

/// Whether a person agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The scan may begin.
    Approved,
    /// It may not.
    Denied,
}

impl Verdict {
    /// The word in `task.json` and in what is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }
}

/// What a person has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Whether they agree.
    pub verdict: Verdict,
    /// Who: a client of `policy.yaml`.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rules that it was decided under.
    pub rules: HoldingRules,
    /// When.
    pub decided_at: Timestamp,
    /// Until when the scan may begin.
    pub expires_at: Timestamp,
    /// The signature with the key of the person, over all of this and the digest of what was asked for.
    pub signature: String,
}

impl Decision {
    /// What `by`, who has this token, decides now about what is asked.
    pub(super) fn sign(
        token: &Secret,
        (by, verdict, reason): (&str, Verdict, Option<String>),
        request: &ApprovalRequest,
        (decided_at, expires_at): (Timestamp, Timestamp),
    ) -> Self {
        let (by, rules, signature) = (by.to_owned(), request.rules.clone(), String::new());
        let unsigned = Self { verdict, by, reason, rules, decided_at, expires_at, signature };
        Self { signature: SigningKey::of(token).sign(&unsigned.signed(&request.asked)), ..unsigned }
    }

    /// Whether whoever has this key has decided so about the scan.
    pub(super) fn is_signed(&self, key: &ApprovalKey, scan: &AskedScan) -> bool {
        key.has_signed(&self.signed(&scan.digest), &self.signature)
    }

    /// What is signed.
    fn signed(&self, asked: &str) -> Vec<u8> {
        let Self { verdict, by, reason, rules, decided_at, expires_at, signature: _ } = self;
        json!([SIGNED, asked, rules, verdict, by, reason, decided_at, expires_at]).to_string().into_bytes()
    }
}

/// How it stands with the approval of a task, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Approval {
    /// What is asked.
    #[serde(flatten)]
    pub request: ApprovalRequest,
    /// What was decided, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

impl Approval {
    /// A question that nobody has answered yet.
    pub(crate) const fn new(request: ApprovalRequest) -> Self {
        Self { request, decision: None }
    }
}
