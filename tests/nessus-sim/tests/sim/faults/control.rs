//! Faults from another process.

use nessus_sim::{Fault, FaultError, SimConfig, SimulatedNessus, Stats, When, known_faults};
use serde_json::{Value, json};

use crate::client::{BASIC, Client};

async fn control() -> (SimulatedNessus, Client) {
    let sim = SimulatedNessus::start_with(SimConfig::new().control_port(0)).await;
    let control = Client::at(&sim.control_url().unwrap());
    (sim, control)
}

#[tokio::test]
async fn the_catalogue_says_what_each_fault_does() {
    let (_sim, control) = control().await;
    let listed = control.get("/faults").await.ok();
    let catalogue = listed["catalogue"].as_array().unwrap();
    for entry in catalogue {
        assert!(entry["what"].as_str().is_some_and(|what| what.len() > 10), "{entry}");
        assert!(["wire", "answer", "state"].contains(&entry["kind"].as_str().unwrap()), "{entry}");
        assert!(entry["rows"].as_array().unwrap().iter().all(|row| (1..=56).contains(&row.as_u64().unwrap())));
    }
    let create = catalogue.iter().find(|entry| entry["name"] == "create_timeout").unwrap();
    assert_eq!(create["rows"], json!([4, 53]));
    assert_eq!((&create["at"], &create["kind"]), (&json!(["POST /scans"]), &json!("wire")));
    assert_eq!(create["parameters"], json!(["delay_ms"]));
}

#[tokio::test]
async fn faults_are_set_counted_and_cleared() {
    let (sim, control) = control().await;
    let client = Client::logged_in(&sim).await;
    let faults = json!([
        { "name": "server_error", "path": "/folders", "method": "GET", "count": 2, "skip": 1, "status": 507, "text": "full" },
        { "name": "latency", "path": "/scans/**", "delay_ms": 1 },
    ]);
    let set = control.post("/faults", faults).await.ok();
    assert_eq!((&set["set"][0]["left"], &set["set"][1]["fault"]["path"]), (&json!(2), &json!("/scans/**")));
    client.get("/folders").await.ok();
    client.get("/scanners").await.ok();
    for _ in 0..2 {
        assert_eq!(client.get("/folders").await.error(507), "full");
    }
    client.get("/folders").await.ok();

    control.post("/faults", json!({ "name": "server_error", "count": 0 })).await.ok();
    for _ in 0..5 {
        client.get("/folders").await.error(500);
    }
    assert_eq!(control.get("/faults").await.ok()["set"].as_array().unwrap().len(), 2);
    let left = control.delete("/faults/server_error").await.ok();
    assert_eq!(left["set"].as_array().unwrap().len(), 1);
    client.get("/folders").await.ok();
    assert_eq!(control.delete("/faults").await.ok()["set"], json!([]));

    let stats: Stats = serde_json::from_value(control.get("/stats").await.ok()).unwrap();
    assert_eq!(stats, sim.stats());
    assert_eq!((stats.faults["server_error"], stats.faults.get("latency")), (7, None));
    assert_eq!((stats.calls["GET /folders"], stats.calls["POST /session"]), (10, 1));
    assert!(stats.connections > 0);
}

#[tokio::test]
async fn a_fault_that_is_none_is_refused_and_sets_nothing() {
    let (sim, control) = control().await;
    for (body, error) in [
        (json!([{ "name": "server_error" }, { "name": "gremlins" }]), "there is no fault `gremlins`"),
        (json!({ "name": "server_error", "cuont": 2 }), "unknown field `cuont`"),
        (json!({ "count": 2 }), "missing field `name`"),
        (json!("server_error"), "This is no fault"),
    ] {
        let said = control.post("/faults", body).await.error(400);
        assert!(said.contains(error), "{said}");
    }
    assert_eq!(control.get("/faults").await.ok()["set"], json!([]));
    control.put("/faults", Value::Null).await.error(404);
    let unknown = sim.try_inject("gremlins").unwrap_err();
    assert_eq!(unknown, FaultError::Unknown("gremlins".to_owned()));
    assert!(unknown.to_string().contains("there are: certificate_expired, "), "{unknown}");
}

#[tokio::test]
async fn a_fault_passes_with_its_time_as_the_scanner_counts_it() {
    let fixture = crate::client::Fixture::start(SimConfig::new()).await;
    fixture.sim.inject(Fault::new("server_error").count(0).lasting(std::time::Duration::from_secs(60)));
    fixture.pass(59);
    fixture.client.get("/session").await.error(500);
    fixture.pass(1);
    fixture.client.get("/session").await.ok();
}

#[tokio::test]
async fn wiremock_serves_the_same_scanner() {
    let own = SimulatedNessus::start_with(SimConfig::new().api_token("11111111-2222-3333-4444-555555555555")).await;
    let server = wiremock::MockServer::start().await;
    let config = SimConfig::new().api_token("11111111-2222-3333-4444-555555555555");
    let mounted = SimulatedNessus::mount_with(&server, config).await;
    let body = json!({ "uuid": BASIC, "settings": { "name": "n", "text_targets": "192.0.2.1" } });
    let mut answers = Vec::new();
    for sim in [&own, &mounted] {
        let client = Client::logged_in(sim).await;
        let created = client.post("/scans", body.clone()).await.ok();
        let scan = created["scan"]["id"].clone();
        sim.inject(Fault::new("unauthorized").path("/folders"));
        answers.push([
            client.get_all("/nessus6.js").await,
            client.get_all("/server/status").await,
            client.get_all("/editor/scan/templates").await,
            client.get_all("/folders").await,
            client.get_all("/no/such/thing").await,
            client.get_all(&format!("/editor/scan/{scan}")).await,
        ]);
        client.post(&format!("/scans/{scan}/stop"), json!({})).await.error(409);
        client.without("X-API-Token").post("/scans", body.clone()).await.error(412);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(own.stats().calls, mounted.stats().calls);
    assert_eq!(own.stats().faults, mounted.stats().faults);

    // Its own mocks come first, and what it cannot do is refused, at once and for each fault alike.
    let taken = wiremock::Mock::given(wiremock::matchers::path("/folders"));
    taken.respond_with(wiremock::ResponseTemplate::new(418)).mount(&server).await;
    assert_eq!(reqwest::get(format!("{}/folders", mounted.url())).await.unwrap().status(), 418);
    for fault in known_faults() {
        let refused = mounted.try_inject(fault.name);
        assert_eq!(refused.is_err(), fault.needs_own_server, "{}: {refused:?}", fault.name);
    }
    let refusal = mounted.try_inject("reset").unwrap_err();
    assert_eq!(refusal, FaultError::NeedsOwnServer("reset".to_owned()));
    assert!(refusal.to_string().contains("`SimulatedNessus::start`"), "{refusal}");
    // What was done or not decides whether a late answer comes at all.
    assert!(mounted.try_inject(Fault::new("latency").when(When::Before)).is_err());
    mounted.clear_faults();
}

#[tokio::test]
#[should_panic(expected = "has no control_port, https or certificate: start it with `SimulatedNessus::start_with`")]
async fn what_wiremock_cannot_serve_is_not_mounted() {
    let server = wiremock::MockServer::start().await;
    SimulatedNessus::mount_with(&server, SimConfig::new().https().control_port(0)).await;
}

#[tokio::test]
async fn what_somebody_else_does_is_there_and_does_not_count() {
    let sim = SimulatedNessus::start().await;
    let client = Client::logged_in(&sim).await;
    let scan = sim.add_scan("of somebody", "192.0.2.0/30");
    client.post(&format!("/scans/{scan}/launch"), json!({})).await.ok();
    client.post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
    sim.advance(std::time::Duration::from_secs(60));
    assert_eq!(client.get("/scans").await.ok()["scans"][0]["status"], "canceled");
    let stats = sim.stats();
    assert_eq!((stats.total_creates, stats.total_launches, stats.stops, stats.scans), (0, 1, 1, 1));
}
