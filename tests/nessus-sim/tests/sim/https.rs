//! The scanner behind TLS.

use std::error::Error as _;

use nessus_sim::{Certificate, Fault, SimConfig, SimulatedNessus};
use reqwest::tls::Certificate as Trusted;
use rstest::rstest;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::client::{BASIC, Client};

/// A client that trusts the scanner's certificate and nothing else, and keeps no connection.
fn trusting(sim: &SimulatedNessus) -> reqwest::Client {
    let certificate = Trusted::from_pem(sim.certificate_pem().unwrap().as_bytes()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
    builder.tls_certs_only([certificate]).build().unwrap()
}

/// The causes of a failed request.
async fn refusal(http: &reqwest::Client, sim: &SimulatedNessus) -> String {
    let error = http.get(format!("{}/server/status", sim.url())).send().await.unwrap_err();
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}

#[tokio::test]
async fn who_trusts_the_certificate_is_served_and_nobody_else() {
    let sim = SimulatedNessus::start_with(SimConfig::new().https()).await;
    assert!(sim.url().starts_with("https://127.0.0.1:"));
    let client = Client::stranger(&sim).over(trusting(&sim)).log_in(&sim).await;
    let body = json!({ "uuid": BASIC, "settings": { "name": "n", "text_targets": "192.0.2.1" } });
    client.post("/scans", body).await.ok();

    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(refusal(&stranger, &sim).await.contains("certificate"));
    let plain = sim.url().replace("https:", "http:");
    assert!(stranger.get(plain).send().await.is_err());

    let der = rustls::pki_types::CertificateDer::from(der_of(sim.certificate_pem().unwrap()));
    let sha256 = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(sim.certificate_sha256(), Some(sha256.as_str()));
    assert!(sim.scanners_yaml().contains(&format!("tls_pin_sha256: \"{sha256}\"\n")));
    let other = SimulatedNessus::start_with(SimConfig::new().https()).await;
    assert_ne!(other.certificate_sha256(), sim.certificate_sha256());
}

fn der_of(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[rstest]
#[case(Certificate::Expired, "xpired")]
#[case(Certificate::WrongHost, "not valid for")]
#[tokio::test]
async fn a_bad_certificate_is_bad_even_when_its_maker_is_trusted(#[case] kind: Certificate, #[case] why: &str) {
    let sim = SimulatedNessus::start_with(SimConfig::new().certificate(kind)).await;
    let causes = refusal(&trusting(&sim), &sim).await;
    assert!(causes.contains(why), "{causes}");
}

#[rstest]
#[case("certificate_expired")]
#[case("certificate_wrong_host")]
#[tokio::test]
async fn a_certificate_can_go_bad_and_be_replaced(#[case] fault: &str) {
    let sim = SimulatedNessus::start_with(SimConfig::new().https()).await;
    let client = Client::stranger(&sim).over(trusting(&sim));
    client.get("/server/status").await.ok();
    sim.inject(Fault::new(fault));
    assert!(refusal(&trusting(&sim), &sim).await.contains("certificate"));
    assert_eq!(sim.stats().faults[fault], 1);
    sim.clear_faults();
    client.get("/server/status").await.ok();
}

#[rstest]
#[case("reset")]
#[case("closed")]
#[case("headers_only")]
#[tokio::test]
async fn a_connection_with_tls_breaks_as_well(#[case] fault: &str) {
    let sim = SimulatedNessus::start_with(SimConfig::new().https()).await;
    let http = trusting(&sim);
    sim.inject(Fault::new(fault).path("/server/status"));
    let read = async || http.get(format!("{}/server/status", sim.url())).send().await?.bytes().await;
    assert!(read().await.is_err());
    assert_eq!(sim.stats().faults[fault], 1);
    assert!(read().await.is_ok());
}
