//! How to test what you build on the library, without a scanner: four ways, from the fastest to the most real.
//!
//! ```console
//! cargo test -p nessus-mcp-examples --example test_with_simulated_nessus
//! cargo run --example test_with_simulated_nessus
//! ```
//!
//! 1. Mocks of the traits (feature `testing` of the library) answer what a test tells them: for your own decisions.
//! 2. `nessus-sim` is a whole scanner: for what happens between you and a Nessus, with faults by name.
//! 3. The same scanner on a server of wiremock that has mocks of your own: for answers that no Nessus gives.
//! 4. A service and its worker on the simulated scanner: from the submit to the findings, as in your program.
//!
//! In a crate of your own, `main` and what it prints fall away, and `nessus-mcp-lib` with its feature `testing` and `nessus-sim` stand in
//! `[dev-dependencies]`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, Worker,
    config::{Settings, WorkerSettings},
    ids::{InstanceId, PoolName, ScanId},
    queue::{MockQueue, Queue, QueueError, QueueStats},
    scanner::{
        MockScannerInterface, NessusConfig, NessusScanner, ScanRequest, ScanState, ScannerError, ScannerInstance,
        ScannerInterface, ScannerPool, ScannerRegistry,
    },
    secret::Secret,
    service::{ResultsRequest, SubmitRequest},
};
use nessus_sim::{FaultError, SimulatedNessus};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path_regex},
};

type Outcome = Result<String, Box<dyn Error>>;

/// What is to be tested, first part: begins a scan, also when somebody has launched it already.
async fn begin(scanner: &dyn ScannerInterface, targets: &str) -> Result<ScanId, ScannerError> {
    let scan = scanner.create(&ScanRequest::new("nightly_1", "nightly", targets)).await?;
    match scanner.launch(&scan).await {
        Ok(_) | Err(ScannerError::Conflict(_)) => Ok(scan),
        Err(error) => Err(error),
    }
}

/// What is to be tested, second part: whether another scan may be submitted.
async fn has_room(queue: &dyn Queue, pool: &PoolName) -> Result<bool, QueueError> {
    Ok(queue.stats(pool).await?.ready < 100)
}

/// 1. Mocks: nothing is sent, and each answer is chosen.
async fn with_mocks() -> Outcome {
    let mut scanner = MockScannerInterface::new();
    scanner.expect_create().times(1).returning(|_| Ok(ScanId::new("7")));
    scanner.expect_launch().times(1).returning(|_| Err(ScannerError::Conflict("it runs".to_owned())));
    let scan = begin(&scanner, "192.0.2.1").await?;

    let mut queue = MockQueue::new();
    queue.expect_stats().returning(|_| Ok(QueueStats::new(100, 0, 2, 0)));
    let room = has_room(&queue, &PoolName::new("lab")?).await?;
    Ok(format!("mocks: scan {scan} goes on, room for more: {room}"))
}

/// 2. A simulated Nessus, and the library's client of one.
async fn with_a_simulated_scanner() -> Outcome {
    let sim = SimulatedNessus::start().await;
    let scanner = nessus(&sim)?;
    // The scan is created, and the connection breaks before the answer: who asks again has two.
    sim.inject("create_lost");
    let scan = begin(&scanner, "192.0.2.1-2").await?;
    // Ten seconds of the scanner's time, none of the test's.
    sim.advance(Duration::from_secs(10));
    assert_eq!(scanner.status(&scan).await?.state, ScanState::Completed);
    let mut export = Vec::new();
    // An export takes its time as well; this one has it at once.
    let waits = async {
        while sim.stats().exports == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sim.advance(Duration::from_secs(1));
    };
    let (exported, ()) = tokio::join!(scanner.export(&scan, &mut export), waits);
    exported?;
    let hosts = String::from_utf8(export)?.matches("<ReportHost ").count();
    scanner.close().await;
    let stats = sim.stats();
    Ok(format!(
        "simulated Nessus: {} create, {} launch, {hosts} hosts in the export, {} open sessions",
        stats.total_creates, stats.total_launches, stats.sessions
    ))
}

/// 3. The same behind mocks of one's own: here a proxy that refuses the first launch.
async fn on_a_server_of_ones_own() -> Outcome {
    let server = MockServer::start().await;
    let sim = SimulatedNessus::mount(&server).await;
    let busy = ResponseTemplate::new(403).set_body_string("not at this hour");
    let proxy = Mock::given(method("POST")).and(path_regex("^/scans/[0-9]+/launch$")).respond_with(busy);
    proxy.up_to_n_times(1).mount(&server).await;

    let scanner = nessus(&sim)?;
    let refused = begin(&scanner, "192.0.2.1").await.is_err();
    // wiremock has no hold on its connections. A fault that it cannot have is refused, not ignored.
    assert_eq!(sim.try_inject("create_lost"), Err(FaultError::NeedsOwnServer("create_lost".to_owned())));
    scanner.close().await;
    Ok(format!("wiremock: launch refused: {refused}, {} launches on the scanner", sim.stats().total_launches))
}

/// 4. Everything but the scanner is what runs in production.
async fn with_service_and_worker() -> Outcome {
    let sim = SimulatedNessus::start().await;
    sim.inject("create_lost");
    let instance = ScannerInstance::new(InstanceId::new("sim")?, 1, Arc::new(nessus(&sim)?));
    let pool = ScannerPool::new(PoolName::new("lab")?, "nessus", vec![instance]);
    let data = tempfile::tempdir()?;
    let settings = Settings::new(data.path(), "unused");
    let service = ScanService::open_with_scanners(&settings, ScannerRegistry::new(vec![pool])?).await?;
    let (stop, told_to_stop) = tokio::sync::oneshot::channel::<()>();
    let often = WorkerSettings::default().with_poll_interval(Duration::from_millis(20));
    let worker = tokio::spawn(Worker::new(&service, often)?.run(async { drop(told_to_stop.await) }));

    let task = service.submit(SubmitRequest::untrusted("nightly", "192.0.2.1-192.0.2.2")).await?.task_id;
    let ended = async {
        loop {
            let status = service.status(&task).await?.status;
            if status.is_terminal() {
                return Ok::<_, Box<dyn Error>>(status);
            }
            // A second of the scanner's time with each look: a scan takes ten, an export some more.
            sim.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(60), ended).await??;
    let lines = service.results(ResultsRequest::new(task)).await?;
    let has_findings = lines.lines().any(|line| line.contains(r#""type":"vulnerability""#));
    let _ = stop.send(());
    worker.await?;
    let stats = sim.stats();
    Ok(format!(
        "service: {end}, findings: {has_findings}, {} create, {} launch",
        stats.total_creates, stats.total_launches
    ))
}

/// The library's client of a Nessus, at the simulated one.
fn nessus(sim: &SimulatedNessus) -> Result<NessusScanner, ScannerError> {
    NessusScanner::new(NessusConfig::new(sim.url(), "admin", Secret::new("nessus")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", with_mocks().await?);
    println!("{}", with_a_simulated_scanner().await?);
    println!("{}", on_a_server_of_ones_own().await?);
    println!("{}", with_service_and_worker().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scan_that_runs_already_goes_on_and_a_full_queue_has_no_room() {
        assert_eq!(with_mocks().await.unwrap(), "mocks: scan 7 goes on, room for more: false");
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_makes_no_second_scan() {
        assert_eq!(
            with_a_simulated_scanner().await.unwrap(),
            "simulated Nessus: 1 create, 1 launch, 2 hosts in the export, 0 open sessions"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_a_launch_is_not_overlooked() {
        assert_eq!(
            on_a_server_of_ones_own().await.unwrap(),
            "wiremock: launch refused: true, 0 launches on the scanner"
        );
    }

    #[tokio::test]
    async fn a_submitted_scan_comes_back_with_findings() {
        assert_eq!(with_service_and_worker().await.unwrap(), "service: completed, findings: true, 1 create, 1 launch");
    }
}
