//! Submits scans.

use http::HeaderValue;
use nessus_mcp_lib::{
    credentials::{CredentialError, Login},
    scanner::LoginFields,
    secret::Secret,
    service::{IdempotencyKey, ServiceError, SubmitRequest},
    task::ScanType,
};
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
    answer::{Envelope, refuse, structured},
};

/// Arguments of all tools that submit a scan. The schema of each lists those that it takes; see [`scan_schemas`](super::scan_schemas).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanArguments {
    /// IP addresses, CIDR blocks, ranges (10.0.0.1-9) and host names, comma separated
    targets: String,
    /// 1 to 255 characters
    name: String,
    /// A login stored by an operator; prefer it
    #[serde(default)]
    credential_id: Option<String>,
    /// Without a credential_id: the user to log in as
    #[serde(default)]
    username: Option<String>,
    /// Its password
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "password", "writeOnly" = true))]
    password: Option<Secret>,
    /// SSH private key (OpenSSH or PEM), not a password
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "password", "writeOnly" = true))]
    private_key: Option<Secret>,
    /// Opens a locked key
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "password", "writeOnly" = true))]
    private_key_passphrase: Option<Secret>,
    /// How to log in; default ssh
    #[serde(default)]
    #[schemars(extend("enum" = ["ssh", "windows"]))]
    kind: Option<String>,
    /// Domain of a Windows user
    #[serde(default)]
    domain: Option<String>,
    /// How the user gets more rights
    #[serde(default)]
    #[schemars(extend("enum" = [
        "sudo", "su", "su+sudo", "pbrun", "dzdo", ".k5login", "Cisco 'enable'", "Checkpoint Gaia 'expert'",
    ]))]
    elevate_privileges_with: Option<String>,
    /// Account to become; default root
    #[serde(default)]
    escalation_account: Option<String>,
    /// Password that the method asks for
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "password", "writeOnly" = true))]
    escalation_password: Option<Secret>,
    /// su+sudo: the user whom su makes first
    #[serde(default)]
    su_user: Option<String>,
    /// Directory of the method's program
    #[serde(default)]
    bin_directory: Option<String>,
    /// Free text
    #[serde(default)]
    description: Option<String>,
    /// Result profile to prepare; default brief
    #[serde(default)]
    #[schemars(extend("enum" = ["minimal", "summary", "brief", "triage", "full"]))]
    schema_profile: Option<String>,
    /// basic (default), discovery, advanced, ...
    #[serde(default)]
    template: Option<String>,
    /// In place of a template; see list_policies
    #[serde(default)]
    policy: Option<String>,
    /// See list_pools; else the default pool
    #[serde(default)]
    scanner_pool: Option<String>,
    /// Scanner of the pool; default any
    #[serde(default)]
    scanner_instance: Option<String>,
    /// A repeat with the same key returns the same task
    #[serde(default)]
    idempotency_key: Option<String>,
    /// Only check; tells hosts, scope, load, wait
    #[serde(default)]
    dry_run: Option<bool>,
}

/// The header that may carry the key.
const HEADER: &str = "X-Idempotency-Key";

#[tool_router(router = scan_router, vis = "pub(super)")]
impl ScanTools {
    /// Submit a vulnerability scan without a login on the targets.
    ///
    /// Returns a task_id at once; the scan takes minutes to hours in the background. It sends traffic to the targets:
    /// scan only what you are allowed to.
    #[tool]
    async fn run_untrusted_scan(
        &self,
        Parameters(arguments): Parameters<ScanArguments>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        Box::pin(self.submit(ScanType::Untrusted, arguments, &context)).await
    }

    /// Submit a vulnerability scan that logs in on the targets as an ordinary user: finds missing patches and
    /// local problems.
    ///
    /// Name a credential_id, or a policy with credentials; ask the user for one rather than for a password. Otherwise as
    /// run_untrusted_scan.
    #[tool]
    async fn run_trusted_scan(
        &self,
        Parameters(arguments): Parameters<ScanArguments>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        Box::pin(self.submit(ScanType::Trusted, arguments, &context)).await
    }

    /// Submit a vulnerability scan that logs in by SSH and then takes more rights (sudo, su, ...): finds the most.
    ///
    /// Name a credential_id with such rights; ask the user for one rather than for a password. Otherwise as run_untrusted_scan.
    #[tool]
    async fn run_privileged_scan(
        &self,
        Parameters(arguments): Parameters<ScanArguments>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        Box::pin(self.submit(ScanType::Privileged, arguments, &context)).await
    }
}

impl ScanTools {
    async fn submit(
        &self,
        scan_type: ScanType,
        arguments: ScanArguments,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let is_dry_run = arguments.dry_run == Some(true);
        let request = match submit_request(scan_type, arguments, Envelope::of(context)) {
            Ok(request) => request,
            Err(refused) => return refuse(&refused),
        };
        if is_dry_run {
            structured(self.service.dry_run(request).await)
        } else {
            structured(self.service.submit(request).await)
        }
    }
}

fn submit_request(
    scan_type: ScanType,
    mut arguments: ScanArguments,
    envelope: Envelope,
) -> Result<SubmitRequest, ServiceError> {
    let login = login(&mut arguments)?;
    let mut request = SubmitRequest::new(scan_type, arguments.name, arguments.targets);
    request.login = login;
    request.description = arguments.description.unwrap_or_default();
    request.schema_profile = arguments.schema_profile.as_deref().map(str::parse).transpose()?;
    request.template = arguments.template;
    request.policy = arguments.policy;
    request.pool = arguments.scanner_pool;
    request.instance = arguments.scanner_instance;
    request.idempotency_key = one_key(arguments.idempotency_key, &envelope.idempotency_keys)?;
    request.trace_id = Some(envelope.trace_id);
    Ok(request)
}

/// The login that the arguments name or describe.
fn login(arguments: &mut ScanArguments) -> Result<Option<Login>, ServiceError> {
    let mut fields = LoginFields::default();
    fields.kind = arguments.kind.take();
    fields.username = arguments.username.take();
    fields.password = arguments.password.take();
    fields.private_key = arguments.private_key.take();
    fields.private_key_passphrase = arguments.private_key_passphrase.take();
    fields.domain = arguments.domain.take();
    fields.elevate_privileges_with = arguments.elevate_privileges_with.take();
    fields.escalation_account = arguments.escalation_account.take();
    fields.escalation_password = arguments.escalation_password.take();
    fields.su_user = arguments.su_user.take();
    fields.bin_directory = arguments.bin_directory.take();
    match arguments.credential_id.take() {
        Some(id) if fields.is_empty() => Ok(Some(Login::Stored(id))),
        Some(_) => {
            let hint = "leave out the fields of the login: a credential has its own".to_owned();
            Err(ServiceError::invalid("credential_id", "stands beside a login", hint))
        }
        None if fields.is_empty() => Ok(None),
        None => Ok(Some(Login::Inline(fields.into_credential().map_err(CredentialError::from)?))),
    }
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
