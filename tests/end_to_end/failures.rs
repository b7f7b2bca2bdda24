//! Scans that cannot go well, and what an operator then sees.

use std::time::Duration;

use nessus_mcp_lib::{
    client::{ClientError, ResultsArguments},
    task::TaskStatus,
};
use nessus_mcp_tests::{
    binaries,
    deployment::Deployment,
    sim::{NessusSim, SimConfig},
    site::Site,
};
use serde_json::{Value, json};

/// A scanner locks an account after a few wrong passwords: the gateway must not be the one who does that, however many
/// scans wait, and the operator must find what failed and why.
#[tokio::test]
async fn a_refused_login_fails_the_task_and_is_not_repeated() {
    let sim = NessusSim::start(SimConfig::new()).await;
    let deployment = Deployment::new(&sim.scanners_yaml().replace("\"nessus\"", "an-old-password"));
    let site = Site::start_with(sim, deployment, &[]).await;
    let worker = site.start_worker(&[]);
    let first = site.submit("first", "192.0.2.1").await;
    let second = site.submit("second", "192.0.2.2").await;
    for task in [&first, &second] {
        let view = site.ended(task, &[&worker]).await;
        assert_eq!((view.status, view.error_code.as_deref()), (TaskStatus::Failed, Some("scanner_login_refused")));
        let message = view.error_message.unwrap();
        assert!(message.contains("`admin`") && !message.contains("an-old-password"), "{message}");
    }
    site.queue_is_empty(&[&worker]).await;
    let stats = site.sim.stats();
    // Once each: the worker, and the server for its health checks.
    assert_eq!((stats.failed_logins, stats.logins, stats.total_creates), (2, 0, 0), "{stats:#?}");

    let admin = |arguments: &[&str]| site.deployment.program(binaries::admin(), arguments).run();
    let letters = admin(&["list-dlq"]);
    assert_eq!(letters.code, Some(0), "{letters:?}");
    for task in [&first, &second] {
        let line = letters.stdout.lines().find(|line| line.contains(task.as_str())).unwrap();
        assert!(line.contains("  pool=nessus  attempt=1  scanner_login_refused: "), "{line}");
    }
    let stats: Value = serde_json::from_str(&admin(&["stats", "--json"]).stdout).unwrap();
    assert_eq!((&stats["pools"][0]["dead"], &stats["pools"][0]["leased"]), (&json!(2), &json!(0)), "{stats}");
    let refused = site.client().get_scan_results(&ResultsArguments::new(first, 1)).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Tool { code, .. } if code == "no_results"), "{refused:?}");
}

/// A scanner that is down is waited for: the scan is accepted, kept, and run when the scanner is back.
#[tokio::test]
async fn a_scanner_that_comes_back_gets_the_scan() {
    let config = || SimConfig::new().scan_duration(Duration::from_millis(300));
    let down = NessusSim::start(config()).await;
    let port = down.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let deployment = Deployment::new(&down.scanners_yaml());
    drop(down);
    // The site needs some scanner until the one it is configured for is back.
    let mut site = Site::start_with(NessusSim::start(config()).await, deployment, &[]).await;
    let mut worker = site.start_worker(&[]);
    let task = site.submit("patient", "192.0.2.1").await;
    worker.wait_for_log("the task will be tried again");
    site.sim = NessusSim::start(config().port(port)).await;
    site.completed(&task, &[&worker]).await;
    site.each_scan_ran_once(1);
}
