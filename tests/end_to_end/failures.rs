//! Scans that cannot go well, and what an operator then sees.

use std::time::Duration;

use nessus_mcp_lib::{client::ClientError, service::ResultsRequest, task::TaskStatus};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    sim::{SimConfig, SimulatedNessus},
    site::Site,
};
use serde_json::{Value, json};

/// A scanner locks an account after a few wrong passwords: the gateway must not be the one who does that, however many
/// scans wait. The operator must find what failed and why, and those behind it wait for the operator.
#[tokio::test]
async fn a_refused_login_fails_one_task_and_is_not_repeated() {
    let sim = SimulatedNessus::start().await;
    let deployment = Deployment::new(&sim.scanners_yaml().replace("\"nessus\"", "an-old-password"));
    // A health check would log in as well.
    let unchecked = ["--health-check-interval-seconds", "0"];
    let site = Site::start_with(sim, deployment, &[]).await;
    let mut worker = site.start_worker(&unchecked);
    let first = site.submit("first", "192.0.2.1").await;
    let view = site.ended(&first, &[&worker]).await;
    assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("scanner_login_refused")));
    let message = view.error_message.unwrap();
    assert!(message.contains("`admin`") && !message.contains("an-old-password"), "{message}");
    worker.wait_for_log("the scanner is unusable");
    let second = site.submit("second", "192.0.2.2").await;
    let admin = |arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).run();
    let letters = admin(&["list-dlq"]);
    assert_eq!(letters.code, Some(0), "{letters:?}");
    let line = letters.stdout.lines().find(|line| line.contains(first.as_str())).unwrap();
    let words: Vec<_> = line.split_whitespace().skip(2).take(3).collect();
    assert_eq!(words, ["nessus", "1", "scanner_login_refused"], "{line}");

    // Only an operator can tell that another try is wanted; it is made once more, and no more.
    assert_eq!(admin(&["reset-circuit", "nessus", "sim"]).code, Some(0));
    let view = site.ended(&second, &[&worker]).await;
    assert_eq!(view.error_code.as_deref(), Some("scanner_login_refused"));
    site.queue_is_empty(&[&worker]).await;
    let stats = site.sim.stats();
    assert_eq!((stats.failed_logins, stats.logins, stats.total_creates), (2, 0, 0), "{stats:#?}");
    let stats: Value = serde_json::from_str(&admin(&["stats", "--json"]).stdout).unwrap();
    assert_eq!((&stats["pools"][0]["dead"], &stats["pools"][0]["leased"]), (&json!(2), &json!(0)), "{stats}");
    let refused = site.client().get_results_lines(&ResultsRequest::new(first)).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Tool { code, .. } if code == "no_results"), "{refused:?}");
}

/// A scanner that is down is waited for: the scan is accepted, kept, and run when the scanner is back.
#[tokio::test]
async fn a_scanner_that_comes_back_gets_the_scan() {
    let config = || SimConfig::new().scan_duration(Duration::from_millis(300));
    let down = SimulatedNessus::start_with(config()).await;
    let port = down.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let deployment = Deployment::new(&down.scanners_yaml());
    drop(down);
    // The site needs some scanner until the one it is configured for is back.
    let mut site = Site::start_with(SimulatedNessus::start_with(config()).await, deployment, &[]).await;
    let mut worker = site.start_worker(&[]);
    let task = site.submit("patient", "192.0.2.1").await;
    worker.wait_for_log("the task will be tried again");
    site.sim = SimulatedNessus::start_with(config().port(port)).await;
    site.completed(&task, &[&worker]).await;
    site.each_scan_ran_once(1);
}
