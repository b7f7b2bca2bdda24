//! The policies of the scanner, and what scans are made of.

use nessus_sim::{Edition, SimConfig};
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{Answer, BASIC, Fixture};

const ADVANCED: &str = "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66";
const CUSTOM: &str = "ab4bacd2-05f6-425c-9d79-3ba3940ad1c24e51e1f403febe40";
const MOBILE: &str = "00000000-0000-0000-0000-0000000000000000000000003061";

async fn create(fixture: &Fixture, uuid: &str, more: &Value) -> Answer {
    let mut settings = json!({ "name": "scan", "text_targets": "192.0.2.1" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fixture.client.post("/scans", json!({ "uuid": uuid, "settings": settings })).await
}

#[tokio::test]
async fn policies_are_made_listed_and_deleted() {
    let fixture = Fixture::start(SimConfig::new()).await;
    assert_eq!(fixture.client.get("/policies").await.ok(), json!({ "policies": null }));
    let body = json!({ "uuid": ADVANCED, "settings": { "name": "Weekly" } });
    let id = fixture.client.post("/policies", body).await.ok()["policy_id"].as_u64().unwrap();
    let list = fixture.client.get("/policies").await.ok();
    assert_eq!((&list["policies"][0]["name"], &list["policies"][0]["id"]), (&json!("Weekly"), &json!(id)));
    assert_eq!(list["policies"][0]["template_uuid"], ADVANCED);
    fixture.sim.rename_policy(id, "Monthly");
    assert_eq!(fixture.client.get(&format!("/policies/{id}")).await.ok()["settings"]["name"], "Monthly");
    fixture.sim.delete_policy(id);
    assert_eq!(fixture.client.get(&format!("/policies/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_scan_shows_the_policy_it_was_made_of() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let id = fixture.sim.add_policy("Weekly");
    for uuid in [ADVANCED, CUSTOM] {
        let created = create(&fixture, uuid, &json!({ "policy_id": id })).await.ok();
        assert_eq!(created["scan"]["policy_id"], id);
        let scan = created["scan"]["id"].as_u64().unwrap();
        assert_eq!(fixture.details(scan).await["info"]["policy"], "Weekly");
        let made_of = &fixture.sim.stats().made_of["scan"];
        assert_eq!((made_of.policy.as_deref(), made_of.template.as_str()), (Some("Weekly"), "advanced"));
    }
}

#[rstest]
#[case::no_policy_for_it(CUSTOM, json!({}), 400)]
#[case::of_another_template(BASIC, json!({ "policy_id": "ID" }), 400)]
#[case::no_such_policy(ADVANCED, json!({ "policy_id": 4711 }), 404)]
#[case::no_such_scanner(BASIC, json!({ "scanner_id": 2 }), 400)]
#[case::for_a_manager(MOBILE, json!({}), 400)]
#[tokio::test]
async fn what_a_scan_cannot_be_made_of_is_refused(#[case] uuid: &str, #[case] mut more: Value, #[case] status: u16) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let id = fixture.sim.add_policy("Weekly");
    if more["policy_id"] == "ID" {
        more["policy_id"] = json!(id);
    }
    assert_eq!(create(&fixture, uuid, &more).await.status, status);
    assert_eq!(fixture.sim.stats().total_creates, 0);
}

#[tokio::test]
async fn a_manager_has_a_scanner_elsewhere_and_templates_of_its_own() {
    let fixture = Fixture::start(SimConfig::new().edition(Edition::Manager)).await;
    assert_eq!(fixture.client.get("/scanners").await.ok()["scanners"].as_array().unwrap().len(), 2);
    create(&fixture, MOBILE, &json!({ "scanner_id": 2 })).await.ok();
    assert_eq!(fixture.sim.stats().made_of["scan"].scanner_id, 2);
}
