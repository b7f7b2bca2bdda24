//! Every answer with every wrong shape at every place: what is not needed or still sound is read, nothing panics, and what
//! is no answer is never taken for an empty one.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeSeed};

use super::*;
use crate::scanner::nessus::{
    call::{Access, Call},
    wire::*,
};

const MARKER: &str = "ne_ness_20251201_143022_a1b2c3d4";

/// What stands where something else should.
fn wrong_shapes() -> Vec<Value> {
    vec![json!(null), json!([]), json!({}), json!(false), json!(7), json!("odd"), json!([null, [[]], {}]), json!([7])]
}

/// The document with each wrong shape at each place in it, and where that is.
fn spoiled(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for place in places(document, "") {
        for shape in wrong_shapes() {
            let mut spoiled = document.clone();
            *spoiled.pointer_mut(&place).unwrap() = shape;
            all.push((place.clone(), spoiled));
        }
    }
    assert!(all.len() > 7, "{document}");
    all
}

/// Every place below this one, as JSON pointers.
fn places(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect(),
        _ => Vec::new(),
    };
    below.into_iter().flat_map(|(at, value)| [vec![at.clone()], places(value, &at)].concat()).collect()
}

/// The texts and numbers that are in a document.
fn leaves(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => fields.values().flat_map(leaves).collect(),
        Value::Array(list) => list.iter().flat_map(leaves).collect(),
        Value::String(text) => BTreeSet::from([text.clone()]),
        Value::Number(number) => BTreeSet::from([number.to_string()]),
        _ => BTreeSet::new(),
    }
}

/// Whatever is spoiled, all else that was read before is read again. Values must not repeat within a document.
#[track_caller]
fn the_rest_is_read(document: &Value, read: impl Fn(&str) -> Result<BTreeSet<String>, serde_json::Error>) {
    let whole = read(&document.to_string()).unwrap();
    assert!(!whole.is_empty() && whole.is_subset(&leaves(document)), "{whole:?} of {document}");
    for (place, spoiled) in spoiled(document) {
        let seen = read(&spoiled.to_string()).unwrap_or_else(|error| panic!("{place}: {error} in {spoiled}"));
        let left: BTreeSet<_> = whole.intersection(&leaves(&spoiled)).cloned().collect();
        assert!(seen.is_superset(&left), "{place}: {:?} of {spoiled}", left.difference(&seen));
    }
}

fn facts<const N: usize>(values: [Option<String>; N]) -> BTreeSet<String> {
    values.into_iter().flatten().collect()
}

fn shown(number: Option<u64>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn read<T: for<'de> Deserialize<'de>>(
    facts: impl Fn(T) -> BTreeSet<String>,
) -> impl Fn(&str) -> Result<BTreeSet<String>, serde_json::Error> {
    move |json| serde_json::from_str(json).map(&facts)
}

#[test]
fn sessions_and_the_scanner_itself() {
    the_rest_is_read(&json!({ "token": "t", "md5sum": "m" }), read(|login: Login| facts([login.token])));
    let status = json!({ "status": "loading", "progress": 37, "code": 200 });
    the_rest_is_read(&status, read(|status: ServerStatus| facts([status.status, shown(status.progress)])));
    let properties = json!({
        "nessus_type": "type", "nessus_ui_version": "10", "server_version": "19", "loaded_plugin_set": "set",
        "plugin_set": "other set", "used_ip_count": 3,
        "license": { "name": "licence", "ips": 16, "expiration_date": 1900, "features": { "scan_api": true } },
    });
    the_rest_is_read(
        &properties,
        read(|p: Properties| {
            let license = p.license.map(|license| [license.name, shown(license.ips), shown(license.expiration_date)]);
            let sets = [p.loaded_plugin_set, p.plugin_set];
            let own = facts([p.nessus_type, p.nessus_ui_version, p.server_version, shown(p.used_ip_count)]);
            own.into_iter().chain(facts(sets)).chain(license.into_iter().flat_map(facts)).collect()
        }),
    );
}

#[test]
fn templates_and_folders() {
    let templates = json!({ "templates": [
        { "name": "basic", "uuid": "u1", "is_agent": null, "unsupported": false, "icon": "i" },
        { "name": "discovery", "uuid": "u2", "license_fulfilled": true },
    ]});
    the_rest_is_read(
        &templates,
        read(|answer: Templates| {
            let all = answer.templates.into_iter().flatten();
            all.flat_map(|template| facts([template.name, template.uuid])).collect()
        }),
    );
    let folders = json!({ "folders": [{ "id": 2, "type": "trash", "name": "Trash" }, { "id": 3, "type": "main" }] });
    the_rest_is_read(&folders, read(|answer: Folders| answer.folders.into_iter().flatten().flat_map(folder).collect()));
}

fn folder(folder: Folder) -> BTreeSet<String> {
    facts([shown(folder.id), folder.kind, folder.name])
}

fn listed() -> Value {
    json!({
        "folders": [{ "id": 2, "type": "trash", "name": "Trash" }, { "id": 3, "type": "main", "name": "My Scans" }],
        "timestamp": 1000,
        "scans": [
            { "id": 56, "name": "somebody's", "folder_id": 31, "starttime": { "odd": 1 } },
            { "id": 57, "name": format!("nightly [{MARKER}]"), "folder_id": 32, "creation_date": 990 },
            { "id": 58, "name": "another's", "folder_id": 33, "creation_date": 991 },
        ],
    })
}

fn list(json: &str, wanted: Wanted) -> Result<ScanList, serde_json::Error> {
    wanted.deserialize(&mut serde_json::Deserializer::from_str(json))
}

#[test]
fn the_list_of_scans() {
    the_rest_is_read(&listed(), |json| {
        let list = list(json, Wanted::Scan(57))?;
        Ok(list.folders.into_iter().flatten().flat_map(folder).chain(shown(list.timestamp)).collect())
    });
}

/// A scan that is there is found, or an error says that the answer is none; it is never said not to be there.
#[test]
fn a_scan_that_is_there_is_found() {
    let call = Call::get("/scans", Access::Session);
    let whole = listed();
    for (place, spoiled) in spoiled(&whole) {
        let ours = |document: &Value| {
            let scans = document["scans"].as_array()?;
            scans.iter().find(|scan| **scan == whole["scans"][1]).cloned()
        };
        let read = list(&spoiled.to_string(), Wanted::Marker(MARKER.to_owned())).unwrap();
        let found = adopt::find(&call, &read, MARKER);
        let is_listed = adopt::lists(&call, &list(&spoiled.to_string(), Wanted::Scan(57)).unwrap(), 57);
        if ours(&spoiled).is_some() {
            assert_eq!(found.unwrap(), Some(ScanId::from(57)), "{place}: {spoiled}");
            assert!(is_listed.unwrap(), "{place}: {spoiled}");
            let kept = &read.scans.unwrap()[0];
            assert_eq!((kept.folder_id, kept.creation_date), (Some(32), Some(990)), "{place}: {spoiled}");
        } else if spoiled["scans"]
            .as_array()
            .is_none_or(|scans| !scans.is_empty() && !scans.iter().any(Value::is_object))
            && !spoiled["scans"].is_null()
        {
            assert!(matches!(found, Err(ScannerError::Decode { .. })), "{place}: {found:?} of {spoiled}");
            assert!(matches!(is_listed, Err(ScannerError::Decode { .. })), "{place}: {spoiled}");
        } else if place == "/scans/1/id" {
            assert!(!matches!(found, Ok(None)), "{place}: {found:?} of {spoiled}");
        }
    }
}

fn details_document() -> Value {
    json!({
        "info": {
            "status": "aborted", "uuid": "run-2", "name": "nightly", "targets": "192.0.2.1", "policy_template_uuid": "u1",
            "folder_id": 3, "license_info": { "limit": 16, "trimmed": 4 },
        },
        "hosts": [
            { "host_id": 5, "hostname": "h1", "scanprogresscurrent": 10, "scanprogresstotal": 40 },
            { "host_id": 6, "hostname": "h2", "scanprogresscurrent": 20, "scanprogresstotal": 80 },
        ],
        "vulnerabilities": [{ "plugin_id": 19506 }],
        "notes": [{ "title": "Scan Aborted", "message": "the engine restarted" }],
        "history": [{ "history_id": 58, "uuid": "run-1" }],
    })
}

#[test]
fn the_details_of_a_scan() {
    the_rest_is_read(
        &details_document(),
        read(|details: Details| {
            let history = details.history.runs.into_iter();
            let runs = history.flat_map(|run| facts([shown(run.history_id), run.uuid]));
            let info = details.info.map(|info| {
                let trimmed = info.license.and_then(|license| license.trimmed);
                let texts = facts([info.status, info.uuid, info.name, info.targets, info.policy_template_uuid]);
                texts.into_iter().chain(shown(info.folder_id)).chain(shown(trimmed)).collect::<Vec<_>>()
            });
            runs.chain(info.into_iter().flatten()).collect()
        }),
    );
    the_rest_is_read(
        &details_document(),
        read(|list: HostList| {
            list.hosts.into_iter().flatten().flat_map(|host| facts([shown(host.id), host.hostname])).collect()
        }),
    );
}

#[test]
fn a_status_is_told_unless_its_word_is_missing() {
    for (place, spoiled) in spoiled(&details_document()) {
        let details = serde_json::from_value(spoiled.clone()).unwrap();
        let status = status::summarise("GET /scans/57", &details);
        let word = spoiled.pointer("/info/status").filter(|word| word.is_string() || word.is_number());
        match (status, word) {
            (Ok(status), Some(word)) => {
                assert_eq!(status.state == ScanState::Aborted, word == "aborted", "{place}: {spoiled}");
                if spoiled.pointer("/notes/0/message") == Some(&json!("the engine restarted")) {
                    assert!(status.detail.unwrap().contains("the engine restarted"), "{place}: {spoiled}");
                }
                let hosts =
                    spoiled["hosts"].as_array().map(|hosts| hosts.iter().filter(|host| host.is_object()).count());
                assert_eq!(status.hosts, hosts.map(|hosts| hosts as u64), "{place}: {spoiled}");
            }
            (Err(ScannerError::Decode { .. }), None) => {}
            (status, _) => panic!("{place}: {status:?} of {spoiled}"),
        }
    }
}

#[test]
fn files_runs_and_scans() {
    let asked = json!({ "file": 9, "token": "t1", "temp_token": "t2" });
    the_rest_is_read(&asked, read(|file: ExportRequested| facts([shown(file.file), file.token, file.temp_token])));
    the_rest_is_read(&json!({ "status": "ready", "x": 1 }), read(|file: ExportStatus| facts([file.status])));
    the_rest_is_read(&json!({ "fileuploaded": "key", "x": 1 }), read(|file: Uploaded| facts([file.fileuploaded])));
    the_rest_is_read(&json!({ "scan_uuid": "run-1", "x": 1 }), read(|run: Launched| facts([run.scan_uuid])));
    let created = json!({ "scan": { "id": 57, "uuid": "template-1" } });
    the_rest_is_read(&created, read(|created: Created| facts([shown(created.scan.and_then(|scan| scan.id))])));
}

/// A login that stays on the scanner must not be taken for none.
#[test]
fn credentials_are_all_found_or_missed() {
    let instances = json!([{ "id": 5 }, { "id": "c6" }]);
    let types = json!([{ "name": "SSH", "instances": instances }]);
    let document =
        json!({ "uuid": "u1", "credentials": { "data": [{ "name": "Host", "types": types }, { "types": null }] } });
    for (place, spoiled) in spoiled(&document) {
        let editor: Editor = serde_json::from_value(spoiled.clone()).unwrap();
        let found = editor.credential_ids();
        let left = leaves(&spoiled["credentials"]);
        for id in ["5", "c6"].into_iter().filter(|id| left.contains(*id)) {
            assert!(found.as_ref().is_none_or(|found| found.iter().any(|found| found == id)), "{place}: {spoiled}");
        }
        if place.ends_with("/id") {
            assert!(found.is_none_or(|found| found.len() == 2), "{place}: {spoiled}");
        }
    }
}

/// Bytes that are no UTF-8, half a surrogate, a number beyond all numbers: in what is somebody else's.
#[tokio::test]
async fn what_somebody_else_has_called_a_scan_blocks_nobody() {
    let odd: [&[u8]; 5] = [b"\"caf\xe9\"", br#""\ud83d""#, b"1e999", br#""\u0000""#, b"[[[1]]]"];
    for name in odd {
        let server = scanner_with_logins(1).await;
        let ours = format!(r#"}},{{"id":57,"name":"nightly [{MARKER}]"}}],"timestamp":1}}"#);
        let body = [br#"{"scans":[{"id":5,"name":"#, name, ours.as_bytes()].concat();
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
        call("GET", "/scans").respond_with(answer).mount(&server).await;
        let found = client(server.uri()).find_by_marker(MARKER).await;
        assert_eq!(found.unwrap(), Some(ScanId::from(57)), "{}", String::from_utf8_lossy(name));
    }
}

#[tokio::test]
async fn an_answer_without_the_hosts_that_were_asked_for_is_none() {
    for answer in
        [json!({}), json!({ "info": {}, "hosts": false }), json!({ "info": {}, "hosts": {} }), json!({ "info": 1 })]
    {
        let server = scanner_with_logins(1).await;
        call("GET", "/scans/57").respond_with(ok(answer.clone())).mount(&server).await;
        let outcome = client(server.uri()).hosts(&ScanId::from(57)).await;
        assert!(matches!(outcome, Err(ScannerError::Decode { .. })), "{outcome:?} of {answer}");
    }
}
