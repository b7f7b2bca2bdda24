//! Faults of the scanner and its scans.

use std::time::Duration;

use nessus_sim::{Fault, SimConfig};
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{Client, Fixture};

/// A scanner on which a scan was launched under a fault.
async fn launched(fault: Fault, targets: &str) -> (Fixture, u64) {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(fault);
    let scan = fixture.create("fated", targets).await;
    fixture.launch(scan).await;
    (fixture, scan)
}

/// The progress as clients compute it.
fn progress(details: &Value) -> u64 {
    let sum =
        |key: &str| details["hosts"].as_array().unwrap().iter().map(|host| host[key].as_u64().unwrap()).sum::<u64>();
    100 * sum("scanprogresscurrent") / sum("scanprogresstotal")
}

#[tokio::test]
async fn the_api_token_rotates_before_a_write() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let old = fixture.sim.api_token();
    fixture.sim.inject("rotate_api_token");
    fixture.client.get("/scans").await.ok();
    assert_eq!(fixture.sim.api_token(), old, "only a write triggers it");
    fixture.client.post("/scans", json!({})).await.error(412);
    assert_ne!(fixture.sim.api_token(), old);
    assert!(fixture.client.get("/nessus6.js").await.body.contains(&fixture.sim.api_token()));
}

#[rstest]
#[case("session_expired", true)]
#[case("client_logged_out", false)]
#[tokio::test]
async fn sessions_end(#[case] fault: &str, #[case] only_polls: bool) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("one", "192.0.2.1").await;
    fixture.sim.inject(Fault::new(fault));
    assert_eq!(fixture.client.get("/folders").await.status, if only_polls { 200 } else { 401 });
    assert_eq!(fixture.client.get(&format!("/scans/{scan}")).await.error(401), "Invalid Credentials");
    Client::logged_in(&fixture.sim).await.get(&format!("/scans/{scan}")).await.ok();
}

#[tokio::test]
async fn the_session_ends_before_the_download() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("one", "192.0.2.1").await;
    let file =
        fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok()["file"].clone();
    fixture.pass(1);
    fixture.sim.inject("session_expired_at_download");
    let path = format!("/scans/{scan}/export/{file}");
    assert_eq!(fixture.client.get(&format!("{path}/status")).await.ok()["status"], "ready");
    fixture.client.get(&format!("{path}/download")).await.error(401);
    let again = Client::logged_in(&fixture.sim).await;
    assert!(again.get(&format!("{path}/download")).await.body.starts_with("<?xml"), "the file outlives the session");
}

#[rstest]
#[case("scan_deleted", "GET", "")]
#[case("deleted_before_delete", "DELETE", "")]
#[case("deleted_before_stop", "POST", "/stop")]
#[tokio::test]
async fn somebody_deletes_the_scan(#[case] fault: &str, #[case] method: &str, #[case] call: &str) {
    let (fixture, scan) = launched(Fault::new(fault), "192.0.2.1").await;
    let path = format!("/scans/{scan}{call}");
    let answer = match method {
        "GET" => fixture.client.get(&path).await,
        "DELETE" => fixture.client.delete(&path).await,
        _ => fixture.client.post(&path, json!({})).await,
    };
    answer.error(404);
    assert_eq!(fixture.client.get("/scans").await.ok()["scans"], Value::Null);
}

#[tokio::test]
async fn somebody_else_launches_the_scan() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("raced", "192.0.2.1").await;
    fixture.sim.inject("launched_by_somebody");
    fixture.client.post(&format!("/scans/{scan}/launch"), json!({})).await.error(409);
    assert_eq!(fixture.details(scan).await["history"].as_array().unwrap().len(), 1);
    let other = fixture.completed("raced again", "192.0.2.1").await;
    fixture.sim.inject("launched_before_delete");
    let refused = fixture.client.delete(&format!("/scans/{other}")).await;
    assert_eq!(refused.error(409), "Can not delete an active scan");
    assert_eq!(fixture.status(other).await, "pending");
}

#[tokio::test]
async fn the_scan_completes_before_it_can_be_steered() {
    let (fixture, scan) = launched(Fault::new("ended_before"), "192.0.2.1").await;
    fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await.error(409);
    assert_eq!(fixture.status(scan).await, "completed");
}

#[tokio::test]
async fn a_scan_that_stays_pending_until_it_is_stopped() {
    let (fixture, scan) = launched(Fault::new("stuck_pending"), "192.0.2.1").await;
    fixture.pass(1_500);
    assert_eq!(fixture.status(scan).await, "pending");
    assert_eq!(fixture.details(scan).await["info"]["hostcount"], 0);
    fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "canceled");
}

#[tokio::test]
async fn a_scan_that_is_aborted_before_it_begins() {
    let (fixture, scan) = launched(Fault::new("aborted_at_start").text("no licence"), "192.0.2.1").await;
    assert_eq!(fixture.status(scan).await, "pending");
    fixture.pass(1);
    let details = fixture.details(scan).await;
    assert_eq!((&details["info"]["status"], &details["hosts"]), (&json!("aborted"), &json!([])));
    assert_eq!(details["notes"][0]["message"], "no licence");
    fixture.client.delete(&format!("/scans/{scan}")).await.ok();
}

#[tokio::test]
async fn a_scan_that_is_aborted_while_it_runs() {
    let (fixture, scan) = launched(Fault::new("aborted"), "192.0.2.1").await;
    assert_eq!(fixture.status(scan).await, "pending", "it waits until the scan runs");
    fixture.pass(5);
    let details = fixture.details(scan).await;
    assert_eq!((&details["info"]["status"], &details["history"][0]["status"]), (&json!("aborted"), &json!("aborted")));
    assert!((1..100).contains(&progress(&details)), "{details}");
    assert!(details["notes"][0]["message"].as_str().unwrap().contains("aborted"));
}

#[rstest]
#[case("192.0.2.1")]
#[case("192.0.2.0/26")]
#[tokio::test]
async fn a_scan_that_stays_at_99_percent(#[case] targets: &str) {
    let (fixture, scan) = launched(Fault::new("stuck_at_99"), targets).await;
    fixture.pass(11);
    for _ in 0..2 {
        let details = fixture.details(scan).await;
        assert_eq!((&details["info"]["status"], progress(&details)), (&json!("running"), 99));
        fixture.pass(1_500);
    }
    fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "canceled");
}

#[tokio::test]
async fn somebody_pauses_resumes_and_stops_the_scan() {
    let (fixture, scan) = launched(Fault::new("paused_by_somebody"), "192.0.2.1").await;
    assert_eq!(fixture.status(scan).await, "pending", "it waits until the scan runs");
    fixture.pass(2);
    assert_eq!(fixture.status(scan).await, "pausing");
    fixture.pass(1_000);
    assert_eq!(fixture.status(scan).await, "paused");
    fixture.sim.inject("resumed_by_somebody");
    assert_eq!(fixture.status(scan).await, "resuming");
    fixture.pass(1);
    fixture.sim.inject("canceled_by_somebody");
    assert_eq!(fixture.status(scan).await, "stopping");
    fixture.pass(1);
    assert_eq!(fixture.status(scan).await, "canceled");
}

#[tokio::test]
async fn a_stop_that_takes_minutes_and_a_kill_that_does_not() {
    let (fixture, scan) = launched(Fault::new("slow_stop").delay(Duration::from_secs(180)), "192.0.2.1").await;
    fixture.pass(3);
    fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
    fixture.pass(179);
    assert_eq!(fixture.status(scan).await, "stopping");
    fixture.client.post(&format!("/scans/{scan}/kill"), json!({})).await.ok();
    assert_eq!(fixture.status(scan).await, "canceled");
}

#[rstest]
#[case(Fault::new("no_hosts"), 0)]
#[case(Fault::new("fewer_hosts"), 1)]
#[case(Fault::new("fewer_hosts").bytes(3), 3)]
#[tokio::test]
async fn a_scan_with_fewer_hosts_than_asked_for(#[case] fault: Fault, #[case] hosts: usize) {
    let (fixture, scan) = launched(fault, "192.0.2.1-5").await;
    fixture.pass(10);
    let details = fixture.details(scan).await;
    assert_eq!((&details["info"]["status"], &details["info"]["hostcount"]), (&json!("completed"), &json!(hosts)));
    assert_eq!(details["hosts"].as_array().unwrap().len(), hosts);
    assert_eq!(details["info"]["license_info"]["trimmed"], 5 - hosts);
}

#[rstest]
#[case("logins_fail", "no", 104_410)]
#[case("logins_lack_privilege", "yes", 110_385)]
#[tokio::test]
async fn logins_that_go_wrong(#[case] fault: &str, #[case] credentialed: &str, #[case] plugin: u64) {
    let (fixture, scan) = launched(Fault::new(fault), "192.0.2.1").await;
    fixture.pass(10);
    let found = fixture.details(scan).await["vulnerabilities"].as_array().unwrap().clone();
    assert!(found.iter().any(|row| row["plugin_id"] == plugin));
    let output = fixture.client.get(&format!("/scans/{scan}/hosts/2/plugins/19506")).await.ok();
    let output = output["outputs"][0]["plugin_output"].as_str().unwrap().to_owned();
    assert!(output.contains(&format!("Credentialed checks : {credentialed}\n")), "{output}");
}

#[tokio::test]
async fn exports_that_are_never_ready_fail_or_expire() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("one", "192.0.2.1").await;
    let export = async || {
        let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
        (format!("/scans/{scan}/export/{}", answer["file"]), format!("/tokens/{}", answer["token"].as_str().unwrap()))
    };
    fixture.sim.inject("export_stuck");
    let (file, token) = export().await;
    fixture.pass(500);
    for path in [&file, &token] {
        assert_eq!(fixture.client.get(&format!("{path}/status")).await.ok()["status"], "loading");
    }
    for _ in 0..2 {
        fixture.sim.inject("export_error");
    }
    for path in [export().await.0, export().await.1] {
        let failed = fixture.client.get(&format!("{path}/status")).await;
        assert_eq!((failed.status, failed.body.contains("\"status\":\"error\"")), (500, true));
        fixture.client.get(&format!("{path}/status")).await.error(404);
    }
    fixture.sim.inject("export_expired");
    let (file, _) = export().await;
    fixture.client.get(&format!("{file}/status")).await.error(404);
    fixture.sim.inject("export_expired_at_download");
    let (file, token) = export().await;
    fixture.pass(1);
    assert_eq!(fixture.client.get(&format!("{file}/status")).await.ok()["status"], "ready");
    fixture.client.get(&format!("{token}/download")).await.error(404);
    fixture.client.get(&format!("{file}/download")).await.error(404);
}

#[rstest]
#[case("twin_scan", 3)]
#[case("twin_in_trash", 2)]
#[tokio::test]
async fn a_scan_with_a_twin(#[case] fault: &str, #[case] folder: u64) {
    let fixture = Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new(fault));
    let scan = fixture.create("twin", "192.0.2.1").await;
    let listed = fixture.client.get("/scans").await.ok()["scans"].as_array().unwrap().clone();
    assert_eq!(listed.iter().map(|scan| &scan["name"]).collect::<Vec<_>>(), ["twin", "twin"]);
    assert_eq!((&listed[0]["id"], &listed[1]["folder_id"]), (&json!(scan), &json!(folder)));
    assert_eq!(fixture.sim.stats().total_creates, 1, "the twin is not the client's doing");
}

#[tokio::test]
async fn somebody_moves_the_scan_to_the_trash() {
    let (fixture, scan) = launched(Fault::new("moved_to_trash"), "192.0.2.1").await;
    assert_eq!(fixture.details(scan).await["info"]["folder_id"], 2);
}

#[tokio::test]
async fn a_restart_goes_from_refused_to_loading_to_a_scanner_that_knows_nobody() {
    let (fixture, scan) = launched(Fault::new("latency").count(0).delay(Duration::ZERO), "192.0.2.1").await;
    fixture.pass(3);
    assert_eq!(fixture.status(scan).await, "running");
    fixture.sim.clear_faults();
    let restart = Fault::new("restart").delay(Duration::from_millis(50)).lasting(Duration::from_secs(30));
    fixture.sim.inject(restart);
    let stranger = Client::stranger(&fixture.sim);
    for _ in 0..500 {
        if crate::raw::Raw::connect(&fixture.sim).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stranger.get("/server/status").await.ok()["status"], "loading");
    stranger.post("/session", json!({ "username": "admin", "password": "nessus" })).await.error(503);
    fixture.pass(31);
    assert_eq!(stranger.get("/server/status").await.ok()["status"], "ready");
    fixture.client.get("/scans").await.error(401);
    let again = Client::logged_in(&fixture.sim).await;
    let details = again.get(&format!("/scans/{scan}")).await.ok();
    assert_eq!(details["info"]["status"], "aborted");
    assert!(details["notes"][0]["message"].as_str().unwrap().contains("restarted"));
    assert_eq!(fixture.sim.stats().faults["restart"], 1);
}
