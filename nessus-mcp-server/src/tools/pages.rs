//! Who reads the pages of `/ui`: the callers of the tools, under the same rights, limits and audit log.

use std::net::IpAddr;

use nessus_mcp_lib::{
    audit::{Decision, Event, digest},
    policy::{Principal, RateClass, Role},
};
use serde_json::Value;

use super::{ScanTools, limits::Limited, who};
use crate::access::{Access, ToolSet};

/// Why nobody may read.
#[derive(Debug)]
pub(crate) enum NoReader {
    /// The caller may not even read.
    NotPermitted,
    /// The caller has made too many calls; after so many seconds the next is taken.
    Limited {
        /// What is said of it.
        message: String,
        /// Whole seconds.
        retry_after_seconds: u64,
    },
}

/// What of a page goes into the audit log.
#[derive(Debug)]
pub(crate) struct PageCall {
    /// What the page is called there.
    pub(crate) page: &'static str,
    /// What was given in its address.
    pub(crate) arguments: Value,
    /// Where the request came from.
    pub(crate) from: Option<IpAddr>,
    pub(crate) trace_id: Option<String>,
}

impl From<Limited> for NoReader {
    fn from(limited: Limited) -> Self {
        Self::Limited { message: limited.message(), retry_after_seconds: limited.retry_after_seconds }
    }
}

impl ScanTools {
    /// What a caller may read, as if it called a tool of this class: it counts as a call.
    pub(crate) fn reader(&self, caller: Principal, class: RateClass) -> Result<Access, NoReader> {
        if !caller.role.may(Role::Read) {
            return Err(NoReader::NotPermitted);
        }
        let access = Access::new(&self.service, caller, self.shared.offered, ToolSet::ALL);
        self.shared.limits.count_call(&access, class)?;
        Ok(access)
    }

    /// Writes the audit line of a page that was read, or refused. `outcome` is `ok` or the code of an error.
    pub(crate) async fn note_page(&self, call: PageCall, caller: &Principal, outcome: &str) {
        let audit = self.service.audit();
        if !audit.is_on() {
            return;
        }
        let PageCall { page, arguments, from, trace_id } = call;
        let task = arguments.get("task_id").and_then(Value::as_str).map(str::to_owned);
        let event = Event::new(page, who(caller).with_address(from))
            .decided(Decision::Allowed, format!("role {}", caller.role))
            .with_arguments(digest(&arguments))
            .with_task(task)
            .with_trace(trace_id)
            .with_outcome(outcome);
        match Decision::of_outcome(outcome) {
            Decision::Refused => audit.refused(event.decided(Decision::Refused, outcome)),
            _ => audit.note(event).await,
        }
    }
}
