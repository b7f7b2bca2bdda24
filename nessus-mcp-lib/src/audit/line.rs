//! What a line of the audit log says.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{error::excerpt, time::Timestamp};

/// The way somebody came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// With a token of `policy.yaml`.
    Token,
    /// From this machine, without a token.
    Local,
    /// As the user who started `stdio`.
    Stdio,
    /// With a token of an identity provider.
    Oauth,
    /// As a user of the operating system, at a command line.
    OsUser,
    /// The process itself: its start, its end, a signal.
    Process,
    /// Nobody knows: a login that was refused.
    #[default]
    Unknown,
}

/// Whether something was let happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// It was.
    #[default]
    Allowed,
    /// It was not.
    Refused,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        })
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "allowed" => Ok(Self::Allowed),
            "refused" => Ok(Self::Refused),
            _ => Err("must be `allowed` or `refused`".to_owned()),
        }
    }
}

/// The codes of errors that say what was decided, rather than what failed.
const REFUSALS: [&str; 13] = [
    "not_permitted",
    "client_revoked",
    "rate_limited",
    "out_of_scope",
    "daily_host_limit",
    "client_limit",
    "no_window",
    "credential_not_allowed",
    "not_an_approver",
    "own_approval",
    "approval_denied",
    "approval_expired",
    "audit_unavailable",
];

impl Decision {
    /// What was decided, as the outcome tells: `ok` or the code of an error.
    pub fn of_outcome(code: &str) -> Self {
        if REFUSALS.contains(&code) { Self::Refused } else { Self::Allowed }
    }
}

/// Who did something. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Who {
    /// The name of the principal; absent when nobody is known.
    #[serde(default, rename = "who", skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The way it came in.
    pub entry: Entry,
    /// The address it came from; absent for this machine's command lines and pipes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

impl Who {
    /// Somebody of this name, who came in this way.
    pub fn new(name: impl Into<Arc<str>>, entry: Entry) -> Self {
        Self { name: Some(name.into()), entry, ..Self::default() }
    }

    /// The process itself.
    pub fn process() -> Self {
        Self { entry: Entry::Process, ..Self::default() }
    }

    /// The same with a role.
    pub fn with_role(mut self, role: impl fmt::Display) -> Self {
        self.role = Some(role.to_string());
        self
    }

    /// The same with the address they came from.
    pub fn with_address(mut self, from: Option<IpAddr>) -> Self {
        self.from = from;
        self
    }
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The tool, the command, or the kind of event.
    pub what: String,
    /// Who did it.
    #[serde(flatten)]
    pub who: Who,
    /// The digest of its arguments, as [`digest`](super::digest) makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Whether it was let happen.
    pub decision: Decision,
    /// The rule that decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `ok` or the code of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The task it is about or became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The request it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How many of the same there were; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Event {
    /// That somebody did something, which is allowed.
    pub fn new(what: impl Into<String>, who: Who) -> Self {
        Self { what: what.into(), who, ..Self::default() }
    }

    /// The same, decided so by this rule.
    pub fn decided(mut self, decision: Decision, rule: impl Into<String>) -> Self {
        (self.decision, self.rule) = (decision, Some(rule.into()));
        self
    }

    /// The same from an address.
    pub fn with_address(mut self, from: Option<IpAddr>) -> Self {
        self.who.from = from;
        self
    }

    /// The same with an outcome: `ok` or the code of an error.
    pub fn with_outcome(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = Some(outcome.into());
        self
    }

    /// The same with the digest of its arguments.
    pub fn with_arguments(mut self, digest: impl Into<String>) -> Self {
        self.arguments = Some(digest.into());
        self
    }

    /// The same about a task.
    pub fn with_task(mut self, task_id: Option<String>) -> Self {
        self.task_id = task_id;
        self
    }

    /// The same with the request it came with.
    pub fn with_trace(mut self, trace_id: Option<String>) -> Self {
        self.trace_id = trace_id;
        self
    }

    /// The same with short and printable texts: what callers wrote must not make a line long.
    pub(super) fn bounded(mut self) -> Self {
        let cut = |text: &mut String| {
            let short = excerpt(text).to_string();
            if short != *text {
                *text = short;
            }
        };
        cut(&mut self.what);
        for text in [&mut self.rule, &mut self.outcome, &mut self.task_id, &mut self.trace_id, &mut self.who.role] {
            text.as_mut().into_iter().for_each(cut);
        }
        if let Some(name) = &mut self.who.name {
            *name = excerpt(name).to_string().into();
        }
        self
    }
}

/// Why a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// It is all that is to be said.
    Event,
    /// Something that changes something is about to be done; a line of kind `done` follows.
    Asked,
    /// It was done, or was not; `asked` has the sequence number of the line before it.
    Done,
    /// The chain itself: how its writer found it.
    Chain,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "event",
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Chain => "chain",
        })
    }
}

/// A piece of a line that a process left when it was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HalfLine {
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A line of the audit log, without its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// Its number in the chain, from 1 on.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// Why it was written.
    pub kind: Kind,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// For the kind `done`: the number of the line with the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// In the first line of a day: the day of the line before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// The piece of a line that stands before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_line: Option<HalfLine>,
    /// The id of the key, or `none`.
    pub key: String,
    /// The hash of the line before it.
    pub previous: String,
}
