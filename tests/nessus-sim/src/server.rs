//! What the scanner says of itself, the web interface included.

use serde_json::{Value, json};

use super::{
    config::Edition,
    reply::Reply,
    state::{State, seconds},
    wire::{Call, Outcome},
};

const UI_VERSION: &str = "10.9.4";
const ENGINE_VERSION: &str = "19.12.4";

/// `GET /`: the page that loads the web interface.
pub(super) fn index(_state: &mut State, _call: &Call<'_>) -> Outcome {
    let page = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Nessus</title></head>\n\
                <body><script src=\"nessus6.js?v=1763600000\"></script></body></html>\n";
    Ok(Reply::text("text/html", page))
}

/// `GET /nessus6.js`: a program that knows the `X-API-Token`.
///
/// Around the token stand the things by which a careless search is misled: calls of the function, functions that
/// return other texts, and UUIDs that are no token.
pub(super) fn script(state: &mut State, _call: &Call<'_>) -> Outcome {
    let token = &state.api_token;
    let script = format!(
        "!function(e){{\"use strict\";var n={{guid:\"00000000-1111-2222-3333-444444444444\"}};\
         function t(r){{r.setRequestHeader(\"X-API-Token\",e.getApiToken())}}\
         e.Session=[{{key:\"getTab\",value:function(){{return\"top\"}}}},\
         {{key:\"getCli\",value:function(){{return\"nessuscli\"}}}},\
         {{key:\"getApiToken\",value:function(){{return\"{token}\"}}}},\
         {{key:\"getSeason\",value:function(){{return\"winter\"}}}}];\
         e.build='99999999-aaaa-bbbb-cccc-dddddddddddd'}}(window);\n"
    );
    let etag = format!("\"{:016x}\"", super::findings::hash(0, token));
    Ok(Reply::text("application/javascript", script).with_header("ETag", etag))
}

/// `GET /server/status`.
pub(super) fn status(_state: &mut State, _call: &Call<'_>) -> Outcome {
    Ok(Reply::json(&json!({
        "code": 200, "progress": null, "status": "ready", "pluginSet": true, "pluginData": true, "initLevel": 0,
        "detailed_status": {
            "login_status": "allow",
            "feed_status": { "progress": null, "status": "ready" },
            "db_status": { "progress": null, "status": "ready" },
            "engine_status": { "progress": null, "status": "ready" },
        },
    })))
}

/// `GET /server/properties`: the little that strangers may know, or everything.
pub(super) fn properties(state: &mut State, call: &Call<'_>) -> Outcome {
    let edition = state.config.edition;
    if !call.logged_in {
        return Ok(Reply::json(&json!({
            "nessus_type": edition.name(), "server_version": ENGINE_VERSION, "nessus_ui_version": UI_VERSION,
            "nessus_ui_build": "20", "server_build": "20020", "notifications": [], "feed_error": 0,
        })));
    }
    let managed = edition.scan_api();
    let plugin_set = &state.config.plugin_set;
    Ok(Reply::json(&json!({
        "nessus_type": edition.name(), "server_version": ENGINE_VERSION, "nessus_ui_version": UI_VERSION,
        "nessus_ui_build": "20", "server_build": "20020", "server_uuid": state.server_uuid, "platform": "LINUX",
        "plugin_set": plugin_set, "loaded_plugin_set": plugin_set, "used_ip_count": 0,
        "idle_timeout": (state.config.session_idle.as_secs() / 60).to_string(),
        "scanner_boottime": seconds(state.started), "feed_error": 0, "notifications": [],
        "template_version": plugin_set, "restart_pending": { "reason": null, "type": null },
        "update": { "href": null, "new_version": 0, "restart": 0 },
        "capabilities": { "multi_scanner": managed, "multi_user": "full", "report_email_config": false },
        "license": license(edition, state.config.hosts_allowed()),
    })))
}

fn license(edition: Edition, hosts: usize) -> Value {
    let managed = edition.scan_api();
    json!({
        "type": edition.license_type(), "name": edition.name(), "restricted": !managed, "mode": 3, "ips": hosts,
        "agents": 0, "agents_used": 0, "scanners": 0, "scanners_used": 0, "expiration_date": 1_900_000_000,
        "features": {
            "api": true, "scan_api": managed, "policies": true, "report": true, "users": managed, "vpr": true,
            "folders": true, "plugin_rules": true, "local_scanner": true, "logs": true, "smtp": true,
            "cluster": false, "offline": false,
        },
    })
}

/// The scanners that scans can run on: id, name and type. A Manager has one that is elsewhere.
pub(super) const fn known_scanners(edition: Edition) -> &'static [(u64, &'static str, &'static str)] {
    match edition {
        Edition::Manager => &[(1, "Local Scanner", "local"), (2, "Branch Office", "remote")],
        _ => &[(1, "Local Scanner", "local")],
    }
}

/// `GET /scanners`.
pub(super) fn scanners(state: &mut State, call: &Call<'_>) -> Outcome {
    let active = state.active();
    let sessions = state.sessions.open(call.now);
    let scanner = |(id, name, kind): &(u64, &str, &str)| {
        json!({
            "id": id, "name": name, "status": "on", "type": kind, "uuid": state.server_uuid,
            "num_scans": active, "scan_count": active, "engine_version": ENGINE_VERSION, "platform": "LINUX",
            "ui_version": UI_VERSION, "loaded_plugin_set": state.config.plugin_set, "owner": "system", "linked": 1, "key": null,
            "num_hosts": 0, "num_sessions": sessions, "last_connect": null,
        })
    };
    let scanners: Vec<Value> = known_scanners(state.config.edition).iter().map(scanner).collect();
    Ok(Reply::json(&json!({ "scanners": scanners })))
}

/// `GET /scanners/{id}/scans`: what runs now.
pub(super) fn running_scans(state: &mut State, _call: &Call<'_>) -> Outcome {
    let active = state.scans.values().filter_map(|scan| Some((scan, scan.run().filter(|run| run.phase.is_active())?)));
    let scans: Vec<Value> = active
        .map(|(scan, run)| {
            json!({
                "id": run.uuid, "scan_id": scan.id, "name": scan.name, "status": run.phase.word(), "remote": false,
                "network_id": null, "start_time": seconds(run.launched), "last_modification_date": seconds(run.since),
            })
        })
        .collect();
    Ok(Reply::json(&json!({ "scans": scans })))
}
