//! The templates and policies of a Nessus, which of them scans may use, and the field of a new scan that names one.

use std::marker::PhantomData;

use super::{
    call::{Access, Call, always_there, decode_error},
    client::Client,
    wire::{Policies, PolicyDetails, Properties, Template, Templates},
};
use crate::scanner::{
    error::ScannerError,
    interface::ScanRequest,
    offer::{ScanBasis, ScanOffer, ScanPolicy, ScanTemplate},
};

/// The template of scans by a policy that does not say what it was made from.
const CUSTOM: &str = "custom";

/// What the operator lets scans use.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowed {
    /// The names of templates; `None` for all.
    pub(super) templates: Option<Vec<String>>,
    /// The names and ids of policies; `None` for all, or for none where templates are chosen.
    pub(super) policies: Option<Vec<String>>,
}

impl Allowed {
    fn allows_policy(&self, name: &str, id: &str) -> bool {
        match &self.policies {
            Some(allowed) => allowed.iter().any(|one| one == name || one == id),
            // Whoever chose the templates did not mean that a policy may do what another template does.
            None => self.templates.is_none(),
        }
    }
}

/// What a scan is made of, as it is told to the scanner.
pub(super) struct Made {
    /// The field `uuid`.
    pub(super) template: String,
    /// The setting `policy_id`.
    pub(super) policy: Option<u64>,
}

/// Everything scans can be made of.
pub(super) async fn offer(client: &Client, allowed: &Allowed) -> Result<ScanOffer, ScannerError> {
    let call = templates_call();
    let answer = always_there(client.fetch_repeated(&call).await)?;
    let templates = templates(client, &call, answer, allowed, |_| true).await?;
    Ok(ScanOffer::new(templates, policies(client, allowed).await?))
}

/// What this scan is made of. The scanner is waited for while it is loading.
pub(super) async fn made_of(client: &Client, allowed: &Allowed, request: &ScanRequest) -> Result<Made, ScannerError> {
    match &request.basis {
        ScanBasis::Template(name) => {
            let call = templates_call();
            let answer = always_there(client.fetch_when_ready(&call, PhantomData).await)?;
            let offer = ScanOffer::new(templates(client, &call, answer, allowed, |one| one == name).await?, Vec::new());
            Ok(Made { template: offer.template(name)?.id.clone(), policy: None })
        }
        ScanBasis::Policy { asked, name } => {
            let offer = ScanOffer::new(Vec::new(), policies(client, allowed).await?);
            let policy = offer.policy(asked, name.as_deref())?;
            let call = policies_call();
            let id = policy.id.parse().map_err(|_| decode_error(&call, "the `id` of a policy is not a number"))?;
            check_login(client, policy, id, request).await?;
            let template = match &policy.template_id {
                Some(template) => template.clone(),
                None => custom(client).await?,
            };
            tracing::info!(scanner = client.base(), policy = %policy.name, policy_id = id, "the scan is by a policy");
            Ok(Made { template, policy: Some(id) })
        }
    }
}

fn templates_call() -> Call {
    Call::get("/editor/scan/templates", Access::Session)
}

fn policies_call() -> Call {
    Call::get("/policies", Access::Session)
}

/// The templates that the operator allows, with what keeps scans from being made of them. Whether those that need a Nessus
/// Manager can be used is found out only where one of them `matters`.
async fn templates(
    client: &Client,
    call: &Call,
    answer: Templates,
    allowed: &Allowed,
    matters: impl Fn(&str) -> bool,
) -> Result<Vec<ScanTemplate>, ScannerError> {
    let no_list = || decode_error(call, "there is no list of `templates` in it");
    let all = answer.templates.filter(|templates| !templates.is_empty()).ok_or_else(no_list)?;
    let needs_manager =
        |template: &Template| template.manager_only == Some(true) && template.name.as_deref().is_some_and(&matters);
    let is_manager = all.iter().any(needs_manager) && is_manager(client).await?;
    let offered = all.into_iter().filter_map(|template| {
        let obstacle = obstacle(&template, is_manager);
        let (name, id) = (template.name?, template.uuid?);
        let is_allowed = allowed.templates.as_ref().is_none_or(|allowed| allowed.contains(&name));
        let mut offered = ScanTemplate::new(name, id);
        (offered.title, offered.obstacle) = (template.title, obstacle);
        is_allowed.then_some(offered)
    });
    Ok(offered.collect())
}

/// Why a scan of targets cannot be made from this template, if so.
fn obstacle(template: &Template, is_manager: bool) -> Option<&'static str> {
    let is = |flag: Option<bool>| flag == Some(true);
    match template {
        _ if template.license_fulfilled == Some(false) => Some("the scanner's licence does not cover it"),
        _ if is(template.unsupported) => Some("the scanner does not support it"),
        _ if is(template.is_agent) => Some("it is for scans by agents"),
        _ if is(template.manager_only) && !is_manager => Some("it is for Nessus Manager"),
        _ if template.name.as_deref() == Some(CUSTOM) => Some("it needs a policy"),
        _ => None,
    }
}

async fn is_manager(client: &Client) -> Result<bool, ScannerError> {
    let properties: Properties = always_there(client.get("/server/properties", Access::Session).await)?;
    let says = |text: Option<&str>| text.is_some_and(|text| text.to_ascii_lowercase().contains("manager"));
    let license = properties.license.as_ref();
    Ok(says(properties.nessus_type.as_deref()) || says(license.and_then(|license| license.kind.as_deref())))
}

/// All policies of the account. `null` is what a scanner says that has none.
async fn policies(client: &Client, allowed: &Allowed) -> Result<Vec<ScanPolicy>, ScannerError> {
    let call = policies_call();
    let answer: Policies = always_there(client.fetch_repeated(&call).await)?;
    let no_list = || decode_error(&call, "there is no list of `policies` in it");
    let all = answer.policies.ok_or_else(no_list)?;
    let policies = all.into_iter().map(|policy| {
        let (id, name) = (policy.id?.to_string(), policy.name?);
        let is_allowed = allowed.allows_policy(&name, &id);
        let mut offered = ScanPolicy::new(id, name);
        (offered.template_id, offered.is_allowed) = (policy.template_uuid.filter(|uuid| !uuid.is_empty()), is_allowed);
        Some(offered)
    });
    // Passed over, it could be the second of a name.
    policies.collect::<Option<_>>().ok_or_else(|| decode_error(&call, "there is a policy without an `id` or a `name`"))
}

/// The id of the template that is for scans by policies.
async fn custom(client: &Client) -> Result<String, ScannerError> {
    let call = templates_call();
    let answer: Templates = always_there(client.fetch_repeated(&call).await)?;
    let custom = answer.templates.into_iter().flatten().find(|template| template.name.as_deref() == Some(CUSTOM));
    let none = || decode_error(&call, "there is no template for scans by a policy in it");
    custom.and_then(|template| template.uuid).ok_or_else(none)
}

/// Refuses a policy that would log in where the scan may not, or could not where it is to. Credentials of the scan are added to
/// those of its policy.
async fn check_login(client: &Client, policy: &ScanPolicy, id: u64, request: &ScanRequest) -> Result<(), ScannerError> {
    if request.credential.is_some() {
        return Ok(());
    }
    let call = Call::get(format!("/policies/{id}"), Access::Session);
    let name = || policy.name.clone();
    let details: PolicyDetails = match client.fetch_repeated(&call).await {
        Err(ScannerError::NotFound(_)) => {
            return Err(ScannerError::UnknownPolicy { name: name(), nearest: Vec::new() });
        }
        details => details?,
    };
    match (details.has_credentials(), request.logs_in) {
        (None, _) => {
            // The verdict on the export tells whether it logged in.
            tracing::warn!(
                scanner = client.base(),
                policy_id = id,
                "the scanner does not say whether the policy logs in"
            );
            Ok(())
        }
        (Some(true), false) => Err(ScannerError::PolicyLogsIn(name())),
        (Some(false), true) => Err(ScannerError::PolicyWithoutLogin(name())),
        (Some(true), true) | (Some(false), false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_not_a_way_around_the_templates_that_are_allowed() {
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for (templates, policies, expected) in [
            (None, None, true),
            (list(&["discovery"]), None, false),
            (list(&["discovery"]), list(&["Weekly"]), true),
            (None, list(&["7"]), true),
            (None, list(&["Monthly", "8"]), false),
            (None, list(&[]), false),
        ] {
            let allowed = Allowed { templates, policies };
            assert_eq!(allowed.allows_policy("Weekly", "7"), expected, "{allowed:?}");
        }
    }
}
