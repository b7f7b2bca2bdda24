//! What is asked for, as the arguments of tools.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    credentials::Login,
    ids::TaskId,
    service::{IdempotencyKey, ResultsRequest, SubmitRequest},
    task::ScanType,
};

/// Which tasks [`list_tasks`](super::NessusMcpClient::list_tasks) shows: those for which everything holds that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListTasks {
    /// In this state, such as `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Of this pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_pool: Option<String>,
    /// That share an address or a name with these targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
    /// With this text in their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Accepted then or later: `2026-11-28` or `2026-11-28T14:30:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_from: Option<String>,
    /// Accepted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<String>,
    /// The most tasks, 1 to 100; 20 when it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the list before, with the same conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Arguments of a tool: those that are given.
#[derive(Debug, Default, Serialize)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(super) fn of_task(task_id: &TaskId) -> Self {
        Self::default().with("task_id", task_id)
    }

    /// Adds what is not null and not empty.
    pub(super) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        let is_given = match &value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::Bool(_) | Value::Number(_) => true,
        };
        if is_given {
            self.0.insert(name.to_owned(), value);
        }
        self
    }
}

/// The tool that submits scans of a type.
pub(super) const fn tool_of(scan_type: ScanType) -> &'static str {
    match scan_type {
        ScanType::Untrusted => "run_untrusted_scan",
        ScanType::Trusted => "run_trusted_scan",
        ScanType::Privileged => "run_privileged_scan",
    }
}

pub(super) fn of_submit(request: &SubmitRequest) -> Arguments {
    let mut arguments = Arguments::default();
    match &request.login {
        None => {}
        Some(Login::Stored(id)) => arguments = arguments.with("credential_id", id),
        Some(Login::Inline(login)) => {
            // What has a member only where it is given.
            if let Ok(Value::Object(fields)) = serde_json::to_value(login.fields()) {
                arguments.0.extend(fields);
            }
        }
    }
    // An empty name or target is sent as it is: the server says what is wrong with it.
    arguments.0.insert("name".to_owned(), Value::from(request.name.as_str()));
    arguments.0.insert("targets".to_owned(), Value::from(request.targets.as_str()));
    arguments
        .with("description", &request.description)
        .with("schema_profile", request.schema_profile)
        .with("template", &request.template)
        .with("policy", &request.policy)
        .with("scanner_pool", &request.pool)
        .with("scanner_instance", &request.instance)
        .with("idempotency_key", request.idempotency_key.as_ref().map(IdempotencyKey::as_str))
}

pub(super) fn of_results(request: &ResultsRequest) -> Arguments {
    let group_sort = request.group_by.map(|(_, sort)| sort.to_string());
    Arguments::of_task(&request.task_id)
        .with("kind", request.kind)
        .with("schema_profile", request.schema_profile)
        .with("custom_fields", &request.custom_fields)
        .with("extra_fields", &request.extra_fields)
        .with("filters", (!request.filters.is_empty()).then(|| request.filters.to_json()))
        .with("count_only", request.count_only.then_some(true))
        .with("group_by", request.group_by.map(|(by, _)| by.name()))
        .with("sort", group_sort.or_else(|| request.sort.as_ref().map(ToString::to_string)))
        .with("page", request.page)
        .with("page_size", request.page_size)
        .with("cursor", &request.cursor)
        .with("max_chars", request.max_chars)
        .with("whole_metadata", request.whole_metadata)
}
