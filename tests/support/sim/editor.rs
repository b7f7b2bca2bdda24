//! Templates, policies, folders, and the editor's view of a scan.

use serde_json::{Map, Value, json};

use super::{
    state::{CredentialInstance, MY_SCANS, Scan, State, TRASH},
    wire::{ApiError, Call, Outcome, Reply},
};

/// A kind of scan.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) uuid: &'static str,
}

/// The names and ids of the recorded list; they have been the same for years.
static TEMPLATES: [Template; 12] = [
    template("basic", "Basic Network Scan", "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"),
    template("advanced", "Advanced Scan", "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66"),
    template("discovery", "Host Discovery", "bbd4f805-3966-d464-b2d1-0079eb89d69708c3a05ec2812bcf"),
    template("advanced_dynamic", "Advanced Dynamic Scan", "939a2145-95e3-0c3f-f1cc-761db860e4eed37b6eee77f9e101"),
    template("webapp", "Web Application Tests", "c3cbcd46-329f-a9ed-1077-554f8c2af33d0d44f09d736969bf"),
    template("patch_audit", "Credentialed Patch Audit", "0625147c-30fe-d79f-e54f-ce7ccd7523e9b63d84cb81c23c2f"),
    template("malware", "Malware Scan", "d16c51fa-597f-67a8-9add-74d5ab066b49a918400c42a035f7"),
    template("compliance", "Policy Compliance Auditing", "40345bfc-48be-37bc-9bce-526bdce37582e8fee83bcefdc746"),
    template("pci", "Internal PCI Network Scan", "e460ea7c-7916-d001-51dc-e43ef3168e6e20f1d97bdebf4a49"),
    template("asv", "PCI Quarterly External Scan", "cfc46c2d-30e7-bb2b-3b92-c75da136792d080c1fffcc429cfd"),
    template("wannacry", "WannaCry Ransomware", "861a8b95-f04c-40b0-ece6-263b1bec457c09cfc122c9666645"),
    template("custom", "Custom Scan", "ab4bacd2-05f6-425c-9d79-3ba3940ad1c24e51e1f403febe40"),
];

const fn template(name: &'static str, title: &'static str, uuid: &'static str) -> Template {
    Template { name, title, uuid }
}

pub(super) fn template_by_uuid(uuid: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.uuid == uuid)
}

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
    let uuid = call.args.first().copied().unwrap_or_default();
    let template = template_by_uuid(uuid).ok_or_else(ApiError::not_found)?;
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
