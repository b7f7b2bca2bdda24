//! The policies that people made on the scanner.

use std::collections::BTreeMap;

use crate::time::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    reply::Reply,
    state::{State, seconds},
    templates::{CUSTOM, Template, template_by_uuid},
    wire::{ApiError, Call, Outcome},
};

/// A policy.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) template: &'static Template,
    pub(super) credentials: Value,
    pub(super) modified: Timestamp,
}

impl Policy {
    /// Whether it logs in on the hosts of its scans.
    pub(super) fn logs_in(&self) -> bool {
        let kinds = self.credentials["add"].as_object().into_iter().flat_map(Map::values);
        let lists = kinds.filter_map(Value::as_object).flat_map(Map::values);
        lists.filter_map(Value::as_array).any(|list| !list.is_empty())
    }
}

/// Makes a policy; returns its id.
pub(super) fn add(state: &mut State, name: &str, template: &'static Template, credentials: Value) -> u64 {
    let (id, modified) = (state.next_id(), state.now());
    state.policies.insert(id, Policy { name: name.to_owned(), template, credentials, modified });
    id
}

/// The credentials of a policy that logs in.
pub(super) fn login() -> Value {
    json!({ "add": { "Host": { "SSH": [{ "auth_method": "password", "username": "policy", "password": "********" }] } } })
}

/// What a scan is made of: a template, and perhaps a policy with its id.
type Basis = (&'static Template, Option<(u64, Policy)>);

/// What a new scan is made of.
pub(super) fn made_of(
    policies: &BTreeMap<u64, Policy>,
    uuid: &str,
    policy_id: Option<&Value>,
    is_manager: bool,
) -> Result<Basis, ApiError> {
    let template = template_by_uuid(uuid).filter(|template| is_manager || !template.manager_only);
    let template = template.ok_or_else(|| ApiError::invalid_field("uuid"))?;
    let wrong = || ApiError::invalid_field("policy_id");
    match policy_id.filter(|id| !id.is_null()) {
        None if template.name == CUSTOM => Err(wrong()),
        None => Ok((template, None)),
        Some(id) => {
            let id = id.as_u64().or_else(|| id.as_str()?.parse().ok()).ok_or_else(wrong)?;
            let policy = policies.get(&id).ok_or_else(|| ApiError::new(404, "The policy does not exist"))?;
            let fits = template.name == CUSTOM || template.name == policy.template.name;
            if fits { Ok((policy.template, Some((id, policy.clone())))) } else { Err(ApiError::invalid_field("uuid")) }
        }
    }
}

/// `GET /policies`; null when nobody saved one.
pub(super) fn list(state: &mut State, _call: &Call<'_>) -> Outcome {
    let shown = |(id, policy): (&u64, &Policy)| {
        json!({
            "id": id, "template_uuid": policy.template.uuid, "name": policy.name, "description": null, "owner_id": 2,
            "owner": state.config.username, "shared": 0, "user_permissions": 128,
            "creation_date": seconds(policy.modified), "last_modification_date": seconds(policy.modified),
            "visibility": "private", "no_target": "false",
        })
    };
    let all: Vec<Value> = state.policies.iter().map(shown).collect();
    let all = if all.is_empty() { Value::Null } else { Value::from(all) };
    Ok(Reply::json(&json!({ "policies": all })))
}

/// `GET /policies/{id}`.
pub(super) fn details(state: &mut State, call: &Call<'_>) -> Outcome {
    let policy = state.policies.get(&call.id(0)?).ok_or_else(ApiError::not_found)?;
    Ok(Reply::json(&json!({
        "uuid": policy.template.uuid, "settings": { "name": policy.name }, "audits": {}, "plugins": {}, "scap": {},
        "credentials": policy.credentials,
    })))
}

/// `POST /policies`.
pub(super) fn create(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let template = body["uuid"].as_str().and_then(template_by_uuid).ok_or_else(|| ApiError::invalid_field("uuid"))?;
    let name = body["settings"]["name"].as_str().filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| ApiError::invalid_field("name"))?;
    let id = add(state, name, template, body["credentials"].clone());
    Ok(Reply::json(&json!({ "policy_id": id, "policy_name": name })))
}

/// `PUT /policies/{id}`.
pub(super) fn configure(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let policy = state.policies.get_mut(&call.id(0)?).ok_or_else(ApiError::not_found)?;
    if let Some(name) = body["settings"]["name"].as_str() {
        name.clone_into(&mut policy.name);
    }
    policy.modified = call.now;
    Ok(Reply::empty())
}

/// `DELETE /policies/{id}`.
pub(super) fn delete(state: &mut State, call: &Call<'_>) -> Outcome {
    state.policies.remove(&call.id(0)?).ok_or_else(ApiError::not_found)?;
    Ok(state.done())
}
