//! How to scan from your own program: service and worker in one process, with a mock scanner.
//!
//! ```console
//! cargo run --example embedded_scan
//! ```
//!
//! With `ScanService::open` and a `scanners.yaml` the same program drives a real Nessus.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, Worker,
    config::{Settings, WorkerSettings},
    ids::{InstanceId, PoolName},
    results::Profile,
    scanner::{MockConfig, MockScanner, ScannerInstance, ScannerPool, ScannerRegistry},
    service::{ResultsRequest, SubmitRequest},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = std::env::temp_dir().join(format!("embedded-scan-{}", std::process::id()));
    let mock = Arc::new(MockScanner::new(MockConfig::new().scan_duration(Duration::from_secs(1))));
    let pool =
        ScannerPool::new(PoolName::new("lab")?, "mock", vec![ScannerInstance::new(InstanceId::new("one")?, 2, mock)]);
    let service =
        ScanService::open_with_scanners(&Settings::new(&data, "unused"), ScannerRegistry::new(vec![pool])?).await?;

    // The worker stops when this future completes. It hands unfinished tasks back to the queue.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let settings = WorkerSettings::default().with_poll_interval(Duration::from_millis(200));
    let worker = tokio::spawn(Worker::new(&service, settings)?.run(async move {
        let _ = stopped.await;
    }));

    let scan = service.submit(SubmitRequest::untrusted("example", "192.0.2.1-192.0.2.3")).await?;
    println!("submitted {}", scan.task_id);
    loop {
        let status = service.status(&scan.task_id).await?;
        println!("{} {:?}", status.status, status.progress);
        if status.status.is_terminal() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut request = ResultsRequest::new(scan.task_id);
    request.schema_profile = Some(Profile::Minimal);
    println!("{}", service.results(request).await?);

    drop(stop);
    worker.await?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}
