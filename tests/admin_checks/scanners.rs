//! `scanners check` against a simulated Nessus with faults.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use nessus_mcp_lib::{
    durable,
    ids::{InstanceId, PoolName},
    queue::{self, CircuitNotice},
};
use nessus_mcp_tests::{
    deployment::Deployment,
    processes::Finished,
    sim::{Certificate, SimConfig, SimulatedNessus},
};
use rstest::rstest;
use serde_json::Value;

use crate::{MOCKS, admin, json};

const PASSWORD: &str = "nessus-planted-password";

fn entry(url: &str, more: &str) -> String {
    format!("nessus:\n  - instance_id: sim\n    url: {url}\n    username: admin\n    password: {PASSWORD}\n{more}")
}

fn sim() -> SimConfig {
    SimConfig::new().login("admin", PASSWORD)
}

/// Checks with `--json`; nothing secret is in the answer.
#[track_caller]
fn checked(deployment: &Deployment, more: &[&str]) -> (Finished, BTreeMap<String, Value>) {
    let finished = admin(deployment, &[&["scanners", "check", "--json"], more].concat());
    assert!(!format!("{finished:?}").contains("planted"), "{finished:?}");
    let check = json(&finished);
    let steps = check["steps"].as_array().unwrap().iter();
    let steps = steps.map(|step| (step["step"].as_str().unwrap().to_owned(), step.clone())).collect();
    (finished, steps)
}

fn outcomes(steps: &BTreeMap<String, Value>) -> BTreeMap<&str, &str> {
    steps.iter().map(|(step, found)| (step.as_str(), found["outcome"].as_str().unwrap())).collect()
}

/// Every step before the failed one is ok, and none after it was tried.
#[track_caller]
fn fails_at(steps: &BTreeMap<String, Value>, failed: &str) -> String {
    const ORDER: [&str; 9] = ["configuration", "dns", "tcp", "tls", "ready", "login", "edition", "licence", "plugins"];
    let at = ORDER.iter().position(|step| *step == failed).unwrap();
    for (place, step) in ORDER.iter().enumerate() {
        let outcome = steps[*step]["outcome"].as_str().unwrap();
        match place {
            place if place < at => assert!(matches!(outcome, "ok" | "skipped" | "warning"), "{step}: {steps:#?}"),
            place if place == at => assert_eq!(outcome, "failed", "{step}: {steps:#?}"),
            _ => assert_eq!(outcome, "skipped", "{step}: {steps:#?}"),
        }
    }
    let found = &steps[failed];
    assert!(found["hint"].is_string(), "it says what mends it: {found}");
    format!("{} {}", found["detail"].as_str().unwrap(), found["hint"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_can_scan_is_logged_in_to_once_and_out_again() {
    let sim = SimulatedNessus::start_with(sim()).await;
    let deployment = Deployment::new(&entry(&sim.url(), ""));
    let (finished, steps) = checked(&deployment, &[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let outcomes = outcomes(&steps);
    for step in ["configuration", "dns", "tcp", "ready", "login", "edition", "licence"] {
        assert_eq!(outcomes[step], "ok", "{steps:#?}");
    }
    // Over http there is nothing to trust. The plugins of the simulator are of 2025.
    assert_eq!((outcomes["tls"], outcomes["plugins"]), ("skipped", "warning"), "{steps:#?}");
    assert!(steps["edition"]["detail"].as_str().unwrap().contains("Nessus Professional"), "{steps:#?}");
    assert!(steps["ready"]["milliseconds"].is_u64() && steps["dns"]["milliseconds"].is_u64(), "{steps:#?}");
    let stats = sim.stats();
    assert_eq!((stats.logins, stats.logouts, stats.sessions, stats.failed_logins), (1, 1, 0, 0), "{stats:#?}");
    let text = admin(&deployment, &["scanners", "check", "nessus:sim"]);
    assert!(text.stdout.starts_with("nessus:sim: warning\nstep "), "{text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_are_shown_and_no_session_is_opened() {
    let sim = SimulatedNessus::start_with(sim().api_keys("planted1", "planted2")).await;
    let keys = "    access_key: planted1\n    secret_key: planted2\n";
    let url = sim.url();
    let only_keys = format!("nessus:\n  - instance_id: sim\n    url: {url}\n{keys}");
    let (finished, steps) = checked(&Deployment::new(&only_keys), &[]);
    assert_eq!((finished.code, outcomes(&steps)["login"]), (Some(0), "warning"), "{steps:#?}");
    assert_eq!((sim.stats().logins, sim.stats().failed_logins), (0, 0));
    let wrong = only_keys.replace("planted2", "planted3");
    let (finished, steps) = checked(&Deployment::new(&wrong), &[]);
    assert_eq!(finished.code, Some(69));
    assert!(fails_at(&steps, "login").contains("the API keys are not accepted"), "{steps:#?}");
    let (finished, steps) = checked(&Deployment::new(&entry(&url, keys)), &[]);
    assert_eq!((finished.code, outcomes(&steps)["login"]), (Some(0), "ok"), "{steps:#?}");
}

#[rstest]
#[case::self_signed(Certificate::Sound, "", "pinned by `tls_pin_sha256: ")]
#[case::expired(Certificate::Expired, "    ca_file: ca.pem\n", "renew it on the scanner")]
#[case::wrong_host(Certificate::WrongHost, "    ca_file: ca.pem\n", "write a name for which it is valid into `url`")]
#[case::another_pin(Certificate::Sound, "    tls_pin_sha256: PIN\n", "it is not the one of `tls_pin_sha256`")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_comes_with_what_mends_it(
    #[case] certificate: Certificate,
    #[case] trust: &str,
    #[case] mends: &str,
) {
    let sim = SimulatedNessus::start_with(sim().certificate(certificate)).await;
    let deployment = Deployment::new(&entry(&sim.url(), &trust.replace("PIN", &"ab".repeat(32))));
    durable::replace(&deployment.path("ca.pem"), sim.certificate_pem().unwrap().as_bytes()).unwrap();
    let (finished, steps) = checked(&deployment, &[]);
    assert_eq!(finished.code, Some(69), "{finished:?}");
    let told = fails_at(&steps, "tls");
    assert!(told.contains(mends) && told.contains("certificate"), "{told}");
    assert!(told.contains(sim.certificate_sha256().unwrap()), "the certificate that is shown can be pinned: {told}");
    assert!(sim.stats().calls.is_empty(), "nothing was sent");

    deployment.configure(&entry(&sim.url(), &format!("    tls_pin_sha256: {}\n", sim.certificate_sha256().unwrap())));
    let (finished, steps) = checked(&deployment, &[]);
    assert_eq!((finished.code, outcomes(&steps)["tls"]), (Some(0), "ok"), "{steps:#?}");
    deployment.configure(&entry(&sim.url(), "    verify_tls: false\n"));
    assert_eq!(outcomes(&checked(&deployment, &[]).1)["tls"], "warning");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_way_is_found_step_by_step() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = |url: &str, step: &str| {
        let (finished, steps) = checked(&Deployment::new(&entry(url, "")), &[]);
        assert_eq!(finished.code, Some(69), "{finished:?}");
        fails_at(&steps, step)
    };
    assert!(told("https://scanner.invalid:8834", "dns").contains("has no address"));
    assert!(told(&format!("https://{free}"), "tcp").contains("no connection"));
    let sim = SimulatedNessus::start_with(sim()).await;
    let as_https = sim.url().replace("http:", "https:");
    assert!(told(&as_https, "tls").contains("`http://`"), "it speaks no TLS");
    let loading = SimulatedNessus::start_with(self::sim().starting(Duration::from_secs(600), 200)).await;
    assert!(told(&loading.url(), "ready").contains("not ready"));
    assert_eq!(loading.stats().calls.get("POST /session"), None, "a scanner that starts refuses good logins too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_refused_is_tried_once_and_not_again_when_the_queue_knows() {
    let sim = SimulatedNessus::start_with(sim()).await;
    sim.inject("login_refused");
    let deployment = Deployment::new(&entry(&sim.url(), ""));
    let (finished, steps) = checked(&deployment, &[]);
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(fails_at(&steps, "login").contains("refused"));
    let tries = || sim.stats().calls["POST /session"];
    assert_eq!(tries(), 1);

    durable::create_directory(&deployment.data()).unwrap();
    let queue = queue::open(&deployment.queue_url().parse().unwrap()).await.unwrap();
    let (pool, scanner) = (PoolName::new("nessus").unwrap(), InstanceId::new("sim").unwrap());
    let notice = CircuitNotice::login_refused("Invalid Credentials", "a worker");
    queue.post_circuit_notice(&pool, &scanner, &notice).await.unwrap();
    let (finished, steps) = checked(&deployment, &[]);
    assert_eq!((finished.code, tries()), (Some(69), 1), "{finished:?}");
    let told = fails_at(&steps, "login");
    assert!(told.contains("refused before: Invalid Credentials") && told.contains("reset the circuit"), "{told}");
    checked(&deployment, &["--try-login"]);
    assert_eq!(tries(), 2);
}

#[test]
fn a_wrong_entry_keeps_no_other_from_being_checked() {
    let deployment = Deployment::new(&format!("{MOCKS}  - {{instance_id: x, type: mock, enabled: perhaps}}\n"));
    let finished = admin(&deployment, &["scanners", "check", "--json"]);
    assert_eq!(finished.code, Some(78), "{finished:?}");
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcome = |at: usize| (lines[at]["scanner_instance"].as_str().unwrap(), lines[at]["outcome"].as_str().unwrap());
    assert_eq!((outcome(0).0, outcome(1)), ("mock-1", ("[1]", "failed")), "{lines:#?}");
    assert_eq!(admin(&deployment, &["scanners", "check", "lab:mock-1"]).code, Some(0));
    let unknown = admin(&deployment, &["scanners", "check", "labb"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("the pools are: lab"), "{unknown:?}");
    let unknown = admin(&deployment, &["scanners", "check", "lab:mok-1"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("its scanners are: mock-1"), "{unknown:?}");
}
