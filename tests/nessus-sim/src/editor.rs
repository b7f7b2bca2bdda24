//! Templates, folders, and the editor's view of a scan.

use serde_json::{Map, Value, json};

use super::{
    credentials::SentCredential,
    reply::Reply,
    state::{CredentialInstance, MY_SCANS, Scan, State, TRASH},
    templates::{TEMPLATES, Template, template_by_uuid},
    wire::{ApiError, Call, Outcome},
};

/// `GET /editor/scan/templates` and `GET /editor/policy/templates`.
pub(super) fn templates(_state: &mut State, _call: &Call<'_>) -> Outcome {
    let mut all: Vec<Value> = TEMPLATES
        .iter()
        .enumerate()
        .map(|(order, template)| {
            let offered = template.name != "asv";
            json!({
                "name": template.name, "title": template.title, "uuid": template.uuid,
                "desc": format!("Simulated template: {}.", template.title), "category": null, "order": order + 1,
                "icon": "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=", "unsupported": !offered,
                "license_fulfilled": offered, "subscription_only": false, "is_agent": null, "dynamic_scan": false,
                "manager_only": template.manager_only, "is_was": null, "more_info": null,
            })
        })
        .collect();
    // What cannot be used stands first, where a client that takes the first of a name finds it.
    let agents = json!({ "name": "basic", "title": "Basic Agent Scan", "uuid": OF_AGENTS, "is_agent": true });
    all.insert(0, agents);
    Ok(Reply::json(&json!({ "templates": all })))
}

/// The id of a template that no scan of targets can be made from.
const OF_AGENTS: &str = "00000000-0000-0000-0000-00000000000000000000000a6e47";

/// `GET /editor/scan/templates/{uuid}`.
pub(super) fn template_details(_state: &mut State, call: &Call<'_>) -> Outcome {
    let template = template_by_uuid(call.arg(0)).ok_or_else(ApiError::not_found)?;
    Ok(Reply::json(&form(template, ["", "", ""], &[])))
}

/// `GET /editor/scan/{id}`.
pub(super) fn scan_details(state: &mut State, call: &Call<'_>) -> Outcome {
    let scan: &Scan = state.scan(call.id(0)?)?;
    let values = [scan.name.as_str(), scan.description.as_deref().unwrap_or_default(), &scan.targets];
    Ok(Reply::json(&form(scan.template, values, &scan.credentials)))
}

fn form(template: &Template, values: [&str; 3], credentials: &[CredentialInstance]) -> Value {
    let [name, description, targets] = values;
    let input = |id: &str, kind: &str, value: &str| json!({ "id": id, "name": id, "type": kind, "default": value });
    json!({
        "uuid": template.uuid, "name": template.name, "title": template.title, "is_agent": null,
        "filter_attributes": [],
        "settings": {
            "basic": { "title": "Basic", "inputs": [
                input("name", "entry", name), input("description", "textarea", description),
                input("text_targets", "textarea", targets),
            ] },
            "discovery": null, "assessment": null, "report": null, "advanced": null,
        },
        "credentials": { "data": [{ "name": "Host", "types": [
            credential_type("SSH", &SSH_INPUTS, credentials), credential_type("Windows", &WINDOWS_INPUTS, credentials),
        ] }] },
        "compliance": { "data": [] },
        "plugins": { "families": null },
    })
}

const SSH_INPUTS: [&str; 12] = [
    "auth_method",
    "username",
    "password",
    "private_key",
    "private_key_passphrase",
    "user_cert",
    "elevate_privileges_with",
    "escalation_account",
    "escalation_password",
    "su_user",
    "bin_directory",
    "custom_password_prompt",
];
const WINDOWS_INPUTS: [&str; 4] = ["auth_method", "username", "password", "domain"];

fn credential_type(kind: &str, inputs: &[&str], all: &[CredentialInstance]) -> Value {
    let instances: Vec<Value> = all
        .iter()
        .filter(|instance| instance.category == "Host" && instance.kind == kind)
        .map(|instance| {
            let fields: Vec<Value> = instance
                .fields
                .iter()
                .map(|(id, value)| json!({ "id": id, "type": input_type(id), "default": value }))
                .collect();
            json!({ "id": instance.id, "name": kind, "inputs": fields })
        })
        .collect();
    let inputs: Vec<Value> = inputs.iter().map(|id| json!({ "id": id, "name": id, "type": input_type(id) })).collect();
    json!({ "name": kind, "max": 1000, "settings": null, "inputs": inputs, "instances": instances })
}

fn input_type(id: &str) -> &'static str {
    if is_secret(id) { "password" } else { "entry" }
}

/// Whether a credential's field holds something that must not be shown again.
fn is_secret(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    // The prompt is a text to look for, not a password.
    id != "custom_password_prompt" && ["password", "passphrase", "secret", "hash"].iter().any(|word| id.contains(word))
}

/// A credential as the scanner keeps it: every secret masked.
pub(super) fn masked(sent: &SentCredential) -> CredentialInstance {
    let SentCredential { id, category, kind, fields, .. } = sent.clone();
    let mut instance = CredentialInstance { id, category, kind, fields };
    mask(&mut instance.fields);
    instance
}

pub(super) fn mask(fields: &mut Map<String, Value>) {
    for (id, value) in fields.iter_mut() {
        if is_secret(id) && value.as_str() != Some("") {
            *value = Value::from("********");
        }
    }
}

/// `GET /folders`.
pub(super) fn folders(_state: &mut State, _call: &Call<'_>) -> Outcome {
    Ok(Reply::json(&json!({ "folders": folder_list() })))
}

pub(super) fn folder_list() -> Value {
    let folder = |id: u64, kind: &str, name: &str, default_tag: u8| json!({ "unread_count": null, "custom": 0, "default_tag": default_tag, "type": kind, "name": name, "id": id });
    json!([folder(TRASH, "trash", "Trash", 0), folder(MY_SCANS, "main", "My Scans", 1)])
}
