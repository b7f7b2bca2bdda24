//! The credentials of scans.

use nessus_sim::{Authentication, SimConfig};
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{Answer, BASIC, Fixture};

const SECRET: &str = "planted-secret-4711";

/// Creates a scan with a credential for hosts.
async fn create(fixture: &Fixture, kind: &str, credential: Value) -> Answer {
    let settings = json!({ "name": "trusted", "text_targets": "192.0.2.1-4" });
    let credentials = json!({ "add": { "Host": { kind: [credential] } }, "edit": {}, "delete": [] });
    fixture.client.post("/scans", json!({ "uuid": BASIC, "settings": settings, "credentials": credentials })).await
}

fn ssh(more: &Value) -> Value {
    let mut credential = json!({ "auth_method": "password", "username": "scan", "password": SECRET });
    credential.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    credential
}

#[rstest]
#[case("Nothing", json!({}))]
#[case("sudo", json!({}))]
#[case("sudo", json!({ "escalation_account": "root", "escalation_password": SECRET }))]
#[case("su", json!({ "escalation_password": SECRET }))]
#[case("su+sudo", json!({ "su_user": "oper", "escalation_password": SECRET }))]
#[case("su", json!({ "escalation_password": "" }))]
#[case("dzdo", json!({}))]
#[case("pbrun", json!({}))]
#[case(".k5login", json!({ "escalation_account": "root" }))]
#[case("Cisco 'enable'", json!({ "escalation_password": SECRET }))]
#[case("Checkpoint Gaia 'expert'", json!({ "escalation_password": SECRET }))]
#[tokio::test]
async fn every_escalation_is_taken_and_its_secret_never_shown(#[case] method: &str, #[case] fields: Value) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let mut credential = ssh(&fields);
    credential["elevate_privileges_with"] = json!(method);
    let created = create(&fixture, "SSH", credential.clone()).await;
    let scan = created.ok()["scan"]["id"].as_u64().unwrap();
    let shown = fixture.client.get(&format!("/editor/scan/{scan}")).await.body;
    assert!(!created.body.contains(SECRET) && !shown.contains(SECRET) && shown.contains(&json!(method).to_string()));
    let sent = fixture.sim.credentials(scan);
    assert_eq!((sent.len(), sent[0].kind.as_str(), sent[0].removed), (1, "SSH", false));
    assert_eq!(Value::from(sent[0].fields.clone()), credential);
    assert!(!format!("{sent:?}").contains(SECRET));
}

#[rstest]
#[case("SSH", json!({ "username": "scan", "password": SECRET }), "auth_method")]
#[case("SSH", json!({ "auth_method": "Password", "username": "scan", "password": SECRET }), "auth_method")]
#[case("SSH", ssh(&json!({ "username": "" })), "username")]
#[case("SSH", ssh(&json!({ "password": null })), "password")]
#[case("SSH", ssh(&json!({ "elevate_privileges_with": "Sudo" })), "elevate_privileges_with")]
#[case("SSH", ssh(&json!({ "elevate_privileges_with": "su" })), "escalation_password")]
#[case("SSH", ssh(&json!({ "elevate_privileges_with": "su+sudo", "escalation_password": SECRET })), "su_user")]
#[case("SSH", ssh(&json!({ "elevate_privileges_with": ".k5login" })), "escalation_account")]
#[case("SSH", ssh(&json!({ "elevate_privileges_with": "Cisco 'enable'" })), "escalation_password")]
#[case("SSH", json!({ "auth_method": "public key", "username": "scan", "private_key": "never-uploaded" }), "private_key")]
#[case("Windows", json!({ "auth_method": "password", "username": "scan", "password": SECRET }), "auth_method")]
#[case("Windows", json!({ "auth_method": "Password", "username": "scan" }), "password")]
#[tokio::test]
async fn a_credential_that_cannot_work_is_refused(#[case] kind: &str, #[case] credential: Value, #[case] field: &str) {
    let fixture = Fixture::start(SimConfig::new()).await;
    let refused = create(&fixture, kind, credential).await;
    assert_eq!(refused.error(400), format!("Invalid '{field}' field"));
    assert_eq!(fixture.sim.stats().scans, 0);
}

#[tokio::test]
async fn a_key_is_uploaded_and_then_named() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let key = "-----BEGIN KEY-----\r\nline\r\n\r\n-----END KEY-----\r\n";
    assert_eq!(fixture.client.upload("id_scan", key).await.ok()["fileuploaded"], "id_scan");
    assert_eq!(fixture.sim.uploaded("id_scan").as_deref(), Some(key.as_bytes()));
    let credential = json!({
        "auth_method": "public key", "username": "scan", "private_key": "id_scan", "private_key_passphrase": SECRET,
    });
    let created = create(&fixture, "SSH", credential).await.ok();
    let shown = fixture.client.get(&format!("/editor/scan/{}", created["scan"]["id"])).await.body;
    assert!(shown.contains("id_scan") && !shown.contains(SECRET));
    fixture.client.clone().without("X-Cookie").upload("id_scan", "stolen").await.error(401);
    let plain = fixture.client.post("/file/upload", json!({ "Filedata": "text" })).await;
    assert_eq!(plain.error(400), "The file could not be uploaded");
    let windows = json!({ "auth_method": "Password", "username": "scan", "password": SECRET, "domain": "" });
    create(&fixture, "Windows", windows).await.ok();
}

#[tokio::test]
async fn credentials_are_edited_and_removed() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = create(&fixture, "SSH", ssh(&json!({}))).await.ok()["scan"]["id"].as_u64().unwrap();
    let id = fixture.sim.credentials(scan)[0].id.clone();
    let configure = async |credentials: Value| {
        let settings = json!({ "name": "trusted", "text_targets": "192.0.2.1-4", "enabled": false });
        let body = json!({ "uuid": BASIC, "settings": settings, "credentials": credentials });
        fixture.client.put(&format!("/scans/{scan}"), body).await.ok();
        fixture.client.get(&format!("/editor/scan/{scan}")).await.ok()
    };
    let instances = |editor: &Value| editor["credentials"]["data"][0]["types"][0]["instances"].clone();
    let edited = configure(json!({ "edit": { &id: { "password": "planted-secret-4712" } } })).await;
    assert!(!edited.to_string().contains("planted") && instances(&edited)[0]["id"] == id.as_str());
    assert_eq!(fixture.sim.credentials(scan)[0].fields["password"], "planted-secret-4712");
    let removed = configure(json!({ "delete": [id] })).await;
    assert_eq!(instances(&removed), json!([]));
    assert!(fixture.sim.credentials(scan)[0].removed);

    let other = create(&fixture, "SSH", ssh(&json!({}))).await.ok()["scan"]["id"].as_u64().unwrap();
    fixture.client.delete(&format!("/scans/{other}")).await.ok();
    assert!(fixture.sim.credentials(other)[0].removed, "gone with the scan");
}

#[tokio::test]
async fn how_logins_end_is_said_host_by_host() {
    let config = SimConfig::new()
        .authentication(Authentication::Succeeds)
        .authentication_of("192.0.2.2", Authentication::Fails)
        .authentication_of("192.0.2.3", Authentication::LacksPrivilege)
        .authentication_of("192.0.2.4", Authentication::FailsLocally);
    let fixture = Fixture::start(config).await;
    let scan = create(&fixture, "SSH", ssh(&json!({}))).await.ok()["scan"]["id"].as_u64().unwrap();
    fixture.launch(scan).await;
    fixture.pass(10);
    let hosts = fixture.details(scan).await["hosts"].clone();
    let credentialed: Vec<_> = hosts.as_array().unwrap().iter().map(|host| host["credential"].clone()).collect();
    assert_eq!(credentialed, ["true", "false", "true", "false"]);
    let file =
        fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok()["file"].clone();
    fixture.pass(1);
    let report = fixture.client.get(&format!("/scans/{scan}/export/{file}/download")).await.body;
    let expected: [(&str, &[&str]); 4] =
        [("yes", &["141118"]), ("no", &["104410"]), ("yes", &["110385"]), ("no", &["104410", "21745"])];
    for (host, (checks, plugins)) in report.split("<ReportHost ").skip(1).zip(expected) {
        assert!(host.contains(&format!("Credentialed checks : {checks}\n")));
        let tag = format!("<tag name=\"Credentialed_Scan\">{}</tag>", checks == "yes");
        assert!(host.contains(&tag), "{tag}");
        for plugin in ["141118", "104410", "110385", "21745"] {
            let present = host.contains(&format!("pluginID=\"{plugin}\""));
            assert_eq!(present, plugins.contains(&plugin), "{plugin}");
        }
    }
    // Without credentials there is nothing to fail.
    let plain = fixture.completed("plain", "192.0.2.2").await;
    let found = fixture.details(plain).await["vulnerabilities"].to_string();
    assert!(!found.contains("104410"));
}

#[rstest]
#[case("scan", SECRET, "yes", "141118")]
#[case("scan", "wrong", "no", "104410")]
#[case("nobody", SECRET, "no", "104410")]
#[case("guest", SECRET, "yes", "110385")]
#[case("locked", SECRET, "no", "104410")]
#[tokio::test]
async fn accounts_decide_who_is_let_in(
    #[case] user: &str,
    #[case] password: &str,
    #[case] checks: &str,
    #[case] plugin: &str,
) {
    let config = SimConfig::new()
        .account("scan", SECRET, Authentication::Succeeds)
        .account("guest", SECRET, Authentication::LacksPrivilege)
        .account("locked", SECRET, Authentication::Fails);
    let fixture = Fixture::start(config).await;
    let credential = ssh(&json!({ "username": user, "password": password }));
    let scan = create(&fixture, "SSH", credential.clone()).await.ok()["scan"]["id"].as_u64().unwrap();
    let seen = &fixture.sim.stats().credentials["trusted"];
    assert_eq!((seen.len(), Value::from(seen[0].fields.clone())), (1, credential));
    fixture.launch(scan).await;
    fixture.pass(10);
    let export = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    fixture.pass(1);
    let report = fixture.client.get(&format!("/scans/{scan}/export/{}/download", export["file"])).await.body;
    assert_eq!(report.matches(&format!("Credentialed checks : {checks}\n")).count(), 4);
    assert!(report.contains(&format!("pluginID=\"{plugin}\"")), "{plugin}");
}
