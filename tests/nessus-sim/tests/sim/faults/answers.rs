//! Faults of the answer.

use std::io::Read as _;

use nessus_sim::{Fault, SimConfig, When};
use rstest::rstest;
use serde_json::{Value, json};

use crate::client::{Answer, BASIC, Fixture};

/// A logged-in client, a completed scan, and its export, ready to be fetched.
struct Stage {
    fixture: Fixture,
    scan: u64,
    export: String,
}

impl Stage {
    async fn set() -> Self {
        let fixture = Fixture::start(SimConfig::new()).await;
        let scan = fixture.completed("staged", "192.0.2.1-2").await;
        let answer = fixture.client.post(&format!("/scans/{scan}/export"), json!({ "format": "nessus" })).await.ok();
        fixture.pass(1);
        Self { fixture, scan, export: format!("/scans/{scan}/export/{}", answer["file"]) }
    }

    /// Sends a request named as in the catalogue, `SCAN` and `EXPORT` filled in.
    async fn ask(&self, call: &str) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let path = path.replace("EXPORT", &self.export).replace("SCAN", &format!("/scans/{}", self.scan));
        let client = &self.fixture.client;
        match (method, path.as_str()) {
            ("GET", path) => client.get(path).await,
            ("DELETE", path) => client.delete(path).await,
            ("POST", "/session") => {
                client.post(path.as_str(), json!({ "username": "admin", "password": "nessus" })).await
            }
            ("POST", "/scans") => {
                let settings = json!({ "name": "another", "text_targets": "192.0.2.1" });
                client.post("/scans", json!({ "uuid": BASIC, "settings": settings })).await
            }
            ("POST", path) => client.post(path, json!({ "format": "nessus" })).await,
            _ => panic!("{call}"),
        }
    }
}

const NOT_FOUND: &str = "The requested file was not found";
const NOT_AVAILABLE: &str = "API is not available";
const TRIAL: &str = "Export is not allowed in trial mode. Please purchase a full Nessus license to enable exports.";

#[rstest]
#[case("api_not_available", "POST /scans", 412, NOT_AVAILABLE)]
#[case("script_404", "GET /nessus6.js", 404, NOT_FOUND)]
#[case("unauthorized", "GET SCAN", 401, "Invalid Credentials")]
#[case("unauthorized_always", "GET SCAN", 401, "Invalid Credentials")]
#[case("login_refused", "POST /session", 401, "Invalid Credentials")]
#[case("too_many_users", "POST /session", 500, "Too many users are connected")]
#[case("scan_disabled", "POST SCAN/launch", 403, "This scan is disabled")]
#[case("trial_mode", "POST SCAN/export", 403, TRIAL)]
#[case("details_not_found", "GET SCAN", 404, NOT_FOUND)]
#[case("delete_not_found", "DELETE SCAN", 404, NOT_FOUND)]
#[case("stop_not_found", "POST SCAN/stop", 404, NOT_FOUND)]
#[case("launch_conflict", "POST SCAN/launch", 409, "The scan is already active")]
#[case("not_active", "POST SCAN/pause", 409, "Scan is not active")]
#[case("delete_conflict", "DELETE SCAN", 409, "Can not delete an active scan")]
#[case("export_conflict", "POST SCAN/export", 409, "The report is already being created")]
#[case("rate_limited_silent", "GET /scans", 429, "Too Many Requests")]
#[case("server_error", "POST /scans", 500, "Internal Server Error")]
#[case("export_not_found", "GET EXPORT/status", 404, NOT_FOUND)]
#[case("export_not_found", "GET EXPORT/download", 404, NOT_FOUND)]
#[case("json_error_200", "GET EXPORT/download", 200, "The report could not be read")]
#[case("loading", "GET /scans", 503, "Nessus is loading")]
#[tokio::test]
async fn a_refusal_says_why_and_is_over_when_cleared(
    #[case] fault: &str,
    #[case] call: &str,
    #[case] status: u16,
    #[case] text: &str,
) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new(fault));
    let before = stage.fixture.sim.stats();
    assert_eq!(stage.ask(call).await.error(status), text);
    let after = stage.fixture.sim.stats();
    assert_eq!(after.faults[fault], 1);
    let acted = |stats: &nessus_sim::Stats| {
        (stats.total_creates, stats.total_launches, stats.exports, stats.deletes, stats.logins)
    };
    assert_eq!(acted(&before), acted(&after), "a refusal that acts");
    stage.fixture.sim.clear_faults();
    let later = stage.ask(call).await;
    // To steer a scan that has ended is refused for good.
    if !call.ends_with("/stop") && !call.ends_with("/pause") {
        assert_eq!(later.status, 200, "{}", later.body);
    }
}

#[tokio::test]
async fn an_answer_may_be_lost_though_the_scanner_acted() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new("server_error").path("/scans").method("POST").when(When::After).count(1));
    stage.ask("POST /scans").await.error(500);
    assert_eq!(stage.fixture.sim.stats().total_creates, 2);
    stage.fixture.sim.inject(Fault::new("gateway_timeout").path("/scans"));
    assert_eq!(stage.ask("POST /scans").await.status, 504);
    assert_eq!(stage.fixture.sim.stats().total_creates, 3);
    stage.fixture.sim.inject(Fault::new("bad_gateway").path("/scans"));
    let page = stage.ask("POST /scans").await;
    assert!(page.status == 502 && page.body.contains("<h1>502 Bad Gateway</h1>"), "{page:?}");
    assert_eq!(stage.fixture.sim.stats().total_creates, 3);
}

#[rstest]
#[case(Fault::new("rate_limited"), Some("7"))]
#[case(Fault::new("rate_limited_silent"), None)]
#[case(Fault::new("rate_limited_absurd"), Some("86400"))]
#[case(Fault::new("rate_limited").retry_after("2"), Some("2"))]
#[tokio::test]
async fn how_long_to_wait(#[case] fault: Fault, #[case] expected: Option<&str>) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(fault);
    let (status, headers, _) = stage.fixture.client.get_all("/scans").await;
    assert_eq!((status, headers.get("retry-after").map(String::as_str)), (429, expected));
}

#[tokio::test]
async fn until_when_to_wait() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject("rate_limited_date");
    let (_, headers, _) = stage.fixture.client.get_all("/scans").await;
    let date = httpdate::parse_http_date(&headers["retry-after"]).unwrap();
    let left = date.duration_since(std::time::SystemTime::now() - std::time::Duration::from_secs(1));
    assert!(left.is_ok_and(|left| left.as_secs() <= 9), "{headers:?}");
}

#[tokio::test]
async fn a_refusal_whose_body_never_comes() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject("api_not_available_cut");
    let mut connection = crate::raw::Raw::connect(&stage.fixture.sim).await.unwrap();
    connection.send(&stage.fixture.client.raw("DELETE", &format!("/scans/{}", stage.scan), "")).await;
    let seen = connection.read(crate::raw::PATIENCE).await;
    assert_eq!((seen.status(), seen.promised(), seen.body.len()), (412, 32, 0));
    assert_eq!((seen.header("connection"), seen.ending), (Some("close"), crate::raw::Ending::Closed));
}

#[rstest]
#[case("script_without_token", 200, "application/javascript")]
#[case("script_html", 200, "text/html")]
#[tokio::test]
async fn a_script_without_a_token(#[case] fault: &str, #[case] status: u16, #[case] mime: &str) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new(fault));
    let (found, headers, body) = stage.fixture.client.get_all("/nessus6.js").await;
    assert_eq!((found, headers["content-type"].as_str()), (status, mime));
    assert!(!body.contains("getApiToken") && !body.is_empty());
}

#[tokio::test]
async fn a_script_of_five_megabytes() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject("script_huge");
    let body = stage.ask("GET /nessus6.js").await.body;
    assert!(body.len() > 5 << 20 && body[5 << 20..].contains(&stage.fixture.sim.api_token()));
}

#[rstest]
#[case("server_register", "register")]
#[case("server_register_locked", "register-locked")]
#[case("server_feed_expired", "feed-expired")]
#[case("server_eval_expired", "eval-expired")]
#[case("server_locked", "locked")]
#[case("server_corrupt_db", "corrupt-db")]
#[case("server_download_failed", "download-failed")]
#[case("server_feed_error", "feed-error")]
#[tokio::test]
async fn a_scanner_that_only_people_can_help(#[case] fault: &str, #[case] word: &str) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new(fault));
    for _ in 0..3 {
        assert_eq!(stage.ask("GET /server/status").await.ok()["status"], word);
    }
    stage.fixture.sim.inject(Fault::new(fault).status(503));
    stage.fixture.sim.clear_faults();
    stage.fixture.sim.inject(Fault::new(fault).status(503));
    assert_eq!(stage.ask("GET /server/status").await.status, 503);
}

#[rstest]
#[case("loading", 200)]
#[case("loading_503", 503)]
#[tokio::test]
async fn a_scanner_that_starts(#[case] fault: &str, #[case] status: u16) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new(fault));
    let answer = stage.ask("GET /server/status").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &body["status"], &body["progress"]), (status, &json!("loading"), &json!(37)));
    stage.ask("GET SCAN").await.error(503);
    stage.fixture.pass(5);
    assert_eq!(stage.ask("GET /server/status").await.ok()["status"], "ready");
    stage.ask("GET SCAN").await.ok();
}

#[tokio::test]
async fn sessions_that_must_end_first() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject("must_destroy_session");
    let answer = stage.ask("GET /server/status").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &body["must_destroy_session"]), (503, &json!(true)));
}

#[rstest]
#[case("hosts_null", "GET SCAN", "/hosts", json!(null))]
#[case("totals_zero", "GET SCAN", "/hosts/0/scanprogresstotal", json!(0))]
#[case("unknown_status", "GET SCAN", "/info/status", json!("publishing"))]
#[case("unknown_status", "GET /scans", "/scans/0/status", json!("publishing"))]
#[case("export_error_200", "GET EXPORT/status", "", json!({ "status": "error" }))]
#[case("empty_list", "GET SCAN", "", json!([]))]
#[case("token_missing", "POST /session", "/token", Value::Null)]
#[case("field_missing", "POST SCAN/export", "/file", Value::Null)]
#[case("ids_as_strings", "GET /folders", "/folders/0/id", json!("2"))]
#[case("clock_skew", "GET /scans", "/timestamp", json!(1_763_600_011 - 7_200))]
#[case("timestamps_zero", "GET SCAN", "/info/scan_start", json!(0))]
#[case("timestamps_as_strings", "GET SCAN", "/info/scan_start", json!("1763600000"))]
#[tokio::test]
async fn a_changed_answer(#[case] fault: &str, #[case] call: &str, #[case] place: &str, #[case] expected: Value) {
    let stage = Stage::set().await;
    let unchanged = stage.ask(call).await.ok().pointer(place).cloned();
    assert_ne!(unchanged, Some(expected.clone()));
    stage.fixture.sim.inject(Fault::new(fault));
    assert_eq!(stage.ask(call).await.ok().pointer(place).cloned().unwrap_or_default(), expected);
    stage.fixture.sim.clear_faults();
    stage.ask(call).await.ok();
}

#[tokio::test]
async fn progress_that_falls() {
    let stage = Stage::set().await;
    let done = async || stage.ask("GET SCAN").await.ok()["hosts"][0]["scanprogresscurrent"].as_u64().unwrap();
    let before = done().await;
    stage.fixture.sim.inject("progress_falls");
    assert_eq!((done().await, done().await), (before / 2, before));
}

#[tokio::test]
async fn canceled_with_two_l() {
    let fixture = Fixture::start(SimConfig::new()).await;
    let scan = fixture.create("spelt", "192.0.2.1").await;
    fixture.launch(scan).await;
    fixture.sim.inject("cancelled_spelling");
    assert_eq!(fixture.status(scan).await, "pending");
    fixture.client.post(&format!("/scans/{scan}/kill"), json!({})).await.ok();
    assert_eq!(fixture.status(scan).await, "cancelled");
    assert_eq!(fixture.client.get("/scans").await.ok()["scans"][0]["status"], "cancelled");
}

#[rstest]
#[case("empty_body", "GET SCAN", "application/json", "")]
#[case("not_ready_text", "GET EXPORT/download", "text/plain", "The download is not ready yet.")]
#[tokio::test]
async fn a_success_that_is_none(#[case] fault: &str, #[case] call: &str, #[case] mime: &str, #[case] text: &str) {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new(fault));
    let path = call.replace("GET EXPORT", &stage.export).replace("GET SCAN", &format!("/scans/{}", stage.scan));
    let (status, headers, body) = stage.fixture.client.get_all(&path).await;
    assert_eq!((status, headers["content-type"].as_str(), body.as_str()), (200, mime, text));
}

#[tokio::test]
async fn pages_for_people_and_wrong_types() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject("html_login");
    let page = stage.ask("GET EXPORT/download").await;
    assert!(page.status == 200 && page.body.contains("<form"), "{page:?}");
    stage.fixture.sim.inject("wrong_content_type");
    let (_, headers, body) = stage.fixture.client.get_all("/folders").await;
    assert_eq!(headers["content-type"], "text/html");
    assert!(serde_json::from_str::<Value>(&body).is_ok());
    stage.fixture.sim.inject("invalid_json");
    let cut = stage.ask("GET SCAN").await;
    assert!(cut.status == 200 && !cut.body.is_empty() && serde_json::from_str::<Value>(&cut.body).is_err());
}

#[tokio::test]
async fn an_export_that_is_cut_though_http_is_right() {
    let stage = Stage::set().await;
    let whole = stage.ask("GET EXPORT/download").await.body;
    stage.fixture.sim.inject("xml_cut");
    let cut = stage.ask("GET EXPORT/download").await;
    assert_eq!((cut.status, cut.body.len()), (200, whole.len() / 100 * 90 + whole.len() % 100 * 90 / 100));
    assert!(whole.starts_with(&cut.body) && !cut.body.contains("</NessusClientData_v2>"));
}

#[tokio::test]
async fn an_export_of_any_size() {
    let stage = Stage::set().await;
    let whole = stage.ask("GET EXPORT/download").await.body;
    let size = 3 << 20;
    stage.fixture.sim.inject(Fault::new("huge_download").bytes(size as u64));
    let huge = stage.ask("GET EXPORT/download").await.body;
    assert_eq!(huge.len(), size);
    assert!(huge.ends_with(" </NessusClientData_v2>\n"));
    let trimmed: String = huge.replace("  ", "").replace(" <", "<");
    assert_eq!(trimmed.len(), whole.replace("  ", "").replace(" <", "<").len());
}

#[tokio::test]
async fn a_compressed_answer() {
    let stage = Stage::set().await;
    let plain = stage.ask("GET /folders").await.body;
    stage.fixture.sim.inject("gzip");
    let mut connection = crate::raw::Raw::connect(&stage.fixture.sim).await.unwrap();
    connection.send(&stage.fixture.client.raw("GET", "/folders", "")).await;
    let seen = connection.read(crate::raw::PATIENCE).await;
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(seen.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain);
}

#[tokio::test]
async fn a_redirect_leads_elsewhere() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new("redirect").path("/scans").text("http://127.0.0.1:1/stolen"));
    let mut connection = crate::raw::Raw::connect(&stage.fixture.sim).await.unwrap();
    connection.send(&stage.fixture.client.raw("POST", "/scans", "{}")).await;
    let seen = connection.read(crate::raw::PATIENCE).await;
    assert_eq!((seen.status(), seen.header("location")), (302, Some("http://127.0.0.1:1/stolen")));
}

#[tokio::test]
async fn an_error_that_shows_the_request() {
    let stage = Stage::set().await;
    stage.fixture.sim.inject(Fault::new("echo_request").path("/session"));
    let said = stage.ask("POST /session").await.error(500);
    assert!(said.contains("\"password\":\"nessus\"") && said.contains("content-type: application/json"), "{said}");
    stage.fixture.sim.inject("echo_request");
    let said = stage.ask("POST SCAN/launch").await.error(500);
    assert!(said.contains(&stage.fixture.sim.session_tokens()[0]) && said.contains(&stage.fixture.sim.api_token()));
}
