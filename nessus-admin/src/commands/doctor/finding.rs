//! What a check of a deployment has found.

use std::{fmt, time::Duration};

use nessus_mcp_lib::error::ErrorKind;
use serde::Serialize;
use tokio::time::timeout;

use crate::output::Colour;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// It could not be checked, because of another finding or because nobody wants it.
    Skipped,
    /// Scans run, and somebody should look after it.
    Warning,
    /// Something does not work.
    Failed,
}

impl Severity {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    pub(super) const fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Good,
            Self::Skipped => Colour::Quiet,
            Self::Warning => Colour::Warning,
            Self::Failed => Colour::Bad,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check.
    pub(super) check: &'static str,
    pub(super) severity: Severity,
    /// What it is.
    pub(super) detail: String,
    /// The command that mends it, or shows more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
    /// What a program would end with that finds it at its start, where it is not as of the other faults that the check finds.
    #[serde(skip)]
    pub(super) kind: Option<ErrorKind>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, severity: Severity::Ok, detail: detail.into(), mend: None, kind: None }
    }

    pub(super) fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Skipped, ..Self::ok(check, detail) }
    }

    pub(super) fn warning(check: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::ok(check, detail) }
    }

    pub(super) fn failed(check: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Failed, ..Self::ok(check, detail) }
    }

    /// The same of an error of this kind.
    pub(super) fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// The same with the command that mends it.
    pub(super) fn mend(self, command: impl Into<String>) -> Self {
        Self { mend: Some(command.into()), ..self }
    }
}

/// What a check finds within its time; that it takes longer is a finding too.
pub(super) async fn within(
    limit: Duration,
    check: &'static str,
    findings: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    let late = |_| {
        let detail = format!("there was no answer within {} s", limit.as_secs());
        vec![Finding::failed(check, detail).of_kind(ErrorKind::Unavailable)]
    };
    timeout(limit, findings).await.unwrap_or_else(late)
}
