//! Which of the arguments of a scan each tool takes: all of them are one type, and their schemas differ.

use std::sync::Arc;

use nessus_mcp_lib::{service::ServiceError, task::ScanType};
use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use serde_json::Value;

use super::answer::refuse;

/// What only scans that log in take.
const LOGIN: [&str; 7] =
    ["credential_id", "username", "password", "private_key", "private_key_passphrase", "kind", "domain"];
/// What only logins on Windows take, which have no escalation.
const WINDOWS: [&str; 2] = ["kind", "domain"];
/// What only scans that take more rights take.
const ESCALATION: [&str; 5] =
    ["elevate_privileges_with", "escalation_account", "escalation_password", "su_user", "bin_directory"];

/// An older name of the tools that log in, with the scan type as an argument: it is accepted and not listed.
const OLDER_NAME: &str = "run_authenticated_scan";
const SCAN_TYPE: &str = "scan_type";

/// Takes the arguments out of a tool's schema that the tool does not take.
pub(super) fn fit(tool: &mut Tool) {
    let unused: Vec<&str> = match &*tool.name {
        "run_untrusted_scan" => [&LOGIN[..], &ESCALATION].concat(),
        "run_trusted_scan" => ESCALATION.to_vec(),
        "run_privileged_scan" => WINDOWS.to_vec(),
        _ => return,
    };
    let mut schema = tool.input_schema.as_ref().clone();
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.retain(|name, _| !unused.contains(&name.as_str()));
    }
    tool.input_schema = Arc::new(schema);
}

/// The name of a tool that asks for the same role.
pub(super) fn name_of_today(tool: &str) -> &str {
    if tool == OLDER_NAME { "run_trusted_scan" } else { tool }
}

/// Makes a call by an older name one by the name of today, so that whatever is said of the tool holds for both. `Some` holds the
/// refusal of a call that does not say which tool it means.
pub(super) fn by_name_of_today(request: &mut CallToolRequestParams) -> Option<CallToolResult> {
    if request.name != OLDER_NAME {
        return None;
    }
    let scan_type = request.arguments.as_mut().and_then(|arguments| arguments.remove(SCAN_TYPE));
    let scan_type = scan_type.as_ref().and_then(Value::as_str).map(str::parse);
    let (name, is_clear) = match scan_type {
        Some(Ok(ScanType::Trusted)) => ("run_trusted_scan", true),
        Some(Ok(ScanType::Privileged)) => ("run_privileged_scan", true),
        _ => ("run_trusted_scan", false),
    };
    request.name = name.into();
    let hint = "give `trusted` or `privileged`, or call run_trusted_scan or run_privileged_scan".to_owned();
    (!is_clear).then(|| refuse(&ServiceError::invalid(SCAN_TYPE, "must say how the scan logs in", hint)))
}
