//! What nobody knows of a real scanner, both ways; and what else can be chosen.

use std::{io::Write as _, time::Duration};

use nessus_sim::{Acknowledgement, BodyLength, DoubleLaunch, Edition, Exporting, SimConfig, SimulatedNessus};
use rstest::rstest;
use serde_json::json;

use crate::{
    client::{Client, Fixture},
    raw::{PATIENCE, Raw},
};

#[rstest]
#[case(Acknowledgement::Empty, "")]
#[case(Acknowledgement::Object, "{}")]
#[tokio::test]
async fn what_is_done_is_acknowledged(#[case] acknowledgement: Acknowledgement, #[case] body: &str) {
    let fixture = Fixture::start(SimConfig::new().acknowledgement(acknowledgement)).await;
    let scan = fixture.create("steered", "192.0.2.1").await;
    fixture.launch(scan).await;
    for call in ["pause", "resume", "pause", "stop"] {
        fixture.pass(2);
        let answer = fixture.client.post(&format!("/scans/{scan}/{call}"), json!({})).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{call}");
    }
    fixture.pass(1);
    for path in [format!("/scans/{scan}"), "/session".to_owned()] {
        let answer = fixture.client.delete(&path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
}

#[rstest]
#[case(200)]
#[case(503)]
#[tokio::test]
async fn a_scanner_loads_when_it_starts(#[case] status: u16) {
    let config = SimConfig::new().clock(|| std::time::SystemTime::UNIX_EPOCH).starting(Duration::from_secs(20), status);
    let sim = SimulatedNessus::start_with(config).await;
    let stranger = Client::stranger(&sim);
    let answer = stranger.get("/server/status").await;
    assert!(answer.status == status && answer.body.contains("\"status\":\"loading\""), "{answer:?}");
    stranger.post("/session", json!({ "username": "admin", "password": "nessus" })).await.error(503);
    sim.advance(Duration::from_secs(20));
    assert_eq!(stranger.get("/server/status").await.ok()["status"], "ready");
    Client::logged_in(&sim).await;
}

#[rstest]
#[case(BodyLength::Required, 411)]
#[case(BodyLength::Optional, 200)]
#[tokio::test]
async fn a_request_without_a_length_may_be_refused(#[case] length: BodyLength, #[case] status: u16) {
    let fixture = Fixture::start(SimConfig::new().body_length(length)).await;
    let scan = fixture.create("unmeasured", "192.0.2.1").await;
    let path = format!("/scans/{scan}/launch");
    let request = fixture.client.raw("POST", &path, "").replace("Content-Length: 0\r\n", "");
    let mut connection = Raw::connect(&fixture.sim).await.unwrap();
    connection.send(&request).await;
    assert_eq!(connection.read(PATIENCE).await.status(), status);
    assert_eq!(fixture.sim.stats().total_launches, u64::from(status == 200));
}

#[tokio::test]
async fn a_second_launch_may_be_answered_with_the_first() {
    let fixture = Fixture::start(SimConfig::new().double_launch(DoubleLaunch::Ignored)).await;
    let scan = fixture.create("twice", "192.0.2.1").await;
    assert_eq!(fixture.launch(scan).await, fixture.launch(scan).await);
    assert_eq!(fixture.sim.stats().total_launches, 1);
}

#[tokio::test]
async fn exports_can_be_blocked_short_lived_and_of_another_type() {
    let blocked = Fixture::start(SimConfig::new().edition(Edition::Essentials).exports(Exporting::Blocked)).await;
    let scan = blocked.completed("one", "192.0.2.0/24").await;
    let refused = blocked.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await;
    assert!(refused.error(403).contains("trial mode"));
    assert_eq!(blocked.details(scan).await["info"]["license_info"], json!({ "limit": 16, "trimmed": 240 }));

    let config = SimConfig::new().host_limit(5).export_lifetime(Duration::from_secs(3)).download_type("text/xml");
    let fixture = Fixture::start(config).await;
    let scan = fixture.completed("one", "192.0.2.0/28").await;
    assert_eq!(fixture.details(scan).await["info"]["license_info"], json!({ "limit": 5, "trimmed": 11 }));
    let file =
        fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok()["file"].clone();
    let path = format!("/scans/{scan}/export/{file}/download");
    fixture.pass(4);
    let (status, headers, _) = fixture.client.get_all(&path).await;
    assert_eq!((status, headers["content-type"].as_str()), (200, "text/xml"));
    fixture.pass(1);
    fixture.client.get(&path).await.error(404);
}

#[tokio::test]
async fn a_file_stands_for_every_export_and_is_streamed() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let line = vec![b'x'; 1 << 16];
    for _ in 0..512 {
        file.write_all(&line).unwrap();
    }
    let size = 512 << 16;
    let fixture = Fixture::start(SimConfig::new().export_file(file.path())).await;
    let scan = fixture.completed("one", "192.0.2.1").await;
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    fixture.pass(1);
    let path = format!("/scans/{scan}/export/{}/download", answer["file"]);
    // Whoever does not read holds nobody up, and costs no memory.
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut connection = Raw::connect(&fixture.sim).await.unwrap();
        connection.send(&fixture.client.raw("GET", &path, "")).await;
        idle.push(connection);
    }
    let seen = idle.pop().unwrap().read(PATIENCE).await;
    assert_eq!((seen.body.len(), seen.promised()), (size, size));
    let resident = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().to_owned();
        line.split(' ').next()?.parse::<usize>().ok()
    });
    // 50 downloads of 32 MB; this test itself holds one of them, perhaps twice.
    assert!(resident.is_none_or(|kilobytes| kilobytes < 400_000), "{resident:?}");
    let csv = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "csv" })).await.ok();
    fixture.pass(1);
    let csv = fixture.client.get(&format!("/tokens/{}/download", csv["token"].as_str().unwrap())).await.body;
    assert!(csv.starts_with("Plugin ID"));
}

#[tokio::test]
async fn the_plugin_set_is_said_everywhere() {
    let fixture = Fixture::start(SimConfig::new().plugin_set("202401020304")).await;
    assert_eq!(fixture.client.get("/server/properties").await.ok()["loaded_plugin_set"], "202401020304");
    assert_eq!(fixture.client.get("/scanners").await.ok()["scanners"][0]["loaded_plugin_set"], "202401020304");
    let scan = fixture.completed("one", "192.0.2.1").await;
    let output = fixture.client.get(&format!("/scans/{scan}/hosts/2/plugins/19506")).await.ok().to_string();
    assert!(output.contains("Plugin feed version : 202401020304"));
}

#[tokio::test]
async fn scans_are_copied_and_their_runs_listed_and_forgotten() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("one", "192.0.2.1").await;
    let copied = fixture.client.post(&format!("/scans/{scan}/copy"), json!({})).await.ok();
    assert_eq!((&copied["name"], &copied["custom_targets"]), (&json!("Copy of one"), &json!("192.0.2.1")));
    assert_eq!(fixture.status(copied["id"].as_u64().unwrap()).await, "empty");
    assert_eq!(fixture.sim.stats().total_creates, 1);

    fixture.launch(scan).await;
    let running = fixture.client.get("/scanners/1/scans").await.ok();
    assert_eq!((&running["scans"][0]["scan_id"], &running["scans"][0]["status"]), (&json!(scan), &json!("pending")));
    let history = fixture.details(scan).await["history"].as_array().unwrap().clone();
    let forget = async |run: usize| {
        fixture.client.delete(&format!("/scans/{scan}/history/{}", history[run]["history_id"])).await
    };
    forget(1).await.error(409);
    forget(0).await.ok();
    forget(0).await.error(404);
    assert_eq!(fixture.details(scan).await["history"].as_array().unwrap().len(), 1);
}
