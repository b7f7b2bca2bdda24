//! Puts a scanner into a pool, starts a service and a worker, and runs one scan from submit to findings.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use nessus_mcp_lib::{
    ScanService, ScannerInterface, Worker,
    config::{Settings, WorkerSettings},
    ids::{InstanceId, PoolName},
    scanner::{ScannerInstance, ScannerPool, ScannerRegistry},
    service::{ResultsRequest, SubmitRequest},
    task::TaskStatus,
};

/// Scans 127.0.0.1 with this scanner and returns what it found, as lines of JSON.
pub(crate) async fn scan(scanner: impl ScannerInterface + 'static, data: &Path) -> Result<String, Box<dyn Error>> {
    // This is all the library needs to know of the scanner. The type's name ("tcp") is free to choose.
    let instance = ScannerInstance::new(InstanceId::new("loopback")?, 2, Arc::new(scanner));
    let scanners = ScannerRegistry::new(vec![ScannerPool::new(PoolName::new("ports")?, "tcp", vec![instance])])?;
    let service = ScanService::open_with_scanners(&Settings::new(data, "unused"), scanners).await?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let settings = WorkerSettings::default().with_poll_interval(Duration::from_millis(100));
    let worker = tokio::spawn(Worker::new(&service, settings)?.run(async move {
        let _ = stopped.await;
    }));
    let task = service.submit(SubmitRequest::untrusted("open ports", "127.0.0.1")).await?.task_id;
    let ended = loop {
        let view = service.status(&task).await?;
        if view.status.is_terminal() {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    drop(stop);
    worker.await?;
    if ended.status != TaskStatus::Completed {
        return Err(format!("the scan ended as {}: {:?}", ended.status, ended.error_message).into());
    }
    Ok(service.results(ResultsRequest::new(task)).await?)
}
