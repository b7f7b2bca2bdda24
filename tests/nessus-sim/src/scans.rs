//! Creating, launching, steering and deleting scans.

use std::sync::Arc;

use crate::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    config::{DoubleLaunch, Edition},
    credentials, editor,
    policies::{self, Policy},
    reply::Reply,
    run::Run,
    server::known_scanners,
    state::{MY_SCANS, Scan, State, TRASH, seconds},
    stats::MadeOf,
    targets::{Expansion, TargetsError, expand},
    templates::TEMPLATES,
    tokens::long_uuid,
    wire::{ApiError, Call, Outcome},
};

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    credentials: Value,
}

impl Definition {
    fn text(&self, name: &str) -> &str {
        self.settings.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The name and the targets, without which there is no scan.
    fn name_and_targets(&self, limit: usize) -> Result<(String, String, Arc<Expansion>), ApiError> {
        let (name, targets) = (self.text("name"), self.text("text_targets"));
        if name.trim().is_empty() {
            return Err(ApiError::invalid_field("name"));
        }
        let expansion = hosts_of(targets, limit)?;
        Ok((name.to_owned(), targets.to_owned(), expansion))
    }

    fn description(&self) -> Option<String> {
        self.settings.get("description").and_then(Value::as_str).map(str::to_owned)
    }

    fn folder(&self) -> Result<u64, ApiError> {
        match self.settings.get("folder_id") {
            None | Some(Value::Null) => Ok(MY_SCANS),
            Some(value) => known_folder(value).ok_or_else(|| ApiError::invalid_field("folder_id")),
        }
    }

    /// The scanner that it runs on: the local one, unless another is named.
    fn scanner(&self, edition: Edition) -> Result<u64, ApiError> {
        let wanted = self.settings.get("scanner_id").filter(|id| !id.is_null());
        let id = wanted.map_or(Some(1), |id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
        let known = id.filter(|id| known_scanners(edition).iter().any(|(known, ..)| known == id));
        known.ok_or_else(|| ApiError::invalid_field("scanner_id"))
    }

    fn switch(&self, name: &str) -> bool {
        self.settings.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

fn hosts_of(targets: &str, limit: usize) -> Result<Arc<Expansion>, ApiError> {
    match expand(targets, limit) {
        Ok(expansion) if !expansion.hosts.is_empty() => Ok(Arc::new(expansion)),
        _ => Err(ApiError::invalid_field("text_targets")),
    }
}

/// Ids are taken as numbers and as texts.
fn known_folder(id: &Value) -> Option<u64> {
    let id = id.as_u64().or_else(|| id.as_str()?.parse().ok())?;
    [TRASH, MY_SCANS].contains(&id).then_some(id)
}

/// `POST /scans`.
pub(super) fn create(state: &mut State, call: &Call<'_>) -> Outcome {
    let given: Definition = call.request.json()?;
    let policy_id = given.settings.get("policy_id");
    let is_manager = state.config.edition == Edition::Manager;
    let (template, policy) = policies::made_of(&state.policies, &given.uuid, policy_id, is_manager)?;
    let scanner_id = given.scanner(state.config.edition)?;
    let (name, targets, expansion) = given.name_and_targets(state.config.hosts_allowed())?;
    let folder_id = given.folder()?;
    let sent = credentials::to_add(state, &given.credentials)?;
    let id = state.next_id();
    let scan = Scan {
        id,
        template,
        template_uuid: format!("template-{}", long_uuid()),
        policy_id: policy.as_ref().map_or_else(|| state.next_id(), |(id, _)| *id),
        policy: policy.map(|(_, policy)| policy),
        scanner_id,
        folder_id,
        name,
        description: given.description(),
        targets,
        expansion,
        scheduled: given.switch("enabled"),
        read: true,
        credentials: sent.iter().map(editor::masked).collect(),
        created: call.now,
        modified: call.now,
        runs: Vec::new(),
    };
    let policy = scan.policy.as_ref().map(|policy| policy.name.clone());
    let made_of = MadeOf { template: template.name.to_owned(), policy, scanner_id };
    state.counted.made_of.insert(scan.name.clone(), made_of);
    state.counted.count_create(&scan.name);
    state.sent.remember(id, &scan.name, sent);
    let reply = Reply::json(&json!({ "scan": flat(&scan, state) }));
    state.scans.insert(id, scan);
    if given.switch("launch_now") {
        start(state, id, call.now, None)?;
    }
    Ok(reply)
}

/// The scan as create and configure answer it; the misspelt key is the scanner's.
fn flat(scan: &Scan, state: &State) -> Value {
    json!({
        "id": scan.id, "uuid": scan.template_uuid, "name": scan.name, "description": scan.description,
        "policy_id": scan.policy_id, "scanner_id": scan.scanner_id, "container_id": 0, "emails": null, "attach_report": 0,
        "attached_report_maximum_size": 26_214_400, "attached_report_type": null, "sms": null,
        "enabled": u8::from(scan.scheduled), "use_dashboard": 0, "dashboard_file": null, "live_results": 0,
        "scan_time_window": null, "custom_targets": scan.targets, "migrated": 0, "starttime": null, "rrules": null,
        "timezone": null, "notification_filters": null, "tag_id": scan.folder_id, "shared": 0,
        "user_permissions": 128, "default_permisssions": 0, "owner": state.config.username, "owner_id": 2,
        "creation_date": seconds(scan.created), "last_modification_date": seconds(scan.modified), "type": "public",
    })
}

/// `PUT /scans/{id}`: takes the whole definition again, and can edit and delete credentials.
pub(super) fn configure(state: &mut State, call: &Call<'_>) -> Outcome {
    let id = call.id(0)?;
    state.scan(id)?;
    let given: Definition = call.request.json()?;
    let (name, targets, expansion) = given.name_and_targets(state.config.hosts_allowed())?;
    let added = credentials::to_add(state, &given.credentials)?;
    let scan = state.scan_mut(id)?;
    scan.name = name;
    scan.description = given.description();
    scan.targets = targets;
    scan.expansion = expansion;
    scan.scheduled = given.switch("enabled");
    scan.modified = call.now;
    let deleted: Vec<&str> =
        given.credentials["delete"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    scan.credentials.retain(|instance| !deleted.contains(&instance.id.as_str()));
    for instance in &mut scan.credentials {
        if let Some(edit) = given.credentials["edit"][&instance.id].as_object() {
            instance.fields.extend(edit.clone());
            editor::mask(&mut instance.fields);
        }
    }
    scan.credentials.extend(added.iter().map(editor::masked));
    let name = state.scan(id)?.name.clone();
    state.sent.remember(id, &name, added);
    state.sent.removed(id, |sent| deleted.contains(&sent));
    for (edited, fields) in given.credentials["edit"].as_object().into_iter().flatten() {
        state.sent.edited(id, edited, fields.as_object().unwrap_or(&Map::new()));
    }
    Ok(Reply::json(&flat(state.scan(id)?, state)))
}

/// `GET /scans`; `scans` is null when there are none.
pub(super) fn list(state: &mut State, call: &Call<'_>) -> Outcome {
    let folder = call.request.query("folder_id").and_then(|id| id.parse::<u64>().ok());
    let since = call.request.query("last_modification_date").and_then(|at| at.parse::<i64>().ok());
    let listed: Vec<Value> = state
        .scans
        .values()
        .filter(|scan| folder.is_none_or(|folder| scan.folder_id == folder))
        .filter(|scan| since.is_none_or(|since| seconds(last_change(scan)) >= since))
        .map(|scan| {
            json!({
                "id": scan.id, "uuid": scan.run().map(|run| &run.uuid), "name": scan.name, "status": scan.status(),
                "folder_id": scan.folder_id, "type": scan.run().map(|_| "local"), "read": scan.read,
                "owner": state.config.username, "shared": false, "user_permissions": 128, "enabled": scan.scheduled,
                "control": true, "live_results": 0, "timezone": null, "rrules": null, "starttime": null,
                "creation_date": seconds(scan.created), "last_modification_date": seconds(last_change(scan)),
            })
        })
        .collect();
    let scans = if listed.is_empty() { Value::Null } else { Value::from(listed) };
    Ok(Reply::json(&json!({ "folders": editor::folder_list(), "scans": scans, "timestamp": seconds(call.now) })))
}

fn last_change(scan: &Scan) -> Timestamp {
    scan.run().map_or(scan.modified, |run| scan.modified.max(run.ended.unwrap_or(run.since)))
}

/// `DELETE /scans/{id}`.
pub(super) fn delete(state: &mut State, call: &Call<'_>) -> Outcome {
    let id = call.id(0)?;
    if state.scan(id)?.is_active() {
        return Err(ApiError::new(409, "Can not delete an active scan"));
    }
    remove(state, id);
    Ok(state.done())
}

fn remove(state: &mut State, id: u64) {
    state.scans.remove(&id);
    state.sent.removed(id, |_| true);
    state.counted.deletes += 1;
}

/// `POST /scans/{id}/copy`: a scan of the same definition, without its runs.
pub(super) fn duplicate(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let folder_id = known_folder(&body["folder_id"]);
    let id = copy(state, call.id(0)?, folder_id)?;
    let scan = state.scan_mut(id)?;
    scan.name = body["name"].as_str().map_or_else(|| format!("Copy of {}", scan.name), str::to_owned);
    Ok(Reply::json(&flat(state.scan(id)?, state)))
}

/// `DELETE /scans/{id}/history/{run}`; the run that is active stays.
pub(super) fn forget_run(state: &mut State, call: &Call<'_>) -> Outcome {
    let wanted = call.id(1)?;
    let scan = state.scan_mut(call.id(0)?)?;
    let at = scan.runs.iter().position(|run| run.history_id == wanted).ok_or_else(ApiError::not_found)?;
    if scan.runs[at].phase.is_active() {
        return Err(ApiError::new(409, "Can not delete an active scan"));
    }
    scan.runs.remove(at);
    Ok(state.done())
}

/// `DELETE /scans` with a list of ids; active scans stay.
pub(super) fn delete_many(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let ids = body["ids"].as_array().ok_or_else(|| ApiError::invalid_field("ids"))?;
    let mut deleted = Vec::new();
    for id in ids.iter().filter_map(Value::as_u64) {
        if state.scan(id).is_ok_and(|scan| !scan.is_active()) {
            remove(state, id);
            deleted.push(id);
        }
    }
    Ok(Reply::json(&json!({ "deleted": deleted })))
}

/// `PUT /scans/{id}/folder`.
pub(super) fn move_to_folder(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let scan = state.scan_mut(call.id(0)?)?;
    scan.folder_id = known_folder(&body["folder_id"]).ok_or_else(ApiError::not_found)?;
    Ok(Reply::empty())
}

/// `PUT /scans/{id}/status`: read or unread.
pub(super) fn mark_read(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let asked = call.request.query("read").map(|text| text == "true");
    state.scan_mut(call.id(0)?)?.read = asked.or(body["read"].as_bool()).unwrap_or(true);
    Ok(Reply::empty())
}

/// `POST /scans/{id}/launch`.
pub(super) fn launch(state: &mut State, call: &Call<'_>) -> Outcome {
    let body: Value = call.request.json()?;
    let alternative = match body["alt_targets"].as_array() {
        Some(list) if !list.is_empty() => {
            let text = list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
            let expansion = expand(&text, state.config.hosts_allowed());
            Some((text, Arc::new(expansion.map_err(|_| ApiError::invalid_field("alt_targets"))?)))
        }
        _ => None,
    };
    let uuid = start(state, call.id(0)?, call.now, alternative)?;
    Ok(Reply::json(&json!({ "scan_uuid": uuid })))
}

/// Makes another scan of the same definition as the one created last, in this folder or in the same.
pub(super) fn copy_latest(state: &mut State, folder_id: Option<u64>) -> bool {
    let Some(latest) = state.scans.last_key_value().map(|(id, _)| *id) else { return false };
    copy(state, latest, folder_id).is_ok()
}

/// Makes a scan from the template `basic` that no client has asked for; returns its id.
pub(super) fn plant(state: &mut State, name: &str, targets: &str) -> Result<u64, TargetsError> {
    let expansion = Arc::new(expand(targets, state.config.hosts_allowed())?);
    let (id, policy_id, now) = (state.next_id(), state.next_id(), state.now());
    let scan = Scan {
        id,
        template: &TEMPLATES[0],
        template_uuid: format!("template-{}", long_uuid()),
        policy_id,
        policy: None,
        scanner_id: 1,
        folder_id: MY_SCANS,
        name: name.to_owned(),
        description: None,
        targets: targets.to_owned(),
        expansion,
        scheduled: false,
        read: true,
        credentials: Vec::new(),
        created: now,
        modified: now,
        runs: Vec::new(),
    };
    state.scans.insert(id, scan);
    Ok(id)
}

/// Makes another scan of the same definition; returns its id.
fn copy(state: &mut State, original: u64, folder_id: Option<u64>) -> Result<u64, ApiError> {
    let (id, policy_id) = (state.next_id(), state.next_id());
    let original = state.scan(original)?;
    let copy = Scan {
        id,
        policy_id: if original.policy.is_some() { original.policy_id } else { policy_id },
        policy: original.policy.clone(),
        template_uuid: format!("template-{}", long_uuid()),
        folder_id: folder_id.unwrap_or(original.folder_id),
        name: original.name.clone(),
        description: original.description.clone(),
        targets: original.targets.clone(),
        expansion: Arc::clone(&original.expansion),
        credentials: original.credentials.clone(),
        runs: Vec::new(),
        ..*original
    };
    state.scans.insert(id, copy);
    Ok(id)
}

/// Launches a scan; returns the run's UUID.
pub(super) fn start(
    state: &mut State,
    id: u64,
    now: Timestamp,
    alternative: Option<(String, Arc<Expansion>)>,
) -> Result<String, ApiError> {
    if let Some(run) = state.scan(id)?.run().filter(|run| run.phase.is_active()) {
        return match state.config.double_launch {
            DoubleLaunch::Refused => Err(ApiError::new(409, "The scan is already active")),
            DoubleLaunch::Ignored => Ok(run.uuid.clone()),
        };
    }
    let (history_id, pace, uuid) = (state.next_id(), state.pace(), long_uuid());
    let login = state.sent.outcome(id, &state.config);
    let scan = state.scan_mut(id)?;
    let alt_targets = alternative.is_some();
    let targets = alternative.unwrap_or_else(|| (scan.targets.clone(), Arc::clone(&scan.expansion)));
    let mut run = Run::new(history_id, uuid.clone(), now, targets, pace);
    run.alt_targets = alt_targets;
    run.has_credentials = !scan.credentials.is_empty() || scan.policy.as_ref().is_some_and(Policy::logs_in);
    run.login = login;
    // Counted before it can complete: a scan without duration is over at the next request.
    scan.runs.push(run);
    scan.read = false;
    let name = scan.name.clone();
    let running = state.active();
    state.counted.count_launch(&name, running);
    Ok(uuid)
}

/// `POST /scans/{id}/pause`.
pub(super) fn pause(state: &mut State, call: &Call<'_>) -> Outcome {
    steer(state, call, Run::pause)
}

/// `POST /scans/{id}/resume`.
pub(super) fn resume(state: &mut State, call: &Call<'_>) -> Outcome {
    steer(state, call, Run::resume)
}

/// `POST /scans/{id}/stop`.
pub(super) fn stop(state: &mut State, call: &Call<'_>) -> Outcome {
    let reply = steer(state, call, Run::stop)?;
    state.counted.stops += 1;
    Ok(reply)
}

/// `POST /scans/{id}/kill`.
pub(super) fn kill(state: &mut State, call: &Call<'_>) -> Outcome {
    let reply = steer(state, call, Run::kill)?;
    state.counted.stops += 1;
    Ok(reply)
}

fn steer(state: &mut State, call: &Call<'_>, how: fn(&mut Run, Timestamp) -> bool) -> Outcome {
    let scan = state.scan_mut(call.id(0)?)?;
    if scan.runs.last_mut().is_some_and(|run| how(run, call.now)) {
        Ok(state.done())
    } else {
        Err(ApiError::new(409, "Scan is not active"))
    }
}
