//! Which of the arguments of a scan each tool takes: all of them are one type, and their schemas differ.

use std::sync::Arc;

use rmcp::model::Tool;
use serde_json::Value;

/// What only scans that log in take.
const LOGIN: [&str; 7] =
    ["credential_id", "username", "password", "private_key", "private_key_passphrase", "kind", "domain"];
/// What only logins on Windows take, which have no escalation.
const WINDOWS: [&str; 2] = ["kind", "domain"];
/// What only scans that take more rights take.
const ESCALATION: [&str; 5] =
    ["elevate_privileges_with", "escalation_account", "escalation_password", "su_user", "bin_directory"];
/// What only [`OLDER_NAME`] takes.
pub(super) const SCAN_TYPE: &str = "scan_type";

/// An older name, with the scan type as an argument: it is accepted and not listed.
pub(super) const OLDER_NAME: &str = "run_authenticated_scan";

/// Takes the arguments out of a tool's schema that the tool does not take.
pub(super) fn fit(tool: &mut Tool) {
    let unused: Vec<&str> = match &*tool.name {
        "run_untrusted_scan" => [&LOGIN[..], &ESCALATION, &[SCAN_TYPE]].concat(),
        "run_trusted_scan" => [&ESCALATION[..], &[SCAN_TYPE]].concat(),
        "run_privileged_scan" => [&WINDOWS[..], &[SCAN_TYPE]].concat(),
        _ => return,
    };
    let mut schema = tool.input_schema.as_ref().clone();
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.retain(|name, _| !unused.contains(&name.as_str()));
    }
    tool.input_schema = Arc::new(schema);
}
