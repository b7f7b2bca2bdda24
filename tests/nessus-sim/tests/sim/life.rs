//! The life of a scan.

use std::time::Duration;

use nessus_sim::{Edition, SimConfig, SimulatedNessus, Stats};
use serde_json::{Value, json};

use crate::client::{BASIC, Client, Fixture};

#[tokio::test]
async fn a_scan_goes_from_empty_to_completed() {
    let fixture = Fixture::start(SimConfig::new().findings_per_host(20)).await;
    assert_eq!(fixture.client.get("/scans").await.ok()["scans"], Value::Null, "no scans is null, not a list");
    let scan = fixture.create("weekly", "192.0.2.0/30").await;
    assert_eq!(fixture.details(scan).await["hosts"], Value::Null);
    let listed = fixture.client.get("/scans").await.ok();
    assert_eq!((&listed["scans"][0]["status"], &listed["scans"][0]["uuid"]), (&json!("empty"), &Value::Null));

    let uuid = fixture.launch(scan).await;
    assert_eq!(fixture.status(scan).await, "pending");
    fixture.pass(1);
    let mut seen = Vec::new();
    for _ in 0..8 {
        fixture.pass(1);
        let details = fixture.details(scan).await;
        assert_eq!(details["info"]["status"], "running");
        seen.push((done(&details), details["hosts"].as_array().unwrap().len()));
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{seen:?}");

    fixture.pass(1);
    let details = fixture.details(scan).await;
    assert_eq!(details["info"]["status"], "completed");
    assert_eq!(details["info"]["uuid"], uuid.as_str());
    assert_eq!(details["info"]["hostcount"], 4);
    assert_eq!(details["history"][0]["status"], "completed");
    for host in details["hosts"].as_array().unwrap() {
        assert_eq!(host["scanprogresscurrent"], host["scanprogresstotal"]);
        assert_eq!(host["severity"], 20);
    }
    let counted: u64 =
        details["vulnerabilities"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 80);
}

fn done(details: &Value) -> u64 {
    let hosts = details["hosts"].as_array().unwrap();
    hosts.iter().map(|host| host["scanprogresscurrent"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_scan_is_paused_resumed_and_stopped() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("steered", "192.0.2.1").await;
    let call = async |name: &str| fixture.client.post(&format!("/scans/{scan}/{name}"), json!({})).await;
    fixture.launch(scan).await;
    fixture.pass(3);
    call("resume").await.error(409);
    call("pause").await.ok();
    assert_eq!(fixture.status(scan).await, "pausing");
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "paused");
    let before = done(&fixture.details(scan).await);
    fixture.pass(1_000);
    assert_eq!(done(&fixture.details(scan).await), before);
    assert_eq!(fixture.sim.stats().running, 1, "a paused scan is not over");
    call("resume").await.ok();
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "running");
    call("stop").await.ok();
    assert_eq!(fixture.status(scan).await, "stopping");
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "canceled");
    for name in ["stop", "kill", "pause", "resume"] {
        assert_eq!(call(name).await.error(409), "Scan is not active", "{name}");
    }
}

#[tokio::test]
async fn an_active_scan_cannot_be_launched_deleted_or_exported() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("busy", "192.0.2.1").await;
    fixture.launch(scan).await;
    for seconds in [0, 2] {
        fixture.pass(seconds);
        fixture.client.post(&format!("/scans/{scan}/launch"), json!({})).await.error(409);
        let deleted = fixture.client.delete(&format!("/scans/{scan}")).await;
        assert_eq!(deleted.error(409), "Can not delete an active scan");
        let exported = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await;
        assert_eq!(exported.error(409), "Can not export running scans");
    }
    fixture.client.post(&format!("/scans/{scan}/kill"), json!({})).await.ok();
    fixture.client.delete(&format!("/scans/{scan}")).await.ok();
    for answer in [
        fixture.client.get(&format!("/scans/{scan}")).await,
        fixture.client.post(&format!("/scans/{scan}/launch"), json!({})).await,
        fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await,
        fixture.client.delete(&format!("/scans/{scan}")).await,
        fixture.client.get("/scans/abc").await,
    ] {
        answer.error(404);
    }
}

#[tokio::test]
async fn a_second_run_has_its_own_uuid_and_history_entry() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("again", "192.0.2.1").await;
    let first = fixture.details(scan).await["info"]["uuid"].clone();
    let body = json!({ "alt_targets": ["192.0.2.8", "192.0.2.9"] });
    let second = fixture.client.post(&format!("/scans/{scan}/launch"), body).await.ok()["scan_uuid"].clone();
    assert_ne!(first, second);
    fixture.pass(10);
    let details = fixture.details(scan).await;
    assert_eq!((&details["info"]["hostcount"], &details["info"]["alt_targets_used"]), (&json!(2), &json!(true)));
    let history = details["history"].as_array().unwrap();
    assert_eq!(history.iter().map(|entry| &entry["uuid"]).collect::<Vec<_>>(), [&first, &second]);
    let earlier = fixture.client.get(&format!("/scans/{scan}?history_id={}", history[0]["history_id"])).await.ok();
    assert_eq!((&earlier["info"]["uuid"], &earlier["info"]["hostcount"]), (&first, &json!(1)));
    fixture.client.get(&format!("/scans/{scan}?history_id=1")).await.error(404);
}

#[tokio::test]
async fn bad_definitions_are_refused_and_leave_nothing_behind() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let cases = [
        (json!({ "uuid": BASIC, "settings": { "name": " ", "text_targets": "192.0.2.1" } }), "Invalid 'name' field"),
        (json!({ "uuid": BASIC, "settings": { "name": "n", "text_targets": "" } }), "Invalid 'text_targets' field"),
        (
            json!({ "uuid": BASIC, "settings": { "name": "n", "text_targets": "1.2.3.400" } }),
            "Invalid 'text_targets' field",
        ),
        (json!({ "uuid": "basic", "settings": { "name": "n", "text_targets": "192.0.2.1" } }), "Invalid 'uuid' field"),
    ];
    for (body, error) in cases {
        assert_eq!(fixture.client.post("/scans", body).await.error(400), error);
    }
    assert_eq!((fixture.sim.stats().scans, fixture.sim.stats().total_creates), (0, 0));
}

#[tokio::test]
async fn secrets_of_a_scan_are_never_shown_again() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let secret = "planted-secret-4711";
    let ssh =
        json!({ "auth_method": "password", "username": "scan", "password": secret, "escalation_password": secret });
    let settings = json!({ "name": "trusted", "text_targets": "192.0.2.1" });
    let body = json!({ "uuid": BASIC, "settings": settings, "credentials": { "add": { "Host": { "SSH": [ssh] } } } });
    let created = fixture.client.post("/scans", body).await;
    let scan = created.ok()["scan"]["id"].as_u64().unwrap();
    let editor = fixture.client.get(&format!("/editor/scan/{scan}")).await;
    let instance = editor.ok()["credentials"]["data"][0]["types"][0]["instances"][0].clone();
    assert!(instance.to_string().contains("\"default\":\"scan\""), "{instance}");
    assert!(!created.body.contains(secret) && !editor.body.contains(secret));

    let body = json!({ "settings": settings, "credentials": { "delete": [instance["id"]] } });
    fixture.client.put(&format!("/scans/{scan}"), body).await.ok();
    let editor = fixture.client.get(&format!("/editor/scan/{scan}")).await.ok();
    assert_eq!(editor["credentials"]["data"][0]["types"][0]["instances"], json!([]));
}

#[tokio::test]
async fn the_licence_trims_hosts_and_says_so() {
    let fixture = Fixture::start(SimConfig::new().edition(Edition::Essentials)).await;
    let scan = fixture.completed("large", "192.0.2.0/24").await;
    let info = fixture.details(scan).await["info"].clone();
    assert_eq!((&info["hostcount"], &info["license_info"]), (&json!(16), &json!({ "limit": 16, "trimmed": 240 })));
}

#[tokio::test]
async fn what_was_asked_is_counted_by_name() {
    let fixture = Fixture::start(SimConfig::new().control_port(0)).await;
    let first = fixture.create("twin", "192.0.2.1").await;
    let second = fixture.create("twin", "192.0.2.2").await;
    let third = fixture.create("other", "192.0.2.3").await;
    fixture.launch(first).await;
    fixture.pass(5);
    fixture.launch(second).await;
    fixture.pass(5);
    fixture.launch(third).await;
    let stats = fixture.sim.stats();
    assert_eq!((stats.running, stats.max_running), (2, 2), "the first had ended before the third began");
    assert_eq!((stats.creates["twin"], stats.creates["other"], stats.total_creates), (2, 1, 3));
    assert_eq!((stats.launches["twin"], stats.launches["other"], stats.total_launches), (2, 1, 3));
    fixture.pass(10);
    let url = format!("{}/stats", fixture.sim.control_url().unwrap());
    let over_http: Stats = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(over_http, fixture.sim.stats());
    assert_eq!((over_http.running, over_http.max_running, over_http.scans), (0, 2, 3));
}

#[tokio::test]
async fn a_scan_moves_to_the_trash() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("old", "192.0.2.1").await;
    let folders = fixture.client.get("/folders").await.ok();
    let trash = folders["folders"].as_array().unwrap().iter().find(|f| f["type"] == "trash").unwrap()["id"].clone();
    fixture.client.put(&format!("/scans/{scan}/folder"), json!({ "folder_id": trash })).await.ok();
    assert_eq!(fixture.details(scan).await["info"]["folder_id"], trash);
    let listed = fixture.client.get("/scans?folder_id=3").await.ok();
    assert_eq!(listed["scans"], Value::Null);
}

#[tokio::test]
async fn the_machine_clock_moves_scans_too() {
    let sim = SimulatedNessus::start_with(SimConfig::new().scan_duration(Duration::from_millis(100))).await;
    let client = Client::logged_in(&sim).await;
    let settings = json!({ "name": "real", "text_targets": "192.0.2.1", "launch_now": true });
    let scan = client.post("/scans", json!({ "uuid": BASIC, "settings": settings })).await.ok()["scan"]["id"].clone();
    for _ in 0..500 {
        if client.get(&format!("/scans/{scan}")).await.ok()["info"]["status"] == "completed" {
            assert_eq!(sim.stats().total_launches, 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the scan never completed");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let sim = SimulatedNessus::start().await;
    let port: u16 = sim.url().rsplit(':').next().unwrap().parse().unwrap();
    let error = SimulatedNessus::try_start_with(SimConfig::new().port(port)).await.unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}
