//! `demo`: runs one scan from submit to findings, through this process's own MCP endpoint.

mod report;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use nessus_mcp_lib::{
    ScanService,
    client::{NessusMcpClient, WaitOptions},
    config::{
        Bind, BindError, InstanceConfig, PoolConfig, ScannersConfig, Settings, WorkerSettings,
        cli::server::DEFAULT_PORT,
    },
    error::{Failure, counted},
    ids::{InstanceId, PoolName, TaskId},
    scanner::ScannerRegistry,
    service::{ResultsRequest, SubmitRequest, TaskView},
    targets::TargetSet,
    task::TaskStatus,
    telemetry::{self, LogFormat},
};
use tokio::net::TcpListener;

use crate::{
    access::ToolSet,
    app::App,
    args::{Demo, MCP_BIND},
    http::{AllowedHosts, Door, Identities, Routes},
    output, serve,
};

/// How long a mock scan takes.
const SCAN_DURATION: Duration = Duration::from_secs(3);
/// The time between two polls of the scan.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// When the demo gives up waiting for the scan.
const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the command.
pub(crate) async fn run(command: Demo) -> Result<(), Failure> {
    telemetry::init_logging(&command.log_level, LogFormat::Text)?;
    let fresh = tempfile::Builder::new().prefix("nessus-mcp-demo-").tempdir()?;
    let data_dir = command.data_dir.as_deref().unwrap_or(fresh.path());
    let _: TargetSet = command.targets.parse()?;
    // Before anything is made: a start that fails leaves no data directory.
    let listener = listen(command.mcp_bind).await?;
    let app = App::new(open(data_dir).await?);
    let url = format!("http://{}/mcp", listener.local_addr()?);
    app.stop_on_signal()?;
    let settings = WorkerSettings::default().with_poll_interval(POLL_INTERVAL);
    let worker = app.start_worker(settings)?;

    let server = {
        let app = app.clone();
        let identities = Identities::new(&app.service, false);
        let door = Door::new(Routes::EVERYTHING, AllowedHosts::default(), identities, ToolSet::ALL);
        tokio::spawn(async move { serve::until_stopped(&app, vec![(listener, door)]).await })
    };
    output::line(format!("Serving MCP at {url}, with two mock scanners. Nothing on the network is contacted."));
    output::line(format!("Data: {}\n", data_dir.display()));
    let shown = tokio::select! {
        shown = show_one_scan(&url, &command.targets) => shown,
        () = app.stop.cancelled() => Ok(()),
    };
    if shown.is_err() || command.once {
        app.stop.cancel();
    } else {
        report::how_to_connect(&url);
    }
    server.await.map_err(|failed| Failure::new(failed.to_string()))??;
    worker.stopped().await;
    app.output_read().await;
    shown
}

/// The service, with mock scanners and its data in `data_dir`.
async fn open(data_dir: &Path) -> Result<ScanService, Failure> {
    let instance = |name: &str| Ok::<_, Failure>(InstanceConfig::mock(InstanceId::new(name)?, SCAN_DURATION));
    let instances = vec![instance("mock-1")?, instance("mock-2")?];
    let pools = PoolConfig::new(PoolName::new("demo")?, instances).into_iter().collect();
    let scanners = ScannerRegistry::from_config(&ScannersConfig::new(pools))?;
    Ok(ScanService::open_with_scanners(&Settings::new(data_dir, "unused"), scanners).await?)
}

/// Listens on the address, if one is given. Otherwise takes the default port, or a free one if that is taken.
async fn listen(address: Option<SocketAddr>) -> Result<TcpListener, Failure> {
    if let Some(address) = address {
        if !address.ip().is_loopback() {
            return Err(Failure::new("the demo listens on loopback only"));
        }
        return Ok(Bind::new(MCP_BIND, address).listen().await?);
    }
    let local = |port| Bind::new(MCP_BIND, (Ipv4Addr::LOCALHOST, port).into());
    match local(DEFAULT_PORT).listen().await {
        Ok(listener) => Ok(listener),
        Err(BindError { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(local(0).listen().await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Submits a scan, waits for it and reads its findings, as an agent would.
async fn show_one_scan(url: &str, targets: &str) -> Result<(), Failure> {
    let client = NessusMcpClient::connect(url).await?;
    let tools: Vec<String> = client.list_tools().await?.into_iter().map(|tool| tool.name).collect();
    output::line(format!("1. The agent finds these tools: {}", tools.join(", ")));
    let submission = client.submit_scan(&SubmitRequest::untrusted("demo", targets)).await?;
    output::line(format!("2. run_untrusted_scan {targets}\n   -> task {} ({})", submission.task_id, submission.status));
    output::line("3. get_scan_status");
    let ended = watch(&client, &submission.task_id).await?;
    if ended.status != TaskStatus::Completed {
        let reason = ended.error_message.unwrap_or_default();
        return Err(Failure::new(format!("the scan ended as {}: {reason}", ended.status)));
    }
    let lines = client.get_results_lines(&ResultsRequest::everything(submission.task_id.clone())).await?;
    output::line(format!("4. get_scan_results -> {}\n", counted(lines.lines().count(), "JSON line", "JSON lines")));
    report::findings(&ended, &lines)?;
    client.close().await;
    Ok(())
}

/// Waits until the task has ended, and prints each change.
async fn watch(client: &NessusMcpClient, task_id: &TaskId) -> Result<TaskView, Failure> {
    let mut shown = None;
    let options = WaitOptions::new(SCAN_TIMEOUT);
    let waited = client.wait_for_completion(task_id, &options, |view| {
        let state = (view.status, view.progress);
        if shown.replace(state) != Some(state) {
            report::progress(view);
        }
    });
    waited.await?.ended().ok_or_else(|| {
        let seconds = counted(SCAN_TIMEOUT.as_secs(), "second", "seconds");
        Failure::new(format!("the scan did not end within {seconds}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_replaced_only_when_none_was_asked_for() {
        let taken = listen(Some((Ipv4Addr::LOCALHOST, 0).into())).await.unwrap();
        let address = taken.local_addr().unwrap();
        assert!(listen(Some(address)).await.unwrap_err().to_string().contains("cannot listen"));
    }
}
