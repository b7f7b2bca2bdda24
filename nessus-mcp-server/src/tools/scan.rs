//! Submitting scans.

use nessus_mcp_lib::service::{IdempotencyKey, ServiceError, SubmitRequest};
use rmcp::{
    RoleServer,
    handler::server::wrapper::Parameters,
    model::CallToolResult,
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::Deserialize;

use super::{
    ScanTools,
    answer::{Envelope, structured},
};

/// Arguments of `run_untrusted_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UntrustedScan {
    /// What to scan: IP addresses, CIDR blocks, ranges (10.0.0.1-10.0.0.9 or 10.0.0.1-9) and host names, comma separated
    targets: String,
    /// A name for people, 1 to 255 characters
    name: String,
    /// Free text
    #[serde(default)]
    description: Option<String>,
    /// Result profile to prepare; brief when left out
    #[serde(default)]
    #[schemars(extend("enum" = ["minimal", "summary", "brief", "triage", "full"]))]
    schema_profile: Option<String>,
    /// Scanner template, such as basic (default), discovery or advanced
    #[serde(default)]
    template: Option<String>,
    /// Scanner pool; see list_pools. The default pool when left out
    #[serde(default)]
    scanner_pool: Option<String>,
    /// Scanner within the pool; see list_scanners. Any of the pool when left out
    #[serde(default)]
    scanner_instance: Option<String>,
    /// Your own name for this request: repeat it with the same arguments and you get the same task, not a second scan
    #[serde(default)]
    idempotency_key: Option<String>,
}

#[tool_router(router = scan_router, vis = "pub(super)")]
impl ScanTools {
    /// Submit a network-only vulnerability scan (no login on the targets).
    ///
    /// Returns at once with a task_id; the scan itself takes minutes to hours in the background. The scan sends traffic
    /// to the targets: scan only what you are allowed to.
    #[tool(
        name = "run_untrusted_scan",
        title = "Run a network scan",
        annotations(read_only_hint = false, destructive_hint = false, idempotent_hint = false, open_world_hint = true)
    )]
    async fn run_untrusted_scan(
        &self,
        Parameters(arguments): Parameters<UntrustedScan>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let submitted = async { self.service.submit(submit_request(arguments, Envelope::of(&context))?).await };
        structured(submitted.await)
    }
}

fn submit_request(arguments: UntrustedScan, envelope: Envelope) -> Result<SubmitRequest, ServiceError> {
    let mut request = SubmitRequest::untrusted(arguments.name, arguments.targets);
    request.description = arguments.description.unwrap_or_default();
    request.schema_profile = arguments.schema_profile;
    request.template = arguments.template;
    request.pool = arguments.scanner_pool;
    request.instance = arguments.scanner_instance;
    request.idempotency_key = one_key(arguments.idempotency_key, envelope.idempotency_key)?;
    request.trace_id = envelope.trace_id;
    Ok(request)
}

/// The key of the argument or of the header; both may be given if they are the same.
fn one_key(argument: Option<String>, header: Option<String>) -> Result<Option<IdempotencyKey>, ServiceError> {
    if let (Some(argument), Some(header)) = (&argument, &header)
        && argument != header
    {
        let message = "differs from the header `X-Idempotency-Key`";
        return Err(ServiceError::invalid("idempotency_key", message, "send only one of the two".to_owned()));
    }
    argument.or(header).map(IdempotencyKey::new).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_keys_are_refused() {
        let key = |text: &str| Some(text.to_owned());
        assert!(one_key(key("a"), key("b")).is_err());
        assert_eq!(one_key(key("a"), key("a")).unwrap().unwrap().as_str(), "a");
        assert_eq!(one_key(None, key("b")).unwrap().unwrap().as_str(), "b");
        assert!(one_key(None, None).unwrap().is_none());
    }
}
