//! Templates, policies, folders, and the editor's view of a scan.

use serde_json::{Map, Value, json};

use super::{
    reply::Reply,
    state::{CredentialInstance, MY_SCANS, Scan, State, TRASH},
    templates::{TEMPLATES, Template, template_by_uuid},
    wire::{ApiError, Call, Outcome},
};

/// `GET /editor/scan/templates` and `GET /editor/policy/templates`.
pub(super) fn templates(_state: &mut State, _call: &Call<'_>) -> Outcome {
    let all: Vec<Value> = TEMPLATES
        .iter()
        .enumerate()
        .map(|(order, template)| {
            let offered = template.name != "asv";
            json!({
                "name": template.name, "title": template.title, "uuid": template.uuid,
                "desc": format!("Simulated template: {}.", template.title), "category": null, "order": order + 1,
                "icon": "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=", "unsupported": !offered,
                "license_fulfilled": offered, "subscription_only": false, "is_agent": null, "dynamic_scan": false,
                "manager_only": false, "is_was": null, "more_info": null,
            })
        })
        .collect();
    Ok(Reply::json(&json!({ "templates": all })))
}

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

const SSH_INPUTS: [&str; 8] = [
    "auth_method",
    "username",
    "password",
    "private_key",
    "private_key_passphrase",
    "elevate_privileges_with",
    "escalation_account",
    "escalation_password",
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

/// Reads `credentials.add` of a request, with every secret masked.
pub(super) fn credentials_to_add(credentials: &Value, mut next_id: impl FnMut() -> u64) -> Vec<CredentialInstance> {
    let empty = Map::new();
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut instances = Vec::new();
    for (category, kinds) in credentials["add"].as_object().unwrap_or(&empty) {
        for (kind, list) in &object(kinds) {
            for given in list.as_array().into_iter().flatten() {
                let mut fields = object(given);
                mask(&mut fields);
                let id = next_id().to_string();
                instances.push(CredentialInstance { id, category: category.clone(), kind: kind.clone(), fields });
            }
        }
    }
    instances
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

/// `GET /policies`: nobody saved one.
pub(super) fn policies(_state: &mut State, _call: &Call<'_>) -> Outcome {
    Ok(Reply::json(&json!({ "policies": null })))
}
