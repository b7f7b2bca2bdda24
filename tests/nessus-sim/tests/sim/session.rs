//! Who may do what.

use std::time::Duration;

use nessus_sim::{Edition, SimConfig, SimulatedNessus};
use serde_json::json;

use crate::client::{BASIC, Client, Fixture};

#[tokio::test]
async fn a_session_lives_from_login_to_logout() {
    let fixture = Fixture::start(SimConfig::new()).await;
    assert_eq!(fixture.client.get("/session").await.ok()["username"], "admin");
    assert_eq!(fixture.sim.stats().sessions, 1);
    fixture.client.delete("/session").await.ok();
    assert_eq!(fixture.client.get("/scans").await.error(401), "Invalid Credentials");
    let stats = fixture.sim.stats();
    assert_eq!((stats.logins, stats.logouts, stats.sessions), (1, 1, 0));
}

#[tokio::test]
async fn an_idle_session_ends_and_a_used_one_does_not() {
    let fixture = Fixture::start(SimConfig::new().session_idle(Duration::from_secs(60))).await;
    for _ in 0..3 {
        fixture.pass(60);
        fixture.client.get("/scans").await.ok();
    }
    fixture.pass(61);
    assert_eq!(fixture.client.get("/scans").await.error(401), "Invalid Credentials");
}

#[tokio::test]
async fn a_wrong_login_is_refused_and_counted() {
    let sim = SimulatedNessus::start_with(SimConfig::new().login("scanner", "s3&cret=")).await;
    let stranger = Client::stranger(&sim);
    for body in [json!({ "username": "scanner", "password": "nessus" }), json!({ "username": "admin", "password": "" })]
    {
        assert_eq!(stranger.post("/session", body).await.error(401), "Invalid Credentials");
    }
    stranger.post("/session", json!({})).await.error(400);
    stranger.post("/session", json!([1])).await.error(400);
    stranger.post_form("/session", "username=scanner&password=s3%26cret%3D").await.ok();
    let stats = sim.stats();
    assert_eq!((stats.logins, stats.failed_logins), (1, 2));
}

#[tokio::test]
async fn what_is_open_to_strangers_is_open_and_the_rest_is_not() {
    let sim = SimulatedNessus::start().await;
    let stranger = Client::stranger(&sim);
    assert_eq!(stranger.get("/server/status").await.ok()["status"], "ready");
    assert!(stranger.get("/server/properties").await.ok()["license"].is_null());
    assert!(stranger.get("/").await.body.contains("nessus6.js"));
    assert!(stranger.get("/nessus6.js").await.body.contains(&sim.api_token()));
    for path in
        ["/session", "/scans", "/scans/5", "/folders", "/scanners", "/editor/scan/templates", "/scans/5/hosts/2"]
    {
        assert_eq!(stranger.get(path).await.error(401), "Invalid Credentials", "{path}");
    }
    assert_eq!(stranger.post("/scans", json!({})).await.error(401), "Invalid Credentials");
    stranger.get("/no/such/thing").await.error(404);
    let properties = Client::logged_in(&sim).await.get("/server/properties").await.ok();
    assert_eq!(properties["license"]["features"]["scan_api"], false);
}

#[tokio::test]
async fn steering_needs_the_api_token_of_the_web_interface() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("one", "192.0.2.1").await;
    let lower_case = fixture.client.clone().with("X-API-Token", fixture.sim.api_token().to_lowercase());
    lower_case.post(&format!("/scans/{scan}/launch"), json!({})).await.ok();
    let without = fixture.client.clone().without("X-API-Token");
    let stale = fixture.client.clone();
    let rotated = fixture.sim.rotate_api_token();
    for client in [&without, &stale] {
        for call in ["launch", "pause", "resume", "stop", "kill"] {
            let answer = client.post(&format!("/scans/{scan}/{call}"), json!({})).await;
            assert_eq!((answer.status, answer.body.as_str()), (412, r#"{"error":"API is not available"}"#), "{call}");
        }
        client.post("/scans", json!({ "uuid": BASIC })).await.error(412);
        client.delete(&format!("/scans/{scan}")).await.error(412);
        // Reading and exporting are not kept from anybody who is logged in.
        client.get(&format!("/scans/{scan}")).await.ok();
        client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.error(409);
    }
    stale.with("X-API-Token", rotated).post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
}

#[tokio::test]
async fn api_keys_read_and_steer_only_with_a_manager() {
    for (edition, steers) in [(Edition::Professional, false), (Edition::Manager, true)] {
        let sim = SimulatedNessus::start_with(SimConfig::new().api_keys("aa", "bb").edition(edition)).await;
        let keys =
            |secret: &str| Client::stranger(&sim).with("X-ApiKeys", format!("accessKey=aa; secretKey={secret};"));
        keys("bb").get("/scans").await.ok();
        keys("cc").get("/scans").await.error(401);
        let body = json!({ "uuid": BASIC, "settings": { "name": "k", "text_targets": "192.0.2.1" } });
        let answer = keys("bb").post("/scans", body).await;
        assert_eq!(answer.status, if steers { 200 } else { 412 }, "{}", answer.body);
    }
}

#[tokio::test]
async fn sessions_and_tokens_of_an_earlier_life_are_worth_nothing() {
    let first = SimulatedNessus::start_with(SimConfig::new().seed(7)).await;
    let second = SimulatedNessus::start_with(SimConfig::new().seed(7)).await;
    assert_ne!(first.api_token(), second.api_token());
    let client = Client::logged_in(&first).await;
    first.drop_sessions();
    client.get("/scans").await.error(401);
}
