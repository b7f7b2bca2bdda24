//! Export files.

use std::collections::BTreeMap;

use nessus_sim::{SimConfig, findings};
use quick_xml::{Reader, events::Event};
use serde_json::json;

use crate::client::{Client, Fixture};

/// What a strict reading of an export finds.
#[derive(Debug, Default)]
struct Read {
    hosts: Vec<String>,
    /// Plugin ids by host.
    items: BTreeMap<String, Vec<u32>>,
    texts: String,
}

/// Reads every event, attribute and reference; fails on anything that is not well-formed.
fn read(xml: &str) -> Read {
    let mut found = Read::default();
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                depth += 1;
                let attributes: BTreeMap<String, String> = tag
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap();
                        (attribute.key.as_ref().to_owned(), value.into_owned())
                    })
                    .collect();
                match tag.name().as_ref() {
                    "ReportHost" => found.hosts.push(attributes["name"].clone()),
                    "ReportItem" => {
                        let host = found.hosts.last().unwrap().clone();
                        found.items.entry(host).or_default().push(attributes["pluginID"].parse().unwrap());
                    }
                    _ => {}
                }
            }
            Event::End(_) => depth -= 1,
            Event::Text(text) => found.texts.push_str(&text),
            Event::GeneralRef(reference) => {
                let resolved = reference.resolve_char_ref().unwrap();
                let named = quick_xml::escape::resolve_predefined_entity(&reference).map(str::to_owned);
                found.texts.push_str(&resolved.map(String::from).or(named).expect("an undefined entity"));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "cut short");
    found
}

#[tokio::test]
async fn an_export_holds_the_targets_and_their_findings() {
    let fixture = Fixture::start(SimConfig::new().findings_per_host(100).seed(3)).await;
    let name = "R&D \"weekly\" <all>\u{1}";
    let scan = fixture.completed(name, "192.0.2.1-3, db.example.test 2001:db8::7").await;
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    let file = format!("/scans/{scan}/export/{}", answer["file"]);
    let token = format!("/tokens/{}", answer["token"].as_str().unwrap());
    let stranger = Client::stranger(&fixture.sim);

    assert_eq!(fixture.client.get(&format!("{file}/status")).await.ok()["status"], "loading");
    assert_eq!(stranger.get(&format!("{token}/status")).await.ok()["status"], "loading");
    fixture.client.get(&format!("{file}/download")).await.error(409);
    assert!(stranger.get(&format!("{token}/download")).await.body.contains("not ready"));
    fixture.pass(1);
    assert_eq!(fixture.client.get(&format!("{file}/status")).await.ok()["status"], "ready");
    assert_eq!(stranger.get(&format!("{token}/status")).await.ok()["status"], "ready");

    stranger.get(&format!("{file}/download")).await.error(401);
    let by_file = fixture.client.get(&format!("{file}/download")).await;
    let by_token = stranger.get(&format!("{token}/download")).await;
    assert_eq!(by_file, by_token);
    assert!(by_file.body.starts_with("<?xml"));
    assert!(by_file.body.trim_end().ends_with("</NessusClientData_v2>"));
    let found = read(&by_file.body);
    assert_eq!(found.hosts, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "db.example.test", "2001:db8::7"]);
    for (host, items) in &found.items {
        let expected: Vec<u32> = findings(3, host, 100).map(|finding| finding.plugin.id).collect();
        assert_eq!(items, &expected, "{host}");
    }
    assert!(found.texts.contains("Scan name : R&D \"weekly\" <all>?\n"));
    assert!(found.texts.contains("Credentialed checks : no\n"));
    assert_eq!((fixture.sim.stats().exports, fixture.sim.stats().downloads), (1, 2));
}

#[tokio::test]
async fn a_stopped_scan_exports_what_it_had() {
    let fixture = Fixture::start(SimConfig::new().findings_per_host(50)).await;
    let scan = fixture.create("cut", "192.0.2.1-20").await;
    fixture.launch(scan).await;
    fixture.pass(4);
    fixture.client.post(&format!("/scans/{scan}/stop"), json!({})).await.ok();
    fixture.pass(1);
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    fixture.pass(1);
    let path = format!("/scans/{scan}/export/{}/download", answer["file"]);
    let found = read(&fixture.client.get(&path).await.body);
    let details = fixture.details(scan).await;
    assert_eq!(found.hosts.len(), details["hosts"].as_array().unwrap().len());
    assert!((1..20).contains(&found.hosts.len()), "{:?}", found.hosts);
    let items: usize = found.items.values().map(Vec::len).sum();
    assert!((1..50 * found.hosts.len()).contains(&items), "{items}");
}

#[tokio::test]
async fn a_csv_has_a_line_for_each_finding() {
    let fixture = Fixture::start(SimConfig::new().findings_per_host(5)).await;
    let scan = fixture.completed("table", "192.0.2.1,192.0.2.2").await;
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "csv" })).await.ok();
    fixture.pass(1);
    let path = format!("/tokens/{}/download", answer["token"].as_str().unwrap());
    let csv = fixture.client.get(&path).await.body;
    assert!(csv.starts_with("Plugin ID,CVE,"));
    // No text of the catalogue has a quote at the beginning of a line.
    assert_eq!(csv.matches("\r\n\"").count(), 10);
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("done", "192.0.2.1").await;
    let empty = fixture.create("never ran", "192.0.2.1").await;
    for body in [json!({}), json!({ "format": "pdf" })] {
        assert_eq!(
            fixture.client.post(&format!("/scans/{scan}/export"), body).await.error(400),
            "Invalid 'format' field"
        );
    }
    fixture.client.post(&format!("/scans/{empty}/export"), json!({ "format": "nessus" })).await.error(404);
    fixture.client.get(&format!("/scans/{scan}/export/17/status")).await.error(404);
    fixture.client.get("/tokens/00/status").await.error(404);
    let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
    fixture.client.get(&format!("/scans/{empty}/export/{}/status", answer["file"])).await.error(404);
    fixture.pass(1 + 10 * 60 + 1);
    fixture.client.get(&format!("/scans/{scan}/export/{}/status", answer["file"])).await.error(404);
}

#[tokio::test]
async fn plugin_output_is_read_host_by_host() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.completed("rows", "192.0.2.1,192.0.2.2").await;
    let host_id = fixture.details(scan).await["hosts"][1]["host_id"].clone();
    let host = fixture.client.get(&format!("/scans/{scan}/hosts/{host_id}")).await.ok();
    assert_eq!(host["info"]["host-ip"], "192.0.2.2");
    let path = format!("/scans/{scan}/hosts/{host_id}/plugins");
    let output = fixture.client.get(&format!("{path}/19506")).await.ok();
    assert!(output["outputs"][0]["plugin_output"].as_str().unwrap().contains("Credentialed checks : no"));
    fixture.client.get(&format!("{path}/1")).await.error(404);
    fixture.client.get(&format!("/scans/{scan}/hosts/999")).await.error(404);
}
