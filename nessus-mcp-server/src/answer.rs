//! How tools return answers and errors.

use http::HeaderValue;
use nessus_mcp_lib::{
    error::{Classified, ErrorKind, chain, excerpt},
    ids::TraceId,
    service::ServiceError,
};
use rmcp::{
    RoleServer,
    model::{CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{error, info};

use crate::{trace::Trace, words::agent_words};

/// The most characters of a message or a hint. Errors shorten what they quote, but not what they list.
const MOST_CHARS: usize = 4_000;

/// The members of views with sentences of the library.
const SENTENCES: [&str; 5] = ["advice", "error_message", "hint", "message", "waiting_for"];

/// The code of an error about the form of arguments.
pub(crate) const INVALID_ARGUMENTS: &str = "invalid_arguments";

/// A small answer as structured content, and the same JSON as text.
///
/// Why has no tool an output schema? Clients that validate apply it to errors as well, and then drop their code, message
/// and hint. Other clients turn dictionaries into objects of their own when there is a schema.
pub(crate) fn structured(view: Result<impl Serialize, ServiceError>) -> CallToolResult {
    let value = view.and_then(|view| {
        said(&view).map_err(|error| ServiceError::invalid("view", format!("cannot be written: {error}"), None))
    });
    value.map_or_else(|error| refuse(&error), CallToolResult::structured)
}

/// A view of the library as an answer: its sentences in an agent's words.
pub(crate) fn said(view: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(view)?;
    say_in_agent_words(&mut value);
    Ok(value)
}

fn say_in_agent_words(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(say_in_agent_words),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if SENTENCES.contains(&name.as_str()) => *text = agent_words(text),
                    other => say_in_agent_words(other),
                }
            }
        }
        _ => {}
    }
}

/// An error as a tool result: a stable code, a message, and what to do.
///
/// The message is for an agent. What only an operator can act on, such as a path, goes to the log.
pub(crate) fn refuse(error: &ServiceError) -> CallToolResult {
    let (message, hint) = explained(error);
    refusal(error.code(), message, hint)
}

/// The message of an error for an agent, and what to do.
pub(crate) fn explained(error: &ServiceError) -> (String, Option<String>) {
    let for_operators = matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::Configuration)
        // What they say helps the caller, and names no path.
        && !matches!(
            error,
            ServiceError::Busy { .. } | ServiceError::DiskFull { .. } | ServiceError::DiskReadOnly
        );
    let hint = error.hint().map(|hint| agent_words(&hint));
    if for_operators {
        error!(code = error.code(), error = chain(error), hint, "a call has failed");
        let hint = "try again later; if the error persists, an operator finds the cause in the server's log".to_owned();
        ("the server could not do this now".to_owned(), Some(hint))
    } else {
        info!(code = error.code(), error = chain(error), "a call was refused");
        (cut(agent_words(&chain(error))), hint.map(cut))
    }
}

/// An error in its form.
pub(crate) fn refusal(code: &str, message: String, hint: Option<String>) -> CallToolResult {
    refusal_with(code, message, hint, [])
}

/// An error in its form, with more fields.
pub(crate) fn refusal_with<const N: usize>(
    code: &str,
    message: String,
    hint: Option<String>,
    more: [(&str, Value); N],
) -> CallToolResult {
    let mut answer = Map::new();
    answer.insert("error".to_owned(), Value::from(code));
    answer.insert("message".to_owned(), Value::from(cut(message)));
    if let Some(hint) = hint {
        answer.insert("hint".to_owned(), Value::from(cut(hint)));
    }
    answer.extend(more.map(|(field, value)| (field.to_owned(), value)));
    CallToolResult::structured_error(Value::Object(answer))
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Gives the MCP library's error about invalid arguments the form of our own errors.
pub(crate) fn with_code(response: CallToolResponse) -> CallToolResponse {
    match response {
        CallToolResponse::Complete(result) if result.is_error == Some(true) && result.structured_content.is_none() => {
            let message: String =
                result.content.iter().filter_map(ContentBlock::as_text).map(|part| &*part.text).collect();
            let hint = "compare the arguments with the tool's input schema".to_owned();
            refusal(INVALID_ARGUMENTS, excerpt(&message).to_string(), Some(hint)).into()
        }
        other => other,
    }
}

/// What came with the call beside its arguments.
pub(crate) struct Envelope {
    pub(crate) trace_id: TraceId,
    /// The headers `X-Idempotency-Key`; none over stdio.
    pub(crate) idempotency_keys: Vec<HeaderValue>,
}

impl Envelope {
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let parts = context.extensions.get::<http::request::Parts>();
        let keys = parts.map(|parts| parts.headers.get_all("x-idempotency-key"));
        Self { trace_id: Trace::of(context).id, idempotency_keys: keys.into_iter().flatten().cloned().collect() }
    }
}
