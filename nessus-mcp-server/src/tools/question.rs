//! A request that is not answered yet, and its audit lines. What cannot be written down before it is done is not done.

use std::sync::{Arc, Mutex, PoisonError};

use nessus_mcp_lib::audit::{Asked, Audit, Decision, Event};
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, CallToolResult, ErrorCode},
    service::RequestContext,
};

use crate::answer;

const AUDIT_UNAVAILABLE: &str = "audit_unavailable";

/// A request that is not answered yet; nothing where there is no audit log.
#[derive(Debug, Clone, Default)]
pub(super) struct Question(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    audit: Audit,
    event: Event,
    asked: Mutex<Option<Asked>>,
}

impl Question {
    pub(super) fn new(audit: Audit, event: Event) -> Self {
        Self(Some(Arc::new(Open { audit, event, asked: Mutex::default() })))
    }

    /// Writes that a tool is about to change something; refuses it where that cannot be written.
    pub(super) async fn ask(context: &RequestContext<RoleServer>) -> Result<(), CallToolResult> {
        let Some(Self(Some(open))) = context.extensions.get::<Self>().cloned() else { return Ok(()) };
        // The failure is logged where it happens.
        let asked = open.audit.asked(open.event.clone()).await.map_err(|_| {
            let message = "nothing was done: the audit log cannot be written now".to_owned();
            let hint =
                "try again later; if the error persists, an operator finds the cause in the server's log".to_owned();
            answer::refusal(AUDIT_UNAVAILABLE, message, Some(hint))
        })?;
        *open.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(())
    }

    /// Writes what became of it.
    pub(super) async fn answered(self, answer: Answer<'_>) {
        let Some(open) = self.0 else { return };
        let Answer { code, message, task } = answer;
        let mut event = open.event.clone().with_outcome(code);
        if Decision::of_outcome(code) == Decision::Refused {
            event = event.decided(Decision::Refused, message.unwrap_or(code));
        }
        if let Some(task) = task {
            event = event.with_task(Some(task.to_owned()));
        }
        let asked = open.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        match asked {
            Some(asked) => open.audit.done(asked, event).await,
            None if event.decision == Decision::Refused => open.audit.refused(event),
            None => open.audit.note(event).await,
        }
    }
}

impl Drop for Open {
    /// Whoever asked did not wait for the answer.
    fn drop(&mut self) {
        let asked = self.asked.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(asked) = asked {
            self.audit.abandoned(asked, self.event.clone().with_outcome("abandoned"));
        }
    }
}

/// What is said of an answer.
pub(super) struct Answer<'a> {
    code: &'a str,
    message: Option<&'a str>,
    task: Option<&'a str>,
}

impl<'a> Answer<'a> {
    const OK: Self = Self { code: "ok", message: None, task: None };

    /// Of a tool.
    pub(super) fn of_call(result: &'a Result<CallToolResponse, ErrorData>) -> Self {
        let Ok(CallToolResponse::Complete(answer)) = result else { return Self::of(result) };
        let text = |name: &str| answer.structured_content.as_ref().and_then(|answer| answer.get(name)?.as_str());
        if answer.is_error == Some(true) {
            Self { code: text("error").unwrap_or("failed"), message: text("message"), task: text("task_id") }
        } else {
            Self { task: text("task_id"), ..Self::OK }
        }
    }

    /// Of anything else.
    pub(super) fn of<T>(result: &'a Result<T, ErrorData>) -> Self {
        let Err(error) = result else { return Self::OK };
        let code = error.data.as_ref().and_then(|data| data.get("error")?.as_str());
        let code = code.unwrap_or(match error.code {
            ErrorCode::INVALID_PARAMS => "invalid_params",
            ErrorCode::INVALID_REQUEST => "not_permitted",
            ErrorCode::RESOURCE_NOT_FOUND => "resource_not_found",
            _ => "internal_error",
        });
        Self { code, message: Some(&error.message), task: None }
    }
}
