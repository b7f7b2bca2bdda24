//! Submits scans.

use http::HeaderValue;
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
    /// A display name, 1 to 255 characters
    name: String,
    /// Free text
    #[serde(default)]
    description: Option<String>,
    /// Result profile to prepare; default brief
    #[serde(default)]
    #[schemars(extend("enum" = ["minimal", "summary", "brief", "triage", "full"]))]
    schema_profile: Option<String>,
    /// Scanner template, such as basic (default), discovery or advanced
    #[serde(default)]
    template: Option<String>,
    /// Scanner pool, see list_pools; the default pool if omitted
    #[serde(default)]
    scanner_pool: Option<String>,
    /// Scanner within the pool, see list_scanners; any if omitted
    #[serde(default)]
    scanner_instance: Option<String>,
    /// Your own name for this request. Repeated with the same arguments, it returns the same task, not a second scan
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// The header that may carry the key.
const HEADER: &str = "X-Idempotency-Key";

#[tool_router(router = scan_router, vis = "pub(super)")]
impl ScanTools {
    /// Submit a network-only vulnerability scan (no login on the targets).
    ///
    /// Returns a task_id at once; the scan takes minutes to hours in the background. It sends traffic to the targets:
    /// scan only what you are allowed to.
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
    request.idempotency_key = one_key(arguments.idempotency_key, &envelope.idempotency_keys)?;
    request.trace_id = envelope.trace_id;
    Ok(request)
}

/// The key from the argument or the headers. It may be given more than once, if all are the same. An invalid key is refused,
/// not ignored: a caller that relies on it would repeat its request, and the scan would run twice.
fn one_key(argument: Option<String>, headers: &[HeaderValue]) -> Result<Option<IdempotencyKey>, ServiceError> {
    let mut key = argument.map(IdempotencyKey::new).transpose()?;
    for header in headers {
        let refused = |message| ServiceError::invalid(HEADER, message, "send one key only".to_owned());
        let sent = header.to_str().ok().and_then(|text| IdempotencyKey::new(text).ok());
        let sent = sent.ok_or_else(|| refused("must be 1 to 255 visible ASCII characters"))?;
        if key.as_ref().is_some_and(|key| *key != sent) {
            return Err(refused("differs from the other key of this request"));
        }
        key = Some(sent);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_or_are_invalid_are_refused() {
        let key = |argument: Option<&str>, headers: &[&'static str]| {
            let headers: Vec<_> = headers.iter().map(|text| HeaderValue::from_static(text)).collect();
            let key = one_key(argument.map(str::to_owned), &headers).map_err(|_| ())?;
            Ok(key.map(|key| key.as_str().to_owned()))
        };
        for (argument, headers) in [
            (Some("a"), &["b"][..]),
            (None, &["a", "b"]),
            (Some("a"), &["a", "b"]),
            (None, &[""]),
            (Some("a"), &["a, a"]),
            (Some(""), &["a"]),
        ] {
            assert_eq!(key(argument, headers), Err(()), "{argument:?} {headers:?}");
        }
        for (argument, headers) in [(Some("a"), &[][..]), (Some("a"), &["a"]), (None, &["a"]), (None, &["a", "a"])] {
            assert_eq!(key(argument, headers), Ok(Some("a".to_owned())), "{argument:?} {headers:?}");
        }
        assert_eq!(key(None, &[]), Ok(None));
    }
}
